//! Rate limiting (throttling, load shedding) for each key, in fixed memory.
//!
//! - [`RateLimiter`] allows or denies, or waits for its turn: by [`Gcra`], a token bucket, or by [`SlidingLog`], a sliding
//!   window log.
//! - [`allow_all`] asks several limiters as one.
//! - [`RateLimiter::allow_with_quota`] is asked by a quota of the key's own, as customers with plans have it.
//! - [`CachedRateLimiter`] also keeps the last value of each key and has it fetched by one caller at a time (single
//!   flight).
//!
//! **Outcomes**: [`Decision`], or [`Verdict`] with all that a `RateLimit` header tells; [`AllowOrCached`] of the
//! caching one. **Errors**: [`CostExceedsBurst`] for a request that can never be allowed; [`WaitError`] of a wait;
//! [`FlightLost`] for a value that came too late. **Counts**: [`RateLimiterStats`], [`CachedRateLimiterStats`].
//!
//! Next: [`circuit_breaker`](crate::circuit_breaker) for what fails, and the [guide](crate::guide#several-together) for the
//! order of both.

mod all;
mod cached;
mod each;
mod keys;
mod line;
mod waiting;
mod with_quota;

pub use all::{AllOf, Charge, allow_all};
pub use cached::{CachedGuard, CachedRateLimiter, CachedRateLimiterBuilder, FlightReporter};
use core::{fmt, hash::Hash, marker::PhantomData, num::NonZeroU32};
pub use keys::Keys;
use std::sync::Arc;
pub use waiting::{UntilAllowed, UntilAllowedOwned};

use steadfast_core::{Clock, Instant, Shared, rate_limiter::RateLimiterIn};

use self::line::{Line, Waiting};
use crate::{
    runtime::{Mutex, SystemTimer},
    storage::{Heap, KeyHasher, Shards, Spread, count, spread},
};

#[doc(inline)]
pub use steadfast_core::rate_limiter::{
    AllowOrCached, CachedRateLimiterStats, CostExceedsBurst, Counted, Decision, EndFlight, Enforce, FlightEnd,
    FlightGuard, FlightLost, Gcra, GcraPerKey, Names, Naming, OnFull, PerKey, Percent, Prints, Quota, RateLimiterStats,
    SlidingLog, Top, Verdict, WaitError, WaitOutput,
};

/// A [`SlidingLog`] whose size is known at run time only: what the module `settings` reads from a file.
pub type AnySlidingLog = steadfast_core::rate_limiter::SlidingLogIn<Heap>;

/// A keyed rate limiter (throttling, load shedding) with room for a fixed number of keys.
///
/// `A` is the algorithm: [`Gcra`] (a rate and a burst; behaves as a token bucket; the smallest and fastest) or
/// [`SlidingLog`] (an exact sliding window). `K` says what keys are meant. Clones share one limit. No background task is
/// needed. Each process has its own limits.
///
/// ```
/// use steadfast::{Gcra, RateLimiter, rate_limiter::Decision};
///
/// let limiter = RateLimiter::<String, _>::builder(Gcra::per_second(100).burst(20)).capacity(1_000_000).build();
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
/// let bytes = RateLimiter::<String, _>::builder(Gcra::per_second(1_000)).build();
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
/// Of a key its fingerprint is kept, 63 bits of its hash under a random secret, and not the key: nothing is allocated,
/// cloned or dropped for it, and a key of any size takes the same memory. Two keys with the same fingerprint share one
/// quota until it is whole: never more than the rate, at worst one is denied for the other. A million live keys hold such a
/// pair once in 18 million times, and a newcomer meets its like among them once in 9 trillion. (On 32-bit targets it is
/// 31 bits: a newcomer meets its like among 1,000 live keys once in two million times.) Who cannot bear it, or wants to
/// [list](Self::usage) the keys, has them kept: [`keep_keys`](RateLimiterBuilder::keep_keys).
///
/// A `&str` looks up a `String`. `Hash` of a key runs outside every lock where a request is decided; where one only looks,
/// gives back or resets, also in that of a shard, where it must not use the limiter. One limit for everything is a limiter
/// with the key `()`.
///
/// # When it is full
///
/// An entry is in use until its quota is whole again. Then it is idle, and the next new key takes it over. If none is idle,
/// the one that was used least of 8 looked at goes, unless it is used up, and what it owes is written into a ledger, four
/// cells of 8 bytes for each key of the capacity. A key without an entry starts with what its cell says it owes: the
/// largest debt of those that share it.
///
/// - No key ever gets more than its quota, and none gets a fresh one because of another. (What a key may have used, its
///   entry knows, and else its cell does: an entry begins with the cell, an eviction raises it, and others only raise it
///   further.)
/// - Until the first eviction, and whenever all that was evicted has paid back, decisions are exact.
/// - A flood of made-up keys takes no entry that is used up, and none that owes more than a request as long as one of its
///   own is among the 8.
/// - A newcomer is refused only if its cell owes more than `burst - 1`. To refuse a share s of them takes
///   `s * cells * (burst - 1)` requests that were allowed, and `s * cells / interval` a second on end. Nobody can aim at
///   the cell of another, since the hash is secret.
///
/// What happens to those whom the ledger refuses, [`OnFull`] decides. [`RateLimiterStats::refused`] counts them: it is the
/// number to alert on. For how large to make it, see [`capacity`](RateLimiterBuilder::capacity).
///
/// To try a limit out before anybody is denied (shadow mode), see [`Enforce`].
///
/// # Clock
///
/// If the clock steps back, a key can get one extra burst at most, and is denied for no longer than its quota takes to be
/// whole, whoever asks. What was told as `retry_at` comes true.
///
/// # Cost
///
/// A call is O(1) and takes the lock of one shard. All memory is allocated when the limiter is built: 72 bytes for each key
/// of the capacity, ledger included. Keys that are kept take theirs.
#[doc(alias(
    "DefaultDirectRateLimiter",
    "DefaultKeyedRateLimiter",
    "KeyExtractor",
    "PartitionedRateLimiter",
    "PeerIpKeyExtractor",
    "RateLimitLayer",
    "throttle"
))]
pub struct RateLimiter<K, A: Quota, T = SystemTimer, P: Naming<K> = Prints>(Arc<Inner<K, A, T, P>>);

type Machine<K, A, P> = RateLimiterIn<K, A, Heap, KeyHasher, P>;
type Shard<K, A, T, P> = Shared<Machine<K, A, P>, Mutex<Machine<K, A, P>>, T>;

struct Inner<K, A: Quota, T, P: Naming<K>> {
    shards: Shards<Shard<K, A, T, P>>,
    /// Whether they are more than the caches of a core hold.
    is_large: bool,
    /// A power of two of them, fewer than shards: those who wait are few, and a line takes 4 KiB.
    lines: Box<[Line]>,
}

/// How many keys are worth a line.
const WORTH_A_LINE: usize = 1_024;

/// Of so many slots each one is found by every key.
const ALL_FOUND: usize = 68;

/// How many slots there are for so many keys, so that each finds room.
const fn slots_for(keys: usize) -> usize {
    if keys <= ALL_FOUND { keys } else { keys.saturating_mul(2) }
}

/// Builds a [`RateLimiter`]: its capacity, what happens when it is full, whom it denies, its timer.
///
/// ```
/// use steadfast::{Gcra, RateLimiter, rate_limiter::OnFull};
///
/// let api = RateLimiter::<String, _>::builder(Gcra::per_minute(5)).capacity(10_000).on_full(OnFull::Serve).build();
/// assert!(api.capacity() >= 10_000);
/// ```
#[derive(Clone, Debug)]
pub struct RateLimiterBuilder<K, A, T = SystemTimer, P = Prints> {
    quota: A,
    capacity: usize,
    ledger: Option<usize>,
    on_full: OnFull,
    enforce: Enforce,
    timer: T,
    key: PhantomData<fn() -> (K, P)>,
}

impl<K, A: Quota + Clone> RateLimiter<K, A> {
    /// The settings of a limiter with this quota: 65,536 keys, [`OnFull::Deny`].
    #[doc(alias = "GovernorConfigBuilder")]
    #[doc(alias = "NewRateLimiter")]
    pub const fn builder(quota: A) -> RateLimiterBuilder<K, A> {
        RateLimiterBuilder {
            quota,
            capacity: 65_536,
            ledger: None,
            on_full: OnFull::Deny,
            enforce: Enforce::Yes,
            timer: SystemTimer,
            key: PhantomData,
        }
    }
}

impl<K, A: Quota + Clone, T: Clock + Clone, P: Naming<K>> RateLimiterBuilder<K, A, T, P> {
    /// The capacity: for how many keys there is room, at least one and at most 2,147,483,647.
    ///
    /// As many as come in the time that one quota takes to be whole again have an entry of their own. With a ledger of C
    /// cells there is room for ever if `capacity + C >= F * interval`, where F is how many requests a second come of keys
    /// that were not seen before, and `interval` the time that one request takes from the quota; and for a time T if
    /// `capacity + C * burst >= T * (F - (capacity + C) / interval)`. At 65,536 keys and 100 a day that is a flood of
    /// 379 made-up keys a second for ever, and one of 1,000 a second for 11 hours; beyond that they and new keys share what
    /// there is. At 100 a minute it is 545,000 a second. If the quota is slow, limit strangers by a coarser key first (a
    /// network, an account).
    ///
    /// Up to 68 the limiter holds exactly so many. A larger one has twice as many slots, and from 256 on it consists of
    /// shards that share the keys by their hash, up to 256 of them, so that any `capacity` keys find room. Keys beyond that
    /// may find some.
    #[must_use]
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// How many cells of 8 bytes the ledger has: four for each key of the capacity, unless it is said; see [When it is
    /// full](RateLimiter#when-it-is-full). With 0 there is none: no entry in use goes, and a new key is denied where none is
    /// idle.
    #[must_use]
    pub const fn ledger(mut self, cells: usize) -> Self {
        self.ledger = Some(cells);
        self
    }

    /// What to do with a new key that the ledger refuses.
    #[must_use]
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Whose denials are enforced: all unless it is said.
    ///
    /// ```
    /// use steadfast::{Gcra, RateLimiter, rate_limiter::{Enforce, Percent}};
    ///
    /// let limiter = RateLimiter::<u32, _>::builder(Gcra::per_hour(1)).enforce(Enforce::Observe).build();
    /// assert!((0..10).all(|_| limiter.allow(&7).is_allowed()));
    /// assert_eq!(limiter.stats().overridden, 9); // who would have been denied
    ///
    /// limiter.set_enforce(Enforce::Percent(Percent::new(20))); // then for some of the keys
    /// limiter.set_enforce(Enforce::Yes);
    /// assert!(!limiter.allow(&7).is_allowed());
    /// ```
    #[must_use]
    pub const fn enforce(mut self, enforce: Enforce) -> Self {
        self.enforce = enforce;
        self
    }

    /// Another clock or timer than the system's.
    #[must_use]
    pub fn timer<U: Clock + Clone>(self, timer: U) -> RateLimiterBuilder<K, A, U, P> {
        let Self { quota, capacity, ledger, on_full, enforce, key, .. } = self;
        RateLimiterBuilder { quota, capacity, ledger, on_full, enforce, timer, key }
    }

    /// Keeps the keys, so that none is taken for another and they can be [listed](RateLimiter::usage).
    #[must_use]
    pub fn keep_keys(self) -> RateLimiterBuilder<K, A, T, Keys> {
        let Self { quota, capacity, ledger, on_full, enforce, timer, .. } = self;
        RateLimiterBuilder { quota, capacity, ledger, on_full, enforce, timer, key: PhantomData }
    }

    /// The limiter. Allocates all its memory; nothing else does later, but keys that are kept.
    pub fn build(self) -> RateLimiter<K, A, T, P> {
        let cells = self.ledger.unwrap_or_else(|| self.capacity.saturating_mul(4));
        let count = count(self.capacity, Spread::Fine);
        let cells = cells.div_ceil(count);
        // Half full, or with a margin for the shards that more keys than others belong to.
        let half = slots_for(self.capacity.max(1).div_ceil(count));
        let shards = Shards::new(self.capacity, Spread::Fine, |room, hasher| {
            let slots = room.max(half);
            let machine = RateLimiterIn::allocate(self.quota.clone(), slots, cells, hasher);
            let machine = machine.with_on_full(self.on_full).with_enforce(self.enforce);
            Shared::new(Mutex::new(machine), self.timer.clone())
        });
        let lines = (self.capacity / WORTH_A_LINE).next_power_of_two().min(64);
        let lines = (0..lines).map(|_| Line::new()).collect();
        RateLimiter(Arc::new(Inner { shards, is_large: self.capacity > each::FIT_A_CACHE, lines }))
    }
}

impl<K, A: Quota, T: Clock, P: Naming<K>> RateLimiter<K, A, T, P> {
    /// Decides a request of `key`, and counts it if it is allowed. O(1) expected.
    #[doc(alias = "check_key")]
    pub fn allow<Q>(&self, key: &Q) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_with(hash, key)
    }

    /// [`allow`](Self::allow) at a time that the caller has read from this limiter's clock.
    ///
    /// A reading of the clock is a third of a check. For many requests that came together see
    /// [`allow_each`](Self::allow_each).
    ///
    /// A reading that is older than the latest one that this key's shard has seen is late, however old it is: the clock is
    /// read anew, so no quota is given back, and nobody else's is touched. Only if the clock itself shows an older time has
    /// it stepped back; by up to a second that, too, counts as late, and the latest reading is the time.
    pub fn allow_at<Q>(&self, key: &Q, now: Instant) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_at_with(hash, key, now)
    }

    /// Decides a request that counts `cost` times, all or nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota; no quota changed.
    #[doc(alias = "check_key_n")]
    pub fn allow_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_n_with(hash, key, cost)
    }

    /// [`allow_n`](Self::allow_n) with all that a client is told, decided in one step: the limit, what remains, and when it
    /// is whole again. For the headers of an HTTP answer.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use steadfast::{Gcra, RateLimiter, rate_limiter::CostExceedsBurst};
    ///
    /// let limiter = RateLimiter::<String, _>::builder(Gcra::per_minute(60)).build();
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
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_verdict_with(hash, key, cost)
    }

    /// Decides a request of `key` as [`allow`](Self::allow) would, and counts nothing.
    pub fn check<Q>(&self, key: &Q) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
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
        P: Names<K, Q>,
        Q: Hash + ?Sized,
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
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.shard_of(key).check_verdict(key, cost)
    }

    /// How much `key` could do at once.
    pub fn remaining<Q>(&self, key: &Q) -> u32
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.remaining(key, now))
    }

    /// When `key` has its whole quota again if it does nothing until then.
    pub fn reset_at<Q>(&self, key: &Q) -> Instant
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.reset_at(key, now))
    }

    /// Gives back `cost` that was allowed and not used, and wakes who waits for it; false, and nothing given, if `key`
    /// has no entry of its own.
    pub fn refund<Q>(&self, key: &Q, cost: NonZeroU32) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).refund_and_wake(key, cost, spread(&self.0.lines, hash))
    }

    /// Forgets what `key` has used, so that it has its whole quota again, and wakes who waits for it; false if it has
    /// no entry of its own.
    pub fn reset<Q>(&self, key: &Q) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).reset_and_wake(key, spread(&self.0.lines, hash))
    }

    /// The quota of each key.
    #[must_use]
    pub fn quota(&self) -> A
    where
        A: Copy, // `Clone` is the user's code, and a lock is held
    {
        self.0.shards.of(0).with_lock(|limiter| *limiter.quota())
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

    /// What to do with a new key that the ledger refuses, from now on. Those who wait ask anew.
    pub fn set_on_full(&self, on_full: OnFull) {
        self.0.shards.iter().for_each(|shard| shard.set_on_full(on_full));
        self.wake_all();
    }

    /// Whose denials are enforced.
    #[must_use]
    pub fn enforce(&self) -> Enforce {
        self.0.shards.of(0).enforce()
    }

    /// Enforces the denials of all keys, of none or of a share, from now on. Those who wait ask anew.
    pub fn set_enforce(&self, enforce: Enforce) {
        self.0.shards.iter().for_each(|shard| shard.set_enforce(enforce));
        self.wake_all();
    }

    fn wake_all(&self) {
        self.0.lines.iter().for_each(Waiting::wake_all);
    }

    /// How many keys have an entry, idle ones included.
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

    fn shard_of<Q: Hash + ?Sized>(&self, key: &Q) -> &Shard<K, A, T, P> {
        self.0.shards.of(self.0.shards.hasher.hash_one(key))
    }
}

impl<K, A: Quota, T: Clock> RateLimiter<K, A, T, Keys> {
    /// Each key that has an entry, with how much of its quota is left. Each shard is locked for O(its capacity), and keys
    /// are cloned inside: a key whose `Clone` uses this limiter would wait for itself.
    #[must_use]
    pub fn usage(&self) -> Vec<(K, u32)>
    where
        K: Clone,
    {
        let mut usage = Vec::new();
        for shard in self.0.shards.iter() {
            let add = |limiter: &mut Machine<K, A, Keys>, now| {
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
        let clean = |shard: &Shard<K, A, T, Keys>| {
            let mut keys = Vec::new();
            shard.with(|limiter, now| limiter.cleanup_with(now, |key| keys.push(key)))
        };
        let freed = self.0.shards.iter().map(clean).sum();
        // Those who found the table full may find an entry now.
        self.wake_all();
        freed
    }
}

impl<K, A: Quota, T, P: Naming<K>> Clone for RateLimiter<K, A, T, P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, A: Quota, T, P: Naming<K>> fmt::Debug for RateLimiter<K, A, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
