//! Rate limiting (throttling, load shedding) for each key, in fixed memory.
//!
//! - [`RateLimiter`] allows or denies: by [`Gcra`], a token bucket, or by [`SlidingLog`], a sliding window log.
//! - [`CachedRateLimiter`] also keeps the last value of each key and has it fetched by one caller at a time (single
//!   flight).
//!
//! **Outcomes**: [`Decision`], or [`Verdict`] with all that a `RateLimit` header tells; [`AllowOrCached`] of the
//! caching one. **Errors**: [`CostExceedsBurst`] for a request that can never be allowed; [`WaitError`] of a wait;
//! [`FlightLost`] for a value that came too late. **Counts**: [`RateLimiterStats`], [`CachedRateLimiterStats`].
//!
//! Waiting for a turn is [`Shared::until_allowed`](crate::foundation::shared::Shared::until_allowed). Where the limited
//! call fails and should not be made at all for a while, see [`circuit_breaker`](crate::circuit_breaker).

mod asking;
mod cached;
mod decide;
mod gcra;
mod quota;
mod room;
#[cfg(feature = "serde")]
mod settings;
mod shared;
mod sliding_log;
mod stats;
mod until_allowed;
mod verdict;
mod wait_state;
mod waiting;

use core::num::NonZeroU32;

pub use cached::{
    AllowOrCached, CachedRateLimiter, CachedRateLimiterIn, CachedRateLimiterStats, EndFlight, FlightEnd, FlightGuard,
    FlightLost, FlightPermit,
};
pub use gcra::{Gcra, GcraState};
pub use quota::{CostExceedsBurst, Decision, Quota};
pub use sliding_log::{SlidingLog, SlidingLogIn, SlidingLogState, SlidingLogStateIn};
pub use stats::RateLimiterStats;
pub use until_allowed::UntilAllowed;
pub use verdict::Verdict;
pub use wait_state::{WaitOutput, WaitRequest, WaitState};
pub use waiting::WaitError;

use crate::foundation::{
    hash::HashSeed,
    storage::{Allocate, Inline, Storage},
    table::Table,
    time::Instant,
};

/// A keyed rate limiter (throttling, load shedding) with room for `N` keys.
///
/// `A` is the algorithm: [`Gcra`] (a rate and a burst, 8 bytes a key; behaves as a token bucket) or [`SlidingLog`] (an
/// exact sliding window, 8 bytes a request).
///
/// ```
/// use steadfast_core::{Instant, RateLimiter, SlidingLog, rate_limiter::Decision};
///
/// let mut limiter: RateLimiter<&str, SlidingLog<2>, 32> = RateLimiter::new(SlidingLog::per_minute());
/// let now = Instant::from_secs(100);
/// assert_eq!(limiter.allow(&"bob", now), Decision::Allow);
/// assert_eq!(limiter.allow(&"bob", now), Decision::Allow);
/// assert_eq!(limiter.allow(&"bob", now), Decision::Deny { retry_at: Instant::from_secs(160) });
/// assert_eq!(limiter.allow(&"eve", now), Decision::Allow);
/// ```
///
/// # When it is full
///
/// An entry is in use until its quota is whole again. Then it is idle: it decides as no entry does, and a new key takes it
/// over. A new key looks at 32 entries, so an idle one is found as long as there are some; with up to 32 keys always. If
/// there is none, [`OnFull`] decides: deny (fail closed), or share one quota. No key ever gets a fresh quota because of
/// another key.
///
/// Make room for as many keys as come in the time that one quota takes to be whole again. A client who can make up
/// keys, and sends that many in that time, keeps new keys out; known keys are served as before. With a slow quota that
/// takes few requests: 76 a second for 65,536 keys and 100 a day. Limit strangers by a coarser key first.
///
/// # Clock
///
/// If the clock steps back, a key is denied for no longer than its quota takes to be whole, whoever asks, and what was told
/// as `retry_at` comes true. The next call notices a step of more than a second and corrects every entry, once, in
/// O(capacity); smaller steps are corrected key by key. Calls that only look need `&mut self` for that.
///
/// # Cost
///
/// Every call is O(1) expected, plus what `A` states.
#[doc(alias(
    "DefaultDirectRateLimiter",
    "DefaultKeyedRateLimiter",
    "KeyExtractor",
    "PartitionedRateLimiter",
    "PeerIpKeyExtractor",
    "RateLimitLayer",
    "throttle"
))]
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
    /// The latest time that was seen since the clock last stepped back.
    latest: Instant,
    on_full: OnFull,
}

/// What a [`RateLimiter`] does with a new key when every entry is in use: fail closed, or share one quota.
///
/// Known keys are not affected. For how many keys there should be room, see "When it is full" at [`RateLimiter`].
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFull {
    /// Deny it. `retry_at` is when an entry is idle: true if nobody else comes first.
    Deny,
    /// Let all such keys share one quota: a flood of made-up keys gets no more than one key does.
    #[default]
    Share,
}

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
        Self {
            quota,
            on_full: OnFull::Share,
            table,
            overflow: A::IDLE,
            hand: 0,
            latest: Instant::ZERO,
            stats: RateLimiterStats::NONE,
        }
    }
}

impl<K, A: Quota, S: Allocate, H> RateLimiterIn<K, A, S, H> {
    /// A limiter for `capacity` keys, at least one, in storage of run-time size.
    pub fn allocate(quota: A, capacity: usize, hasher: H) -> Self {
        let table = Table::allocate(capacity, hasher);
        Self {
            quota,
            on_full: OnFull::Share,
            table,
            overflow: A::IDLE,
            hand: 0,
            latest: Instant::ZERO,
            stats: RateLimiterStats::NONE,
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

    /// Gives every key another quota from now on; what was counted stays counted, in requests. O(capacity).
    ///
    /// Who has used 7 of 10 has used 7 of what there is now, and all of it if that is less; see
    /// [`Quota::carry_over`] for what each quota keeps.
    pub fn set_quota(&mut self, quota: A, now: Instant) {
        self.observe(now);
        for slot in 0..self.table.slots() {
            if let Some(state) = self.table.get_mut(slot) {
                quota.carry_over(&self.quota, state, now);
            }
        }
        quota.carry_over(&self.quota, &mut self.overflow, now);
        self.quota = quota;
    }

    /// Another policy for new keys while the table is full, from now on.
    pub const fn set_on_full(&mut self, on_full: OnFull) {
        self.on_full = on_full;
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
    pub fn usage(&mut self, now: Instant) -> impl Iterator<Item = (&K, u32)> {
        self.observe_all(now);
        let Self { table, quota, .. } = self;
        table.iter().map(move |(_, key, state)| (key, quota.remaining(state, now)))
    }
}

#[cfg(test)]
mod tests;
