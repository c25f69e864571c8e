//! What is asked of a cache, and what ends in it.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
};

use super::{DedupCacheIn, Seen};
use crate::foundation::{storage::Storage, time::Instant};

impl<K: Eq + Hash, S: Storage, H: BuildHasher, V> DedupCacheIn<K, S, H, V> {
    /// Tells whether `key` was seen, and marks it if it was not.
    #[doc(alias = "Check")]
    pub fn check(&mut self, key: &K, now: Instant) -> Seen
    where
        K: Clone,
        V: Default,
    {
        let hash = self.hash(key);
        self.check_or(hash, key, &mut None, || own(key), || now).unwrap_or(Seen::Full)
    }

    /// [`check`](Self::check) of a borrowed form of the key, for callers that have hashed it already and hold a lock.
    ///
    /// `hash` is what this cache's [`hash`](Self::hash) returns. `spare` is the key of a new id and the value that it has
    /// until another is committed: `None` comes back, and nothing was changed, if they are needed and are not there. After
    /// the call it holds a key and a value that are not needed any more, if there are some: so neither `Clone` nor `Drop` of
    /// either has to run inside the lock. `now` is asked for after the look-up, so that reading a processor's counter does
    /// not wait for memory.
    pub fn check_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        spare: &mut Option<(K, V)>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Seen>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.check_or(hash, key, spare, || None, now)
    }

    /// True if `key` is marked or claimed; changes nothing but what the clock tells.
    #[doc(alias = "Seen")]
    pub fn seen<Q>(&mut self, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.seen_with(self.hash(key), key, now)
    }

    /// [`seen`](Self::seen), for callers that have hashed the key already.
    pub fn seen_with<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let now = self.observe(now);
        self.ids.find(hash, key).is_some_and(|place| self.is_alive(place, now))
    }

    /// Begins the TTL of `key` now, whether or not it was seen, and tells what it was.
    ///
    /// A claim of it is over, as if it were committed. What is kept with it stays.
    #[doc(alias = "Mark")]
    pub fn mark(&mut self, key: &K, now: Instant) -> Seen
    where
        K: Clone,
        V: Default,
    {
        let hash = self.hash(key);
        let seen = self.check_or(hash, key, &mut None, || own(key), || now).unwrap_or(Seen::Full);
        self.renew(seen, hash, key, now);
        seen
    }

    /// [`mark`](Self::mark) of a borrowed form of the key; see [`check_with`](Self::check_with).
    pub fn mark_with<Q>(&mut self, hash: u64, key: &Q, spare: &mut Option<(K, V)>, now: Instant) -> Option<Seen>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let seen = self.check_with(hash, key, spare, || now)?;
        self.renew(seen, hash, key, now);
        Some(seen)
    }

    /// Forgets one id before its TTL ends, and gives it back with what was kept: it may come again. `None` if it is not
    /// known.
    ///
    /// A claim of it is over, as if it were aborted: its commit is told [`ClaimLost`](super::ClaimLost).
    #[doc(alias("invalidate", "remove", "del"))]
    pub fn forget<Q>(&mut self, key: &Q, now: Instant) -> Option<(K, V)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.forget_with(self.hash(key), key, now)
    }

    /// [`forget`](Self::forget), for callers that have hashed the key already.
    pub fn forget_with<Q>(&mut self, hash: u64, key: &Q, now: Instant) -> Option<(K, V)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let now = self.observe(now);
        let place = self.ids.find(hash, key).filter(|place| self.is_alive(*place, now))?;
        let is_claimed = self.ids.get(place).is_some_and(|held| held.state.is_claimed());
        let counter = if is_claimed { &mut self.stats.aborted } else { &mut self.stats.removed };
        *counter = counter.saturating_add(1);
        self.remove(place, None)
    }

    /// Forgets every id whose TTL or lease has ended, and tells how many. O(those).
    ///
    /// Never needed: they count as forgotten anyhow, and their places are used when there is no other.
    #[doc(alias = "Cleanup")]
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_some(usize::MAX, drop, now)
    }

    /// [`cleanup`](Self::cleanup) of at most so many, the oldest first, for callers that hold a lock: `gone` gets their
    /// keys and values, to be dropped outside it. O(`limit`).
    pub fn cleanup_some(&mut self, limit: usize, gone: impl FnMut((K, V)), now: Instant) -> usize {
        // What has not ended by a late reading may wait for the next one.
        let now = self.observe(now).earlier(now);
        (0..limit).map_while(|_| self.remove_ended(now)).map(gone).count()
    }

    /// [`cleanup`](Self::cleanup) for a loop over deadlines. Early it ends nothing; late is enough.
    pub fn on_timeout(&mut self, now: Instant) {
        self.cleanup(now);
    }

    /// The hash of a key, as [`check_with`](Self::check_with) wants it.
    pub fn hash<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.hasher.hash_one(key)
    }

    /// Replaces the hash's secret and keeps every id. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.ids.rehash(&hasher);
        self.hasher = hasher;
    }

    /// Begins the life of a key that has come again anew.
    fn renew<Q>(&mut self, seen: Seen, hash: u64, key: &Q, now: Instant)
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        if matches!(seen, Seen::Duplicate { .. })
            && let Some(place) = self.ids.find(hash, key)
        {
            self.confirm(place, now);
        }
    }

    /// Removes one id whose life or lease has ended.
    fn remove_ended(&mut self, now: Instant) -> Option<(K, V)> {
        let place = self.ended(now)?;
        self.make_room(place, None, now)
    }
}

/// What a new id needs, made where no lock is held.
pub(super) fn own<K: Clone, V: Default>(key: &K) -> Option<(K, V)> {
    Some((key.clone(), V::default()))
}
