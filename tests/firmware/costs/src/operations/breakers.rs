//! Breakers of 8 keys of 8 bytes.

use core::time::Duration;

use steadfast_core::{
    Breakers, Instant, Reset, Trip,
    circuit_breaker::{Outcome, Permit},
};

pub type Set = Breakers<u64, 8>;

pub const NEW: Set = Breakers::new(Trip::consecutive(3), Reset::after(Duration::from_secs(30)));

operations! {
    fn try_acquire(breakers: &mut Set, key: &u64, now: Instant) -> Option<Permit> {
        breakers.try_acquire(key, now).ok()
    }
    fn record(breakers: &mut Set, key: &u64, permit: Permit, outcome: Outcome, now: Instant) {
        breakers.record(key, permit, outcome, now);
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn cleanup(breakers: &mut Set, now: Instant) -> usize {
            breakers.cleanup(now)
        }
    }
}
