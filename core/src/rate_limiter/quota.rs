//! What a quota is: the decision for one key.

use core::{fmt, num::NonZeroU32, time::Duration};

use crate::foundation::time::Instant;

/// Whether a rate limiter allows a request, and if not, when to come back.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Instant, rate_limiter::Decision};
///
/// let decision = Decision::Deny { retry_at: Instant::from_secs(9) };
/// assert!(!decision.is_allowed());
/// assert_eq!(decision.retry_after(Instant::from_secs(7)), Some(Duration::from_secs(2)));
/// ```
#[doc(alias("NotUntil", "RateLimiterRejectedException", "RequestNotPermitted", "wait_time_from"))]
#[must_use = "a decision that is not acted on limits nothing"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Let it through; it was counted.
    Allow,
    /// Refuse it; nothing was counted.
    Deny {
        /// When the same request is allowed, if no other is before; [`Instant::MAX`] if never. True for a
        /// key without an entry unless others that share its cell of the ledger come first.
        retry_at: Instant,
    },
}

impl Decision {
    /// True for [`Allow`](Self::Allow).
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow)
    }

    /// How long to wait before the request is allowed, `None` if it is.
    #[must_use]
    pub const fn retry_after(self, now: Instant) -> Option<Duration> {
        match self {
            Self::Allow => None,
            Self::Deny { retry_at } => Some(retry_at.saturating_duration_since(now)),
        }
    }
}

/// An error: the request costs more than the burst, so it can never be allowed. Nothing was counted.
#[doc(alias = "InsufficientCapacity")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CostExceedsBurst {
    /// The most that one request can ask for.
    pub limit: u32,
}

impl fmt::Display for CostExceedsBurst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the request asks for more than the limit of {}", self.limit)
    }
}

impl core::error::Error for CostExceedsBurst {}

/// The algorithm of a rate limiter: [`Gcra`](crate::rate_limiter::Gcra) or [`SlidingLog`](crate::rate_limiter::SlidingLog),
/// or two or three of them as a tuple, which decide as one.
///
/// What is kept for a key is one instant, `idle_at`, from which on it owes nothing, and [`Held`] beside it. What is idle
/// decides as a key that never asked does, now and later; only such a state is forgotten. [`Instant::ZERO`] with
/// [`IDLE`](Self::IDLE) or [`NOTHING`](Self::NOTHING) is idle.
pub trait Quota {
    /// What an entry keeps beside the instant; `()` if that says it all.
    type Beside;
    /// What a cell of the ledger keeps beside the instant, for a key without an entry: less, and never too little.
    type Count: Copy;

    /// The entry of a key that never asked.
    const IDLE: Self::Beside;
    /// The cell of a key that never asked.
    const NOTHING: Self::Count;

    /// The most that one request can ask for.
    fn limit(&self) -> u32;

    /// When a key is idle at the latest that uses all of its quota at `now`. What lies further ahead was counted before
    /// the clock stepped back.
    fn latest(&self, now: Instant) -> Instant;

    /// Decides a request of size `cost`, and counts it if it is allowed; tells when the key is idle then.
    ///
    /// It has been waiting since `since`, a few milliseconds before `now` at most: a quota that can say when it became free
    /// counts the request from then on, so that a timer that wakes late costs no throughput.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the [`limit`](Self::limit); nothing is changed.
    fn allow(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst>;

    /// Decides a request of size `cost` without counting it.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the [`limit`](Self::limit).
    fn check(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst>;

    /// When a request of size `cost` would be allowed if others, of a size of `ahead` together, went before it one by one;
    /// `now` if it would be at once, [`Instant::MAX`] if never. A quota that cannot tell leaves them out.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the [`limit`](Self::limit).
    fn ready_at(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let _ = ahead;
        Ok(match self.check(idle_at, held, cost, now)? {
            Decision::Allow => now,
            Decision::Deny { retry_at } => retry_at,
        })
    }

    /// Gives back `cost` that was counted and not used; never more than still counts, and whichever request it was for,
    /// no more is allowed than without it. Tells when the key is idle then.
    fn refund(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant;

    /// [`refund`](Self::refund) of what was counted last, where that is known; the same unless the quota makes a
    /// difference.
    fn refund_last(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        self.refund(idle_at, held, cost, now)
    }

    /// How much would be allowed at once.
    fn remaining(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> u32;

    /// When a key is idle, read by a clock that may have stepped back: from `now` on.
    fn whole_at(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        let _ = held;
        idle_at.later(now).earlier(self.latest(now))
    }

    /// Cuts what lies ahead of `now`, because the clock has stepped back; tells when the key is idle then, which is no later
    /// than [`latest`](Self::latest). Right as it is for a quota that keeps no other time.
    fn mend(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        let _ = held;
        idle_at.earlier(self.latest(now))
    }

    /// Makes of a state of the quota that held until `now` one of this quota, with the same requests counted; tells when
    /// the key is idle then.
    ///
    /// Unless a quota knows better: as many requests as were counted, and at most all that there are now, count as made
    /// at `now`; a state in which this quota sees just as many is left as it is.
    fn carry_over(&self, former: &Self, idle_at: Instant, mut held: Held<'_, Self>, now: Instant) -> Instant {
        let used = former.limit().saturating_sub(former.remaining(idle_at, held.again(), now)).min(self.limit());
        if self.limit().saturating_sub(self.remaining(idle_at, held.again(), now)) == used {
            return idle_at;
        }
        held.clear();
        let counted = NonZeroU32::new(used).map(|used| self.allow(Instant::ZERO, held, used, now, now));
        counted.and_then(Result::ok).map_or(Instant::ZERO, |(_, idle_at)| idle_at)
    }

    /// Raises the count of a cell to what an entry owes.
    fn settle(&self, idle_at: Instant, beside: &Self::Beside, count: &mut Self::Count, now: Instant);

    /// Makes of an entry, in whatever state it is, that of a key that owes what a cell says.
    fn resume(&self, idle_at: Instant, count: Self::Count, beside: &mut Self::Beside);

    /// The state of a key that can make one more request at `now`, and no other.
    fn all_but_one(&self, now: Instant) -> (Instant, Self::Count);

    /// How heavily an entry was used since it came with `debt`: the least of those looked at goes if there is no room.
    /// `None` if it stays whatever comes, as one that is used up does.
    ///
    /// `debt` is what [`debt`](Self::debt) said when it came, or 0.
    fn own_use(&self, idle_at: Instant, beside: &Self::Beside, debt: u32, now: Instant) -> Option<u64>;

    /// What an entry that comes now owes already, as [`own_use`](Self::own_use) wants it.
    fn debt(&self, idle_at: Instant, count: Self::Count, now: Instant) -> u32;
}

/// What a [`Quota`] keeps of a key beside an instant.
pub enum Held<'a, A: Quota + ?Sized> {
    /// In the key's entry.
    Entry(&'a mut A::Beside),
    /// In the ledger's cell for the key.
    Cell(&'a mut A::Count),
}

impl<A: Quota + ?Sized> Held<'_, A> {
    /// The same, for another call.
    pub const fn again(&mut self) -> Held<'_, A> {
        match self {
            Self::Entry(beside) => Held::Entry(&mut **beside),
            Self::Cell(count) => Held::Cell(&mut **count),
        }
    }

    /// Makes it that of a key that never asked.
    pub fn clear(&mut self) {
        match self {
            Self::Entry(beside) => **beside = A::IDLE,
            Self::Cell(count) => **count = A::NOTHING,
        }
    }
}

impl<A: Quota + ?Sized> fmt::Debug for Held<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Entry(_) => "Entry(..)",
            Self::Cell(_) => "Cell(..)",
        })
    }
}
