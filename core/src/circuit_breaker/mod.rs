//! Stop calling what keeps failing.

mod any_trip;
mod breaker;
mod breakers;
mod call_window;
mod cell;
mod guard;
mod outcome;
mod reset;
#[cfg(feature = "serde")]
mod settings;
mod shared;
#[cfg(test)]
mod tests;
mod time_window;
mod trip;

pub use any_trip::AnyTrip;
pub use breaker::CircuitBreaker;
pub use breakers::{Breakers, BreakersIn};
#[cfg(all(test, feature = "defmt"))]
pub(crate) use call_window::CallRing;
pub use call_window::CallWindow;
pub use guard::{CallGuard, ReportOutcome};
pub use outcome::{BreakerError, BreakerMode, BreakerState, BreakerStats, Open, Outcome, Permit};
pub use reset::Reset;
#[cfg(all(test, feature = "defmt"))]
pub(crate) use time_window::Buckets;
pub use time_window::TimeWindow;
pub use trip::{Consecutive, Percent, Trip, TripPolicy};
