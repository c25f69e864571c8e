//! Whose denials are enforced: dark launch of a quota.

use super::{
    CostExceedsBurst, Decision, Percent,
    lines::{print_of, share_of},
};

/// Whether a [`RateLimiter`](crate::rate_limiter::RateLimiter) denies what is above the quota, or only counts it: shadow
/// mode, for the dark launch of a limit.
///
/// A key that is not enforced is allowed everything. Its quota and the table change as if what was denied had been denied,
/// so that [`RateLimiterStats::overridden`](super::RateLimiterStats::overridden) counts what the limit would cost, and
/// nothing jumps when it is enforced.
///
/// It is for limiters of run-time size, as servers have them; those in arrays enforce their quota, and pay nothing for this.
#[doc(alias("shadow mode", "dark launch", "dry run", "shadow_mode", "METRICS_ONLY"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Enforce {
    /// What is above the quota is denied.
    #[default]
    Yes,
    /// Nothing is denied; what would have been is counted.
    Observe,
    /// As `Yes` for this share of the keys, and as `Observe` for all others.
    ///
    /// The keyed hash chooses them: a key is treated alike for as long as the limiter lives and is not reseeded, and stays
    /// enforced when the share grows. Another limiter, or the next start, chooses others.
    Percent(Percent),
}

/// A decision of the quota, and what becomes of it.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    pub(super) by_quota: Result<Decision, CostExceedsBurst>,
    /// True if it is a denial that is not enforced.
    pub(super) is_overridden: bool,
}

impl Judged {
    #[inline]
    pub(super) const fn decision(self) -> Result<Decision, CostExceedsBurst> {
        if self.is_overridden { Ok(Decision::Allow) } else { self.by_quota }
    }
}

impl Enforce {
    /// True if what the quota denies the key with this hash is denied.
    #[cold]
    #[inline(never)]
    pub(super) const fn holds(self, hash: u64) -> bool {
        match self {
            Self::Yes => true,
            Self::Observe => false,
            Self::Percent(share) => share_of(print_of(hash), 1_000) < share.as_permille() as usize,
        }
    }

    /// What becomes of a decision about the key with this hash.
    #[inline]
    pub(super) fn judge(self, hash: u64, by_quota: Result<Decision, CostExceedsBurst>) -> Judged {
        let is_overridden = by_quota != Ok(Decision::Allow) && self != Self::Yes && !self.holds(hash);
        Judged { by_quota, is_overridden }
    }
}

/// What a limiter of run-time size has, and one in arrays has not.
#[derive(Clone, Copy)]
pub(super) struct Shadow {
    pub(super) enforce: Enforce,
    pub(super) overridden: u64,
}

impl Shadow {
    pub(super) const NONE: Self = Self { enforce: Enforce::Yes, overridden: 0 };

    /// Whose denials are enforced: those of all keys where nothing else can be said.
    #[inline]
    pub(super) fn enforce(kept: &impl AsRef<[Self]>) -> Enforce {
        kept.as_ref().first().map_or(Enforce::Yes, |shadow| shadow.enforce)
    }
}
