//! Request and response: replies are matched to pending calls by a correlation id, in fixed memory.
//!
//! - [`Correlator`] makes the ids: a late, doubled or forged reply can never reach another call.
//! - [`KeyedCorrelator`] is for protocols that bring their own ids.
//!
//! Behind a lock and a timer ([`Shared`](crate::foundation::shared::Shared)) there are `call`, which sends and waits,
//! and `gather`, which asks many peers at once (scatter-gather).
//!
//! **Outcomes**: [`Resolution`] of a reply, [`Expired`] of a call that timed out. **Errors**: [`BeginError`] before
//! anything was sent, [`CallError`] of a call that waits. **Counts**: [`CorrelatorStats`], [`RoundTrips`].
//!
//! One call has one slot, in one phase: pending, then replied or ended. A call that a future waits for keeps its slot
//! until that future has been told; any other leaves it the moment it is over (or its reply is taken).

mod call;
mod due;
mod ending;
mod gather;
mod gathering;
mod id;
mod keyed;
mod ledger;
mod observe;
mod outcome;
mod phase;
mod round_trip;
mod shared;
mod slab;
mod wait;

pub use call::{CallOn, PendingCall, SendRequest};
pub use gather::Asked;
pub use gathering::{Gather, GatherEach, GatherIn, SendEach};
pub use id::CallId;
pub use keyed::{KeyedCorrelator, KeyedCorrelatorIn};
pub use ledger::CorrelatorStats;
pub use outcome::{BeginError, Call, CallError, Expired, Resolution};
pub use phase::Correlates;
pub use round_trip::RoundTrips;
pub use slab::{Correlator, CorrelatorIn};

#[cfg(test)]
mod gather_tests;
#[cfg(test)]
mod schedule_tests;
#[cfg(test)]
mod seed_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
