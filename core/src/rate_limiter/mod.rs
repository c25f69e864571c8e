//! Per-key rate limiting in fixed memory.

mod cached;
mod gcra;
mod quota;
#[cfg(feature = "serde")]
mod settings;
mod shared;
mod sliding_log;
mod until_allowed;
mod waiting;

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

pub use cached::{
    AllowOrCached, AttemptEnd, AttemptGuard, AttemptLost, AttemptPermit, CachedRateLimiter, CachedRateLimiterIn,
    CachedRateLimiterStats,
};
pub use gcra::{Gcra, GcraState};
pub use quota::{Decision, NeverFits, Quota};
pub use sliding_log::{SlidingLog, SlidingLogState};
pub use waiting::WaitError;

use crate::{
    HashSeed, Instant,
    storage::{Allocate, Inline, Storage},
    table::{Table, slots_for},
};

/// Lets each key do so much in so much time, for at most `N` keys at once.
///
/// `A` is the quota: [`Gcra`] (a rate and a burst, 8 bytes a key) or [`SlidingLog`] (at most so many in any window).
/// Every call is O(1) expected, plus what `A` states.
///
/// **When all `N` keys are in use**, an idle entry (one that decides as no entry does) is reused; 32 entries are looked
/// at, going round, so for up to 32 keys an idle one is always found. If there is none, [`OnFull`] decides. No key ever
/// gets a fresh quota because of another key.
///
/// ```
/// use steadfast_core::{Decision, Instant, RateLimiter, SlidingLog};
///
/// let mut limiter: RateLimiter<&str, SlidingLog<2>, 32> = RateLimiter::new(SlidingLog::per_minute());
/// let now = Instant::from_secs(100);
/// assert_eq!(limiter.allow(&"bob", now), Decision::Allow);
/// assert_eq!(limiter.allow(&"bob", now), Decision::Allow);
/// assert_eq!(limiter.allow(&"bob", now), Decision::Deny { retry_at: Instant::from_secs(160) });
/// assert_eq!(limiter.allow(&"eve", now), Decision::Allow);
/// ```
pub type RateLimiter<K, A, const N: usize, H = HashSeed> = RateLimiterIn<K, A, Inline<N>, H>;

/// A [`RateLimiter`] in any [`Storage`].
// On servers, what each decision reads and writes lies beside the lock: a cache line less to fetch from another core.
#[cfg_attr(target_pointer_width = "64", repr(C))]
#[derive(Debug)]
pub struct RateLimiterIn<K, A: Quota, S: Storage, H = HashSeed> {
    quota: A,
    stats: RateLimiterStats,
    table: Table<K, A::State, S, H>,
    /// The quota that keys without an entry share.
    overflow: A::State,
    /// Where the search for an idle entry goes on.
    hand: usize,
    on_full: OnFull,
}

/// What a [`RateLimiter`] does with a new key when every entry is in use.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFull {
    /// Deny it.
    Deny,
    /// Let all such keys share one quota: a flood of made-up keys gets no more than one key does.
    #[default]
    Share,
}

/// What a [`RateLimiter`] has decided so far: `allowed + denied` is all it was asked.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RateLimiterStats {
    /// Requests that were allowed.
    pub allowed: u64,
    /// Requests that were denied, those that never fit included.
    pub denied: u64,
    /// Of both, those of keys that found no entry.
    pub overflowed: u64,
    /// Idle entries that were given to another key.
    pub reused: u64,
}

/// Where a request is decided.
#[derive(Clone, Copy)]
enum Place {
    /// The entry that its key has.
    Known(usize),
    /// The entry that its key got just now.
    New(usize),
    /// Nowhere, since there is no entry to be had.
    Nowhere(Result<Decision, NeverFits>),
    /// The quota of all that have no entry.
    Shared,
}

/// How many entries one request may look at to find an idle one.
const SEARCH: usize = 32;

const ONE: NonZeroU32 = NonZeroU32::MIN;

impl<K, A: Quota, const N: usize> RateLimiter<K, A, N> {
    /// A limiter without keys, hashing with [`HashSeed::FIXED`]: [`reseed`](RateLimiterIn::reseed) it before peers that
    /// choose their own keys can reach it.
    #[doc(alias = "NewRateLimiter")]
    #[must_use]
    pub const fn new(quota: A) -> Self {
        Self::with_hasher(quota, HashSeed::FIXED)
    }
}

impl<K, A: Quota, H, const N: usize> RateLimiter<K, A, N, H> {
    /// A limiter without keys, with a hasher of the caller's choice.
    #[must_use]
    pub const fn with_hasher(quota: A, hasher: H) -> Self {
        let table = Table::new(hasher);
        Self { quota, on_full: OnFull::Share, table, overflow: A::IDLE, hand: 0, stats: RateLimiterStats::NONE }
    }
}

impl<K, A: Quota, S: Allocate, H> RateLimiterIn<K, A, S, H> {
    /// A limiter for `max_keys` keys, at least one, in storage of run-time size.
    pub fn allocate(quota: A, max_keys: usize, hasher: H) -> Self {
        let table = Table::allocate(max_keys, hasher);
        Self { quota, on_full: OnFull::Share, table, overflow: A::IDLE, hand: 0, stats: RateLimiterStats::NONE }
    }
}

impl RateLimiterStats {
    const NONE: Self = Self { allowed: 0, denied: 0, overflowed: 0, reused: 0 };

    /// The sum of two, for a limiter that consists of several.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            denied: self.denied.saturating_add(other.denied),
            overflowed: self.overflowed.saturating_add(other.overflowed),
            reused: self.reused.saturating_add(other.reused),
        }
    }
}

impl<K, A: Quota, S: Storage, H> RateLimiterIn<K, A, S, H> {
    /// The same limiter with another policy for a full table.
    #[must_use]
    pub const fn with_on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// The quota of each key.
    pub const fn quota(&self) -> &A {
        &self.quota
    }

    /// Gives every key another quota from now on; what was counted stays counted.
    ///
    /// With [`Gcra`] a wait that is running is cut to the new burst.
    pub fn set_quota(&mut self, quota: A) {
        self.quota = quota;
    }

    /// How many keys have an entry.
    pub const fn len(&self) -> usize {
        self.table.len()
    }

    /// True if no key has an entry.
    pub const fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// The most keys that can have an entry.
    pub fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// What was decided so far.
    pub const fn stats(&self) -> RateLimiterStats {
        self.stats
    }

    /// Each key with how much of its quota is left. O(capacity).
    pub fn usage(&self, now: Instant) -> impl Iterator<Item = (&K, u32)> {
        self.table.iter().map(move |(_, key, state)| (key, self.quota.remaining(state, now)))
    }
}

impl<K: Eq + Hash, A: Quota, S: Storage, H: BuildHasher> RateLimiterIn<K, A, S, H> {
    /// Decides a request of `key`, and counts it if it is allowed.
    pub fn allow(&mut self, key: &K, now: Instant) -> Decision
    where
        K: Clone,
    {
        self.allow_with(self.hash(key), key, K::clone, || now)
    }

    /// Decides a request that counts `cost` times, all or nothing.
    ///
    /// ```
    /// use core::num::NonZeroU32;
    /// use steadfast_core::{Decision, Gcra, Instant, NeverFits, RateLimiter};
    ///
    /// let mut bytes: RateLimiter<u32, Gcra, 32> = RateLimiter::new(Gcra::per_second(1_000));
    /// let (now, cost) = (Instant::from_secs(1), |bytes| NonZeroU32::new(bytes).unwrap());
    /// assert_eq!(bytes.allow_n(&7, cost(800), now)?, Decision::Allow);
    /// assert!(!bytes.allow_n(&7, cost(800), now)?.is_allowed()); // not now
    /// assert_eq!(bytes.allow_n(&7, cost(1_001), now), Err(NeverFits { limit: 1_000 }));
    /// assert!(bytes.refund(&7, cost(300), now)); // only 500 were sent
    /// assert_eq!(bytes.remaining(&7, now), 500);
    /// assert_eq!(bytes.reset_at(&7, now), Instant::from_millis(1_500));
    /// # Ok::<(), NeverFits>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NeverFits`] if `cost` is above the limit of the quota; no quota changed, and it counts as denied.
    pub fn allow_n(&mut self, key: &K, cost: NonZeroU32, now: Instant) -> Result<Decision, NeverFits>
    where
        K: Clone,
    {
        self.allow_n_with(self.hash(key), key, K::clone, cost, || now)
    }

    /// [`allow`](Self::allow) for a borrowed form of the key, for adapters that have hashed it already.
    ///
    /// `hash` is what this limiter's [`hash`](Self::hash) returns; `own` makes the key of a new entry. `now` is asked for
    /// when the key was looked up: where a processor reads its counter only after all that it loads, reading it first
    /// would make the look-up wait.
    #[inline]
    pub fn allow_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        now: impl FnOnce() -> Instant,
    ) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        // One fits every quota, or the quota is zero and denies: `NeverFits` cannot occur.
        self.allow_n_with(hash, key, own, ONE, now).unwrap_or(Decision::Deny { retry_at: Instant::MAX })
    }

    /// [`allow_n`](Self::allow_n) for a borrowed form of the key; see [`allow_with`](Self::allow_with).
    ///
    /// # Errors
    ///
    /// As for `allow_n`.
    pub fn allow_n_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        cost: NonZeroU32,
        now: impl FnOnce() -> Instant,
    ) -> Result<Decision, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.decide_with(hash, key, own, cost, now, A::allow, drop)
    }

    /// [`allow_n_with`](Self::allow_n_with) with what asks the quota, and with what takes an entry that had to go: it may
    /// carry it out of a lock.
    #[inline]
    #[expect(clippy::too_many_arguments, reason = "two more than `allow_n_with`")]
    fn decide_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        cost: NonZeroU32,
        now: impl FnOnce() -> Instant,
        ask: impl FnOnce(&A, &mut A::State, NonZeroU32, Instant) -> Result<Decision, NeverFits>,
        mut gone: impl FnMut((K, A::State)),
    ) -> Result<Decision, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let known = self.table.find(hash, key);
        let now = now();
        let place = match known {
            Some(slot) => Place::Known(slot),
            None => self.place_for_new(hash, key, own, cost, now, &mut gone),
        };
        let state = match place {
            Place::Known(slot) | Place::New(slot) => self.table.get_mut(slot),
            Place::Shared => Some(&mut self.overflow),
            Place::Nowhere(_) => None,
        };
        let decision = match (state, place) {
            (Some(state), _) => ask(&self.quota, state, cost, now),
            (None, Place::Nowhere(refusal)) => refusal,
            (None, _) => Ok(Decision::Deny { retry_at: Instant::MAX }),
        };
        if decision == Ok(Decision::Allow) {
            self.stats.allowed = self.stats.allowed.saturating_add(1);
        } else {
            self.stats.denied = self.stats.denied.saturating_add(1);
            // A denied newcomer takes no entry: it would be an idle one.
            if let Place::New(slot) = place {
                self.table.remove(slot).into_iter().for_each(gone);
            }
        }
        decision
    }

    /// Decides a request of `key` as [`allow`](Self::allow) would, and counts nothing.
    pub fn check<Q>(&self, key: &Q, now: Instant) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self.ask(key, now, |quota, state| quota.check(state, ONE, now)) {
            Ok(decision) => decision.unwrap_or(Decision::Deny { retry_at: Instant::MAX }),
            Err(retry_at) => Decision::Deny { retry_at },
        }
    }

    /// How much `key` could do at once.
    pub fn remaining<Q>(&self, key: &Q, now: Instant) -> u32
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.ask(key, now, |quota, state| quota.remaining(state, now)).unwrap_or(0)
    }

    /// When `key` has its whole quota again if it does nothing until then.
    pub fn reset_at<Q>(&self, key: &Q, now: Instant) -> Instant
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.ask(key, now, |quota, state| quota.reset_at(state, now)).unwrap_or_else(|retry_at| retry_at)
    }

    /// Gives back `cost` that was allowed and not used; false, and nothing given, if `key` has no entry of its own.
    pub fn refund<Q>(&mut self, key: &Q, cost: NonZeroU32, now: Instant) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.table.find(self.table.hash(key), key);
        let Some(state) = slot.and_then(|slot| self.table.get_mut(slot)) else { return false };
        self.quota.refund(state, cost, now);
        true
    }

    /// Forgets every idle entry, and tells how many; never needed, since a full table does it by itself. O(capacity).
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_with(now, drop)
    }

    /// [`cleanup`](Self::cleanup) with what takes each entry: it may carry it out of a lock.
    fn cleanup_with(&mut self, now: Instant, mut gone: impl FnMut((K, A::State))) -> usize {
        let before = self.len();
        for slot in 0..self.table.slots() {
            if self.table.get(slot).is_some_and(|(_, state)| self.quota.is_idle(state, now)) {
                self.table.remove(slot).into_iter().for_each(&mut gone);
            }
        }
        before.saturating_sub(self.len())
    }

    /// The hash of a key, as [`allow_with`](Self::allow_with) wants it.
    pub fn hash<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.table.hash(key)
    }

    /// Replaces the hash's secret and keeps every entry. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.table.rehash(hasher);
    }

    /// Asks the state that decides for `key`, or tells when `key` can have one.
    fn ask<Q, R>(&self, key: &Q, now: Instant, f: impl FnOnce(&A, &A::State) -> R) -> Result<R, Instant>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some((_, state)) = self.table.find(self.table.hash(key), key).and_then(|slot| self.table.get(slot)) {
            return Ok(f(&self.quota, state));
        }
        let taken = if self.table.is_full() { self.find_idle(now).err() } else { None };
        match (taken, self.on_full) {
            (None, _) => Ok(f(&self.quota, &A::IDLE)),
            (Some(_), OnFull::Share) => Ok(f(&self.quota, &self.overflow)),
            (Some(retry_at), OnFull::Deny) => Err(retry_at),
        }
    }

    /// An entry for a key that has none, or what decides instead. Not inlined: the hits are what has to be fast.
    #[inline(never)]
    fn place_for_new<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        cost: NonZeroU32,
        now: Instant,
        gone: &mut impl FnMut((K, A::State)),
    ) -> Place
    where
        K: Borrow<Q>,
        Q: ?Sized,
    {
        let limit = self.quota.limit();
        if cost.get() > limit {
            let never = Decision::Deny { retry_at: Instant::MAX };
            return Place::Nowhere(if limit == 0 { Ok(never) } else { Err(NeverFits { limit }) });
        }
        if self.table.is_full() {
            match self.find_idle(now) {
                Ok(slot) => {
                    self.table.remove(slot).into_iter().for_each(gone);
                    self.stats.reused = self.stats.reused.saturating_add(1);
                }
                Err(retry_at) => {
                    let searched = slots_for::<S>(SEARCH);
                    self.hand = self.hand.saturating_add(searched).checked_rem(self.table.slots()).unwrap_or(0);
                    self.stats.overflowed = self.stats.overflowed.saturating_add(1);
                    return match self.on_full {
                        OnFull::Deny => Place::Nowhere(Ok(Decision::Deny { retry_at })),
                        OnFull::Share => Place::Shared,
                    };
                }
            }
        }
        // Full it cannot be.
        self.table.insert(hash, own(key), A::IDLE).map_or(Place::Shared, Place::New)
    }

    /// An idle entry among the next [`SEARCH`], or the first instant at which one of them is idle.
    fn find_idle(&self, now: Instant) -> Result<usize, Instant> {
        let slots = self.table.slots();
        let mut idle_at = Instant::MAX;
        for step in 0..slots.min(slots_for::<S>(SEARCH)) {
            let slot = self.hand.saturating_add(step);
            let slot = slot.checked_sub(slots).unwrap_or(slot);
            let Some((_, state)) = self.table.get(slot) else { continue };
            if self.quota.is_idle(state, now) {
                return Ok(slot);
            }
            idle_at = idle_at.earlier(self.quota.reset_at(state, now));
        }
        Err(idle_at)
    }
}

#[cfg(test)]
mod tests;
