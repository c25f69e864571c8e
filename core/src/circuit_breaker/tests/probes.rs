//! What becomes of the probes of a half-open breaker.

use super::*;

#[test]
fn an_ignored_probe_gives_its_place_back() {
    let (mut breaker, probe) = half_open_at_30();
    breaker.record(probe, Outcome::Ignored, at(30));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    calls(&mut breaker, "IIS", at(30));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_verdict_after_the_lease_still_counts() {
    let (mut breaker, slow) = half_open_at_30();
    let second = breaker.try_acquire(at(60)).unwrap();
    breaker.record(slow, Outcome::Success, at(61));
    assert_eq!(breaker.state(), BreakerState::Closed);
    breaker.record(second, Outcome::Failure, at(62));
    assert_eq!(breaker.stats().stale, 1);

    let (mut breaker, slow) = half_open_at_30();
    let _second = breaker.try_acquire(at(60)).unwrap();
    breaker.record(slow, Outcome::Failure, at(61));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_place_is_not_given_back_twice() {
    let (mut breaker, lost) = half_open_at_30();
    let _second = breaker.try_acquire(at(60)).unwrap();
    breaker.record(lost, Outcome::Ignored, at(60));
    assert!(breaker.try_acquire(at(60)).is_err(), "the second probe is still out");
}

#[test]
fn calls_longer_than_a_short_lease_still_close_it() {
    let reset = Reset::after(Duration::from_millis(100)).lease(Duration::from_millis(100)).probes(2);
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    calls(&mut breaker, "F", ms(0));
    let mut out = Vec::new();
    for step in 1..60 {
        // each call takes 400 ms, four times the lease
        let now = ms(step * 50);
        if let Ok(permit) = breaker.try_acquire(now) {
            out.push((now.saturating_add(Duration::from_millis(400)), permit));
        }
        if out.first().is_some_and(|(end, _)| *end <= now) {
            breaker.record(out.remove(0).1, Outcome::Success, now);
        }
    }
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_lease_of_nothing_still_admits_one_probe_at_one_instant() {
    let reset = Reset::after(Duration::ZERO).lease(Duration::ZERO);
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    calls(&mut breaker, "F", at(0));
    let _probe = breaker.try_acquire(at(0)).unwrap();
    assert_eq!(breaker.try_acquire(at(0)), Err(Open { retry_at: Instant::from_nanos(1) }));
}

#[test]
fn without_permits_a_result_counts_only_if_a_probe_is_out() {
    let mut breaker = opened_at_zero();
    assert!(breaker.allow_request(at(30)));
    breaker.record_success(at(30));
    assert_eq!(breaker.state(), BreakerState::Closed);
    for _ in 0..3 {
        breaker.record_failure(at(30));
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    let probe = breaker.try_acquire(at(60)).unwrap();
    breaker.record(probe, Outcome::Ignored, at(60));
    breaker.record_failure(at(60));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.stats().stale, 1);
}

#[test]
fn a_lease_survives_a_step_back_no_longer_than_itself() {
    let (mut breaker, _lost) = half_open_at_30();
    assert_eq!(breaker.try_acquire(at(3)), Err(Open { retry_at: at(33) }));
    assert!(breaker.allow_request(at(33)));
}

#[test]
fn a_probe_counts_as_failed_when_it_is_slow() {
    let trip = Trip::call_window::<4>(Percent::new(100)).slow_calls(SECOND, Percent::new(50));
    let mut breaker = CircuitBreaker::new(trip, Reset::after(RESET));
    let slow = |breaker: &mut CircuitBreaker<_>, start: u64, took: u64| {
        let permit = breaker.try_acquire(ms(start)).unwrap();
        breaker.record(permit, Outcome::Success, ms(start + took));
    };
    slow(&mut breaker, 0, 1_000); // at the limit is slow
    slow(&mut breaker, 0, 999);
    slow(&mut breaker, 0, 0);
    assert_eq!(breaker.state(), BreakerState::Closed, "fewer calls than the window");
    slow(&mut breaker, 0, 5_000);
    assert_eq!(breaker.state(), BreakerState::Open, "2 of 4 were slow");
    slow(&mut breaker, 35_000, 1_000);
    assert_eq!(breaker.state(), BreakerState::Open);
    slow(&mut breaker, 66_000, 999);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn found_b10_a_share_of_the_probes_closes_it_or_opens_it_again() {
    let half_open = || {
        let reset = Reset::after(RESET).probes(10).probe_successes(Percent::new(60));
        let mut breaker = CircuitBreaker::new(Trip::consecutive(3), reset);
        calls(&mut breaker, "FFF", at(0));
        breaker
    };
    let mut closes = half_open();
    calls(&mut closes, "FFSSFSSFS", at(30));
    assert_eq!(closes.state(), BreakerState::HalfOpen);
    calls(&mut closes, "S", at(30));
    assert_eq!(closes.state(), BreakerState::Closed);
    let mut opens = half_open();
    calls(&mut opens, "SSSSSFFFF", at(30));
    assert_eq!(opens.state(), BreakerState::HalfOpen);
    calls(&mut opens, "F", at(30));
    assert_eq!(opens.try_acquire(at(31)), Err(Open { retry_at: at(60) }));
}

#[test]
fn found_b10_no_more_probes_pass_than_are_allowed_when_some_failed() {
    let reset = Reset::after(RESET).lease(RESET).probes(4).probe_successes(Percent::new(25));
    let mut breaker = CircuitBreaker::new(Trip::consecutive(3), reset);
    calls(&mut breaker, "FFF", at(0));
    calls(&mut breaker, "FFF", at(30));
    let last = breaker.try_acquire(at(30)).unwrap();
    assert!(breaker.try_acquire(at(30)).is_err(), "four are out or have failed");
    breaker.record(last, Outcome::Ignored, at(31));
    let last = breaker.try_acquire(at(31)).expect("its place is free");
    breaker.record(last, Outcome::Success, at(31));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn found_b10_a_call_that_notices_silent_probes_tells_of_both_changes() {
    let reset = Reset::after(SECOND).call_timeout(SECOND).lease(SECOND);
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    calls(&mut breaker, "F", at(0));
    let _silent = breaker.try_acquire(at(1)).unwrap();
    assert_eq!(breaker.telling(|breaker| breaker.state()), (BreakerState::HalfOpen, [None, None]));
    let (next, told) = breaker.telling(|breaker| breaker.try_acquire(at(10)));
    let told = told.map(|transition| transition.map(|it| (it.number, it.from, it.to)));
    let expected = [(3, BreakerState::HalfOpen, BreakerState::Open), (4, BreakerState::Open, BreakerState::HalfOpen)];
    assert_eq!(told, expected.map(Some));
    let ((), [none, told]) = breaker.telling(|breaker| breaker.record(next.unwrap(), Outcome::Success, at(10)));
    assert_eq!((none, told), (None, breaker.last_transition()));
}
