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
    assert!(call(&mut breakers, 7, Outcome::Failure, at(59)));
    assert_eq!(breakers.untracked(), 1, "one failure is not forgotten at once");
    assert!(call(&mut breakers, 7, Outcome::Failure, at(60)));
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
fn a_probe_of_a_breaker_that_was_forgotten_counts_for_a_new_one() {
    let mut breakers = full_of_open_ones();
    let late = breakers.try_acquire(&0, at(30)).unwrap();
    assert_eq!(breakers.cleanup(at(10_000)), 4);
    breakers.record(&0, late, Outcome::Failure, at(10_000));
    assert_eq!((breakers.stats().stale, breakers.state(&0)), (0, BreakerState::Open));
}

/// A failure from before the breaker opened says nothing about the other side after it has closed again.
#[test]
fn d12_a_late_failure_opens_no_breaker_that_was_cleaned_up() {
    let mut breakers = Four::new(Trip::consecutive(1), RESET);
    let late = [0, 0].map(|key| (key, breakers.try_acquire(&key, at(0)).unwrap()));
    assert!(call(&mut breakers, 0, Outcome::Failure, at(1)));
    assert!(call(&mut breakers, 0, Outcome::Success, at(31)));
    assert_eq!(breakers.cleanup(at(31)), 0, "calls from before may still be under way");
    for (key, permit) in late {
        breakers.record(&key, permit, Outcome::Failure, at(32));
        assert_eq!(breakers.state(&key), BreakerState::Closed);
    }
    assert_eq!(breakers.stats().stale, 2);
    assert_eq!(breakers.cleanup(at(31 + 1_200)), 1);
}

#[test]
fn found_a5_an_entry_that_is_given_away_makes_no_other_keys_result_stale() {
    let mut breakers = Four::new(Trip::consecutive(1), RESET);
    let slow = breakers.try_acquire(&5, at(0)).unwrap();
    assert!(call(&mut breakers, 0, Outcome::Failure, at(1)));
    assert_eq!(breakers.cleanup(at(10_000)), 1);
    breakers.record(&5, slow, Outcome::Failure, at(10_000));
    assert_eq!((breakers.state(&5), breakers.stats().stale), (BreakerState::Open, 0));
}

/// Rounds of calls that take 30 s and fail, to so many peers at once, in a table that is full of idle entries.
fn breakers_open_for_slow_dead_peers(mut breakers: BreakersIn<u32, Consecutive, impl Storage>, peers: u32) {
    let room = breakers.capacity() as u32;
    for key in 0..room {
        for _ in 0..3 {
            assert!(call(&mut breakers, 1_000_000 + key, Outcome::Failure, at(0)));
        }
    }
    assert_eq!(breakers.iter().filter(|(_, state)| *state == BreakerState::Open).count() as u32, room);
    let (mut now, mut out) = (100, Vec::new());
    for _round in 0..8 {
        out.extend((0..peers).filter_map(|key| Some((key, breakers.try_acquire(&key, at(now)).ok()?))));
        now += 30;
        for (key, permit) in out.drain(..) {
            breakers.record(&key, permit, Outcome::Failure, at(now));
        }
    }
    let open = (0..peers).filter(|key| breakers.state(key) != BreakerState::Closed).count() as u32;
    assert_eq!(open, peers.min(room), "{:?}", breakers.stats());
    let stats = breakers.stats();
    assert_eq!(stats.permitted, stats.failures + stats.stale);
    assert_eq!((stats.stale, breakers.untracked() > 0), (0, peers > room));
}

#[test]
fn found_a5_slow_dead_peers_open_their_breakers_in_a_table_full_of_idle_ones() {
    let trip = Trip::consecutive(3);
    breakers_open_for_slow_dead_peers(Breakers::<u32, 1>::new(trip, RESET), 50);
    breakers_open_for_slow_dead_peers(Breakers::<u32, 8>::new(trip, RESET), 50);
    breakers_open_for_slow_dead_peers(Breakers::<u32, 32>::new(trip, RESET), 50);
    breakers_open_for_slow_dead_peers(Breakers::<u32, 64>::new(trip, RESET), 50);
}

/// The same happens to a table with a janitor as to a breaker alone.
fn a_janitor_changes_nothing<P: TripPolicy + Copy>(trip: P, script: &[(u64, Outcome)]) {
    let reset = Reset::after(Duration::from_secs(5)).doubling().up_to(Duration::from_secs(20));
    let mut breakers: Breakers<u32, 4, P> = Breakers::new(trip, reset);
    let mut alone = crate::circuit_breaker::CircuitBreaker::new(trip, reset);
    let mut now = at(0);
    for (pause, outcome) in script.iter().cycle().take(300) {
        now = now.saturating_add(Duration::from_secs(*pause));
        match (breakers.try_acquire(&1, now), alone.try_acquire(now)) {
            (Ok(permit), Ok(other)) => {
                now = now.saturating_add(Duration::from_secs(2));
                breakers.record(&1, permit, *outcome, now);
                alone.record(other, *outcome, now);
            }
            (ours, theirs) => assert_eq!(ours.map(drop), theirs.map(drop)),
        }
        breakers.cleanup(now);
        assert_eq!(breakers.state(&1), alone.state());
    }
    assert!(alone.stats().opened > 0);
}

#[test]
fn found_a5_a_janitor_never_blinds_a_breaker() {
    use Outcome::{Failure as F, Success as S};
    a_janitor_changes_nothing(Trip::consecutive(3), &[(10, F)]);
    a_janitor_changes_nothing(Trip::consecutive(2), &[(500, F), (3, F), (40, S)]);
    let half = Percent::new(50);
    a_janitor_changes_nothing(Trip::call_window::<4>(half), &[(10, S), (10, S), (90, F), (400, F), (7, S)]);
    let window = Trip::time_window::<4>(Duration::from_secs(3_600), half).min_calls(NonZeroU32::MIN.saturating_add(3));
    a_janitor_changes_nothing(window, &[(10, S), (10, S), (1_300, F), (400, F), (7, S)]);
}

/// Keys that fail in turn do not take each other's entry: one of them opens, and what is not judged is counted.
#[test]
fn found_a5_keys_that_share_an_entry_do_not_blind_each_other() {
    let mut breakers: Breakers<u32, 1> = Breakers::new(Trip::consecutive(3), Reset::after(Duration::from_secs(5)));
    for second in (0..20).step_by(5) {
        assert!(call(&mut breakers, second / 5 % 2, Outcome::Failure, at(second.into())));
    }
    assert!(call(&mut breakers, 0, Outcome::Failure, at(20)));
    assert_eq!((breakers.state(&0), breakers.untracked()), (BreakerState::Open, 2));
}

#[test]
fn found_a5_half_open_breakers_whose_probes_gave_up_are_idle_like_open_ones() {
    let mut breakers = full_of_open_ones();
    for key in 0..4 {
        assert!(call(&mut breakers, key, Outcome::Dropped, at(30)));
        assert_eq!(breakers.state(&key), BreakerState::HalfOpen);
    }
    assert!(call(&mut breakers, 7, Outcome::Failure, at(60)));
    assert_eq!((breakers.state(&7), breakers.untracked()), (BreakerState::Open, 0));
}

#[test]
fn found_a5_a_failure_within_its_window_of_time_is_kept_in_a_full_table() {
    let trip = Trip::time_window::<4>(Duration::from_secs(3_600), Percent::new(100));
    let mut breakers: Breakers<u32, 1, _> =
        Breakers::new(trip.min_calls(NonZeroU32::MIN.saturating_add(1)), Reset::after(Duration::from_secs(5)));
    assert!(call(&mut breakers, 1, Outcome::Failure, at(0)));
    assert!(call(&mut breakers, 2, Outcome::Failure, at(2_000)));
    assert!(call(&mut breakers, 1, Outcome::Failure, at(2_600)));
    assert_eq!((breakers.state(&1), breakers.untracked()), (BreakerState::Open, 1));
}

#[test]
fn a_result_of_a_call_that_is_slower_than_its_entry_is_never_lost() {
    for peers in [1_u32, 2, 5, 9] {
        let mut breakers = Four::new(Trip::consecutive(1), RESET);
        let mut now = 0;
        for round in 0..50 {
            let permits: Vec<_> = (0..peers)
                .filter_map(|key| breakers.try_acquire(&(key + round % 3), at(now)).ok().map(|permit| (key, permit)))
                .collect();
            now += 700;
            breakers.cleanup(at(now));
            for (key, permit) in permits {
                let outcome = if key % 2 == 0 { Outcome::Failure } else { Outcome::Success };
                breakers.record(&(key + round % 3), permit, outcome, at(now));
            }
        }
        let stats = breakers.stats();
        assert_eq!(stats.permitted, stats.successes + stats.failures + stats.ignored + stats.stale);
    }
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
    assert!(breakers.close(&0));
    assert!(!breakers.close(&9));
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

#[test]
fn found_b10_one_key_is_opened_and_its_window_told() {
    let mut breakers = Breakers::<u32, 4, _>::new(Trip::call_window::<10>(Percent::new(50)), RESET);
    assert!(call(&mut breakers, 1, Outcome::Failure, at(0)) && call(&mut breakers, 2, Outcome::Success, at(0)));
    let window = breakers.window(&1, at(0));
    assert_eq!((window.calls, window.failures), (1, 1));
    assert_eq!(breakers.window(&7, at(0)).calls, 0);
    assert!(breakers.open(&1, at(0)), "one that has an entry");
    assert!(breakers.open(&9, at(0)), "and one that has none");
    assert!(!breakers.allow_request(&1, at(29)) && !breakers.allow_request(&9, at(29)));
    assert!(breakers.allow_request(&2, at(29)));
    assert_eq!(breakers.last_transition().map(|last| (last.number, last.to)), Some((2, BreakerState::Open)));
    assert!(breakers.allow_request(&9, at(30)));
    assert_eq!(breakers.state(&9), BreakerState::HalfOpen);
}

#[test]
fn found_b10_a_full_table_opens_no_further_key_and_says_so() {
    let mut breakers = full_of_open_ones();
    assert!(!breakers.open(&9, at(1)));
    assert!(breakers.allow_request(&9, at(1)));
    assert_eq!(breakers.open_new(breakers.hash(&9), 9, at(1)), Err(9), "the key comes back");
    assert!(breakers.open(&0, at(1)));
}
