use core::{num::NonZeroU32, time::Duration};
use std::{sync::Mutex, vec::Vec};

use super::*;
use crate::circuit_breaker::{CallWindow, Percent, Trip};

const RESET: Reset = Reset::after(Duration::from_secs(30));

type Four = Breakers<u32, 4>;

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn call<P: TripPolicy, S: Storage>(
    breakers: &mut BreakersIn<u32, P, S>,
    key: u32,
    outcome: Outcome,
    now: Instant,
) -> bool {
    match breakers.try_acquire(&key, now) {
        Ok(permit) => {
            breakers.record(&key, permit, outcome, now);
            true
        }
        Err(_open) => false,
    }
}

fn full_of_open_ones() -> Four {
    let mut breakers = Four::new(Trip::consecutive(1), RESET);
    for key in 0..4 {
        assert!(call(&mut breakers, key, Outcome::Failure, at(0)));
    }
    breakers
}

#[test]
fn seed_7_3_16_two_peers_have_independent_breakers() {
    let mut breakers = Four::new(Trip::consecutive(3), RESET);
    for _ in 0..3 {
        breakers.record_failure(&1, at(0));
    }
    assert!(!breakers.allow_request(&1, at(0)));
    assert!(breakers.allow_request(&2, at(0)));
    assert_eq!((breakers.state(&1), breakers.state(&2)), (BreakerState::Open, BreakerState::Closed));
}

#[test]
fn a_key_that_never_fails_takes_no_entry() {
    let mut breakers = Four::new(Trip::consecutive(3), RESET);
    for key in 0..10_000 {
        assert!(call(&mut breakers, key, Outcome::Success, at(0)));
        assert!(call(&mut breakers, key, Outcome::Ignored, at(0)));
        breakers.record_success(&key, at(0));
    }
    assert!(breakers.is_empty());
    assert_eq!((breakers.untracked(), breakers.reused()), (0, 0));
}

#[test]
fn a_full_table_blocks_nothing_and_forgets_no_open_breaker() {
    let mut breakers = full_of_open_ones();
    for key in 4..10_000 {
        assert!(call(&mut breakers, key, Outcome::Failure, at(29)));
    }
    assert_eq!((breakers.len(), breakers.untracked(), breakers.reused()), (4, 9_996, 0));
    for key in 0..4 {
        assert_eq!(breakers.try_acquire(&key, at(29)), Err(Open { retry_at: at(30) }));
    }
    let stats = breakers.stats();
    assert_eq!((stats.permitted, stats.failures, stats.opened), (10_000, 10_000, 4));
}

#[test]
fn a_closed_breaker_with_nothing_against_its_key_is_reused() {
    let mut breakers = full_of_open_ones();
    assert!(call(&mut breakers, 2, Outcome::Success, at(30)));
    assert_eq!(breakers.state(&2), BreakerState::Closed);
    assert!(call(&mut breakers, 7, Outcome::Failure, at(30)));
    assert_eq!((breakers.state(&7), breakers.reused(), breakers.len()), (BreakerState::Open, 1, 4));
    for key in [0, 1, 3] {
        assert_eq!(breakers.state(&key), BreakerState::Open);
    }
}

#[test]
fn made_up_keys_that_all_fail_give_their_entries_back() {
    let mut breakers = full_of_open_ones();
    assert!(call(&mut breakers, 7, Outcome::Failure, Instant::from_nanos(59_999_999_999)));
    assert_eq!((breakers.state(&7), breakers.untracked()), (BreakerState::Closed, 1));
    // nobody has asked for any of the four for 30 s after they might have
    assert!(call(&mut breakers, 7, Outcome::Failure, at(60)));
    assert_eq!(breakers.state(&7), BreakerState::Open);

    let mut breakers = Four::new(Trip::consecutive(2), RESET);
    for key in 0..4 {
        assert!(call(&mut breakers, key, Outcome::Failure, at(0)));
    }
    assert!(call(&mut breakers, 7, Outcome::Failure, at(29)));
    assert_eq!(breakers.untracked(), 1, "one failure is not forgotten at once");
    assert!(call(&mut breakers, 7, Outcome::Failure, at(30)));
    assert_eq!((breakers.untracked(), breakers.reused()), (1, 1));
}

#[test]
fn entries_of_a_clock_that_has_stepped_back_are_not_kept_for_ever() {
    let mut breakers = Four::new(Trip::consecutive(1), RESET);
    for key in 0..4 {
        assert!(call(&mut breakers, key, Outcome::Failure, at(1_000_000)));
    }
    assert!(call(&mut breakers, 7, Outcome::Failure, at(10)));
    assert_eq!(breakers.untracked(), 1);
    assert!(call(&mut breakers, 7, Outcome::Failure, at(70)));
    assert_eq!(breakers.reused(), 1);
}

#[test]
fn a_probe_of_a_breaker_that_was_reused_is_stale() {
    let mut breakers = full_of_open_ones();
    let lost = breakers.try_acquire(&0, at(30)).unwrap();
    assert_eq!(breakers.cleanup(at(10_000)), 4);
    breakers.record(&0, lost, Outcome::Failure, at(10_000));
    assert_eq!((breakers.stats().stale, breakers.len()), (1, 0));
}

/// A failure from before the breaker opened says nothing about the other side after it has closed again.
#[test]
fn d12_a_late_failure_opens_no_breaker_whose_entry_was_given_away() {
    let mut breakers = Four::new(Trip::consecutive(1), RESET);
    let late = [0, 0, 5].map(|key| (key, breakers.try_acquire(&key, at(0)).unwrap()));
    assert!(call(&mut breakers, 0, Outcome::Failure, at(1)));
    assert!(call(&mut breakers, 0, Outcome::Success, at(31)));
    assert_eq!(breakers.cleanup(at(31)), 1);
    for (key, permit) in late {
        breakers.record(&key, permit, Outcome::Failure, at(32));
        assert_eq!(breakers.state(&key), BreakerState::Closed);
    }
    assert_eq!(breakers.stats().stale, 3);
    // What began after that counts, and so does everything once the clock has stepped back.
    assert!(call(&mut breakers, 0, Outcome::Failure, at(31)));
    assert_eq!(breakers.state(&0), BreakerState::Open);
    let permit = breakers.try_acquire(&6, at(3)).unwrap();
    breakers.record(&6, permit, Outcome::Failure, at(4));
    let permit = breakers.try_acquire(&6, at(4)).unwrap();
    breakers.record(&6, permit, Outcome::Failure, at(4));
    assert_eq!(breakers.state(&6), BreakerState::Open);
}

#[test]
fn a_generation_belongs_to_one_state_of_one_key() {
    let mut breakers = full_of_open_ones();
    let probes: Vec<_> = (0..4).map(|key| breakers.try_acquire(&key, at(30)).unwrap()).collect();
    for (index, probe) in probes.iter().enumerate() {
        assert!(probes.iter().skip(index + 1).all(|other| other != probe));
    }
}

#[test]
fn with_a_window_successes_are_remembered() {
    let mut breakers: Breakers<u32, 4, CallWindow<4>> = Breakers::new(Trip::call_window(Percent::new(50)), RESET);
    for outcome in [Outcome::Success, Outcome::Success, Outcome::Failure] {
        assert!(call(&mut breakers, 1, outcome, at(0)));
    }
    assert_eq!((breakers.state(&1), breakers.len()), (BreakerState::Closed, 1));
    assert!(call(&mut breakers, 1, Outcome::Failure, at(0)));
    assert_eq!(breakers.state(&1), BreakerState::Open);
    for key in 10..20 {
        assert!(call(&mut breakers, key, Outcome::Success, at(0)));
    }
    assert_eq!((breakers.reused(), breakers.state(&1)), (7, BreakerState::Open));
}

#[test]
fn an_operator_decides_for_all_keys() {
    let mut breakers = full_of_open_ones();
    breakers.set_mode(BreakerMode::ForcedOpen);
    assert_eq!(breakers.try_acquire(&9, at(0)), Err(Open { retry_at: Instant::MAX }));
    breakers.set_mode(BreakerMode::ForcedClosed);
    assert!(breakers.allow_request(&0, at(0)));
    assert!(call(&mut breakers, 9, Outcome::Failure, at(0)));
    breakers.record_failure(&9, at(0));
    assert_eq!(
        (breakers.mode(), breakers.state(&9), breakers.untracked()),
        (BreakerMode::ForcedClosed, BreakerState::Closed, 0)
    );
    breakers.set_mode(BreakerMode::Automatic);
    assert!(!breakers.allow_request(&0, at(0)));
    assert!(breakers.reset(&0));
    assert!(!breakers.reset(&9));
    assert!(breakers.allow_request(&0, at(0)));
    assert_eq!(breakers.iter().filter(|(_, state)| *state == BreakerState::Open).count(), 3);
}

#[test]
fn another_secret_keeps_every_entry() {
    let mut breakers = full_of_open_ones();
    breakers.reseed(HashSeed::new(7, 8));
    assert!((0..4).all(|key| breakers.state(&key) == BreakerState::Open));
}

#[test]
fn breakers_can_be_a_static() {
    static BREAKERS: Mutex<Breakers<[u8; 8], 8>> = Mutex::new(Breakers::new(Trip::consecutive(3), RESET));
    assert!(BREAKERS.lock().unwrap().allow_request(&[0; 8], at(0)));
}

/// Two calls that failed, or were slow, open it.
fn keeps_what_speaks_against_a_key(trip: impl TripPolicy + Copy) {
    for (outcome, now) in [(Outcome::Failure, at(0)), (Outcome::Success, at(2))] {
        let mut breakers: Breakers<u32, 1, _> = Breakers::new(trip, RESET);
        for key in [1, 2, 1] {
            let permit = breakers.try_acquire(&key, at(0)).unwrap();
            breakers.record(&key, permit, outcome, now);
        }
        assert_eq!((breakers.state(&1), breakers.reused()), (BreakerState::Open, 0), "{outcome:?}");
    }
    let mut breakers: Breakers<u32, 1, _> = Breakers::new(trip, RESET);
    for key in [1, 2] {
        assert!(call(&mut breakers, key, Outcome::Success, at(0)));
    }
    assert_eq!(breakers.reused(), 1, "nothing speaks against it");
}

#[test]
fn a_window_keeps_its_entry_while_a_call_in_it_failed_or_was_slow() {
    const ALL: Percent = Percent::new(100);
    const SECOND: Duration = Duration::from_secs(1);
    keeps_what_speaks_against_a_key(Trip::call_window::<2>(ALL).slow_calls(SECOND, ALL));
    let window = Trip::time_window::<4>(60 * SECOND, ALL).min_calls(NonZeroU32::MIN.saturating_add(1));
    keeps_what_speaks_against_a_key(window.slow_calls(SECOND, ALL));
}

#[test]
fn an_entry_that_never_opened_leaves_the_calls_of_others_counted() {
    let mut breakers: Breakers<u32, 2> = Breakers::new(Trip::consecutive(2), RESET);
    for key in [1, 2] {
        assert!(call(&mut breakers, key, Outcome::Failure, at(0)));
        assert!(call(&mut breakers, key, Outcome::Success, at(0)));
    }
    let permits = [3, 4, 4].map(|key| (key, breakers.try_acquire(&key, at(1)).unwrap()));
    for (key, permit) in permits {
        breakers.record(&key, permit, Outcome::Failure, at(2));
    }
    assert_eq!((breakers.reused(), breakers.state(&4)), (2, BreakerState::Open));
}

#[test]
fn a_table_of_breakers_takes_its_jitter_at_run_time() {
    let retry_at = |seed| {
        let reset = RESET.jitter(Percent::new(50), 0);
        let mut breakers: Four = Breakers::new(Trip::consecutive(1), reset);
        breakers.reseed_jitter(seed);
        assert!(call(&mut breakers, 1, Outcome::Failure, at(0)));
        breakers.try_acquire(&1, at(0)).unwrap_err().retry_at
    };
    assert_ne!(retry_at(7), retry_at(8));
}

#[test]
fn a_key_ends_its_being_empty() {
    let mut breakers = Four::new(Trip::consecutive(2), RESET);
    assert!(breakers.is_empty());
    assert_eq!(breakers.capacity(), 4);
    assert!(call(&mut breakers, 1, Outcome::Failure, at(0)));
    assert!(!breakers.is_empty());
}
