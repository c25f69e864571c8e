//! Breakers by key beside one breaker for each key, and a table that is too small for its keys.

mod support;

use std::{collections::HashMap, fmt::Debug, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use steadfast_core::{
    BreakerMode, BreakerState, Breakers, CallWindow, CircuitBreaker, Instant, Outcome, Percent, Permit, Reset, Trip,
    TripPolicy,
};

const RESET: Reset = Reset::after(Duration::from_millis(30))
    .lease(Duration::from_millis(20))
    .probes(2)
    .doubling()
    .up_to(Duration::from_millis(120));

#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire,
    Bare(bool),
    Mode(BreakerMode),
    Record(Outcome),
    Reset,
}

fn op() -> impl Strategy<Value = Op> {
    let outcome = prop_oneof![4 => Just(Outcome::Failure), 3 => Just(Outcome::Success), 1 => Just(Outcome::Ignored)];
    let mode = prop_oneof![
        3 => Just(BreakerMode::Automatic),
        1 => Just(BreakerMode::ForcedClosed),
        1 => Just(BreakerMode::ForcedOpen),
        1 => Just(BreakerMode::ObserveOnly),
    ];
    prop_oneof![
        12 => Just(Op::Acquire),
        12 => outcome.prop_map(Op::Record),
        3 => any::<bool>().prop_map(Op::Bare),
        1 => mode.prop_map(Op::Mode),
        1 => Just(Op::Reset),
    ]
}

/// Key, milliseconds forward, operation.
fn script(keys: u8, longest: usize) -> impl Strategy<Value = Vec<(u8, u64, Op)>> {
    let pause = prop_oneof![4 => Just(0_u64), 3 => 0_u64..12, 1 => 20_u64..80];
    prop::collection::vec((0..keys, pause, op()), 1..longest)
}

fn run<V: Debug>(scripts: impl Strategy<Value = V>, test: impl Fn(V)) {
    TestRunner::new(support::cases(10_000))
        .run(&scripts, |script| {
            test(script);
            Ok(())
        })
        .unwrap();
}

/// With room for every key, a table is as good as one breaker for each key.
fn beside_one_for_each<P: TripPolicy>(trip: P, ops: &[(u8, u64, Op)]) {
    let mut table: Breakers<u8, 3, P> = Breakers::new(trip.clone(), RESET);
    let mut single: Vec<_> = (0..3).map(|_| CircuitBreaker::new(trip.clone(), RESET)).collect();
    let mut permits: HashMap<u8, Vec<(Permit, Permit)>> = HashMap::new();
    let mut now = Instant::from_secs(1);
    for (key, pause, op) in ops {
        now = now.saturating_add(Duration::from_millis(*pause));
        let own = &mut single[usize::from(*key)];
        match *op {
            Op::Acquire => match (table.try_acquire(key, now), own.try_acquire(now)) {
                (Ok(first), Ok(second)) => permits.entry(*key).or_default().push((first, second)),
                (first, second) => assert_eq!(first.err(), second.err()),
            },
            Op::Record(outcome) => {
                let Some((first, second)) = permits.get_mut(key).and_then(Vec::pop) else { continue };
                table.record(key, first, outcome, now);
                own.record(second, outcome, now);
            }
            Op::Bare(true) => {
                table.record_success(key, now);
                own.record_success(now);
            }
            Op::Bare(false) => {
                table.record_failure(key, now);
                own.record_failure(now);
            }
            Op::Mode(mode) => {
                table.set_mode(mode);
                single.iter_mut().for_each(|breaker| breaker.set_mode(mode));
            }
            Op::Reset => {
                // What has no entry has nothing to forget, but calls under way still count for it.
                if table.reset(key) {
                    own.reset();
                }
            }
        }
        assert_eq!(table.state(key), single[usize::from(*key)].state());
    }
    let sum = |count: fn(&CircuitBreaker<P>) -> u64| single.iter().map(count).sum::<u64>();
    let stats = table.stats();
    assert_eq!(stats.permitted, sum(|breaker| breaker.stats().permitted));
    assert_eq!(stats.rejected, sum(|breaker| breaker.stats().rejected));
    assert_eq!(stats.stale, sum(|breaker| breaker.stats().stale));
    assert_eq!(stats.failures, sum(|breaker| breaker.stats().failures));
    assert_eq!(stats.successes, sum(|breaker| breaker.stats().successes));
    assert_eq!(stats.opened, sum(|breaker| breaker.stats().opened));
    assert_eq!((table.untracked(), table.reused()), (0, 0));
}

#[test]
fn a_table_with_room_is_one_breaker_for_each_key() {
    run(script(3, 20), |ops| beside_one_for_each(Trip::consecutive(2), &ops));
}

#[test]
fn a_table_of_windows_with_room_is_one_breaker_for_each_key() {
    let trip: CallWindow<4> = Trip::call_window(Percent::new(50));
    run(script(3, 20), |ops| beside_one_for_each(trip, &ops));
}

#[test]
fn a_table_without_room_blocks_no_one_else_and_forgets_no_open_breaker() {
    run(script(8, 24), |ops| {
        let mut table: Breakers<u8, 2> = Breakers::new(Trip::consecutive(1), RESET);
        let mut permits: HashMap<u8, Vec<Permit>> = HashMap::new();
        let mut refused_until: HashMap<u8, Instant> = HashMap::new();
        let mut has_failed = [false; 8];
        let mut now = Instant::from_secs(1);
        for (key, pause, op) in ops {
            now = now.saturating_add(Duration::from_millis(pause));
            match op {
                Op::Acquire => match table.try_acquire(&key, now) {
                    Ok(permit) => {
                        // Only an open breaker keeps its word: half-open, a probe may report.
                        let promised = refused_until.get(&key).is_some_and(|retry_at| now < *retry_at);
                        assert!(!promised, "an open breaker was forgotten");
                        permits.entry(key).or_default().push(permit);
                    }
                    Err(open) => {
                        assert!(has_failed[usize::from(key)], "refused for another key's failures");
                        if table.state(&key) == BreakerState::Open {
                            refused_until.insert(key, open.retry_at);
                        }
                    }
                },
                Op::Record(outcome) => {
                    let Some(permit) = permits.get_mut(&key).and_then(Vec::pop) else { continue };
                    table.record(&key, permit, outcome, now);
                    has_failed[usize::from(key)] |= outcome == Outcome::Failure;
                }
                Op::Bare(success) => {
                    if success {
                        table.record_success(&key, now)
                    } else {
                        table.record_failure(&key, now)
                    }
                    has_failed[usize::from(key)] |= !success;
                }
                Op::Mode(_) => {}
                Op::Reset => {
                    table.reset(&key);
                    refused_until.remove(&key);
                }
            }
            assert!(table.len() <= 2);
        }
        // Liveness: after the longest open time and as much again, whoever needs an entry gets one.
        let later = now.saturating_add(Duration::from_secs(1));
        let before = table.untracked();
        table.record_failure(&9, later);
        assert_eq!((table.untracked(), table.state(&9)), (before, BreakerState::Open));
    });
}
