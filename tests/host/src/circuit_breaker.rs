//! Opens, lets one probe through, closes.

use core::time::Duration;

use steadfast_core::{
    Breakers, CircuitBreaker, Instant, Lock, Reset, Trip,
    circuit_breaker::{BreakerState, Open, Outcome, Percent, TripPolicy},
};

use crate::locks::{Locks, at, before};

const RESET: Reset = Reset::after(Duration::from_secs(30)).lease(Duration::from_secs(30));

/// A breaker that `trip` opens at the third failure of three.
fn contract<L: Locks, P: TripPolicy>(trip: P) {
    let breaker = L::lock(CircuitBreaker::new(trip, RESET));
    let acquire = |now: Instant| breaker.with(|breaker| breaker.try_acquire(now));
    let record = |permit, outcome, now: Instant| breaker.with(|breaker| breaker.record(permit, outcome, now));
    let state = || breaker.with(|breaker| breaker.state());

    let late = acquire(at(1)).expect("closed");
    for _ in 0..3 {
        assert_eq!(state(), BreakerState::Closed);
        let permit = acquire(at(1)).expect("closed");
        record(permit, Outcome::Failure, at(1));
    }
    assert_eq!(acquire(at(1)), Err(Open { retry_at: at(31) }));
    assert!(acquire(before(31)).is_err(), "admitted before its time");

    // Half-open: one probe, and no other until it reports.
    let probe = acquire(at(31)).expect("half-open at its time");
    assert!(acquire(at(32)).is_err(), "a second probe");
    record(late, Outcome::Failure, at(32));
    assert_eq!(state(), BreakerState::HalfOpen, "a late failure of an earlier state counted");
    record(probe, Outcome::Failure, at(33));
    assert_eq!(acquire(at(33)), Err(Open { retry_at: at(63) }));

    // A lost probe gives its place back; one that succeeds closes.
    drop(acquire(at(63)).expect("half-open again"));
    assert!(acquire(before(93)).is_err());
    let probe = acquire(at(93)).expect("the lease of the lost probe is over");
    record(probe, Outcome::Success, at(94));
    assert_eq!(state(), BreakerState::Closed);
    assert!(acquire(at(94)).is_ok() && acquire(at(94)).is_ok());
}

/// [`CircuitBreaker`] with each kind of window.
pub fn circuit_breaker_contract<L: Locks>() {
    contract::<L, _>(Trip::consecutive(3));
    contract::<L, _>(Trip::call_window::<3>(Percent::new(100)));
}

/// [`Breakers`]: one key's failures are no other key's.
pub fn breakers_contract<L: Locks>() {
    let breakers = L::lock(Breakers::<u32, 2>::new(Trip::consecutive(1), RESET));
    let acquire = |key: u32, now: Instant| breakers.with(|breakers| breakers.try_acquire(&key, now));
    let record = |key: u32, permit, now: Instant| {
        breakers.with(|breakers| breakers.record(&key, permit, Outcome::Failure, now));
    };
    for key in [1, 2] {
        let permit = acquire(key, at(1)).expect("closed");
        record(key, permit, at(1));
    }
    assert!(acquire(1, at(2)).is_err() && acquire(2, at(2)).is_err());
    assert!(acquire(3, at(2)).is_ok(), "no memory for a third key is no reason to refuse it");
    assert!(acquire(1, at(31)).is_ok());
}
