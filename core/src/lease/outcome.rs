//! What a lease answers and asks.

use core::num::NonZeroU32;

use crate::foundation::time::Instant;

/// The answer of [`Leases::spend`](super::LeasesIn::spend).
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug, Eq, PartialEq)]
#[must_use]
pub enum Spend {
    /// Allowed, and spent of what is held. If there is a `refill`, ask for it without waiting.
    Allowed {
        /// What to ask for, so that there is more before all is spent.
        refill: Option<LeaseAsk>,
    },
    /// It was denied a moment ago: not before `retry_at`.
    Denied {
        /// When to come back.
        retry_at: Instant,
    },
    /// Too little is held: ask, and hand the answer to [`granted`](super::LeasesIn::granted),
    /// [`denied`](super::LeasesIn::denied) or [`failed`](super::LeasesIn::failed).
    Ask(LeaseAsk),
}

/// A question to whoever has the quota: good for one answer.
///
/// Dropping it is as good as [`failed`](super::LeasesIn::failed), except that nobody asks for more than he needs until
/// the time of a lease is over.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug, Eq, PartialEq)]
#[must_use = "ask, and hand in the answer"]
pub struct LeaseAsk {
    pub(super) cost: u32,
    pub(super) wanted: u32,
    pub(super) at: Instant,
}

impl LeaseAsk {
    /// What is needed at least: the cost of the request that waits for it, 0 for a refill.
    #[must_use]
    pub const fn cost(&self) -> u32 {
        self.cost
    }

    /// What is wanted, no less than [`cost`](Self::cost).
    #[must_use]
    pub const fn wanted(&self) -> u32 {
        self.wanted
    }
}

/// The answer of whoever has the quota: [`grant`](crate::rate_limiter::RateLimiterIn::grant).
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Grant {
    /// So much was counted, and may be spent.
    Granted(NonZeroU32),
    /// Nothing was: not before `retry_at`.
    Denied {
        /// When the same would be granted.
        retry_at: Instant,
    },
}
