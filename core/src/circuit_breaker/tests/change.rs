//! Settings that change while the breaker runs, and trips that are chosen at run time.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::foundation::storage::Heap;

const HALF: Percent = Percent::new(50);

fn calls_of(window: u16, failures: u16) -> AnyTrip<Heap> {
    AnyTrip::call_window(NonZeroU16::new(window).unwrap(), Percent::new(failures))
}

#[test]
fn a_window_of_the_same_shape_is_kept() {
    let mut breaker = CircuitBreaker::new(Trip::call_window::<4>(Percent::new(100)), Reset::after(RESET));
    calls(&mut breaker, "FFF", at(0));
    breaker.set_settings(Trip::call_window::<4>(Percent::new(75)), Reset::after(RESET), at(0));
    assert_eq!(breaker.state(), BreakerState::Closed, "judged from the fourth call on");
    calls(&mut breaker, "S", at(0));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn a_window_of_another_shape_starts_empty() {
    let mut breaker = CircuitBreaker::new(calls_of(4, 100), Reset::after(RESET));
    calls(&mut breaker, "FFF", at(0));
    breaker.set_settings(calls_of(3, 100), Reset::after(RESET), at(0));
    calls(&mut breaker, "FF", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    calls(&mut breaker, "F", at(0));
    assert_eq!(breaker.state(), BreakerState::Open);

    let by_time = |secs| Trip::time_window::<10>(Duration::from_secs(secs), HALF).min_calls(NonZeroU32::MIN);
    let mut breaker = CircuitBreaker::new(by_time(10).min_calls(NonZeroU32::new(2).unwrap()), Reset::after(RESET));
    calls(&mut breaker, "F", at(0));
    breaker.set_settings(by_time(20), Reset::after(RESET), at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn what_is_kept_opens_it_if_it_reaches_the_new_limits() {
    let mut breaker = breaker();
    calls(&mut breaker, "FF", at(0));
    breaker.set_settings(Trip::consecutive(2), Reset::after(RESET), at(7));
    assert_eq!(breaker.try_acquire(at(8)), Err(Open { retry_at: at(37) }));
    assert_eq!(breaker.stats().opened, 1);

    // The ring alone would never see it: each call replaces one like it.
    let mut breaker = CircuitBreaker::new(Trip::call_window::<4>(Percent::new(75)), Reset::after(RESET));
    calls(&mut breaker, "FSFSFS", at(0));
    breaker.set_settings(Trip::call_window::<4>(HALF), Reset::after(RESET), at(0));
    assert_eq!(breaker.state(), BreakerState::Open);

    let trip = |min| Trip::time_window::<10>(Duration::from_secs(10), HALF).min_calls(NonZeroU32::new(min).unwrap());
    let old_and_new = |now| {
        let mut breaker = CircuitBreaker::new(trip(20), Reset::after(RESET));
        calls(&mut breaker, "FFF", at(100));
        breaker.set_settings(trip(3), Reset::after(RESET), now);
        breaker.state()
    };
    assert_eq!(old_and_new(at(105)), BreakerState::Open);
    assert_eq!(old_and_new(at(111)), BreakerState::Closed, "they no longer count");
}

#[test]
fn an_open_breaker_waits_no_longer_than_the_new_open_time() {
    let mut breaker = opened_at_zero();
    breaker.set_settings(Trip::consecutive(3), Reset::after(SECOND), at(10));
    assert_eq!(breaker.try_acquire(at(10)), Err(Open { retry_at: at(11) }));
    breaker.set_settings(Trip::consecutive(3), Reset::after(RESET), at(10));
    assert!(breaker.try_acquire(at(11)).is_ok(), "a longer time holds from the next opening on");

    let mut breaker = opened_at_zero();
    breaker.set_settings(Trip::consecutive(3), Reset::after(SECOND), at(29));
    assert!(breaker.try_acquire(at(30)).is_ok(), "never later than before");
}

#[test]
fn a_half_open_breaker_closes_if_enough_probes_have_succeeded() {
    let reset = |probes| Reset::after(RESET).probes(probes);
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset(3));
    calls(&mut breaker, "F", at(0));
    calls(&mut breaker, "SS", at(30));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.set_settings(Trip::consecutive(1), reset(2), at(30));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn silent_probes_keep_their_places_for_the_new_lease_at_most() {
    let (mut breaker, _probe) = half_open_at_30();
    breaker.set_settings(Trip::consecutive(3), Reset::after(RESET).lease(SECOND), at(31));
    assert!(breaker.try_acquire(ms(31_999)).is_err());
    assert!(breaker.try_acquire(at(32)).is_ok());
}

#[test]
fn calls_under_way_are_judged_by_the_settings_that_hold_when_they_end() {
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(RESET));
    let (slow, unknown) = (breaker.try_acquire(at(0)).unwrap(), Permit::calm(2, Instant::MAX));
    breaker.set_settings(Trip::consecutive(1), Reset::after(RESET).call_timeout(SECOND), at(5));
    breaker.record(unknown, Outcome::Success, at(5));
    assert_eq!(breaker.state(), BreakerState::Closed, "nobody knows when it began");
    breaker.record(slow, Outcome::Success, at(5));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn the_generator_goes_on_and_the_mode_stays() {
    let jitter = |seed| Reset::after(RESET).jitter(HALF, seed);
    let opened = |reset: Reset, later: Reset| {
        let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
        breaker.set_mode(BreakerMode::ObserveOnly);
        breaker.set_settings(Trip::consecutive(1), later, at(0));
        assert_eq!(breaker.mode(), BreakerMode::ObserveOnly);
        breaker.set_mode(BreakerMode::Automatic);
        calls(&mut breaker, "F", at(0));
        breaker.try_acquire(at(0)).unwrap_err().retry_at
    };
    assert_eq!(opened(jitter(1), jitter(2)), opened(jitter(1), jitter(1)));
    assert_ne!(opened(jitter(1), jitter(1)), opened(jitter(2), jitter(1)));
}

#[test]
fn every_breaker_of_a_table_changes() {
    let mut breakers: Breakers<u8, 8> = Breakers::new(Trip::consecutive(3), Reset::after(RESET));
    for (key, failures) in [(1, 3), (2, 2), (3, 1)] {
        (0..failures).for_each(|_| breakers.record_failure(&key, at(0)));
    }
    breakers.set_settings(Trip::consecutive(2), Reset::after(SECOND), at(1));
    let states = [1, 2, 3].map(|key| breakers.state(&key));
    assert_eq!(states, [BreakerState::Open, BreakerState::Open, BreakerState::Closed]);
    assert!([1, 2].map(|key| breakers.try_acquire(&key, at(2)).is_ok()).into_iter().all(|is_probe| is_probe));
}

#[test]
fn a_success_takes_no_entry_where_it_says_nothing() {
    let mut breakers: Breakers<u8, 8, AnyTrip<Heap>> =
        Breakers::new(AnyTrip::consecutive(NonZeroU32::MIN), Reset::after(RESET));
    breakers.record_success(&1, at(0));
    assert!(breakers.is_empty());
    breakers.set_settings(calls_of(4, 50), Reset::after(RESET), at(0));
    breakers.record_success(&1, at(0));
    assert_eq!(breakers.len(), 1);
}

/// One call and the time before it.
type Step = (u64, u64, bool);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((0..900_u64, 0..40_u64, any::<bool>()), 1..200)
}

/// Whether each call was admitted, and where the breaker stood after it.
fn run<P: TripPolicy>(trip: P, steps: &[Step]) -> Vec<(bool, BreakerState, Option<u32>)> {
    let mut breaker = CircuitBreaker::new(trip, Reset::after(SECOND).probes(2));
    let mut now = at(0);
    let mut decisions = Vec::new();
    for &(pause, takes, fails) in steps {
        now = now.saturating_add(Duration::from_millis(pause));
        let permit = breaker.try_acquire(now);
        now = now.saturating_add(Duration::from_millis(takes));
        let is_admitted = permit.is_ok();
        if let Ok(permit) = permit {
            breaker.record(permit, if fails { Outcome::Failure } else { Outcome::Success }, now);
        }
        breaker = breaker.clone(); // windows are copied whole
        decisions.push((is_admitted, breaker.state(), breaker.calm_generation()));
    }
    decisions
}

proptest! {
    #[test]
    fn a_trip_chosen_at_run_time_decides_as_the_fixed_one(steps in steps(), percent in 1..=100_u16, min in 1..9_u32) {
        let (percent, min) = (Percent::new(percent), NonZeroU32::new(min).unwrap());
        let (ten, slow) = (NonZeroU16::new(10).unwrap(), Duration::from_millis(30));
        prop_assert_eq!(run(Trip::consecutive(min.get()), &steps), run(AnyTrip::<Heap>::consecutive(min), &steps));
        let (fixed, chosen) = (Trip::call_window::<10>(percent), AnyTrip::<Heap>::call_window(ten, percent));
        prop_assert_eq!(run(fixed, &steps), run(chosen, &steps));
        let (fixed, chosen) = (fixed.min_calls(min).slow_calls(slow, HALF), chosen.min_calls(min).slow_calls(slow, HALF));
        prop_assert_eq!(run(fixed, &steps), run(chosen, &steps));
        let fixed = Trip::time_window::<10>(SECOND * 5, percent);
        let chosen = AnyTrip::<Heap>::time_window(SECOND * 5, ten, percent);
        prop_assert_eq!(run(fixed, &steps), run(chosen, &steps));
        let (fixed, chosen) = (fixed.min_calls(min).slow_calls(slow, HALF), chosen.min_calls(min).slow_calls(slow, HALF));
        prop_assert_eq!(run(fixed, &steps), run(chosen, &steps));
    }

    /// Whatever the settings were before: once they stand still, what only fails is refused after as many calls as they
    /// say, and what only succeeds is served again after one open time and as many probes.
    #[test]
    fn after_any_changes_the_last_settings_hold(
        changes in vec((steps(), 0..3_u8, 1..12_u16, 1..=100_u16, 1..4_u8, 1..20_u64), 1..6),
        fails in any::<bool>(),
    ) {
        let made = |kind: u8, size: u16, percent: u16| -> AnyTrip<Heap> {
            match kind {
                0 => AnyTrip::consecutive(NonZeroU32::from(NonZeroU16::new(size).unwrap())),
                1 => calls_of(size, percent),
                _ => AnyTrip::time_window(SECOND * 600, NonZeroU16::new(size).unwrap(), Percent::new(percent))
                    .min_calls(NonZeroU32::MIN),
            }
        };
        let mut breaker = CircuitBreaker::new(made(0, 1, 1), Reset::after(RESET));
        let (mut now, mut last_open_for) = (at(0), SECOND);
        for (steps, kind, size, percent, probes, secs) in changes {
            let open_for = Duration::from_secs(secs);
            breaker.set_settings(made(kind, size, percent), Reset::after(open_for).probes(probes), now);
            last_open_for = open_for;
            if let Err(Open { retry_at }) = breaker.try_acquire(now).map(|permit| breaker.record(permit, Outcome::Ignored, now)) {
                prop_assert!(retry_at <= now.saturating_add(open_for), "safety: no longer than they say");
            }
            for (pause, _, fails) in steps {
                now = now.saturating_add(Duration::from_millis(pause));
                call(&mut breaker, if fails { Outcome::Failure } else { Outcome::Success }, now);
            }
        }
        let open_for = last_open_for;
        // Longer than any window reaches back.
        let outcome = if fails { Outcome::Failure } else { Outcome::Success };
        let refused = (0..2_000)
            .filter(|_| {
                now = now.saturating_add(SECOND);
                !call(&mut breaker, outcome, now)
            })
            .count();
        if fails {
            prop_assert_eq!(breaker.state(), BreakerState::Open);
            prop_assert!(call(&mut breaker, Outcome::Ignored, now.saturating_add(open_for)));
        } else {
            prop_assert_eq!(breaker.state(), BreakerState::Closed);
            prop_assert!(refused <= 2 * open_for.as_secs() as usize, "{} refused", refused);
        }
    }
}
