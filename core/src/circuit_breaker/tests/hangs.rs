//! Calls that hang, are cut off, dropped, or panic.

use super::*;

const LIMIT: Duration = Duration::from_secs(2);

fn limited() -> Reset {
    Reset::after(RESET).call_timeout(LIMIT)
}

/// A breaker that one failure opens, half-open at 30 s.
fn half_open(reset: Reset) -> CircuitBreaker {
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    calls(&mut breaker, "F", at(0));
    breaker
}

#[test]
fn found_a6_a_call_that_takes_its_timeout_fails_whatever_its_outcome() {
    let outcomes = [Outcome::Success, Outcome::Dropped, Outcome::Ignored, Outcome::Panicked, Outcome::Failure];
    for outcome in outcomes {
        for (end, failures) in [(1_999, u64::from(outcome == Outcome::Failure)), (2_000, 1), (9_000, 1)] {
            let mut breaker = CircuitBreaker::new(Trip::consecutive(1), limited());
            let permit = breaker.try_acquire(at(0)).unwrap();
            assert_eq!(breaker.call_deadline(at(0)), Some(at(2)));
            breaker.record(permit, outcome, ms(end));
            assert_eq!(breaker.stats().failures, failures, "{outcome:?} after {end} ms");
            assert_eq!(breaker.state() == BreakerState::Open, failures == 1);
        }
    }
    assert_eq!(breaker().call_deadline(at(0)), None);
}

#[test]
fn a_late_failure_keeps_the_other_sides_wish() {
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), limited().up_to(2 * RESET));
    let permit = breaker.try_acquire(at(0)).unwrap();
    breaker.record(permit, Outcome::RetryAfter(Duration::from_secs(45)), at(3));
    assert_eq!(breaker.try_acquire(at(3)), Err(Open { retry_at: at(48) }));
}

#[test]
fn found_a6_a_call_dropped_after_the_slow_limit_counts_as_slow() {
    let trip = Trip::call_window::<2>(Percent::new(100)).slow_calls(SECOND, Percent::new(50));
    for (outcome, millis, is_open) in [
        (Outcome::Dropped, 999, false),
        (Outcome::Dropped, 1_000, true),
        (Outcome::Ignored, 1_000, false), // said on purpose
    ] {
        let mut breaker = CircuitBreaker::new(trip, Reset::after(RESET));
        for _ in 0..2 {
            let permit = breaker.try_acquire(at(0)).unwrap();
            breaker.record(permit, outcome, ms(millis));
        }
        assert_eq!(breaker.state() == BreakerState::Open, is_open, "{outcome:?} after {millis} ms");
        let stats = breaker.stats();
        assert_eq!((stats.failures, stats.ignored), if is_open { (2, 0) } else { (0, 2) });
    }
    // A slow probe is a failed one.
    let mut breaker = CircuitBreaker::new(trip, Reset::after(RESET));
    calls(&mut breaker, "FF", at(0));
    let probe = breaker.try_acquire(at(30)).unwrap();
    breaker.record(probe, Outcome::Dropped, at(31));
    assert_eq!((breaker.state(), breaker.stats().opened), (BreakerState::Open, 2));
}

#[test]
fn the_user_says_what_drops_and_panics_count_as() {
    let state = |reset: Reset, outcome| {
        let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
        assert!(call(&mut breaker, outcome, at(0)));
        let stats = breaker.stats();
        (stats.failures, stats.ignored, stats.successes)
    };
    let failure = limited().on_drop(Outcome::Failure);
    assert_eq!(state(failure, Outcome::Dropped), (1, 0, 0));
    assert_eq!(state(failure, Outcome::Panicked), (0, 1, 0));
    let failure = limited().on_panic(Outcome::RetryAfter(SECOND));
    assert_eq!(state(failure, Outcome::Dropped), (0, 1, 0));
    assert_eq!(state(failure, Outcome::Panicked), (1, 0, 0));
    let success = limited().on_drop(Outcome::Failure).on_drop(Outcome::Success).on_panic(Outcome::Panicked);
    assert_eq!(state(success, Outcome::Dropped), (0, 0, 1));
    assert_eq!(state(success, Outcome::Panicked), (0, 1, 0));
    // What counts as a success is slow all the same.
    let trip = Trip::call_window::<1>(Percent::new(100)).slow_calls(SECOND, Percent::new(100));
    let mut breaker = CircuitBreaker::new(trip, success);
    let permit = breaker.try_acquire(at(0)).unwrap();
    breaker.record(permit, Outcome::Dropped, at(1));
    assert_eq!((breaker.state(), breaker.stats().successes), (BreakerState::Open, 1));
}

#[test]
fn found_a6_a_probe_that_hangs_opens_it_again() {
    let mut breaker = half_open(limited());
    let hung = breaker.try_acquire(at(30)).unwrap();
    let until = Err(Open { retry_at: at(64) });
    assert_eq!(breaker.try_acquire(ms(33_999)), until, "a lease of two timeouts, and another open time");
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert_eq!(breaker.try_acquire(at(50)), until);
    assert_eq!((breaker.state(), breaker.stats().opened), (BreakerState::Open, 2));
    breaker.record(hung, Outcome::Success, at(51));
    assert_eq!(breaker.stats().stale, 1);
    calls(&mut breaker, "S", at(64));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_silent_probe_of_a_breaker_that_opens_for_no_time_makes_way_for_another() {
    let mut breaker = half_open(Reset::after(Duration::ZERO).call_timeout(LIMIT));
    let _hung = breaker.try_acquire(at(0)).unwrap();
    assert!(breaker.try_acquire(ms(3_999)).is_err());
    calls(&mut breaker, "S", at(4));
    assert_eq!((breaker.state(), breaker.stats().opened), (BreakerState::Closed, 2));
}

#[test]
fn a_lease_that_is_shorter_than_the_timeout_gives_the_place_away() {
    let mut breaker = half_open(limited().lease(SECOND));
    let slow = breaker.try_acquire(at(30)).unwrap();
    let _second = breaker.try_acquire(at(31)).unwrap();
    breaker.record(slow, Outcome::Success, ms(31_500));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

/// For each setting, probes that all take so long, and whoever asks in between.
#[test]
fn found_a13_no_more_probes_run_at_once_than_configured() {
    let open = Duration::from_millis(100);
    for (reset, takes, probes) in [
        (Reset::after(open), 30, 1),
        (Reset::after(open), 300, 1),
        (Reset::after(open).probes(3), 30, 3),
        (Reset::after(open).call_timeout(Duration::from_secs(40)), 39, 1),
        (Reset::after(Duration::from_secs(900)), 800, 1),
    ] {
        let mut breaker = half_open(reset);
        let mut running: Vec<(Instant, Permit)> = Vec::new();
        let mut most = 0;
        for step in 0..20_000 {
            let now = ms(step * 50);
            while running.first().is_some_and(|(end, _)| *end <= now) {
                breaker.record(running.remove(0).1, Outcome::Failure, now);
            }
            if let Ok(permit) = breaker.try_acquire(now) {
                running.push((now.saturating_add(Duration::from_secs(takes)), permit));
            }
            most = most.max(running.len());
        }
        assert_eq!(most, probes, "{reset:?}, calls of {takes} s");
    }
}

#[test]
fn found_a13_a_forced_mode_judges_no_call_that_began_before() {
    for mode in [BreakerMode::ForcedClosed, BreakerMode::ForcedOpen] {
        let mut breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(RESET));
        let before = breaker.try_acquire(at(0)).unwrap();
        breaker.set_mode(mode);
        breaker.record(before, Outcome::Failure, at(1));
        assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Closed, 1), "{mode:?}");

        // A probe gives its place back, and nothing else.
        breaker.set_mode(BreakerMode::Automatic);
        calls(&mut breaker, "F", at(1));
        let probe = breaker.try_acquire(at(31)).unwrap();
        breaker.set_mode(mode);
        breaker.record(probe, Outcome::Failure, at(32));
        breaker.set_mode(BreakerMode::Automatic);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        calls(&mut breaker, "S", at(32));
        assert_eq!(breaker.state(), BreakerState::Closed);
        let stats = breaker.stats();
        assert_eq!(stats.permitted, stats.failures + stats.successes + stats.ignored + stats.stale);
    }
}

#[test]
fn a_clock_that_steps_back_makes_no_call_late_and_wedges_no_probe() {
    let mut breaker = half_open(limited());
    let probe = breaker.try_acquire(at(1_000)).unwrap();
    assert_eq!(breaker.try_acquire(at(10)), Err(Open { retry_at: at(44) }));
    breaker.record(probe, Outcome::Success, at(11));
    assert_eq!(breaker.state(), BreakerState::Closed);
}
