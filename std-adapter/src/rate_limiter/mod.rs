//! Rate limiting (throttling, load shedding) for each key, in fixed memory.
//!
//! - [`RateLimiter`] allows or denies, or waits for its turn: by [`Gcra`], a token bucket, or by [`SlidingLog`], a sliding
//!   window log.
//! - [`CachedRateLimiter`] also keeps the last value of each key and has it fetched by one caller at a time (single
//!   flight).
//!
//! **Outcomes**: [`Decision`], or [`Verdict`] with all that a `RateLimit` header tells; [`AllowOrCached`] of the
//! caching one. **Errors**: [`CostExceedsBurst`] for a request that can never be allowed; [`WaitError`] of a wait;
//! [`FlightLost`] for a value that came too late. **Counts**: [`RateLimiterStats`], [`CachedRateLimiterStats`].
//!
//! Next: [`circuit_breaker`](crate::circuit_breaker) for what fails, and the [guide](crate::guide#several-together) for the
//! order of both.

mod cached;
mod line;
mod waiting;

pub use cached::{CachedGuard, CachedRateLimiter, CachedRateLimiterBuilder, FlightReporter};
use core::{borrow::Borrow, fmt, hash::Hash, marker::PhantomData, num::NonZeroU32};
use std::sync::Arc;
pub use waiting::{UntilAllowed, UntilAllowedOwned};

use steadfast_core::{Clock, Instant, Shared, rate_limiter::RateLimiterIn};

use self::line::{Line, Waiting};
use crate::{
    runtime::{Mutex, SystemTimer},
    storage::{Heap, KeyHasher, Shards, SparseHeap, Spread, spread},
};

#[doc(inline)]
pub use steadfast_core::rate_limiter::{
    AllowOrCached, CachedRateLimiterStats, CostExceedsBurst, Decision, EndFlight, FlightEnd, FlightGuard, FlightLost,
    Gcra, OnFull, Quota, RateLimiterStats, SlidingLog, Verdict, WaitError, WaitOutput,
};

/// A [`SlidingLog`] whose size is known at run time only: what the module `settings` reads from a file.
pub type AnySlidingLog = steadfast_core::rate_limiter::SlidingLogIn<Heap>;

/// A keyed rate limiter (throttling, load shedding) with room for a fixed number of keys.
///
/// `A` is the algorithm: [`Gcra`] (a rate and a burst; behaves as a token bucket; the smallest and fastest) or
/// [`SlidingLog`] (an exact sliding window). Clones share one limit. No background task is needed. Each process has its own
/// limits.
///
/// ```
/// use steadfast::{Gcra, RateLimiter, rate_limiter::Decision};
///
/// let limiter = RateLimiter::builder(Gcra::per_second(100).burst(20)).capacity(1_000_000).build();
///
/// match limiter.allow("10.0.0.7") {
///     Decision::Allow => { /* serve */ }
///     Decision::Deny { .. } => { /* 429, with `retry_after(limiter.now())` as its header */ }
/// }
/// ```
///
/// # Requests of different cost
///
/// ```
/// use std::num::NonZeroU32;
/// use steadfast::{Gcra, RateLimiter, rate_limiter::CostExceedsBurst};
///
/// let bytes = RateLimiter::builder(Gcra::per_second(1_000)).build();
/// let cost = |bytes| NonZeroU32::new(bytes).unwrap();
/// if bytes.allow_n("10.0.0.7", cost(800))?.is_allowed() {
///     // ... only 500 were sent:
///     bytes.refund("10.0.0.7", cost(300));
/// }
/// assert!(bytes.remaining("10.0.0.7") >= 500);
/// assert_eq!(bytes.allow_n("10.0.0.7", cost(1_001)), Err(CostExceedsBurst { limit: 1_000 }));
/// # Ok::<(), CostExceedsBurst>(())
/// ```
///
/// # Keys
///
/// Keys are hashed with a random seed. A `&str` looks up a `String` without allocating. `Eq` and `Hash` of a key run
/// inside a lock, and must not use the limiter; `Clone` and `Drop` run outside. One limit for everything is a limiter
/// with the key `()`.
///
/// # When it is full
///
/// An entry is in use until its quota is whole again. Make room for as many keys as come in that time: for
/// `Gcra::per_second(100).burst(20)` those of 200 ms, for 100 a day those of a whole day. Beyond that a new key is denied
/// (fail closed), or shares one quota with all other new keys of its shard; [`OnFull`] says which. Known keys keep their
/// entry and their quota, and nobody gets a fresh one.
///
/// A flood of made-up keys cannot grow the limiter, and cannot reset or take the quota of a known key. But it can fill the
/// table: a client who sends `capacity` made-up keys within the time that one quota takes to be whole again locks new keys
/// out. At 65,536 keys and 10 a second that takes 655,360 keys a second, at 100 a day it takes 76 a second. If the quota is
/// slow, limit strangers by a coarser key first (a network, an account).
///
/// # Clock
///
/// If the clock steps back, a key can get one extra burst at most, and is denied for no longer than its quota takes to be
/// whole, whoever asks. What was told as `retry_at` comes true.
///
/// # Cost
///
/// A call is O(1) expected and takes the lock of one shard. Memory is allocated when the limiter is built; later only keys
/// are.
#[doc(alias(
    "DefaultDirectRateLimiter",
    "DefaultKeyedRateLimiter",
    "KeyExtractor",
    "PartitionedRateLimiter",
    "PeerIpKeyExtractor",
    "RateLimitLayer",
    "throttle"
))]
pub struct RateLimiter<K, A: Quota, T = SystemTimer>(Arc<Inner<K, A, T>>);

type Machine<K, A> = RateLimiterIn<K, A, SparseHeap, KeyHasher>;
type Shard<K, A, T> = Shared<Machine<K, A>, Mutex<Machine<K, A>>, T>;

struct Inner<K, A: Quota, T> {
    shards: Shards<Shard<K, A, T>>,
    /// A power of two of them, fewer than shards: those who wait are few, and a line takes 4 KiB.
    lines: Box<[Line]>,
}

/// How many keys are worth a line.
const WORTH_A_LINE: usize = 1_024;

/// Builds a [`RateLimiter`]: its capacity, what happens when it is full, its timer.
///
/// ```
/// use steadfast::{Gcra, RateLimiter, rate_limiter::OnFull};
///
/// let logins = RateLimiter::<String, _>::builder(Gcra::per_minute(5)).capacity(10_000).on_full(OnFull::Deny).build();
/// assert!(logins.capacity() >= 10_000);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimiterBuilder<K, A, T = SystemTimer> {
    quota: A,
    capacity: usize,
    on_full: OnFull,
    timer: T,
    key: PhantomData<fn() -> K>,
}

impl<K: Eq + Hash, A: Quota + Clone> RateLimiter<K, A> {
    /// The settings of a limiter with this quota: 65,536 keys, [`OnFull::Share`].
    #[doc(alias = "GovernorConfigBuilder")]
    #[doc(alias = "NewRateLimiter")]
    pub const fn builder(quota: A) -> RateLimiterBuilder<K, A> {
        RateLimiterBuilder { quota, capacity: 65_536, on_full: OnFull::Share, timer: SystemTimer, key: PhantomData }
    }
}

impl<K: Eq + Hash, A: Quota + Clone, T: Clock + Clone> RateLimiterBuilder<K, A, T> {
    /// The capacity: for how many keys there is room, at least one and at most 4,294,967,294.
    ///
    /// As many as come in the time that one quota takes to be whole again; see [When it is
    /// full](RateLimiter#when-it-is-full).
    ///
    /// Up to 255 the limiter holds exactly so many. A larger one consists of shards that share the keys by their hash,
    /// up to 256 of them. Each has a margin of six standard deviations and six keys, so that any `capacity` keys find
    /// room: 122 percent more at 256, 28 at 65,536, 7 at a million, if there are two processors. Keys beyond that may
    /// find some.
    ///
    /// Each shard has its own quota for the keys that it has no room for; see [`OnFull::Share`].
    #[must_use]
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// What to do with a new key when there is no room.
    #[must_use]
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Another clock or timer than the system's.
    #[must_use]
    pub fn timer<U: Clock + Clone>(self, timer: U) -> RateLimiterBuilder<K, A, U> {
        let Self { quota, capacity, on_full, key, .. } = self;
        RateLimiterBuilder { quota, capacity, on_full, timer, key }
    }

    /// The limiter. Allocates all its memory; nothing else does later, but the keys themselves.
    pub fn build(self) -> RateLimiter<K, A, T> {
        let shards = Shards::new(self.capacity, Spread::Fine, |room, hasher| {
            let machine = RateLimiterIn::allocate(self.quota.clone(), room, hasher).with_on_full(self.on_full);
            Shared::new(Mutex::new(machine), self.timer.clone())
        });
        let lines = (self.capacity / WORTH_A_LINE).next_power_of_two().min(64);
        RateLimiter(Arc::new(Inner { shards, lines: (0..lines).map(|_| Line::new()).collect() }))
    }
}

impl<K: Eq + Hash, A: Quota, T: Clock> RateLimiter<K, A, T> {
    /// Decides a request of `key`, and counts it if it is allowed. O(1) expected.
    #[doc(alias = "check_key")]
    pub fn allow<Q>(&self, key: &Q) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_with(hash, key, Q::to_owned)
    }

    /// [`allow`](Self::allow) at a time that the caller has read from this limiter's clock.
    ///
    /// For many requests that came together: a reading of the clock is a third of a check, and keeps the processor from
    /// beginning with the next one.
    ///
    /// A reading that is older than the latest one that this key's shard has seen is late, however old it is: the clock is
    /// read anew, so no quota is given back, and nobody else's is touched. Only if the clock itself shows an older time has
    /// it stepped back; by up to a second that, too, counts as late, and the latest reading is the time.
    pub fn allow_at<Q>(&self, key: &Q, now: Instant) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_at_with(hash, key, Q::to_owned, now)
    }

    /// Decides a request that counts `cost` times, all or nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota; no quota changed.
    #[doc(alias = "check_key_n")]
    pub fn allow_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Decision, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_n_with(hash, key, Q::to_owned, cost)
    }

    /// [`allow_n`](Self::allow_n) with all that a client is told, decided in one step: the limit, what remains, and when it
    /// is whole again. For the headers of an HTTP answer.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use steadfast::{Gcra, RateLimiter, rate_limiter::CostExceedsBurst};
    ///
    /// let limiter = RateLimiter::builder(Gcra::per_minute(60)).build();
    /// let verdict = limiter.allow_verdict("10.0.0.7", NonZeroU32::MIN)?;
    /// assert!(verdict.is_allowed());
    /// assert_eq!((verdict.limit, verdict.remaining), (60, 59)); // RateLimit-Limit, RateLimit-Remaining
    /// let reset = verdict.reset_at.saturating_duration_since(limiter.now()); // RateLimit-Reset
    /// assert!(reset.as_secs() <= 1);
    /// # Ok::<(), CostExceedsBurst>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota; no quota changed.
    pub fn allow_verdict<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_verdict_with(hash, key, Q::to_owned, cost)
    }

    /// Decides a request of `key` as [`allow`](Self::allow) would, and counts nothing.
    pub fn check<Q>(&self, key: &Q) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.check(key, now))
    }

    /// Decides a request as [`allow_n`](Self::allow_n) would, and counts nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn check_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Decision, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).check_n(key, cost)
    }

    /// [`check_n`](Self::check_n) with all that a client is told.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn check_verdict<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).check_verdict(key, cost)
    }

    /// How much `key` could do at once.
    pub fn remaining<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.remaining(key, now))
    }

    /// When `key` has its whole quota again if it does nothing until then.
    pub fn reset_at<Q>(&self, key: &Q) -> Instant
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.reset_at(key, now))
    }

    /// Gives back `cost` that was allowed and not used, and wakes who waits for it; false, and nothing given, if `key`
    /// has no entry of its own.
    pub fn refund<Q>(&self, key: &Q, cost: NonZeroU32) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).refund_and_wake(key, cost, spread(&self.0.lines, hash))
    }

    /// Forgets what `key` has used, so that it has its whole quota again, and wakes who waits for it; false if it has
    /// no entry of its own.
    pub fn reset<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).reset_and_wake(key, spread(&self.0.lines, hash))
    }

    /// Gives every key another quota from now on; what was counted stays counted, in requests, and those who wait do so by
    /// the new one.
    ///
    /// Who has used 7 of 10 has used 7 of what there is now, and all of it if that is less. Each shard is locked for O(its
    /// capacity), one after the other: a decision is made by the former quota or by this one, never by a mixture.
    #[doc(alias = "changeLimitForPeriod")]
    pub fn set_quota(&self, quota: A)
    where
        A: Clone,
    {
        for shard in self.0.shards.iter() {
            let quota = quota.clone(); // outside the lock
            shard.set_quota(quota);
        }
        self.wake_all();
    }

    /// What to do with a new key while there is no room, from now on. Those who wait ask anew.
    pub fn set_on_full(&self, on_full: OnFull) {
        self.0.shards.iter().for_each(|shard| shard.set_on_full(on_full));
        self.wake_all();
    }

    fn wake_all(&self) {
        self.0.lines.iter().for_each(Waiting::wake_all);
    }

    /// Each key that has an entry, with how much of its quota is left. Each shard is locked for O(its capacity), and keys
    /// are cloned inside: a key whose `Clone` uses this limiter would wait for itself.
    #[must_use]
    pub fn usage(&self) -> Vec<(K, u32)>
    where
        K: Clone,
    {
        let mut usage = Vec::new();
        for shard in self.0.shards.iter() {
            let add = |limiter: &mut Machine<K, A>, now| {
                usage.extend(limiter.usage(now).map(|(key, left)| (key.clone(), left)));
            };
            shard.with(add);
        }
        usage
    }

    /// Forgets every idle key, and tells how many; never needed, but it frees the memory of the keys themselves.
    ///
    /// Each shard is locked for O(its capacity); the keys are dropped outside.
    #[doc(alias = "retain_recent")]
    pub fn cleanup(&self) -> usize {
        let clean = |shard: &Shard<K, A, T>| {
            let mut keys = Vec::new();
            shard.with(|limiter, now| limiter.cleanup_with(now, |key, _| keys.push(key)))
        };
        let freed = self.0.shards.iter().map(clean).sum();
        // Those who found the table full may find an entry now.
        self.wake_all();
        freed
    }

    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|limiter| limiter.len())).sum()
    }

    /// True if no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys that can have an entry, over all shards.
    pub fn capacity(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|limiter| limiter.capacity())).sum()
    }

    /// What was decided so far, over all shards.
    pub fn stats(&self) -> RateLimiterStats {
        let each = self.0.shards.iter().map(|shard| shard.with_lock(|limiter| limiter.stats()));
        each.fold(RateLimiterStats::default(), RateLimiterStats::plus)
    }

    /// The time by this limiter's clock, for [`Decision::retry_after`].
    pub fn now(&self) -> Instant {
        self.0.shards.of(0).timer().now()
    }

    fn shard_of<Q: Hash + ?Sized>(&self, key: &Q) -> &Shard<K, A, T> {
        self.0.shards.of(self.0.shards.hasher.hash_one(key))
    }
}

impl<K, A: Quota, T> Clone for RateLimiter<K, A, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, A: Quota, T> fmt::Debug for RateLimiter<K, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
