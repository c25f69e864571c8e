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
        /// When the same request is allowed, if no other is before; [`Instant::MAX`] if never. A key for which a full table
        /// has no entry may find one sooner.
        retry_at: Instant,
    },
}

impl Decision {
    /// True for [`Allow`](Self::Allow).
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allow)
    }

    /// The same, but if it is denied, it is so until `at` at the latest.
    pub(super) const fn no_later_than(self, at: Instant) -> Self {
        match self {
            Self::Allow => self,
            Self::Deny { retry_at } => Self::Deny { retry_at: retry_at.earlier(at) },
        }
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

/// The algorithm of a rate limiter: [`Gcra`](crate::rate_limiter::Gcra) or [`SlidingLog`](crate::rate_limiter::SlidingLog).
///
/// `State` is what is kept for each key. A state that is idle decides as [`IDLE`](Self::IDLE) does, now and later; only
/// such a state may be forgotten.
pub trait Quota {
    /// What is kept for each key.
    type State;

    /// The state of a key that never asked.
    const IDLE: Self::State;

    /// The most that one request can ask for.
    fn limit(&self) -> u32;

    /// Decides a request of size `cost`, and counts it if it is allowed.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the [`limit`](Self::limit); the state is unchanged.
    fn allow(&self, state: &mut Self::State, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst>;

    /// [`allow`](Self::allow) for a request that has been waiting since `since`, a few milliseconds ago at most: a
    /// quota that can say when it became free counts the request from then on, so that a timer that wakes late costs no
    /// throughput.
    ///
    /// # Errors
    ///
    /// As for `allow`.
    fn allow_since(
        &self,
        state: &mut Self::State,
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        let _ = since;
        self.allow(state, cost, now)
    }

    /// When a request of size `cost` would be allowed if others, of a size of `ahead` together, went before it one by one;
    /// `now` if it would be at once, [`Instant::MAX`] if never. A quota that cannot tell leaves them out.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the [`limit`](Self::limit).
    fn ready_at(
        &self,
        state: &Self::State,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let _ = ahead;
        Ok(match self.check(state, cost, now)? {
            Decision::Allow => now,
            Decision::Deny { retry_at } => retry_at,
        })
    }

    /// Decides a request of size `cost` without counting it.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the [`limit`](Self::limit).
    fn check(&self, state: &Self::State, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst>;

    /// Gives back `cost` that was counted and not used; never more than still counts, and whichever request it was for,
    /// no more is allowed than without it.
    fn refund(&self, state: &mut Self::State, cost: NonZeroU32, now: Instant);

    /// [`refund`](Self::refund) of what was counted last, where that is known; the same unless the quota makes a
    /// difference.
    fn refund_last(&self, state: &mut Self::State, cost: NonZeroU32, now: Instant) {
        self.refund(state, cost, now);
    }

    /// How much would be allowed at once.
    fn remaining(&self, state: &Self::State, now: Instant) -> u32;

    /// When the whole quota is there again if nothing else is counted; `now` if it is.
    fn reset_at(&self, state: &Self::State, now: Instant) -> Instant;

    /// True if the state decides as [`IDLE`](Self::IDLE) does, from `now` on.
    fn is_idle(&self, state: &Self::State, now: Instant) -> bool {
        self.reset_at(state, now) <= now
    }

    /// Cuts what lies further ahead of `now` than it can, because the clock has stepped back, so that `reset_at` and
    /// `retry_at` no longer move with `now`. A quota whose state holds no time has nothing to do.
    fn mend(&self, state: &mut Self::State, now: Instant) {
        let _ = (state, now);
    }

    /// Makes of a state of the quota that held until `now` one of this quota, with the same requests counted.
    ///
    /// Unless a quota knows better: as many requests as were counted, and at most all that there are now, count as made
    /// at `now`; a state in which this quota sees just as many is left as it is.
    fn carry_over(&self, former: &Self, state: &mut Self::State, now: Instant) {
        let used = former.limit().saturating_sub(former.remaining(state, now)).min(self.limit());
        if self.limit().saturating_sub(self.remaining(state, now)) != used {
            *state = Self::IDLE;
            if let Some(used) = NonZeroU32::new(used) {
                let _ = self.allow(state, used, now);
            }
        }
    }
}
