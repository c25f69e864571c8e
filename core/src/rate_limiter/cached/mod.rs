//! A rate limiter with single flight that answers with the last value instead of "no".

mod guard;
mod kept;
mod outcome;
mod shared;

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    time::Duration,
};

pub use guard::{EndFlight, FlightEnd, FlightGuard};
pub use outcome::{AllowOrCached, CachedRateLimiterStats, FlightLost, FlightPermit};

use super::{
    Decision, ONE, OnFull, Quota, RateLimiter, RateLimiterIn,
    decide::{Request, plain},
};
use crate::foundation::{
    hash::HashSeed,
    storage::{Allocate, Inline, Storage},
    time::{Instant, Span},
};
use kept::{Attempt, Keeping, Kept};

/// A keyed rate limiter with single flight and a cached value: one caller at a time fetches the value of a key, at most so
/// often, and the others get the last one. It prevents a thundering herd (cache stampede).
///
/// For calls whose answer stays good for a while: is this peer alive? A caller that is allowed gets a permit, and ends
/// it by [`complete`](CachedRateLimiterIn::complete) with the value, by [`release`](CachedRateLimiterIn::release) if
/// there is none, or by [`refund`](CachedRateLimiterIn::refund) if nothing was attempted. A permit that was lost is
/// given up when its lease ends. Nobody waits: without a value the answer is [`InFlight`](AllowOrCached::InFlight) or
/// [`Denied`](AllowOrCached::Denied), which cannot be mistaken for one.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{CachedRateLimiter, Gcra, Instant, rate_limiter::AllowOrCached};
///
/// // One ping a minute for each peer; a ping takes less than five seconds.
/// let quota = Gcra::every(Duration::from_secs(60));
/// let mut pings: CachedRateLimiter<&str, bool, Gcra, 32> = CachedRateLimiter::new(quota, Duration::from_secs(5));
///
/// let AllowOrCached::Allowed(permit) = pings.allow_or_cached(&"bob", Instant::from_secs(100)) else { unreachable!() };
/// assert_eq!(pings.allow_or_cached(&"bob", Instant::from_secs(101)), AllowOrCached::InFlight);
/// pings.complete(permit, true, Instant::from_secs(102))?;
///
/// let age = Duration::from_secs(8);
/// assert_eq!(
///     pings.allow_or_cached(&"bob", Instant::from_secs(110)),
///     AllowOrCached::Cached { value: &true, age },
/// );
/// # Ok::<(), steadfast_core::rate_limiter::FlightLost<bool>>(())
/// ```
///
/// # When it is full
///
/// As a [`RateLimiter`](crate::rate_limiter::RateLimiter); an entry with an attempt in flight is in use. Keys that find no
/// entry are limited by one shared quota and make their attempts one at a time, all of them together. Their values are not
/// kept.
///
/// # Cost
///
/// Every call is O(1) expected, plus what the quota states.
#[doc(alias("get_with", "request coalescing", "try_get_with"))]
pub type CachedRateLimiter<K, V, A, const N: usize, H = HashSeed> = CachedRateLimiterIn<K, V, A, Inline<N>, H>;

/// A [`CachedRateLimiter`] in any [`Storage`].
pub struct CachedRateLimiterIn<K, V, A: Quota, S: Storage, H = HashSeed> {
    limiter: RateLimiterIn<K, Keeping<A, V>, S, H>,
    next_number: u32,
    /// The hash of the key that made the last attempt without an entry.
    last_shared: u64,
    stats: CachedRateLimiterStats,
}

impl<K, V, A: Quota, const N: usize> CachedRateLimiter<K, V, A, N> {
    /// A limiter without keys whose attempts take at most `lease`, hashing with [`HashSeed::FIXED`]:
    /// [`reseed`](CachedRateLimiterIn::reseed) it before peers that choose their own keys can reach it.
    #[must_use]
    pub const fn new(quota: A, lease: Duration) -> Self {
        Self::with_hasher(quota, lease, HashSeed::FIXED)
    }
}

impl<K, V, A: Quota, H, const N: usize> CachedRateLimiter<K, V, A, N, H> {
    /// A limiter without keys, with a hasher of the caller's choice.
    #[must_use]
    pub const fn with_hasher(quota: A, lease: Duration, hasher: H) -> Self {
        Self::on(RateLimiter::with_hasher(Keeping::new(quota, Span::new(lease)), hasher))
    }
}

impl<K, V, A: Quota, S: Allocate, H> CachedRateLimiterIn<K, V, A, S, H> {
    /// A limiter for `capacity` keys, at least one, in storage of run-time size.
    pub fn allocate(quota: A, lease: Duration, capacity: usize, hasher: H) -> Self {
        Self::on(RateLimiterIn::allocate(Keeping::new(quota, Span::new(lease)), capacity, hasher))
    }
}

impl<K, V, A: Quota, S: Storage, H> CachedRateLimiterIn<K, V, A, S, H> {
    const fn on(limiter: RateLimiterIn<K, Keeping<A, V>, S, H>) -> Self {
        Self { limiter, next_number: 0, last_shared: 0, stats: CachedRateLimiterStats::NONE }
    }

    /// The same limiter with another policy for a full table.
    #[must_use]
    pub const fn with_on_full(mut self, on_full: OnFull) -> Self {
        self.limiter.on_full = on_full;
        self
    }

    /// Gives every key another quota, and attempts another lease, from now on. O(capacity).
    ///
    /// Values stay, and what was counted stays counted, as [`RateLimiterIn::set_quota`] says. An attempt in flight ends when
    /// it would have, or after the new lease from now, whichever is sooner.
    pub fn set_settings(&mut self, quota: A, lease: Duration, now: Instant) {
        self.limiter.set_quota(Keeping::new(quota, Span::new(lease)), now);
    }

    /// Another policy for new keys while the table is full, from now on.
    pub const fn set_on_full(&mut self, on_full: OnFull) {
        self.limiter.on_full = on_full;
    }

    /// How many keys have an entry.
    pub const fn len(&self) -> usize {
        self.limiter.len()
    }

    /// True if no key has an entry.
    pub const fn is_empty(&self) -> bool {
        self.limiter.is_empty()
    }

    /// The most keys that can have an entry.
    pub fn capacity(&self) -> usize {
        self.limiter.capacity()
    }

    /// What was answered so far.
    pub const fn stats(&self) -> CachedRateLimiterStats {
        self.stats
    }

    /// Ends an attempt with its value, which is the answer for this key from now on.
    ///
    /// Good even after the lease, as long as no other attempt has begun. The value that it replaces is dropped, or its
    /// own if the key has no entry.
    ///
    /// # Errors
    ///
    /// [`FlightLost`] with the value if it came too late; nothing is changed.
    #[doc(alias = "SetCachedResult")]
    pub fn complete(&mut self, permit: FlightPermit, value: V, now: Instant) -> Result<(), FlightLost<V>> {
        self.end(permit, FlightEnd::Complete(value), now).map(drop)
    }

    /// Ends an attempt that brought no value; it stays counted, and the last value stays.
    ///
    /// Nothing is changed if another attempt has begun.
    pub fn release(&mut self, permit: FlightPermit, now: Instant) {
        let _ = self.end(permit, FlightEnd::Release, now);
    }

    /// Ends an attempt that was not made after all: it is no longer counted.
    ///
    /// Nothing is changed if another attempt has begun. A key without an entry gives nothing back to the shared quota once
    /// another such key was let through: what it counted then may be over, and the other's is not.
    pub fn refund(&mut self, permit: FlightPermit, now: Instant) {
        let _ = self.end(permit, FlightEnd::Refund, now);
    }

    /// [`complete`](Self::complete), [`refund`](Self::refund) or [`release`](Self::release); what would be dropped is
    /// returned, so that it can be dropped outside a lock.
    ///
    /// # Errors
    ///
    /// [`FlightLost`] with the value if it came too late; nothing is changed.
    #[expect(clippy::needless_pass_by_value, reason = "a permit is good for one end")]
    pub fn end(&mut self, permit: FlightPermit, end: FlightEnd<V>, now: Instant) -> Result<Option<V>, FlightLost<V>> {
        let Self { limiter, stats, .. } = self;
        let is_shared = permit.slot == NO_SLOT;
        let kept = match limiter.table.get_mut(permit.slot as usize) {
            Some(kept) if kept.is_last(permit.number) => kept,
            None if is_shared => &mut limiter.overflow,
            _ => return if let FlightEnd::Complete(value) = end { Err(FlightLost(value)) } else { Ok(None) },
        };
        let is_last = kept.is_last(permit.number);
        if is_last {
            kept.attempt = None;
        }
        match end {
            FlightEnd::Complete(value) => {
                count(&mut stats.completed);
                // Keys without an entry have no value in common.
                let gone =
                    if is_shared { Some(value) } else { kept.value.replace((value, now)).map(|(value, _)| value) };
                return Ok(gone);
            }
            FlightEnd::Refund => {
                if is_last {
                    limiter.quota.refund(kept, ONE, now);
                }
                count(&mut stats.refunded);
            }
            FlightEnd::Release => count(&mut stats.released),
        }
        Ok(None)
    }
}

impl<K: Eq + Hash, V, A: Quota, S: Storage, H: BuildHasher> CachedRateLimiterIn<K, V, A, S, H> {
    /// Allows an attempt for `key`, or tells what there is instead.
    ///
    /// While an attempt is in flight no other is allowed, whatever the quota has left.
    #[doc(alias = "AllowOrCached")]
    pub fn allow_or_cached(&mut self, key: &K, now: Instant) -> AllowOrCached<FlightPermit, &V>
    where
        K: Clone,
    {
        self.allow_or_cached_with(self.hash(key), key, K::clone, now, |_, _| {})
    }

    /// [`allow_or_cached`](Self::allow_or_cached) for a borrowed form of the key, for adapters that have hashed it
    /// already.
    ///
    /// `hash` is what this limiter's [`hash`](Self::hash) returns; `own` makes the key of a new entry, and `gone` takes an
    /// idle entry that had to go for it, out of a lock perhaps.
    pub fn allow_or_cached_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        now: Instant,
        mut gone: impl FnMut(K, Option<V>),
    ) -> AllowOrCached<FlightPermit, &V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.limiter.observe(now);
        let lease = self.limiter.quota.lease;
        let slot = self.limiter.table.find(hash, key);
        let kept = match slot {
            Some(slot) => self.limiter.table.get_mut(slot),
            None => Some(&mut self.limiter.overflow),
        };
        let is_busy = kept.is_some_and(|kept| {
            kept.clamp(lease, now);
            kept.is_in_flight(now)
        });
        // Without an entry it is known of the last key only whether the attempt is its own.
        let in_flight = is_busy && (slot.is_some() || self.last_shared == hash);
        let decision = if in_flight {
            None
        } else {
            let request = Request { hash, key, cost: ONE, since: None };
            let take = |key, kept: Kept<A::State, V>| gone(key, kept.value.map(|(value, _)| value));
            let decision = self.limiter.decide(request, |key| Some(own(key)), take, || now, plain);
            Some(decision.and_then(Result::ok).unwrap_or(Decision::Deny { retry_at: Instant::MAX }))
        };
        if decision == Some(Decision::Allow) {
            let slot = slot.or_else(|| self.limiter.table.find(hash, key));
            if slot.is_some() || !is_busy {
                count(&mut self.stats.allowed);
                return AllowOrCached::Allowed(self.begin(hash, slot, now));
            }
            // Another key without an entry makes an attempt, and this one may be making one too, from before that.
            self.limiter.quota.refund(&mut self.limiter.overflow, ONE, now);
            count(&mut self.stats.in_flight);
            return AllowOrCached::InFlight;
        }
        let kept = slot.and_then(|slot| self.limiter.table.get(slot));
        match (kept.and_then(|(_, kept)| kept.value.as_ref()), decision) {
            (Some((value, completed_at)), _) => {
                count(&mut self.stats.cached);
                AllowOrCached::Cached { value, age: now.saturating_duration_since(*completed_at) }
            }
            (None, Some(Decision::Deny { retry_at })) => {
                count(&mut self.stats.denied);
                AllowOrCached::Denied { retry_at }
            }
            (None, _) => {
                count(&mut self.stats.in_flight);
                AllowOrCached::InFlight
            }
        }
    }

    /// Forgets every idle entry and its value, and tells how many; never needed, since a full table does it by itself.
    /// O(capacity).
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_with(now, |_, _| {})
    }

    /// [`cleanup`](Self::cleanup) with what takes each entry, out of a lock perhaps.
    pub fn cleanup_with(&mut self, now: Instant, mut gone: impl FnMut(K, Option<V>)) -> usize {
        self.limiter.cleanup_with(now, |key, kept| gone(key, kept.value.map(|(value, _)| value)))
    }

    /// True if the key has an entry; for adapters that make the key of a new one outside their lock.
    pub fn knows<Q>(&self, hash: u64, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.limiter.table.find(hash, key).is_some()
    }

    /// The hash of a key, as [`allow_or_cached_with`](Self::allow_or_cached_with) wants it.
    pub fn hash<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.limiter.hash(key)
    }

    /// Replaces the hash's secret and keeps every entry. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.limiter.reseed(hasher);
    }

    /// Puts down that an attempt was allowed.
    fn begin(&mut self, hash: u64, slot: Option<usize>, now: Instant) -> FlightPermit {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let attempt = Attempt { number, ends_at: now.after(self.limiter.quota.lease) };
        match slot.and_then(|slot| self.limiter.table.get_mut(slot)) {
            Some(kept) => kept.attempt = Some(attempt),
            None => {
                self.limiter.overflow.attempt = Some(attempt);
                self.last_shared = hash;
            }
        }
        FlightPermit { slot: slot.map_or(NO_SLOT, |slot| slot as u32), number }
    }
}

/// Shows counts only: keys and values may be secrets.
impl<K, V, A: Quota, S: Storage, H> fmt::Debug for CachedRateLimiterIn<K, V, A, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRateLimiter")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

/// The slot of a key without an entry; no table is that large.
const NO_SLOT: u32 = u32::MAX;

const fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests;
