//! The caching rate limiter beside a naive one, under clocks that step and leap.

use core::time::Duration;
use std::collections::HashMap;

use steadfast_core::{
    CachedRateLimiter, Instant, SlidingLog,
    rate_limiter::{AllowOrCached, FlightPermit},
};

use crate::Script;

const WINDOW: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(3);
const MAX: usize = 2;

#[derive(Clone, Debug)]
pub enum Op {
    Ask(u8),
    /// One of the permits that are out, the newest first; some are lost for good by never being chosen.
    Complete(usize, u32),
    Release(usize),
    Refund(usize),
    Cleanup,
}

/// Answers like the naive one, or nobody gets more than there is.
pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    match script.below(3) {
        0 => beside_the_naive_one(ops(script, u64::MAX)),
        _ => full_table(ops(script, 0)),
    }
}

fn ops(script: &mut Script<'_>, most_back: u64) -> Vec<(Op, Instant)> {
    let mut now = Instant::from_secs(1_000);
    script.list(60, |script| {
        let op = match script.weighted(&[(8, 0), (3, 1), (1, 2), (1, 3), (1, 4)]) {
            0 => Op::Ask(script.below(6) as u8),
            1 => Op::Complete(script.below(3) as usize, script.below(1 << 32) as u32),
            2 => Op::Release(script.below(3) as usize),
            3 => Op::Refund(script.below(3) as usize),
            _ => Op::Cleanup,
        };
        now = match script.weighted(&[(7, 0), (3, 1), (1, 2), (1, 3)]) {
            0 => now.saturating_add(Duration::from_millis([0, 1, 3_000, 10_000][script.below(4) as usize])),
            1 => now.saturating_add(Duration::from_millis(script.below(4_000))),
            2 => now.saturating_add(Duration::from_nanos(script.nanos())),
            _ => now.saturating_sub(Duration::from_nanos(script.nanos().min(most_back))),
        };
        now = now.min(Instant::from_nanos(1 << 63)); // time has an end, but nobody gets there
        (op, now)
    })
}

/// What is known of one key, said plainly.
#[derive(Default)]
struct Known {
    attempts: Vec<Instant>,
    value: Option<(u32, Instant)>,
    running: Option<(usize, Instant)>,
}

impl Known {
    /// After a step back of the clock nothing lies further ahead than it can.
    fn mend(&mut self, now: Instant) {
        self.running = self.running.map(|(number, ends_at)| (number, ends_at.min(now.saturating_add(LEASE))));
        self.value = self.value.map(|(value, at)| (value, at.min(now)));
        self.attempts.iter_mut().for_each(|at| *at = now.min(*at));
    }

    fn ask(&mut self, number: usize, now: Instant) -> AllowOrCached<usize, u32> {
        let attempts = self.attempts.clone();
        self.mend(now);
        let in_flight = self.running.is_some_and(|(_, ends_at)| now < ends_at);
        if in_flight {
            // The quota was not asked.
            self.attempts = attempts;
        } else {
            self.attempts.retain(|at| now.saturating_duration_since(*at) < WINDOW);
            if self.attempts.len() < MAX {
                self.attempts.push(now);
                self.running = Some((number, now.saturating_add(LEASE)));
                return AllowOrCached::Allowed(number);
            }
        }
        match self.value {
            Some((value, at)) => AllowOrCached::Cached { value, age: now.saturating_duration_since(at) },
            None if in_flight => AllowOrCached::InFlight,
            None => AllowOrCached::Denied { retry_at: self.attempts[0].saturating_add(WINDOW) },
        }
    }

    fn end(&mut self, number: usize) -> bool {
        let is_last = self.running.is_some_and(|(other, _)| other == number);
        if is_last {
            self.running = None;
        }
        is_last
    }

    fn is_idle(&self, now: Instant) -> bool {
        let counts = self.attempts.iter().any(|at| now.saturating_duration_since(*at) < WINDOW);
        // Further ahead than a lease, it was begun before the clock stepped back.
        let runs = self.running.is_some_and(|(_, ends_at)| now < ends_at && ends_at <= now.saturating_add(LEASE));
        !counts && !runs
    }
}

pub fn beside_the_naive_one(ops: Vec<(Op, Instant)>) {
    let mut limiter: CachedRateLimiter<u8, u32, SlidingLog<MAX>, 6> =
        CachedRateLimiter::new(SlidingLog::new(WINDOW), LEASE);
    let mut model: HashMap<u8, Known> = HashMap::new();
    let mut permits: Vec<(FlightPermit, u8, usize)> = vec![];
    let (mut asked, mut allowed) = (0, 0);
    let mut latest = Instant::ZERO;
    for (op, now) in ops {
        // A step back by more than a second is seen by whoever asks, a smaller one by those whom it concerns.
        let late = if matches!(op, Op::Cleanup) { Duration::ZERO } else { Duration::from_secs(1) };
        if matches!(op, Op::Ask(_) | Op::Cleanup) && (now >= latest || latest.saturating_duration_since(now) > late) {
            if now < latest {
                model.values_mut().for_each(|known| known.mend(now));
            }
            latest = now;
        }
        match op {
            Op::Ask(key) => {
                asked += 1;
                let expected = model.entry(key).or_default().ask(allowed, now);
                match (limiter.allow_or_cached(&key, now), expected) {
                    (AllowOrCached::Allowed(permit), AllowOrCached::Allowed(number)) => {
                        permits.insert(0, (permit, key, number));
                        allowed += 1;
                    }
                    (AllowOrCached::Cached { value, age }, AllowOrCached::Cached { value: kept, age: expected }) => {
                        assert_eq!((*value, age), (kept, expected));
                    }
                    (AllowOrCached::Denied { retry_at }, AllowOrCached::Denied { retry_at: expected }) => {
                        assert_eq!(retry_at, expected);
                    }
                    (AllowOrCached::InFlight, AllowOrCached::InFlight) => {}
                    (got, expected) => panic!("{:?} instead of {:?}", got, expected),
                }
            }
            Op::Complete(index, value) if index < permits.len() => {
                let (permit, key, number) = permits.remove(index);
                let known = model.entry(key).or_default();
                let counts = known.end(number);
                if counts {
                    known.value = Some((value, now));
                }
                assert_eq!(limiter.complete(permit, value, now).is_ok(), counts);
            }
            Op::Release(index) if index < permits.len() => {
                let (permit, key, number) = permits.remove(index);
                limiter.release(permit, now);
                model.entry(key).or_default().end(number);
            }
            Op::Refund(index) if index < permits.len() => {
                let (permit, key, number) = permits.remove(index);
                limiter.refund(permit, now);
                let known = model.entry(key).or_default();
                if known.end(number) {
                    // The last one, if it still counts.
                    known.attempts.iter_mut().for_each(|at| *at = now.min(*at));
                    // What has left the window is forgotten then, and a step back does not bring it back.
                    known.attempts.retain(|at| now.saturating_duration_since(*at) < WINDOW);
                    known.attempts.pop();
                }
            }
            Op::Complete(..) | Op::Release(_) | Op::Refund(_) => {}
            Op::Cleanup => {
                limiter.cleanup(now);
                model.retain(|_, known| !known.is_idle(now));
                assert_eq!(limiter.len(), model.len());
            }
        }
        let stats = limiter.stats();
        assert_eq!(stats.allowed + stats.cached + stats.in_flight + stats.denied, asked);
        assert_eq!(stats.allowed, allowed as u64);
        assert!(stats.completed + stats.released + stats.refunded + permits.len() as u64 <= stats.allowed);
    }
}

/// Safety when the table is full: no key ever gets more than its quota in any window.
pub fn full_table(ops: Vec<(Op, Instant)>) {
    let mut limiter: CachedRateLimiter<u8, u32, SlidingLog<MAX>, 2> =
        CachedRateLimiter::new(SlidingLog::new(WINDOW), LEASE);
    let mut begun: Vec<(u8, Instant)> = vec![];
    for (op, now) in ops {
        let Op::Ask(key) = op else { continue };
        if let AllowOrCached::Allowed(permit) = limiter.allow_or_cached(&key, now) {
            begun.push((key, now));
            let _ = limiter.complete(permit, 1, now);
        }
        let in_window = begun.iter().filter(|(_, at)| now.saturating_duration_since(*at) < WINDOW);
        let of_key = in_window.filter(|(other, _)| *other == key).count();
        assert!(of_key <= MAX, "{} attempts of one key", of_key);
        assert!(limiter.len() <= 2);
    }
}
