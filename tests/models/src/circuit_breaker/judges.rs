//! What the naive breaker remembers of its calls, and when that opens it.

use super::*;

pub(super) struct Run {
    pub(super) failures: usize,
    pub(super) calls: Vec<bool>,
}

impl Judge for Run {
    fn add(&mut self, failed: bool, _slow: bool, _now: Instant) -> bool {
        self.calls.push(failed);
        self.calls.len() >= self.failures && self.calls.iter().rev().take(self.failures).all(|failed| *failed)
    }

    fn judges_slowness(&self) -> bool {
        false
    }

    fn counts(&mut self, _now: Instant) -> [usize; 3] {
        let run = self.calls.iter().rev().take_while(|failed| **failed).count();
        [run, run, 0]
    }

    fn clear(&mut self) {
        self.calls.clear();
    }
}

fn counts(calls: &[(bool, bool)]) -> [usize; 3] {
    let failed = calls.iter().filter(|(failed, _)| *failed).count();
    [calls.len(), failed, calls.iter().filter(|(_, slow)| *slow).count()]
}

fn shares_are_reached(calls: &[(bool, bool)]) -> bool {
    let failed = calls.iter().filter(|(failed, _)| *failed).count();
    let slow = calls.iter().filter(|(_, slow)| *slow).count();
    calls.len() >= 3 && (failed * 100 >= calls.len() * 60 || slow * 100 >= calls.len() * 80)
}

#[derive(Default)]
pub(super) struct LastFive(pub(super) Vec<(bool, bool)>);

impl LastFive {
    fn calls(&self) -> &[(bool, bool)] {
        &self.0[self.0.len().saturating_sub(5)..]
    }
}

/// Two failures, or three slow calls, among the last five.
pub(super) struct Rule(pub(super) LastFive);

pub(super) fn rule([_, failed, slow]: [usize; 3]) -> bool {
    failed >= 2 || slow >= 3
}

impl Judge for Rule {
    fn add(&mut self, failed: bool, slow: bool, now: Instant) -> bool {
        self.0.add(failed, slow, now);
        rule(self.counts(now))
    }

    fn judges_slowness(&self) -> bool {
        true
    }

    fn counts(&mut self, now: Instant) -> [usize; 3] {
        self.0.counts(now)
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

impl Judge for LastFive {
    fn add(&mut self, failed: bool, slow: bool, _now: Instant) -> bool {
        self.0.push((failed, slow));
        shares_are_reached(self.calls())
    }

    fn judges_slowness(&self) -> bool {
        true
    }

    fn counts(&mut self, _now: Instant) -> [usize; 3] {
        counts(self.calls())
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

pub(super) const BUCKET: u64 = 20 * MILLI;

pub(super) const BUCKETS: u64 = 4;

/// All calls, each with the number of its bucket.
#[derive(Default)]
pub(super) struct Within {
    number: u64,
    ends_at: u64,
    calls: Vec<(u64, u64, bool, bool)>,
    last: u64,
    stepped_back: bool,
}

impl Within {
    fn move_on(&mut self, now: Instant) {
        let nanos = now.as_nanos();
        self.stepped_back |= nanos < self.last;
        self.last = nanos;
        self.ends_at = self.ends_at.min(nanos + BUCKET);
        if nanos >= self.ends_at {
            let steps = (nanos - self.ends_at) / BUCKET + 1;
            self.number += steps;
            self.ends_at = if steps > BUCKETS { nanos + BUCKET } else { self.ends_at + steps * BUCKET };
        }
    }
}

impl Judge for Within {
    fn add(&mut self, failed: bool, slow: bool, now: Instant) -> bool {
        self.move_on(now);
        let nanos = now.as_nanos();
        self.calls.push((self.number, nanos, failed, slow));
        let counted: Vec<_> = self.calls.iter().filter(|call| call.0 + BUCKETS > self.number).collect();
        if !self.stepped_back {
            assert!(counted.iter().all(|call| nanos - call.1 < BUCKETS * BUCKET), "an old call counts");
            let young = self.calls.iter().filter(|call| nanos - call.1 < (BUCKETS - 1) * BUCKET).count();
            assert!(counted.len() >= young, "a young call does not count");
        }
        shares_are_reached(&counted.iter().map(|call| (call.2, call.3)).collect::<Vec<_>>())
    }

    fn judges_slowness(&self) -> bool {
        true
    }

    fn counts(&mut self, now: Instant) -> [usize; 3] {
        // The buckets of an empty window begin with the first call that counts, not when somebody looks.
        if self.calls.iter().any(|call| call.0 + BUCKETS > self.number) {
            self.move_on(now);
        }
        let counted = self.calls.iter().filter(|call| call.0 + BUCKETS > self.number);
        counts(&counted.map(|call| (call.2, call.3)).collect::<Vec<_>>())
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}
