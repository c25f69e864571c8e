//! What a limiter decides for those who wait.

use core::{
    fmt,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{CostExceedsBurst, Enforce, Names, Naming, ONE, Quota, RateLimiterIn, enforce::Shadow, newcomer::Beyond};
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

impl<K, A: Quota, S: Storage, H: BuildHasher, P: Naming<K>> RateLimiterIn<K, A, S, H, P> {
    /// Counts a request that would not wait as denied.
    pub(super) const fn refuse(&mut self) {
        self.stats.denied = self.stats.denied.saturating_add(1);
    }

    /// True if what the quota denies `key` is denied.
    pub(super) fn is_enforced<Q>(&self, key: &Q) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let enforce = Shadow::enforce(&self.shadow);
        enforce == Enforce::Yes || enforce.holds(self.hash(key))
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
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.look(key, now, |_, quota, state, room_at, now, beyond| match (state, beyond) {
            (_, Beyond::All) if cost.get() <= quota.limit() => Ok(now),
            (Some(_), Beyond::One) if cost == ONE && ahead == 0 => Ok(now),
            (Some((idle_at, held)), _) => quota.ready_at(idle_at, held, ahead, cost, now),
            (None, _) if cost.get() > quota.limit() => Err(CostExceedsBurst { limit: quota.limit() }),
            (None, _) => Ok(room_at),
        })
    }
}
