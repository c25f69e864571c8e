//! What a rate limiter has counted.

/// The counts of a [`RateLimiter`](crate::rate_limiter::RateLimiter).
///
/// `allowed + denied` is all it was asked. A request that waits is counted once, when it is allowed.
/// `allowed - overridden - refunded` is what was used.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(default))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RateLimiterStats {
    /// Requests that were allowed.
    pub allowed: u64,
    /// Requests that were denied, those that never fit included.
    pub denied: u64,
    /// Of both, those of keys that found no entry.
    pub overflowed: u64,
    /// Idle entries that were given to another key.
    pub reused: u64,
    /// Entries in use that were given to another key; what they owed is in the ledger.
    pub evicted: u64,
    /// Requests of keys without an entry that were more than the ledger leaves them: if they grow, the limiter is too
    /// small for its traffic, or under a flood.
    pub refused: u64,
    /// Of those that were allowed, those beyond every quota, by [`OnFull::Allow`](crate::rate_limiter::OnFull::Allow).
    pub unlimited: u64,
    /// Requests of which something was given back by `refund`.
    pub refunded: u64,
    /// Of those that were allowed, those that would have been denied, by [`Enforce`](crate::rate_limiter::Enforce): what
    /// the quota would cost if it were enforced.
    pub overridden: u64,
}

impl RateLimiterStats {
    /// The sum of two, for a limiter that consists of several.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            denied: self.denied.saturating_add(other.denied),
            overflowed: self.overflowed.saturating_add(other.overflowed),
            reused: self.reused.saturating_add(other.reused),
            evicted: self.evicted.saturating_add(other.evicted),
            refused: self.refused.saturating_add(other.refused),
            unlimited: self.unlimited.saturating_add(other.unlimited),
            refunded: self.refunded.saturating_add(other.refunded),
            overridden: self.overridden.saturating_add(other.overridden),
        }
    }

    /// What was counted since `earlier`, when the same stats were read before; it adds up as they do.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_sub(earlier.allowed),
            denied: self.denied.saturating_sub(earlier.denied),
            overflowed: self.overflowed.saturating_sub(earlier.overflowed),
            reused: self.reused.saturating_sub(earlier.reused),
            evicted: self.evicted.saturating_sub(earlier.evicted),
            refused: self.refused.saturating_sub(earlier.refused),
            unlimited: self.unlimited.saturating_sub(earlier.unlimited),
            refunded: self.refunded.saturating_sub(earlier.refunded),
            overridden: self.overridden.saturating_sub(earlier.overridden),
        }
    }
}

/// What every limiter counts.
#[derive(Clone, Copy)]
pub(super) struct Counts {
    pub(super) allowed: u64,
    pub(super) denied: u64,
    pub(super) overflowed: u64,
    pub(super) reused: u64,
    pub(super) evicted: u64,
    pub(super) refused: u64,
    pub(super) unlimited: u64,
    pub(super) refunded: u64,
}

impl Counts {
    pub(super) const NONE: Self =
        Self { allowed: 0, denied: 0, overflowed: 0, reused: 0, evicted: 0, refused: 0, unlimited: 0, refunded: 0 };

    /// With what only some limiters count.
    pub(super) const fn with(self, overridden: u64) -> RateLimiterStats {
        let Self { allowed, denied, overflowed, reused, evicted, refused, unlimited, refunded } = self;
        RateLimiterStats { allowed, denied, overflowed, reused, evicted, refused, unlimited, refunded, overridden }
    }
}
