//! Circuit breakers: they stop calls to what keeps failing (fail fast), and let probes find out when it is back.
//!
//! - [`CircuitBreaker`] is one breaker; [`Breakers`] are one for each key, in fixed memory.
//! - [`Trip`] says when it opens: [`Consecutive`] failures, or a failure rate threshold over a [`CallWindow`]
//!   (count-based sliding window) or a [`TimeWindow`] (time-based sliding window). [`Reset`] says when it closes again,
//!   and how long a call may take.
//!
//! **Outcomes**: a [`Permit`] or [`Open`] for a call, an [`Outcome`] after it. **Errors**: [`BreakerError`] of a
//! guarded call. **States and counts**: [`BreakerState`], [`BreakerMode`], [`BreakerStats`].
//!
//! Next: [`retry`](crate::retry), around the breaker. The order is retry (breaker (time limit (call))).

mod any_trip;
mod breaker;
mod breakers;
mod call;
mod call_window;
mod cell;
mod guard;
mod observe;
mod outcome;
mod reset;
#[cfg(feature = "serde")]
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod time_window;
mod trip;
mod trip_when;

pub use any_trip::AnyTrip;
#[cfg(feature = "defmt")]
pub(crate) use any_trip::AnyWindow;
pub use breaker::CircuitBreaker;
pub use breakers::{Breakers, BreakersIn};
pub use call::{Admit, Classify, GuardedCall, OkOrErr};
#[cfg(all(test, feature = "defmt"))]
pub(crate) use call_window::CallRing;
pub use call_window::CallWindow;
pub use guard::{CallGuard, ReportOutcome};
pub use outcome::{
    BreakerError, BreakerMode, BreakerState, BreakerStats, Open, Outcome, Permit, Transition, WindowStats,
};
pub use reset::Reset;
#[cfg(all(test, feature = "defmt"))]
pub(crate) use time_window::Buckets;
pub use time_window::TimeWindow;
#[cfg(all(test, feature = "defmt"))]
pub(crate) use trip::Counts;
pub use trip::{Consecutive, Trip, TripPolicy};
pub use trip_when::TripWhen;

#[doc(inline)]
pub use crate::foundation::percent::Percent;
