//! One breaker, by each way to trip.

use core::time::Duration;

use steadfast_core::{
    CircuitBreaker, Instant, Reset, Trip,
    circuit_breaker::{CallWindow, Consecutive, Outcome, Percent, Permit, TimeWindow},
};

macro_rules! breaker {
    ($name:ident, $trip:ty, $new:expr) => {
        pub mod $name {
            use super::*;

            pub type Breaker = CircuitBreaker<$trip>;

            pub const NEW: Breaker = CircuitBreaker::new($new, Reset::after(Duration::from_secs(30)));

            operations! {
                fn try_acquire(breaker: &mut Breaker, now: Instant) -> Option<Permit> {
                    breaker.try_acquire(now).ok()
                }
                fn record(breaker: &mut Breaker, permit: Permit, outcome: Outcome, now: Instant) {
                    breaker.record(permit, outcome, now);
                }
            }
        }
    };
}

breaker!(consecutive, Consecutive, Trip::consecutive(3));
breaker!(call_window, CallWindow<32>, Trip::call_window::<32>(Percent::new(50)));
breaker!(time_window, TimeWindow<10>, Trip::time_window::<10>(Duration::from_secs(10), Percent::new(50)));
