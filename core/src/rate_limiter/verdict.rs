//! A decision with all that a client is told.

use core::{num::NonZeroU32, time::Duration};

use super::{CostExceedsBurst, Decision, Quota, decide::State, enforce::Judged};
use crate::foundation::time::Instant;

/// A [`Decision`] with the limit and its window, what remains, when there is more and when it is whole again, all of one
/// instant: what the headers `RateLimit-Policy`, `RateLimit` (or `RateLimit-Limit`, `RateLimit-Remaining`,
/// `RateLimit-Reset`) and `Retry-After` tell a client.
///
/// ```
/// use core::{num::NonZeroU32, time::Duration};
/// use steadfast_core::{Gcra, Instant, RateLimiter, rate_limiter::CostExceedsBurst};
///
/// let mut limiter: RateLimiter<&str, Gcra, 8> = RateLimiter::new(Gcra::per_minute(2));
/// let now = Instant::from_secs(100);
/// let two = NonZeroU32::new(2).unwrap();
/// assert!(limiter.allow_verdict(&"bob", two, now)?.is_allowed());
///
/// let verdict = limiter.allow_verdict(&"bob", two, now)?;
/// assert_eq!((verdict.limit, verdict.remaining), (2, 0));
/// assert_eq!(verdict.reset_at, Instant::from_secs(160));
/// assert_eq!(verdict.retry_at(), Some(Instant::from_secs(160)));
/// assert_eq!((verdict.window, verdict.more_at), (Duration::from_secs(60), Instant::from_secs(130)));
/// assert_eq!(verdict.decision.retry_after(now), Some(Duration::from_secs(60)));
/// # Ok::<(), CostExceedsBurst>(())
/// ```
#[doc(alias("StateSnapshot", "remaining_burst_capacity"))]
#[must_use = "a decision that is not acted on limits nothing"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// What to do with the request.
    pub decision: Decision,
    /// The most that can be done at once.
    pub limit: u32,
    /// How much could be done at once after this; nothing that [`OnFull`](super::OnFull) allows beyond the quota.
    pub remaining: u32,
    /// When the whole quota is there again if nothing else is counted.
    pub reset_at: Instant,
    /// When one more than [`remaining`](Self::remaining) could be done at once if nothing else is counted;
    /// [`reset_at`](Self::reset_at) if there is never more.
    pub more_at: Instant,
    /// How long a quota that is used up takes to be whole again: the [`limit`](Self::limit) is for so long. Of a tuple of
    /// quotas the limit is the least, and this is the longest, so that they do not belong together.
    pub window: Duration,
    /// True if it would have been denied, and is let through by [`Enforce`](super::Enforce): it took nothing, so that there
    /// is nothing to refund.
    pub overridden: bool,
}

impl Verdict {
    /// True if the request is let through.
    #[must_use]
    pub const fn is_allowed(self) -> bool {
        self.decision.is_allowed()
    }

    /// When the same request is allowed if no other is before, `None` if it is allowed now.
    #[must_use]
    pub const fn retry_at(self) -> Option<Instant> {
        match self.decision {
            Decision::Allow => None,
            Decision::Deny { retry_at } => Some(retry_at),
        }
    }

    /// What is told of a decision that was made on `state`, or for want of one.
    pub(super) fn of<A: Quota>(
        judged: Judged,
        quota: &A,
        state: State<'_, A>,
        now: Instant,
    ) -> Result<Self, CostExceedsBurst> {
        let (decision, overridden) = (judged.decision()?, judged.is_overridden);
        let (remaining, reset_at, more_at) = match (state, judged.by_quota) {
            (Some((idle_at, mut held)), _) => {
                let remaining = quota.remaining(idle_at, held.again(), now);
                let reset_at = quota.whole_at(idle_at, held.again(), now);
                let more = NonZeroU32::MIN.saturating_add(remaining);
                (remaining, reset_at, quota.ready_at(idle_at, held, 0, more, now).unwrap_or(reset_at))
            }
            (None, Ok(Decision::Deny { retry_at })) => (0, retry_at, retry_at),
            (None, _) => (0, now, now),
        };
        let window = quota.latest(now).saturating_duration_since(now);
        Ok(Self { decision, limit: quota.limit(), remaining, reset_at, more_at, window, overridden })
    }
}
