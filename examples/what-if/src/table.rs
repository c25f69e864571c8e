//! How many keys are in use at once, and what a limiter does that has no room for them.

use std::{cmp::Reverse, collections::BinaryHeap};

use serde::Serialize;
use steadfast_core::{Instant, rate_limiter::Verdict};

use crate::{
    limit::Limit,
    log::Log,
    replay::{replay, replay_exactly},
    sweep::Band,
};

/// The keys that are in use: from a request until the quota is whole again.
#[derive(Debug)]
pub struct InUse {
    until: Vec<Instant>,
    ends: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The most at once.
    pub most: usize,
}

impl InUse {
    /// Of so many keys.
    #[must_use]
    pub fn new(keys: usize) -> Self {
        Self { until: vec![Instant::ZERO; keys], ends: BinaryHeap::new(), most: 0 }
    }

    /// The key with this number is in use until then.
    pub fn note(&mut self, key: usize, now: Instant, whole_at: Instant) {
        while let Some(Reverse((end, ended))) = self.ends.peek().copied().filter(|Reverse((end, _))| *end <= now) {
            self.ends.pop();
            let until = self.until.get(ended as usize).copied().unwrap_or(end);
            if until > now {
                self.ends.push(Reverse((until, ended)));
            }
        }
        let Some(until) = self.until.get_mut(key) else { return };
        if *until <= now && whole_at > now {
            self.ends.push(Reverse((whole_at, key as u32)));
        }
        *until = whole_at;
        self.most = self.most.max(self.ends.len());
    }
}

/// Keys in use at once, and limiters of several capacities.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Tables {
    /// The most keys whose quota was not whole at once.
    pub most_in_use: Band<usize>,
    /// The capacity that is enough for them with as many again: a power of two.
    pub capacity: usize,
    /// What smaller tables do, the largest first.
    pub full: Vec<Full>,
}

/// What a limiter with less room does, by its default: it denies strangers whom its ledger refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Full {
    /// For how many keys there is room.
    pub capacity: usize,
    /// Requests that are denied.
    pub denied: u64,
    /// Of those, the ones that are allowed where there is room.
    pub wrongly: u64,
    /// Keys in use that had to leave; what they owed is remembered.
    pub evicted: u64,
    /// Requests of keys that found no entry.
    pub overflowed: u64,
}

/// Slots and cells of the ledger that the limiter of `steadfast` has for a capacity; from 256 on it has some more, for its
/// shards.
const fn room(capacity: usize) -> (usize, usize) {
    let slots = if capacity > 68 { capacity.saturating_mul(2) } else { capacity };
    (slots, capacity.saturating_mul(4))
}

/// How many keys are in use at once under a limit, and what smaller tables do.
#[must_use]
pub fn tables(log: &Log, limit: Limit) -> Tables {
    let quota = limit.quota();
    let most_in_use = Band::of(log, |requests| {
        let start = || InUse::new(log.keys.len());
        let (in_use, _) = replay_exactly(requests, &quota, start, |in_use: &mut InUse, _, request, answer| {
            if let Ok(Verdict { reset_at, .. }) = answer {
                in_use.note(request.key(), request.at(), *reset_at);
            }
        });
        in_use.most
    });
    let most = most_in_use.at_start.max(most_in_use.spread.unwrap_or(0));
    let requests = &log.at_start;
    let exact = crate::replay::decisions(requests, &quota);
    let full = [2_usize, 4, 16].into_iter().map(|part| {
        let capacity = most.checked_div(part).unwrap_or(0).max(1);
        let mut wrongly = 0_u64;
        let stats = replay(requests, quota, room(capacity), |index, _, answer, _| {
            let denied = !answer.is_ok_and(Verdict::is_allowed);
            wrongly = wrongly.saturating_add((denied && exact.get(index) == Some(&true)).into());
            true
        });
        Full { capacity, denied: stats.denied, wrongly, evicted: stats.evicted, overflowed: stats.overflowed }
    });
    let mut full: Vec<_> = full.collect();
    full.dedup_by_key(|full| full.capacity);
    Tables { most_in_use, capacity: most.saturating_mul(2).max(64).next_power_of_two(), full }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::{
        key::KeyBy,
        limit::{Per, Rate},
        reader::Reader,
    };

    #[test]
    fn keys_are_in_use_until_their_quota_is_whole() {
        let mut in_use = InUse::new(3);
        let at = Instant::from_secs;
        in_use.note(0, at(1), at(3));
        in_use.note(1, at(2), at(4));
        assert_eq!(in_use.most, 2);
        in_use.note(0, at(2), at(9)); // longer than was said
        in_use.note(2, at(4), at(5)); // when 1 is whole
        assert_eq!((in_use.most, in_use.ends.len()), (2, 2));
        in_use.note(1, at(4), at(6));
        assert_eq!(in_use.most, 3);
        in_use.note(1, at(9), at(10));
        assert_eq!(in_use.ends.len(), 1);
    }

    #[test]
    fn a_table_with_room_is_exact_and_one_without_tells_what_it_did() {
        let mut text = String::new();
        for second in 0..50 {
            for key in 0..200 {
                writeln!(text, "{second}.{:03},k{key}", key * 5).unwrap();
            }
        }
        let mut reader = Reader::new(KeyBy::User, usize::MAX);
        reader.push(text.as_bytes());
        let log = reader.finish();
        let limit = Limit { rate: Rate { count: 6, per: Per::Minute }, burst: 5 };
        let tables = tables(&log, limit);
        assert_eq!((tables.most_in_use.at_start, tables.most_in_use.spread), (200, None));
        assert_eq!(tables.capacity, 512);
        assert_eq!(tables.full.iter().map(|full| full.capacity).collect::<Vec<_>>(), [100, 50, 12]);
        let smallest = tables.full.last().unwrap();
        assert!(smallest.evicted > 0 && smallest.wrongly > 0, "{smallest:?}");
        let denied =
            crate::replay::decisions(&log.at_start, &limit.quota()).iter().filter(|allowed| !**allowed).count();
        // Never more than the quota, whatever has to go.
        assert!(tables.full.iter().all(|full| full.denied >= denied as u64));
    }
}
