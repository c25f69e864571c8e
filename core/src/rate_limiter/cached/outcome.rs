//! What a caching limiter answers.

use core::{fmt, time::Duration};

use crate::foundation::time::Instant;

/// What a caching rate limiter answers: the permit to fetch the value, the last value, or neither. `P` ends the attempt.
#[must_use = "an attempt ends by complete, release or refund"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AllowOrCached<P, V> {
    /// Make the attempt; it was counted.
    Allowed(P),
    /// Use the value of the last attempt that was completed.
    Cached {
        /// The value.
        value: V,
        /// How long ago the attempt was completed.
        age: Duration,
    },
    /// There is no value, and no attempt is allowed.
    Denied {
        /// When an attempt is allowed, if none is made before.
        retry_at: Instant,
    },
    /// There is no value yet: the first attempt is being made.
    InFlight,
}

impl<P, V> AllowOrCached<P, V> {
    /// The value, if that is the answer.
    #[must_use]
    pub const fn value(&self) -> Option<&V> {
        match self {
            Self::Cached { value, .. } => Some(value),
            _ => None,
        }
    }

    /// How long to wait before an attempt is allowed, `None` if the answer is another one.
    #[must_use]
    pub const fn retry_after(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Denied { retry_at } => Some(retry_at.saturating_duration_since(now)),
            _ => None,
        }
    }

    /// The same answer with another permit and value.
    pub fn map<R, W>(self, permit: impl FnOnce(P) -> R, value: impl FnOnce(V) -> W) -> AllowOrCached<R, W> {
        match self {
            Self::Allowed(before) => AllowOrCached::Allowed(permit(before)),
            Self::Cached { value: before, age } => AllowOrCached::Cached { value: value(before), age },
            Self::Denied { retry_at } => AllowOrCached::Denied { retry_at },
            Self::InFlight => AllowOrCached::InFlight,
        }
    }
}

/// The permit to make one attempt (single flight).
#[must_use = "an attempt that is not ended keeps others from trying until its lease ends"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug, Eq, PartialEq)]
pub struct FlightPermit {
    /// `u32::MAX` for a key without an entry.
    pub(super) slot: u32,
    pub(super) number: u32,
}

/// The value came too late: another attempt has begun, or the entry was given to another key. Nothing was changed, and
/// here is the value.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlightLost<V>(pub V);

/// The counts of a [`CachedRateLimiter`](crate::rate_limiter::CachedRateLimiter): `allowed + cached + in_flight +
/// denied` is all it was asked.
///
/// Of the attempts that were allowed, those neither completed, released nor refunded are being made or were lost.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CachedRateLimiterStats {
    /// Attempts that were allowed.
    pub allowed: u64,
    /// Answers from a value.
    pub cached: u64,
    /// Answers that the first attempt is being made.
    pub in_flight: u64,
    /// Answers that no attempt is allowed.
    pub denied: u64,
    /// Attempts that brought a value.
    pub completed: u64,
    /// Attempts that ended without a value.
    pub released: u64,
    /// Attempts that were not made after all.
    pub refunded: u64,
}

impl CachedRateLimiterStats {
    pub(super) const NONE: Self =
        Self { allowed: 0, cached: 0, in_flight: 0, denied: 0, completed: 0, released: 0, refunded: 0 };

    /// The sum of two, for a limiter that consists of several.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_add(other.allowed),
            cached: self.cached.saturating_add(other.cached),
            in_flight: self.in_flight.saturating_add(other.in_flight),
            denied: self.denied.saturating_add(other.denied),
            completed: self.completed.saturating_add(other.completed),
            released: self.released.saturating_add(other.released),
            refunded: self.refunded.saturating_add(other.refunded),
        }
    }

    /// What was counted since `earlier`, when the same stats were read before; it adds up as they do.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_sub(earlier.allowed),
            cached: self.cached.saturating_sub(earlier.cached),
            in_flight: self.in_flight.saturating_sub(earlier.in_flight),
            denied: self.denied.saturating_sub(earlier.denied),
            completed: self.completed.saturating_sub(earlier.completed),
            released: self.released.saturating_sub(earlier.released),
            refunded: self.refunded.saturating_sub(earlier.refunded),
        }
    }
}

impl<V> fmt::Display for FlightLost<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value came after another attempt had begun")
    }
}

impl<V: fmt::Debug> core::error::Error for FlightLost<V> {}
