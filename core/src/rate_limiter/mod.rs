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
//! Where each key has a quota of its own, as customers with plans do, the algorithm is [`GcraPerKey`], and the quota comes with
//! the call: [`allow_with_quota`](RateLimiterIn::allow_with_quota).
//!
//! [`Top`] tells the keys that were denied most, in fixed memory.
//!
//! Waiting for a turn is [`Shared::until_allowed`](crate::foundation::shared::Shared::until_allowed). Where the limited
//! call fails and should not be made at all for a while, see [`circuit_breaker`](crate::circuit_breaker).

mod asking;
mod cached;
mod decide;
mod enforce;
mod gcra;
mod ledger;
mod lines;
mod log;
mod names;
mod newcomer;
mod observe;
mod per_key;
mod quota;
mod quotas;
#[cfg(feature = "serde")]
mod settings;
mod shared;
mod sliding_log;
mod stats;
mod top;
mod until_allowed;
mod verdict;
mod wait_state;
mod waiting;
mod with_quota;

use core::{fmt, num::NonZeroU32};

pub use cached::{
    AllowOrCached, CachedRateLimiter, CachedRateLimiterIn, CachedRateLimiterStats, EndFlight, FlightEnd, FlightGuard,
    FlightLost, FlightPermit,
};
pub use enforce::Enforce;
pub use gcra::Gcra;
pub use names::{Keys, Names, Naming, Prints};
pub use per_key::{GcraPerKey, GcraPerKeyState, PerKey};
pub use quota::{CostExceedsBurst, Decision, Held, Quota};
pub use sliding_log::{SlidingLog, SlidingLogIn, SlidingLogState, SlidingLogStateIn};
pub use stats::RateLimiterStats;
pub use top::{Counted, Top};
pub use until_allowed::UntilAllowed;
pub use verdict::Verdict;
pub use wait_state::{WaitOutput, WaitRequest, WaitState};
pub use waiting::WaitError;

#[doc(inline)]
pub use crate::foundation::percent::Percent;
use crate::foundation::{
    hash::HashSeed,
    storage::{Allocate, Inline, Storage},
    time::Instant,
};
use enforce::Shadow;
use ledger::Ledger;
use lines::Lines;
use stats::Counts;

/// A keyed rate limiter (throttling, load shedding) with room for `N` keys.
///
/// `A` is the algorithm: [`Gcra`] (a rate and a burst; behaves as a token bucket) or [`SlidingLog`] (an exact sliding
/// window, 8 bytes a request more); or two or three of them as a tuple, see [Several quotas](#several-quotas). `K` says
/// what keys are meant.
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
/// # Several quotas
///
/// A tuple of two or three quotas for one key is decided as one, in one entry: if all of them allow a request it counts in
/// each, and else in none, and `retry_at` is when the last of them allows it. A request can ask for the least of their
/// bursts; `remaining` is the least of theirs, `reset_at` the latest. A refund gives back to each.
///
/// ```
/// use core::num::NonZeroU32;
/// use steadfast_core::{Gcra, Instant, RateLimiter, rate_limiter::{CostExceedsBurst, Decision}};
///
/// const DAY: u64 = 86_400;
/// let per_day = Gcra::per(3, core::time::Duration::from_secs(DAY));
/// let mut mails: RateLimiter<u32, (Gcra, Gcra), 32> = RateLimiter::new((Gcra::per_second(2), per_day));
/// let now = Instant::from_secs(0);
/// assert!(mails.allow(&7, now).is_allowed() && mails.allow(&7, now).is_allowed());
/// assert_eq!(mails.allow(&7, now), Decision::Deny { retry_at: Instant::from_millis(500) }); // by the second
/// assert!(mails.allow(&7, Instant::from_secs(1)).is_allowed()); // what was denied did not count for the day
/// assert_eq!(mails.allow(&7, Instant::from_secs(2)), Decision::Deny { retry_at: Instant::from_secs(DAY / 3) });
/// let three = NonZeroU32::new(3).unwrap();
/// assert_eq!(mails.allow_n(&7, three, now), Err(CostExceedsBurst { limit: 2 })); // never within a second
/// ```
///
/// An entry takes 8 bytes more than its quotas would together, and so does a cell of the ledger.
///
/// # Keys
///
/// Of a key its fingerprint is kept, a part of its keyed hash, and not the key: a key of any size takes 24 bytes on
/// 32-bit targets. Two keys with the same fingerprint share one quota until it is whole: never more than the rate, at
/// worst one is denied for the other. How often that is to be expected, for keys that nobody can choose by the secret
/// hash:
///
/// | target | `N` | any two of `N` live keys share one | a newcomer meets one of them | one newcomer a second: once in |
/// |---|---|---|---|---|
/// | 32 bits | 32 | 2.4e-7 | 1.5e-8 | 2.1 years |
/// | | 64 | 9.5e-7 | 3.0e-8 | 1.1 years |
/// | | 256 | 1.5e-5 | 1.2e-7 | 3 months |
/// | 64 bits | 256 | 3.6e-15 | 2.8e-17 | a billion years |
/// | | 1,000,000 | 5.5e-8 | 1.1e-13 | 290,000 years |
///
/// A peer that makes up 1,000 names a second meets one of 32 in 19 hours on 32 bits, does not learn which, and gains
/// nothing. Who cannot bear it, or wants to [list](RateLimiterIn::usage) the keys, has them kept: `P` is [`Keys`] then.
///
/// # When it is full
///
/// An entry is in use until its quota is whole again. Then it is idle: it decides as no entry does, and a new key takes
/// it over. If none is idle, the one that was used least of 8 looked at goes, unless it is used up, and what it owes is
/// written into a ledger of `N` cells. A key without an entry starts with what its cell says it owes: the largest debt of
/// those that share it. Where no entry goes, it is decided by its cell alone.
///
/// - No key ever gets more than its quota, and none gets a fresh one because of another. (What a key may have used, its
///   entry knows, and else its cell does: an entry begins with the cell, an eviction raises it, and others only raise it
///   further.)
/// - Until the first eviction, and whenever all that was evicted has paid back, decisions are exact.
/// - An entry that is used up stays, and one that owes more than a request stays as long as a stranger's with a single
///   request is among the 8.
/// - A newcomer is refused only if its cell owes more than `burst - 1`. To refuse a share s of them takes
///   `s * N * (burst - 1)` requests that were allowed, and `s * N / interval` a second on end. Nobody can aim at the cell
///   of another, since the hash is secret.
/// - `retry_at` is true unless others that share the cell come first.
///
/// What happens to those whom the ledger refuses, [`OnFull`] decides. To try a limit out before anybody is denied, see
/// [`Enforce`].
///
/// **Sizing.** With the ledger there is room for ever if `2 * N >= F * interval`, where `F` is how many requests a second
/// come of keys not seen before. Beyond that newcomers and flood share what there is. At 100 a day and 32 keys that is one
/// newcomer in 13 seconds, at 100 a minute 106 a second. If the quota is slow, limit strangers by a coarser key first.
///
/// # Clock
///
/// If the clock steps back, a key is denied for no longer than its quota takes to be whole, whoever asks, and what was told
/// as `retry_at` comes true. The next call notices a step of more than a second and corrects every entry, once, in
/// O(capacity); smaller steps are corrected key by key. Calls that only look need `&mut self` for that.
///
/// # Cost
///
/// Every call is O(1), plus what `A` states: a known key is found among 4, nearly always, or 68 others.
#[doc(alias(
    "DefaultDirectRateLimiter",
    "DefaultKeyedRateLimiter",
    "KeyExtractor",
    "PartitionedRateLimiter",
    "PeerIpKeyExtractor",
    "RateLimitLayer",
    "throttle"
))]
pub type RateLimiter<K, A, const N: usize, H = HashSeed, P = Prints> = RateLimiterIn<K, A, Inline<N>, H, P>;

/// A [`RateLimiter`] in any [`Storage`].
// On servers, what each decision reads and writes lies beside the lock: two cache lines, not four, come from another core.
#[cfg_attr(target_pointer_width = "64", repr(C))]
pub struct RateLimiterIn<K, A: Quota, S: Storage, H = HashSeed, P: Naming<K> = Prints> {
    quota: A,
    /// The latest time that was seen since the clock last stepped back.
    latest: Instant,
    lines: Lines<S>,
    on_full: OnFull,
    /// True once an entry has come with a debt.
    has_debts: bool,
    /// Where the next search for the least used begins.
    hand: u32,
    stats: Counts,
    shadow: S::Extra<Shadow>,
    hasher: H,
    // By the number of the slot:
    beside: S::Of<A::Beside>,
    names: S::Of<P::Name>,
    /// What each key owed when its entry came, in the quota's measure; see [`Quota::debt`].
    debts: S::Of<u32>,
    ledger: Ledger<A, S>,
}

/// What a [`RateLimiter`] does with a new key that its ledger refuses: fail closed, serve one, or fail open.
///
/// Known keys are not affected. For how many keys there should be room, see "When it is full" at [`RateLimiter`].
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum OnFull {
    /// Deny it: no key ever gets more than its quota.
    #[default]
    Deny,
    /// Serve one request, as long as there is an entry for it. A newcomer is reached through any flood, at a price: a key
    /// gets a request above its quota each time it comes anew, which takes about as many newcomers in between as there
    /// are entries. Never where more tries are what an attacker wants, as for a login. It needs a ledger.
    Serve,
    /// Allow it, without a limit: fail open. [`RateLimiterStats::unlimited`] counts them.
    Allow,
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

impl<K, A: Quota, H, P: Naming<K>, const N: usize> RateLimiter<K, A, N, H, P> {
    /// A limiter without keys, with a hasher of the caller's choice.
    #[must_use]
    pub const fn with_hasher(quota: A, hasher: H) -> Self {
        Self {
            quota,
            stats: Counts::NONE,
            latest: Instant::ZERO,
            on_full: OnFull::Deny,
            shadow: [],
            has_debts: false,
            hand: 0,
            hasher,
            lines: Lines::new(),
            beside: [const { A::IDLE }; N],
            names: [const { P::NONE }; N],
            debts: [0; N],
            ledger: Ledger::new(),
        }
    }
}

impl<K, A: Quota, S: Allocate, H, P: Naming<K>> RateLimiterIn<K, A, S, H, P> {
    /// A limiter with so many slots, at least one, in storage of run-time size, and so many cells of the ledger; without
    /// any a new key is denied where there is no idle entry.
    ///
    /// Of up to 68 slots every one finds its key. Of more, let there be twice as many as keys.
    pub fn allocate(quota: A, slots: usize, cells: usize, hasher: H) -> Self {
        let slots = slots.clamp(1, u32::MAX as usize);
        Self {
            quota,
            stats: Counts::NONE,
            latest: Instant::ZERO,
            on_full: OnFull::Deny,
            shadow: S::extra(Shadow::NONE),
            has_debts: false,
            hand: 0,
            hasher,
            lines: Lines::allocate(slots),
            beside: S::allocate(slots, || A::IDLE),
            names: S::allocate(slots, || P::NONE),
            debts: S::allocate(slots, || 0),
            ledger: Ledger::allocate(cells.min(u32::MAX as usize)),
        }
    }

    /// The same limiter, which denies nobody what is above the quota, or a share of the keys.
    #[must_use]
    pub fn with_enforce(mut self, enforce: Enforce) -> Self {
        self.set_enforce(enforce);
        self
    }

    /// Whose denials are enforced.
    pub fn enforce(&self) -> Enforce {
        Shadow::enforce(&self.shadow)
    }

    /// Enforces the denials of all keys, of none or of a share, from now on. What was counted stays counted.
    pub fn set_enforce(&mut self, enforce: Enforce) {
        self.shadow = S::extra(Shadow { enforce, overridden: self.overridden() });
    }
}

impl<K, A: Quota, S: Storage, H, P: Naming<K>> RateLimiterIn<K, A, S, H, P> {
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
        for (slot, beside) in self.lines.iter_mut().zip(self.beside.as_mut()) {
            if slot.print().is_some() {
                slot.set_idle_at(quota.carry_over(&self.quota, slot.idle_at(), Held::Entry(beside), now));
            }
        }
        self.ledger.carry_over(&quota, &self.quota, now);
        // They were in the measure of the former.
        self.debts.as_mut().fill(0);
        self.has_debts = false;
        self.quota = quota;
    }

    /// Another policy for new keys that the ledger refuses, from now on.
    pub const fn set_on_full(&mut self, on_full: OnFull) {
        self.on_full = on_full;
    }

    /// Replaces the hash's secret, and forgets every key and all that was counted. For when it starts, before peers can
    /// reach it. O(capacity).
    pub fn reseed(&mut self, hasher: H) {
        self.hasher = hasher;
        self.lines.clear();
        self.beside.as_mut().fill_with(|| A::IDLE);
        self.names.as_mut().fill_with(|| P::NONE);
        self.ledger.clear();
    }

    /// How many keys have an entry, idle ones included.
    pub const fn len(&self) -> usize {
        self.lines.len()
    }

    /// True if no key has an entry.
    pub const fn is_empty(&self) -> bool {
        self.lines.len() == 0
    }

    /// The most keys that can have an entry.
    pub fn capacity(&self) -> usize {
        self.lines.capacity()
    }

    /// What was decided so far.
    pub fn stats(&self) -> RateLimiterStats {
        self.stats.with(self.overridden())
    }

    fn overridden(&self) -> u64 {
        self.shadow.as_ref().first().map_or(0, |shadow| shadow.overridden)
    }
}

impl<K, A: Quota, S: Storage, H, P: Naming<K, Name = Option<K>>> RateLimiterIn<K, A, S, H, P> {
    /// Each key with how much of its quota is left; only where [`Keys`] are kept. O(capacity).
    pub fn usage(&mut self, now: Instant) -> impl Iterator<Item = (&K, u32)> {
        self.observe_all(now);
        let Self { quota, lines, beside, names, .. } = self;
        let (quota, names): (&A, &S::Of<Option<K>>) = (quota, names);
        let entries = lines.iter_mut().zip(beside.as_mut()).zip(names.as_ref());
        entries.filter_map(move |((slot, beside), name)| {
            Some((name.as_ref()?, quota.remaining(slot.idle_at(), Held::Entry(beside), now)))
        })
    }

    /// Forgets every idle key, and tells how many; never needed, since new keys take their place. O(capacity).
    pub fn cleanup(&mut self, now: Instant) -> usize {
        self.cleanup_with(now, drop)
    }

    /// [`cleanup`](Self::cleanup) that hands the keys to `gone`: whoever holds a lock drops them outside.
    pub fn cleanup_with(&mut self, now: Instant, mut gone: impl FnMut(K)) -> usize {
        self.cleanup_slots(now, |key, _| gone(key))
    }

    fn cleanup_slots(&mut self, now: Instant, mut gone: impl FnMut(K, usize)) -> usize {
        self.observe_all(now);
        let before = self.len();
        for number in 0..self.capacity() {
            if self.lines.get(number).is_some_and(|slot| slot.print().is_some() && slot.idle_at() <= now)
                && let Some(Some(key)) = self.vacate(number)
            {
                gone(key, number);
            }
        }
        before.saturating_sub(self.len())
    }

    /// [`observe`](Self::observe) for a call that looks at every entry anyway.
    fn observe_all(&mut self, now: Instant) {
        if now >= self.latest {
            self.latest = now;
        } else {
            self.mend(now);
        }
    }
}

/// Shows what decides, and no key.
impl<K, A, S, H, P> fmt::Debug for RateLimiterIn<K, A, S, H, P>
where
    A: Quota<Beside: fmt::Debug, Count: fmt::Debug> + fmt::Debug,
    S: Storage,
    P: Naming<K>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter")
            .field("quota", &self.quota)
            .field("latest", &self.latest)
            .field("entries", &self.lines.show(self.beside.as_ref()))
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
