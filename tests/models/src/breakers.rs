//! Breakers by key beside one breaker for each key, and a table that is too small for its keys.

use std::{collections::HashMap, time::Duration};

use steadfast_core::{
    Breakers, CircuitBreaker, Instant, Reset, Trip,
    circuit_breaker::{BreakerMode, BreakerState, CallWindow, Outcome, Percent, Permit, TripPolicy},
};

use crate::{
    Script,
    circuit_breaker::{mode, outcome},
};

const RESET: Reset = Reset::after(Duration::from_millis(30))
    .call_timeout(Duration::from_millis(50))
    .lease(Duration::from_millis(20))
    .probes(2)
    .doubling()
    .up_to(Duration::from_millis(120));

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Acquire,
    Bare(bool),
    Cleanup,
    Mode(BreakerMode),
    Record(Outcome),
    Reset,
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    match script.below(3) {
        0 => with_room(&ops(script, 3)),
        1 => windows_with_room(&ops(script, 3)),
        _ => without_room(&ops(script, 8)),
    }
}

fn ops(script: &mut Script<'_>, keys: u64) -> Vec<(u8, u64, Op)> {
    script.list(60, |script| {
        let key = script.below(keys) as u8;
        let pause = match script.weighted(&[(4, 0), (3, 1), (1, 2)]) {
            0 => 0,
            1 => script.below(12),
            _ => 20 + script.below(60),
        };
        let op = match script.weighted(&[(12, 0), (12, 1), (3, 2), (1, 3), (1, 4), (3, 5)]) {
            0 => Op::Acquire,
            1 => Op::Record(outcome(script)),
            2 => Op::Bare(script.flag()),
            3 => Op::Mode(mode(script)),
            4 => Op::Reset,
            _ => Op::Cleanup,
        };
        (key, pause, op)
    })
}

/// With room for every key, a table is as good as one breaker for each key, however often it is cleaned up.
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
            Op::Cleanup => {
                table.cleanup(now);
            }
            Op::Mode(mode) => {
                table.set_mode(mode);
                single.iter_mut().for_each(|breaker| breaker.set_mode(mode));
            }
            Op::Reset => {
                // What has no entry has nothing to forget, but calls under way still count for it.
                if table.close(key) {
                    own.close();
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

pub fn with_room(ops: &[(u8, u64, Op)]) {
    beside_one_for_each(Trip::consecutive(2), ops);
}

pub fn windows_with_room(ops: &[(u8, u64, Op)]) {
    let trip: CallWindow<4> = Trip::call_window(Percent::new(50));
    beside_one_for_each(trip, ops);
}

/// A table without room blocks no one else, forgets no open breaker and loses no result.
pub fn without_room(ops: &[(u8, u64, Op)]) {
    let mut table: Breakers<u8, 2> = Breakers::new(Trip::consecutive(1), RESET);
    let mut permits: HashMap<u8, Vec<Permit>> = HashMap::new();
    let mut refused_until: HashMap<u8, Instant> = HashMap::new();
    let mut has_failed = [false; 8];
    let (mut admitted, mut told) = (0, 0);
    let mut now = Instant::from_secs(1);
    for &(key, pause, op) in ops {
        now = now.saturating_add(Duration::from_millis(pause));
        match op {
            Op::Acquire => match table.try_acquire(&key, now) {
                Ok(permit) => {
                    // Only an open breaker keeps its word: half-open, a probe may report.
                    let promised = refused_until.get(&key).is_some_and(|retry_at| now < *retry_at);
                    assert!(!promised, "an open breaker was forgotten");
                    permits.entry(key).or_default().push(permit);
                    admitted += 1;
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
                let failures = table.stats().failures;
                table.record(&key, permit, outcome, now);
                told += 1;
                has_failed[usize::from(key)] |= table.stats().failures > failures;
            }
            Op::Bare(success) => {
                if success {
                    table.record_success(&key, now)
                } else {
                    table.record_failure(&key, now)
                }
                told += 1;
                has_failed[usize::from(key)] |= !success;
            }
            Op::Cleanup => {
                table.cleanup(now);
            }
            Op::Mode(_) => {}
            Op::Reset => {
                table.close(&key);
                refused_until.remove(&key);
            }
        }
        assert!(table.len() <= 2);
        let stats = table.stats();
        assert_eq!((stats.permitted, stats.successes + stats.failures + stats.ignored + stats.stale), (admitted, told));
    }
    // Liveness: once an open breaker is idle and a failure as old as its memory, whoever needs an entry gets one.
    let later = now.saturating_add(Duration::from_secs(601));
    let before = table.untracked();
    table.record_failure(&9, later);
    assert_eq!((table.untracked(), table.state(&9)), (before, BreakerState::Open));
}
