//! What a limiter decides for those who wait.

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{CostExceedsBurst, Quota, RateLimiterIn};
use crate::foundation::{storage::Storage, time::Instant};

/// Why a wait for a rate limiter failed. Nothing was taken from the quota.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WaitError {
    /// The request asks for more at once than the quota ever holds.
    CostExceedsBurst {
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
            Self::CostExceedsBurst { limit } => CostExceedsBurst { limit }.fmt(f),
            Self::TooLong { .. } => f.write_str("the wait for the rate limiter would take too long"),
        }
    }
}

impl core::error::Error for WaitError {}

impl From<CostExceedsBurst> for WaitError {
    fn from(CostExceedsBurst { limit }: CostExceedsBurst) -> Self {
        Self::CostExceedsBurst { limit }
    }
}

impl<K: Eq + Hash, A: Quota, S: Storage, H: BuildHasher> RateLimiterIn<K, A, S, H> {
    /// Counts a request that would not wait as denied.
    pub(super) const fn refuse(&mut self) {
        self.stats.denied = self.stats.denied.saturating_add(1);
    }

    /// When a request of `key` would be allowed after others of the same key; see [`Quota::ready_at`].
    pub(super) fn ready_at<Q>(
        &mut self,
        key: &Q,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.look(key, now, |quota, state, idle_at| match state {
            Some(state) => quota.ready_at(state, ahead, cost, now).map(|at| at.min(idle_at)),
            None if cost.get() > quota.limit() => Err(CostExceedsBurst { limit: quota.limit() }),
            None => Ok(idle_at),
        })
    }
}
