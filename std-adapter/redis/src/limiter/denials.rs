//! Denials that still hold, so that nobody asks again.

use core::{hash::BuildHasher, num::NonZeroU32, time::Duration};
use std::hash::RandomState;

use steadfast::{
    Gcra, Instant,
    rate_limiter::{GcraState, Verdict},
    runtime::{Lock, Mutex},
};

/// How many entries a key may be in.
const WAYS: usize = 4;

/// Denials of the last moment, in fixed memory. A key has one entry, and one of four that may be forgotten for another.
pub(super) struct Denials {
    sets: Box<[Mutex<[Entry; WAYS]>]>,
    hasher: RandomState,
    longest: Duration,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// The whole hash under a random secret: two keys in one set that share it would be one in 2^64.
    hash: u64,
    state: GcraState,
    cost: u32,
    until: Instant,
}

impl Denials {
    pub(super) fn new(capacity: usize, longest: Duration) -> Self {
        let sets = (0..capacity.div_ceil(WAYS)).map(|_| Mutex::new([Entry::default(); WAYS])).collect();
        Self { sets, hasher: RandomState::new(), longest }
    }

    /// A denial that still holds for this cost.
    pub(super) fn find(&self, quota: &Gcra, key: &[u8], cost: NonZeroU32, now: Instant) -> Option<Verdict> {
        let hash = self.hasher.hash_one(key);
        let entries = self.set(hash)?.with(|entries| *entries);
        let entry = entries.iter().find(|entry| entry.hash == hash && now < entry.until)?;
        if cost.get() < entry.cost {
            return None;
        }
        entry.state.check(quota, cost, now).ok().filter(|verdict| !verdict.is_allowed())
    }

    /// Notes what the engine denied: what a key owed, for how much it was too much, and until when.
    pub(super) fn note(&self, key: &[u8], state: GcraState, cost: NonZeroU32, retry_at: Instant, now: Instant) {
        let hash = self.hasher.hash_one(key);
        let until = retry_at.min(now.saturating_add(self.longest));
        let entry = Entry { hash, state, cost: cost.get(), until };
        let Some(set) = self.set(hash) else { return };
        set.with(|entries| {
            let own = entries.iter().position(|entry| entry.hash == hash);
            let soonest = || entries.iter().enumerate().min_by_key(|(_, entry)| entry.until).map(|(number, _)| number);
            if let Some(slot) = own.or_else(soonest).and_then(|number| entries.get_mut(number)) {
                *slot = entry;
            }
        });
    }

    fn set(&self, hash: u64) -> Option<&Mutex<[Entry; WAYS]>> {
        let number = (hash >> 32).checked_rem(self.sets.len() as u64)?;
        self.sets.get(number as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const QUOTA: Gcra = Gcra::per_second(10);
    const NOW: Instant = Instant::from_secs(100);

    fn n(cost: u32) -> NonZeroU32 {
        NonZeroU32::new(cost).unwrap()
    }

    fn owing(millis: u64) -> GcraState {
        GcraState::new(Duration::from_millis(millis), NOW, QUOTA.interval())
    }

    #[test]
    fn a_denial_holds_until_its_end_for_costs_not_below() {
        let denials = Denials::new(64, SECOND);
        let retry_at = Instant::from_millis(100_200);
        denials.note(b"a", owing(700), n(5), retry_at, NOW);
        assert_eq!(denials.find(&QUOTA, b"a", n(5), NOW).unwrap().retry_at(), Some(retry_at));
        assert_eq!(denials.find(&QUOTA, b"a", n(4), NOW), None);
        assert_eq!(denials.find(&QUOTA, b"b", n(5), NOW), None);
        let more = denials.find(&QUOTA, b"a", n(6), NOW).unwrap();
        assert_eq!(more.retry_at(), Some(Instant::from_millis(100_300)));
        let before = Instant::from_nanos(retry_at.as_nanos() - 1);
        assert!(denials.find(&QUOTA, b"a", n(5), before).is_some());
        assert_eq!(denials.find(&QUOTA, b"a", n(5), retry_at), None);
    }

    #[test]
    fn none_holds_longer_than_the_longest() {
        let denials = Denials::new(4, SECOND);
        let slow = Gcra::per_hour(1);
        let state = GcraState::new(Duration::from_secs(3_600), NOW, slow.interval());
        denials.note(b"a", state, n(1), Instant::from_secs(3_700), NOW);
        assert!(denials.find(&slow, b"a", n(1), Instant::from_millis(100_999)).is_some());
        assert_eq!(denials.find(&slow, b"a", n(1), Instant::from_secs(101)), None);
    }

    /// A flood takes entries of each other, and memory stays as it is; who is denied meanwhile asks the engine.
    #[test]
    fn a_flood_of_keys_takes_no_more_memory() {
        let denials = Denials::new(1_000, SECOND);
        assert_eq!(denials.sets.len() * WAYS, 1_000);
        let keys = 100_000_u64;
        for key in 0..keys {
            denials.note(&key.to_le_bytes(), owing(1_000), n(1), Instant::from_millis(100_100), NOW);
        }
        let found = (0..keys).filter(|key| denials.find(&QUOTA, &key.to_le_bytes(), n(1), NOW).is_some()).count();
        assert!((500..=1_000).contains(&found), "{found}");
    }

    #[test]
    fn without_room_nothing_is_kept() {
        let denials = Denials::new(0, SECOND);
        denials.note(b"a", owing(1_000), n(1), Instant::from_millis(100_100), NOW);
        assert_eq!(denials.find(&QUOTA, b"a", n(1), NOW), None);
    }
}
