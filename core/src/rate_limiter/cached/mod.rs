//! A rate limiter with single flight that answers with the last value instead of "no".

mod guard;
mod kept;
mod observe;
mod outcome;
mod shared;

use core::{
    fmt,
    hash::{BuildHasher, Hash},
    time::Duration,
};

pub use guard::{EndFlight, FlightEnd, FlightGuard};
pub use outcome::{AllowOrCached, CachedRateLimiterStats, FlightLost, FlightPermit};

use super::{
    Decision, Keys, Names, Naming, ONE, Quota, RateLimiter, RateLimiterIn,
    decide::{Request, plain},
    lines::Slot,
};
use crate::foundation::{
    hash::HashSeed,
    storage::{Allocate, Inline, Storage},
    time::{Instant, Span},
};
use kept::{Attempt, Keeping, Kept, is_in_flight, is_last};

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
/// An entry is in use until its quota is whole again and its attempt is over; then the next new key takes it, and its value
/// is dropped. No entry in use goes for another key, since its value would be lost. Keys that find none are limited by the
/// ledger, as those of a [`RateLimiter`](crate::rate_limiter::RateLimiter), and make their attempts one at a time, all of
/// them together. Their values are not kept.
///
/// # Cost
///
/// Every call is O(1) expected, plus what the quota states.
#[doc(alias("get_with", "request coalescing", "try_get_with"))]
pub type CachedRateLimiter<K, V, A, const N: usize, H = HashSeed> = CachedRateLimiterIn<K, V, A, Inline<N>, H>;

/// A [`CachedRateLimiter`] in any [`Storage`].
pub struct CachedRateLimiterIn<K, V, A: Quota, S: Storage, H = HashSeed, P: Naming<K> = Keys> {
    limiter: RateLimiterIn<K, Keeping<A>, S, H, P>,
    /// By the number of the slot, the value of the last attempt that was completed, and when.
    values: S::Of<Option<(V, Instant)>>,
    next_number: u32,
    /// The last attempt of a key without an entry, if it was neither completed nor released, and the hash of its key.
    elsewhere: Option<Attempt>,
    elsewhere_hash: u64,
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
        let limiter = RateLimiter::with_hasher(Keeping { quota, lease: Span::new(lease) }, hasher);
        Self::on(limiter, [const { None }; N])
    }
}

impl<K, V, A: Quota, S: Allocate, H, P: Naming<K>> CachedRateLimiterIn<K, V, A, S, H, P> {
    /// A limiter with so many slots and cells of the ledger in storage of run-time size; see
    /// [`RateLimiterIn::allocate`].
    pub fn allocate(quota: A, lease: Duration, slots: usize, cells: usize, hasher: H) -> Self {
        let limiter = RateLimiterIn::allocate(Keeping { quota, lease: Span::new(lease) }, slots, cells, hasher);
        let values = S::allocate(limiter.capacity(), || None);
        Self::on(limiter, values)
    }
}

impl<K, V, A: Quota, S: Storage, H, P: Naming<K>> CachedRateLimiterIn<K, V, A, S, H, P> {
    const fn on(limiter: RateLimiterIn<K, Keeping<A>, S, H, P>, values: S::Of<Option<(V, Instant)>>) -> Self {
        let stats = CachedRateLimiterStats::NONE;
        Self { limiter, values, next_number: 0, elsewhere: None, elsewhere_hash: 0, stats }
    }

    /// Gives every key another quota, and attempts another lease, from now on. O(capacity).
    ///
    /// Values stay, and what was counted stays counted, as [`RateLimiterIn::set_quota`] says. An attempt in flight ends when
    /// it would have, or after the new lease from now, whichever is sooner.
    pub fn set_settings(&mut self, quota: A, lease: Duration, now: Instant) {
        self.observe(now);
        self.limiter.set_quota(Keeping { quota, lease: Span::new(lease) }, now);
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
    /// Nothing is changed if another attempt has begun. A key without an entry gets nothing back: others may owe what its
    /// cell of the ledger says.
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
        let Self { limiter, values, elsewhere, stats, .. } = self;
        if permit.slot == NO_SLOT {
            if is_last(*elsewhere, permit.number) {
                *elsewhere = None;
            }
            count_end(stats, &end);
            // Keys without an entry have no value.
            return Ok(if let FlightEnd::Complete(value) = end { Some(value) } else { None });
        }
        let slot = permit.slot as usize;
        let entry = limiter.lines.get_mut(slot).zip(limiter.beside.as_mut().get_mut(slot));
        let is_own = |(entry, kept): &(&mut Slot, &mut Kept<A::Beside>)| {
            entry.print().is_some() && is_last(kept.attempt, permit.number)
        };
        let Some((entry, kept)) = entry.filter(is_own) else {
            return if let FlightEnd::Complete(value) = end { Err(FlightLost(value)) } else { Ok(None) };
        };
        kept.attempt = None;
        count_end(stats, &end);
        if matches!(end, FlightEnd::Refund) {
            limiter.quota.refund_one(kept, now);
        }
        entry.set_idle_at(kept.idle_at());
        let FlightEnd::Complete(value) = end else { return Ok(None) };
        let replaced = values.as_mut().get_mut(slot).and_then(|kept| kept.replace((value, now)));
        Ok(replaced.map(|(value, _)| value))
    }

    /// Notes the time. When the clock has stepped back, what lies ahead of it is cut, whoever asks.
    fn observe(&mut self, now: Instant) {
        self.noting(|limiter| limiter.observe(now), now);
    }

    fn noting(&mut self, note: impl FnOnce(&mut RateLimiterIn<K, Keeping<A>, S, H, P>), now: Instant) {
        let before = self.limiter.latest;
        note(&mut self.limiter);
        if self.limiter.latest < before {
            for (_, completed_at) in self.values.as_mut().iter_mut().flatten() {
                *completed_at = completed_at.earlier(now);
            }
        }
    }

    /// Puts down that an attempt was allowed.
    fn begin(&mut self, hash: u64, slot: Option<usize>, now: Instant) -> FlightPermit {
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        let attempt = Some(Attempt { number, ends_at: now.after(self.limiter.quota.lease) });
        let limiter = &mut self.limiter;
        let entry = slot.and_then(|slot| limiter.lines.get_mut(slot).zip(limiter.beside.as_mut().get_mut(slot)));
        if let Some((entry, kept)) = entry {
            kept.attempt = attempt;
            entry.set_idle_at(kept.idle_at());
        } else {
            (self.elsewhere, self.elsewhere_hash) = (attempt, hash);
        }
        FlightPermit { slot: slot.map_or(NO_SLOT, |slot| slot as u32), number }
    }
}

impl<K, V, A: Quota, S: Storage, H: BuildHasher, P: Naming<K>> CachedRateLimiterIn<K, V, A, S, H, P> {
    /// Allows an attempt for `key`, or tells what there is instead.
    ///
    /// While an attempt is in flight no other is allowed, whatever the quota has left.
    #[doc(alias = "AllowOrCached")]
    pub fn allow_or_cached<Q>(&mut self, key: &Q, now: Instant) -> AllowOrCached<FlightPermit, &V>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.hash(key);
        let mut name = self.limiter.name(hash, key);
        let answer = self.allow_or_cached_with(hash, key, &mut name, now, drop);
        // It had a name, so there is an answer.
        answer.unwrap_or(AllowOrCached::Denied { retry_at: Instant::MAX })
    }

    /// [`allow_or_cached`](Self::allow_or_cached) for adapters that have hashed the key already.
    ///
    /// `hash` is what this limiter's [`hash`](Self::hash) returns; `name` is what to keep of the key if it gets an entry. If
    /// it does and there is none, there is no answer, and nothing has changed: make the name outside the lock, and ask
    /// again. If another key had to go, its name takes that place, and `gone` its value, to be dropped outside.
    pub fn allow_or_cached_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        name: &mut Option<P::Name>,
        now: Instant,
        gone: impl FnOnce(V),
    ) -> Option<AllowOrCached<FlightPermit, &V>>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.observe(now);
        let lease = self.limiter.quota.lease;
        let slot = self.limiter.find(hash, key);
        let attempt = match slot.and_then(|slot| self.limiter.beside.as_mut().get_mut(slot)) {
            Some(kept) => &mut kept.attempt,
            None => &mut self.elsewhere,
        };
        if let Some(attempt) = attempt {
            attempt.clamp(lease, now);
        }
        if let Some(Some((_, completed_at))) = slot.and_then(|slot| self.values.as_mut().get_mut(slot)) {
            *completed_at = completed_at.earlier(now);
        }
        let is_busy = is_in_flight(*attempt, now);
        // Without an entry one attempt is made at a time, whosever it is.
        let in_flight = is_busy && (slot.is_some() || self.is_waiting_elsewhere(hash, now));
        let decision = if in_flight {
            None
        } else {
            let request = Request { hash, key, cost: ONE, since: None };
            let decision = self.limiter.decide(request, name, || now, plain)?;
            Some(decision.unwrap_or(Decision::Deny { retry_at: Instant::MAX }))
        };
        if decision == Some(Decision::Allow) {
            let entered = slot.or_else(|| self.limiter.find(hash, key));
            let former = entered.filter(|_| slot.is_none());
            let former = former.and_then(|slot| self.values.as_mut().get_mut(slot)?.take());
            if let Some((value, _)) = former {
                gone(value);
            }
            count(&mut self.stats.allowed);
            return Some(AllowOrCached::Allowed(self.begin(hash, entered, now)));
        }
        let value = slot.and_then(|slot| self.values.as_ref().get(slot)?.as_ref());
        Some(match (value, decision) {
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
        })
    }

    /// True if this key, which has no entry, waits for the attempt that is being made without one: its own, or another's
    /// if there is no entry to be had.
    fn is_waiting_elsewhere(&self, hash: u64, now: Instant) -> bool {
        self.elsewhere_hash == hash || !self.limiter.has_room(hash, now)
    }

    /// The hash of a key, as [`allow_or_cached_with`](Self::allow_or_cached_with) wants it.
    pub fn hash<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.limiter.hash(key)
    }

    /// Replaces the hash's secret, and forgets every key, its value and all that was counted. For when it starts, before
    /// peers can reach it. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.limiter.reseed(hasher);
        self.values.as_mut().fill_with(|| None);
        self.elsewhere = None;
    }
}

impl<K, V, A: Quota, S: Storage, H, P: Naming<K, Name = Option<K>>> CachedRateLimiterIn<K, V, A, S, H, P> {
    /// Forgets every idle entry and its value, and tells how many; never needed, since a full table does it by itself.
    /// O(capacity).
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_with(now, |_, _| {})
    }

    /// [`cleanup`](Self::cleanup) with what takes each entry, out of a lock perhaps.
    pub fn cleanup_with(&mut self, now: Instant, mut gone: impl FnMut(K, Option<V>)) -> usize {
        self.noting(|limiter| limiter.observe_all(now), now);
        let values = self.values.as_mut();
        self.limiter.cleanup_slots(now, |key, slot| {
            let value = values.get_mut(slot).and_then(Option::take);
            gone(key, value.map(|(value, _)| value));
        })
    }
}

/// Shows counts only: keys and values may be secrets.
impl<K, V, A: Quota, S: Storage, H, P: Naming<K>> fmt::Debug for CachedRateLimiterIn<K, V, A, S, H, P> {
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

const fn count_end<V>(stats: &mut CachedRateLimiterStats, end: &FlightEnd<V>) {
    count(match end {
        FlightEnd::Complete(_) => &mut stats.completed,
        FlightEnd::Refund => &mut stats.refunded,
        FlightEnd::Release => &mut stats.released,
    });
}

const fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests;
