//! What a limiter decides for those who wait.

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{Decision, NeverFits, Quota, RateLimiterIn};
use crate::{Instant, Storage, time::Span};

/// Why a wait for a rate limiter ended without what it was for. Nothing was taken from the quota.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WaitError {
    /// The request asks for more at once than the quota ever holds.
    NeverFits {
        /// The most that one request can ask for.
        limit: u32,
    },
    /// It would take longer than the caller bears.
    TooLong {
        /// When the request would be allowed, as far as is known now.
        retry_at: Instant,
    },
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NeverFits { limit } => NeverFits { limit }.fmt(f),
            Self::TooLong { .. } => f.write_str("the wait for the rate limiter would take too long"),
        }
    }
}

impl core::error::Error for WaitError {}

impl From<NeverFits> for WaitError {
    fn from(NeverFits { limit }: NeverFits) -> Self {
        Self::NeverFits { limit }
    }
}

/// By how much a timer may wake late without a loss: a turn counts from when it came, but not from before that.
const LATE: Span = Span::from_nanos(5_000_000);

impl<K: Eq + Hash, A: Quota, S: Storage, H: BuildHasher> RateLimiterIn<K, A, S, H> {
    /// [`allow_n_with`](Self::allow_n_with) for adapters that wait: a denial is not counted, for it is none yet, and a
    /// request that has been waiting since `since` is counted from when its turn came (see [`Quota::allow_since`]), at most
    /// 5 ms ago.
    ///
    /// # Errors
    ///
    /// [`NeverFits`] if `cost` is above the limit of the quota; nothing is counted either.
    pub fn admit_with<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        cost: NonZeroU32,
        since: Option<Instant>,
        now: impl FnOnce() -> Instant,
    ) -> Result<Decision, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let (denied, overflowed) = (self.stats.denied, self.stats.overflowed);
        let ask = |quota: &A, state: &mut A::State, cost, now: Instant| {
            let since = since.map_or(now, |since| since.max(now.before(LATE)).min(now));
            quota.allow_since(state, cost, since, now)
        };
        let decision = self.decide_with(hash, key, own, cost, now, ask, drop);
        if decision != Ok(Decision::Allow) {
            (self.stats.denied, self.stats.overflowed) = (denied, overflowed);
        }
        decision
    }

    /// Counts a request that would not wait as denied.
    pub(super) const fn refuse(&mut self) {
        self.stats.denied = self.stats.denied.saturating_add(1);
    }

    /// When a request of `key` would be allowed after others of the same key; see [`Quota::ready_at`].
    pub(super) fn ready_at<Q>(&self, key: &Q, ahead: u32, cost: NonZeroU32, now: Instant) -> Result<Instant, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.ask(key, now, |quota, state| quota.ready_at(state, ahead, cost, now)).unwrap_or_else(Ok)
    }
}
