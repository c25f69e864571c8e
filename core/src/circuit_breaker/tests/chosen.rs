//! Trips that are chosen at run time and rules of one's own, in tables, and behind a lock.

use std::{cell::RefCell, format};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    foundation::{shared::Shared, storage::Heap},
    test_util::ManualClock,
};

const HALF: Percent = Percent::new(50);

/// A pause in milliseconds, a key, and what becomes of its call: 0 a failure, 1 and 2 a success, 3 a clean-up instead,
/// 4 the settings once more, 5 successes told later.
type Step = (u64, u8, u8);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    vec((0..3_000_u64, 0..3_u8, 0..6_u8), 1..150)
}

type Told = (BreakerState, WindowStats, usize);

/// What a table tells after each step, and a breaker of its own beside it.
fn run<P: TripPolicy>(trip: &P, steps: &[Step]) -> Vec<(Told, BreakerState, BreakerStats)> {
    let reset = Reset::after(SECOND).lease(SECOND);
    let mut table: Breakers<u8, 2, P> = Breakers::new(trip.clone(), reset);
    let mut alone = CircuitBreaker::new(trip.clone(), reset);
    let (mut now, mut told) = (at(0), Vec::new());
    for &(pause, key, what) in steps {
        now = now.saturating_add(Duration::from_millis(pause));
        let outcome = if what == 0 { Outcome::Failure } else { Outcome::Success };
        match what {
            0..=2 => {
                if let Ok(permit) = table.try_acquire(&key, now) {
                    table.record(&key, permit, outcome, now);
                }
                call(&mut alone, outcome, now);
            }
            3 => _ = table.cleanup(now),
            4 => {
                table.set_settings(trip.clone(), reset, now);
                alone.set_settings(trip.clone(), reset, now);
            }
            _ => {
                if alone.calm_generation().is_some() {
                    alone.merge(3, 3);
                }
            }
        }
        let seen = (table.state(&key), table.window(&key, now), table.len());
        assert!(!format!("{alone:?}").is_empty());
        told.push((seen, alone.state(), alone.stats()));
    }
    told
}

proptest! {
    #[test]
    fn in_a_table_too_a_trip_decides_as_the_fixed_one(steps in steps(), percent in 1..=100_u16, min in 1..5_u32) {
        let (percent, min) = (Percent::new(percent), NonZeroU32::new(min).unwrap());
        let five = NonZeroU16::new(5).unwrap();
        prop_assert_eq!(run(&Trip::consecutive(min.get()), &steps), run(&AnyTrip::<Heap>::consecutive(min), &steps));
        let (fixed, chosen) = (Trip::call_window::<5>(percent), AnyTrip::<Heap>::call_window(five, percent));
        prop_assert_eq!(run(&fixed.min_calls(min), &steps), run(&chosen.min_calls(min), &steps));
        let fixed = Trip::time_window::<5>(SECOND * 5, percent);
        let chosen = AnyTrip::<Heap>::time_window(SECOND * 5, five, percent);
        prop_assert_eq!(run(&fixed.min_calls(min), &steps), run(&chosen.min_calls(min), &steps));
    }

    #[test]
    fn a_rule_that_says_what_the_window_says_decides_as_it_does(steps in steps()) {
        let rule: fn(WindowStats) -> bool = |window| window.calls >= 5 && window.failures * 2 >= window.calls;
        let window = Trip::call_window::<5>(HALF);
        prop_assert_eq!(run(&window, &steps), run(&Trip::when(window, rule), &steps));
        let window = Trip::time_window::<5>(SECOND * 5, HALF).min_calls(NonZeroU32::new(5).unwrap());
        prop_assert_eq!(run(&window, &steps), run(&Trip::when(window, rule), &steps));
        let rule: fn(WindowStats) -> bool = |window| window.failures >= 2;
        let window = Trip::consecutive(2);
        prop_assert_eq!(run(&window, &steps), run(&Trip::when(window, rule), &steps));
    }
}

#[test]
fn a_trip_by_consecutive_failures_has_no_window_to_judge() {
    let two = NonZeroU32::new(2).unwrap();
    let trip = AnyTrip::<Heap>::consecutive(two);
    assert_eq!(trip.min_calls(NonZeroU32::MIN).slow_calls(SECOND, HALF), trip);
}

#[test]
fn behind_a_lock_settings_and_states_are_those_of_the_machine() {
    let clock = ManualClock::new(at(0));
    let breaker = Shared::new(RefCell::new(breaker()), clock.clone());
    assert_eq!(breaker.last_transition(), None);
    breaker.record_failure();
    assert_eq!((breaker.window().calls, breaker.window().failures), (1, 1));
    breaker.set_settings(Trip::consecutive(2), Reset::after(SECOND));
    breaker.record_failure();
    let opened = breaker.last_transition().unwrap();
    assert_eq!((opened.from, opened.to, opened.number), (BreakerState::Closed, BreakerState::Open, 1));
    breaker.close();
    breaker.open();
    assert_eq!(breaker.state(), BreakerState::Open);

    let table: Breakers<u8, 1> = Breakers::new(Trip::consecutive(3), Reset::after(RESET));
    let table = Shared::new(RefCell::new(table), clock);
    assert!(table.open(&1) && table.open(&1), "one that is not known yet, and one that is open");
    assert!(!table.open(&2), "there is no room");
    assert_eq!(table.last_transition().map(|last| last.to), Some(BreakerState::Open));
    assert!(table.close(&1));
    table.with(|table, now| table.record_failure(&1, now));
    assert_eq!(table.window(&1).failures, 1);
    table.set_settings(Trip::consecutive(1), Reset::after(SECOND));
    assert_eq!(table.state(&1), BreakerState::Open, "one failure is enough now");
}

#[test]
fn an_error_passes_another_inner_one_on() {
    let open = BreakerError::<u8>::Open { retry_at: at(1) };
    assert_eq!(open.map_inner(u16::from), BreakerError::Open { retry_at: at(1) });
    assert_eq!(BreakerError::<u8>::TimedOut.map_inner(u16::from), BreakerError::TimedOut);
    assert_eq!(BreakerError::Inner(7_u8).map_inner(u16::from), BreakerError::Inner(7_u16));
}

#[test]
fn counts_are_added_each_to_its_own() {
    let mut one = breaker();
    calls(&mut one, "SSFFF", at(0));
    assert!(one.try_acquire(at(0)).is_err());
    let stats = one.stats();
    let both = stats.plus(stats);
    assert_eq!((both.permitted, both.successes, both.failures), (2 * stats.permitted, 4, 2 * stats.failures));
    assert_eq!((both.opened, both.rejected), (2, 2 * stats.rejected));
    assert_eq!(stats.plus(BreakerStats::default()), stats);
}
