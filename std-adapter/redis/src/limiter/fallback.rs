//! What decides without the engine.

use core::{num::NonZeroU32, time::Duration};

use steadfast::{
    Gcra, Instant, RateLimiter,
    circuit_breaker::Percent,
    rate_limiter::{Decision, GcraState, Quota, Verdict},
};

use crate::engine::EngineDown;

/// What a limiter says while the engine does not answer. There is no default: both letting all through and refusing all
/// have been filed as bugs, each by those who had the other.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WhenDown {
    /// This process limits by itself, at this share of the quota: 1 / N of N servers, or more. It is charged with whatever
    /// the engine allows as well, so an outage grants no fresh burst beyond what this process has not used of its share.
    Local(Percent),
    /// Fail open: every request is let through.
    Allow,
    /// Fail closed: every request is refused.
    Deny,
}

pub(super) enum Fallback {
    Local(RateLimiter<Vec<u8>, Gcra>),
    Allow,
    Deny,
}

/// When to come back if nobody can say.
const LATER: Duration = Duration::from_millis(250);

impl Fallback {
    pub(super) fn new(when_down: WhenDown, quota: &Gcra, capacity: usize) -> Self {
        match when_down {
            WhenDown::Local(share) => Self::Local(RateLimiter::builder(part(quota, share)).capacity(capacity).build()),
            WhenDown::Allow => Self::Allow,
            WhenDown::Deny => Self::Deny,
        }
    }

    /// Charges what the engine has allowed.
    pub(super) fn charge(&self, key: &[u8], cost: NonZeroU32) {
        if let Self::Local(local) = self {
            let most = NonZeroU32::new(local.quota().limit()).unwrap_or(cost);
            let _ = local.allow_n(key, cost.min(most)); // if it denies, it has nothing left
        }
    }

    /// Gives back what it has allowed, because another quota denies.
    pub(super) fn refund(&self, key: &[u8], cost: NonZeroU32) {
        if let Self::Local(local) = self {
            local.refund(key, cost);
        }
    }

    pub(super) fn decide(&self, quota: &Gcra, key: &[u8], cost: NonZeroU32, now: Instant, down: EngineDown) -> Verdict {
        let retry_at = down.retry_at.unwrap_or_else(|| now.saturating_add(LATER));
        match self {
            // What is more than the share allows at once has to wait for the engine.
            Self::Local(local) => local.allow_verdict(key, cost).unwrap_or_else(|_| refused(quota, retry_at, now)),
            Self::Allow => unknown(quota, now),
            Self::Deny => refused(quota, retry_at, now),
        }
    }
}

/// Of a quota of which nothing is known: as if it were whole.
fn unknown(quota: &Gcra, now: Instant) -> Verdict {
    #[expect(clippy::expect_used, reason = "a request of one is above no burst")]
    let mut verdict = GcraState::default().check(quota, NonZeroU32::MIN, now).expect("a verdict");
    verdict.decision = Decision::Allow;
    verdict
}

pub(super) fn refused(quota: &Gcra, retry_at: Instant, now: Instant) -> Verdict {
    let mut verdict = unknown(quota, now);
    (verdict.decision, verdict.remaining) = (Decision::Deny { retry_at }, 0);
    (verdict.reset_at, verdict.more_at) = (retry_at, retry_at);
    verdict
}

/// This share of the rate and of the burst, at least one request.
fn part(quota: &Gcra, share: Percent) -> Gcra {
    let permille = u32::from(share.as_permille());
    let interval = quota.interval().saturating_mul(1_000).checked_div(permille).unwrap_or(Duration::MAX);
    let burst = u64::from(quota.limit()).saturating_mul(permille.into()) / 1_000;
    Gcra::every(interval).burst(u32::try_from(burst).unwrap_or(u32::MAX).max(1))
}
