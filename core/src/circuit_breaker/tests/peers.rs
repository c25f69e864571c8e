//! What peers get wrong.

use super::*;

#[test]
fn d1_a_long_healthy_past_does_not_hide_failures() {
    let mut breaker = CircuitBreaker::new(Trip::call_window::<10>(Percent::new(50)), Reset::after(RESET));
    for _ in 0..10_000 {
        calls(&mut breaker, "S", at(0));
    }
    calls(&mut breaker, "FFFF", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    calls(&mut breaker, "F", at(0));
    assert_eq!(breaker.state(), BreakerState::Open, "5 of the last 10 failed");
}

#[test]
fn d2_a_time_window_has_a_fixed_size_and_forgets_on_time() {
    let trip = Trip::time_window::<10>(Duration::from_secs(10), Percent::new(50)).min_calls(NonZeroU32::MIN);
    let mut breaker = CircuitBreaker::new(trip, Reset::after(RESET));
    assert!(size_of_val(&breaker) <= 400, "{}", size_of_val(&breaker));
    for _ in 0..20_000 {
        calls(&mut breaker, "S", ms(500));
    }
    // 20,000 successes of age 10 s no longer count: one failure is all that is known.
    calls(&mut breaker, "F", ms(10_500));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn d12_a_late_failure_does_not_reopen() {
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(SECOND));
    let slow = breaker.try_acquire(at(0)).unwrap();
    calls(&mut breaker, "F", at(0));
    let probe = breaker.try_acquire(at(1)).unwrap();
    breaker.record(slow, Outcome::Failure, at(1));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.record(probe, Outcome::Success, at(1));
    assert_eq!(breaker.state(), BreakerState::Closed);

    let late = breaker.try_acquire(at(1)).unwrap();
    calls(&mut breaker, "F", at(1));
    calls(&mut breaker, "S", at(2));
    breaker.record(late, Outcome::Failure, at(2));
    assert_eq!(breaker.state(), BreakerState::Closed, "nor does it count in the next closed state");
}

#[test]
fn d13_half_open_admits_exactly_its_probes() {
    for probes in 1..=5 {
        let reset = Reset::after(SECOND).probes(probes);
        let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
        calls(&mut breaker, "F", at(0));
        let admitted: Vec<_> = (0..1_000).filter_map(|_| breaker.try_acquire(at(1)).ok()).collect();
        assert_eq!(admitted.len(), usize::from(probes));
        for permit in admitted {
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
            breaker.record(permit, Outcome::Success, at(1));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}
