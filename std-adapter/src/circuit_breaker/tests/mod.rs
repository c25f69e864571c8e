use core::{
    future::ready,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};
use std::thread;

use steadfast_core::test_util::{ManualClock, VirtualTimer};

use super::*;

mod change;
#[cfg(feature = "tokio")]
mod hangs;
mod user_code;
mod watch;

use crate::{
    circuit_breaker::{Percent, Trip},
    runtime::block_on,
};

const RESET: Reset = Reset::after(Duration::from_secs(30));

/// A manual clock for several threads.
#[derive(Debug, Default)]
struct Seconds(AtomicU64);

impl Clock for Seconds {
    fn now(&self) -> Instant {
        Instant::from_secs(self.0.load(Ordering::Relaxed))
    }
}

fn is_send_and_sync<T: Send + Sync>(value: T) -> T {
    value
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn it_opens_and_comes_back_on_tokios_clock() {
    let breaker = is_send_and_sync(CircuitBreaker::new(Trip::consecutive(3), RESET));
    let start = breaker.now();
    for _ in 0..3 {
        assert_eq!(breaker.call(ready(Err::<(), _>("down"))).await, Err(BreakerError::Inner("down")));
    }
    let Err(BreakerError::Open { retry_at }) = breaker.call(ready(Ok::<_, ()>(()))).await else { panic!("not open") };
    let open_for = retry_at.saturating_duration_since(start);
    assert!(open_for >= Duration::from_secs(30) && open_for < Duration::from_secs(31), "{open_for:?}");
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(breaker.call(ready(Ok::<_, ()>(7))).await, Ok(7));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_call_can_be_spawned_and_aborted() {
    let breakers = Breakers::<String>::builder(Trip::consecutive(1), RESET).build();
    assert!(breakers.call_blocking("bob", || Err::<(), _>(())).is_err());
    tokio::time::sleep(Duration::from_secs(31)).await;
    let spawned = breakers.clone();
    let probe = tokio::spawn(async move { spawned.call("bob", core::future::pending::<Result<(), ()>>()).await });
    tokio::task::yield_now().await;
    assert!(breakers.call_blocking("bob", || Ok::<_, ()>(())).unwrap_err().is_open(), "the probe is out");
    probe.abort();
    assert!(probe.await.unwrap_err().is_cancelled());
    assert_eq!(breakers.call("bob", ready(Ok::<_, ()>(7))).await, Ok(7));
    assert_eq!((breakers.state("bob"), breakers.stats().ignored), (BreakerState::Closed, 1));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_slow_call_counts_as_slow() {
    let trip: CallWindow<2> = Trip::call_window(Percent::new(100)).slow_calls(Duration::from_secs(2), Percent::new(50));
    let breaker = CircuitBreaker::new(trip, RESET);
    let slow = async || {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok::<_, ()>(())
    };
    assert_eq!(breaker.call(slow()).await, Ok(()));
    assert_eq!(breaker.call(ready(Ok::<_, ()>(()))).await, Ok(()));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn without_a_runtime_it_works_the_same() {
    let clock = VirtualTimer::default();
    let breaker = CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(clock.clone()).build();
    assert_eq!(block_on(breaker.call(ready(Err::<(), _>("down")))), Err(BreakerError::Inner("down")));
    assert!(block_on(breaker.call(ready(Ok::<_, ()>(())))).unwrap_err().is_open());
    clock.advance(Duration::from_secs(30));
    assert_eq!(block_on(breaker.call(ready(Ok::<_, ()>(7)))), Ok(7));
    breaker.record_failure();
    assert!(!breaker.allow_request());
    breaker.close();
    assert!(breaker.allow_request());
    breaker.record_success();
    breaker.set_mode(BreakerMode::ForcedOpen);
    assert!(breaker.call_blocking(|| Ok::<_, ()>(())).unwrap_err().is_open());
}

#[test]
fn seed_7_3_14_of_a_hundred_calls_on_four_threads_one_is_the_probe() {
    let clock = Seconds::default();
    let breakers = Breakers::<u64>::builder(Trip::consecutive(1), RESET).timer(&clock).build();
    for round in 1..=100 {
        assert_eq!(breakers.call_blocking(&7, || Err::<(), _>("down")), Err(BreakerError::Inner("down")));
        clock.0.fetch_add(30, Ordering::Relaxed);
        let probes = AtomicUsize::new(0);
        let guards: Vec<_> = thread::scope(|scope| {
            let ask = || {
                let guards: Vec<_> = (0..25).filter_map(|_| breakers.try_acquire(&7).ok()).collect();
                probes.fetch_add(guards.len(), Ordering::Relaxed);
                guards
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(probes.into_inner(), 1, "round {round}");
        guards.into_iter().for_each(|guard| guard.record(Outcome::Success));
        assert_eq!(breakers.state(&7), BreakerState::Closed);
    }
}

#[test]
fn counts_add_up_over_shards_and_threads() {
    let clock = Seconds::default();
    let builder = Breakers::<u64>::builder(Trip::consecutive(3), RESET).capacity(10_000).timer(&clock);
    let breakers = is_send_and_sync(builder.build());
    thread::scope(|scope| {
        for thread in 0..4 {
            let breakers = &breakers;
            scope.spawn(move || {
                for call in 0..5_000_u64 {
                    // a fifth of the keys fail always
                    let key = call % 50;
                    let result = breakers.call_blocking(&key, || if key < 10 { Err(thread) } else { Ok(thread) });
                    assert!(key < 10 || result.is_ok(), "a healthy key was refused");
                }
            });
        }
    });
    let stats = breakers.stats();
    assert_eq!(stats.permitted + stats.rejected, 20_000);
    assert_eq!(stats.permitted, stats.successes + stats.failures + stats.stale);
    assert_eq!((stats.opened, breakers.len(), breakers.tripped().len()), (10, 10, 10));
    assert_eq!((breakers.untracked(), breakers.cleanup()), (0, 0));
    assert!(breakers.close(&3) && !breakers.close(&20));
    assert_eq!(breakers.cleanup(), 0, "calls from before may still be under way");
    clock.0.store(3_600, Ordering::Relaxed);
    assert_eq!((breakers.cleanup(), breakers.len()), (10, 0));
}

#[test]
fn a_flood_of_failing_keys_grows_nothing_and_blocks_nothing() {
    let clock = ManualClock::default();
    let breakers = Breakers::<u64>::builder(Trip::consecutive(1), RESET).capacity(100).timer(&clock).build();
    for key in 0..10_000 {
        assert_eq!(breakers.call_blocking(&key, || Err::<(), _>(())), Err(BreakerError::Inner(())));
    }
    assert_eq!((breakers.len(), breakers.untracked(), breakers.tripped().len()), (100, 9_900, 100));
    assert!(breakers.call_blocking(&0, || Ok::<_, ()>(())).unwrap_err().is_open());
    clock.advance(Duration::from_secs(60));
    assert!(breakers.call_blocking(&5_000, || Err::<(), _>(())).is_err());
    assert_eq!(breakers.state(&5_000), BreakerState::Open);
    breakers.set_mode(BreakerMode::ForcedClosed);
    assert!(breakers.call_blocking(&5_000, || Ok::<_, ()>(())).is_ok());
}

#[test]
fn a_permit_moves_into_a_thread() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    let permit = breaker.try_acquire().unwrap();
    thread::spawn(move || permit.record(Outcome::Failure)).join().unwrap();
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn two_breakers_do_not_come_back_in_step() {
    let clock = ManualClock::default();
    let reset = RESET.jitter(Percent::new(50), 0);
    let open_until = || {
        let breaker = CircuitBreaker::builder(Trip::consecutive(1), reset).timer(&clock).build();
        breaker.record_failure();
        breaker.try_acquire().map(drop).unwrap_err().retry_at
    };
    let first = open_until();
    assert!((0..32).any(|_| open_until() != first));
}

#[test]
fn outcomes_can_be_told_by_key_without_a_permit() {
    let clock = ManualClock::default();
    let breakers = Breakers::<String>::builder(Trip::consecutive(2), RESET).capacity(10).timer(&clock).build();
    assert_eq!((breakers.capacity(), breakers.mode()), (10, BreakerMode::Automatic));
    breakers.record_failure("bob");
    breakers.record_success("bob");
    breakers.record_failure("bob");
    assert!(breakers.allow_request("bob"), "no two failures in a row");
    breakers.record_failure("bob");
    assert!(!breakers.allow_request("bob"));
    assert!(breakers.allow_request("carol"));
    breakers.set_mode(BreakerMode::ForcedClosed);
    assert!(breakers.mode() == BreakerMode::ForcedClosed && breakers.allow_request("bob"));
}

#[test]
fn every_success_is_counted_however_many_there_are() {
    let breaker = CircuitBreaker::new(Trip::call_window::<100>(Percent::new(50)), RESET);
    for _ in 0..150_000 {
        assert_eq!(breaker.call_blocking(|| Ok::<_, ()>(7)), Ok(7));
    }
    let stats = breaker.stats();
    assert_eq!((stats.permitted, stats.successes, stats.rejected), (150_000, 150_000, 0));
}

#[test]
fn successes_of_other_threads_count_before_a_failure() {
    let breaker = CircuitBreaker::new(Trip::call_window::<4>(Percent::new(50)), RESET);
    for _ in 0..2 {
        let other = breaker.clone();
        thread::spawn(move || assert!(other.call_blocking(|| Ok::<_, ()>(())).is_ok())).join().unwrap();
    }
    assert!(breaker.call_blocking(|| Err::<(), _>(())).is_err());
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert!(breaker.call_blocking(|| Err::<(), _>(())).is_err());
    assert_eq!(breaker.state(), BreakerState::Open, "two of four failed");
}

#[test]
fn a_success_of_an_earlier_state_is_stale() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    let early = breaker.try_acquire().unwrap();
    breaker.close();
    early.record(Outcome::Success);
    let stats = breaker.stats();
    assert_eq!((stats.permitted, stats.successes, stats.stale), (1, 0, 1));
}

/// Does the same to a breaker and to a machine of its kind, and sees no difference.
fn differs_in_nothing<P: TripPolicy + Copy>(trip: P, reset: Reset, seed: u64) {
    let mut machine = Machine::new(trip, reset);
    let clock = ManualClock::new(Instant::from_secs(1_000));
    let breaker = CircuitBreaker::builder(trip, reset).timer(&clock).build();
    let mut permits = Vec::new();
    let mut state = seed;
    for _ in 0..3_000 {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let now = clock.now();
        match state >> 60 {
            0..8 => match (breaker.try_acquire(), machine.try_acquire(now)) {
                (Ok(guard), Ok(permit)) => permits.push((guard, permit)),
                (Err(ours), Err(theirs)) => assert_eq!(ours, theirs),
                (ours, theirs) => panic!("{ours:?} is not {theirs:?}"),
            },
            8..12 if !permits.is_empty() => {
                let (guard, permit) = permits.remove((state >> 32) as usize % permits.len());
                let outcome = match state >> 40 & 15 {
                    0..2 => Outcome::Failure,
                    2 => Outcome::Ignored,
                    3 => Outcome::Dropped,
                    _ => Outcome::Success,
                };
                guard.record(outcome);
                machine.record(permit, outcome, now);
            }
            12 => clock.advance(Duration::from_millis(state >> 50)),
            13 => {
                breaker.record_success();
                machine.record_success(now);
            }
            14 if state >> 57 & 7 == 0 => {
                breaker.record_failure();
                machine.record_failure(now);
            }
            15 if state >> 54 & 63 == 0 => {
                let mode = [BreakerMode::ObserveOnly, BreakerMode::ForcedClosed, BreakerMode::Automatic];
                let mode = mode[(state >> 20) as usize % 3];
                breaker.set_mode(mode);
                machine.set_mode(mode);
            }
            _ => {
                let (mut ours, theirs) = (breaker.stats(), machine.stats());
                let uncounted = theirs.permitted - ours.permitted;
                assert!(uncounted <= permits.len() as u64, "calls that are still out");
                ours.permitted = theirs.permitted;
                assert_eq!(ours, theirs);
                assert_eq!(breaker.state(), machine.state());
            }
        }
    }
    for (guard, permit) in permits {
        drop(guard);
        machine.record(permit, Outcome::Dropped, clock.now());
    }
    assert_eq!(breaker.stats(), machine.stats());
}

#[test]
fn it_does_what_its_machine_does() {
    let (slow_after, share) = (Duration::from_millis(9), Percent::new(40));
    let limited = RESET.call_timeout(Duration::from_secs(20)).on_drop(Outcome::Success);
    for (seed, reset) in (0..20).flat_map(|seed| [(seed, RESET), (seed, limited)]) {
        differs_in_nothing(Trip::consecutive(2), reset, seed);
        differs_in_nothing(Trip::call_window::<8>(share), reset, seed);
        differs_in_nothing(Trip::call_window::<8>(share).slow_calls(slow_after, share), reset, seed);
        differs_in_nothing(Trip::time_window::<4>(Duration::from_secs(2), Percent::new(30)), reset, seed);
    }
}

#[test]
fn threads_lose_no_count() {
    const CALLS: u64 = 20_000;
    let clock = Seconds::default();
    let breaker = CircuitBreaker::builder(Trip::call_window::<10>(Percent::new(20)), Reset::after(Duration::ZERO))
        .timer(clock)
        .build();
    thread::scope(|scope| {
        for thread in 0..4 {
            let breaker = &breaker;
            scope.spawn(move || {
                for call in 0..CALLS {
                    let _ = breaker.call_blocking(|| if (call * 7 + thread) % 50 == 0 { Err(()) } else { Ok(()) });
                }
            });
        }
    });
    let stats = breaker.stats();
    assert_eq!(stats.permitted + stats.rejected, 4 * CALLS);
    assert_eq!(stats.permitted, stats.successes + stats.failures + stats.stale);
    assert!(stats.failures > 0 && stats.successes > CALLS, "{stats:?}");
}

/// The largest windows in a thread with half of the usual stack.
#[test]
fn found_a13_the_largest_windows_fit_a_stack() {
    const HALF: Percent = Percent::new(50);
    fn works<P: TripPolicy>(trip: P) {
        let breaker = CircuitBreaker::new(trip.clone(), RESET);
        let breakers = Breakers::<u64, P>::builder(trip, RESET).capacity(2).build();
        for key in 0..4 {
            assert!(breaker.call_blocking(|| Err::<(), _>(())).is_err());
            assert!(breakers.call_blocking(&key, || Err::<(), _>(())).is_err());
        }
        breaker.close();
        assert_eq!((breakers.cleanup(), breakers.untracked()), (0, 2));
    }
    let thread = thread::Builder::new().stack_size(1 << 20).spawn(|| {
        works(Trip::time_window::<4_096>(Duration::from_secs(60), HALF));
        works(Trip::call_window::<65_535>(HALF));
    });
    thread.unwrap().join().unwrap();
}

/// Rounds of calls that take 30 s and fail, to 50 peers at once, in a table that is full of idle entries.
#[test]
fn found_a5_slow_dead_peers_open_their_breakers_in_tables_of_every_size() {
    for capacity in [1, 8, 32, 64, 65_536] {
        let clock = Seconds::default();
        let breakers = Breakers::<u64>::builder(Trip::consecutive(3), RESET).capacity(capacity).timer(&clock).build();
        let room = breakers.capacity() as u64;
        // Made-up keys fill every shard.
        for key in (1_000..).take(room as usize * 3 / 2) {
            (0..3).for_each(|_| _ = breakers.call_blocking(&key, || Err::<(), _>(())));
        }
        assert!(breakers.len() as u64 * 100 >= room * 99);
        clock.0.store(100, Ordering::Relaxed);
        let untracked = breakers.untracked();
        for _round in 0..8 {
            let permits: Vec<_> = (0..50).filter_map(|key| breakers.try_acquire(&key).ok()).collect();
            clock.0.fetch_add(30, Ordering::Relaxed);
            permits.into_iter().for_each(|permit| permit.record(Outcome::Failure));
        }
        let open = (0..50).filter(|key| breakers.state(key) != BreakerState::Closed).count() as u64;
        assert_eq!(open, room.min(50), "{capacity} keys: {:?}", breakers.stats());
        assert_eq!(breakers.stats().stale, 0);
        assert_eq!(breakers.untracked() > untracked, room < 50);
    }
}

#[test]
fn found_a5_a_janitor_never_blinds_a_breaker() {
    let clock = Seconds::default();
    let reset = Reset::after(Duration::from_secs(5));
    let breakers = Breakers::<u64>::builder(Trip::consecutive(3), reset).timer(&clock).build();
    for failure in 1..=3 {
        assert!(breakers.call_blocking(&7, || Err::<(), _>(())).is_err());
        breakers.cleanup();
        clock.0.fetch_add(10, Ordering::Relaxed);
        assert_eq!(breakers.state(&7) == BreakerState::Open, failure == 3);
    }
    // Nor does it make an open one forget: the next call is a probe, and its failure opens it again.
    breakers.cleanup();
    assert!(breakers.call_blocking(&7, || Err::<(), _>(())).is_err());
    assert_eq!((breakers.state(&7), breakers.stats().opened), (BreakerState::Open, 2));
}
