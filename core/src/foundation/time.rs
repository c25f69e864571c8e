//! Points in time that the caller supplies.

use core::{fmt, num::NonZeroU64, time::Duration};

/// A point in time: nanoseconds since an epoch of the caller's choice.
///
/// The core never reads a clock. Whoever calls it passes `now`, always from the same clock; a clock that steps back
/// is tolerated everywhere (each type says what it costs). The range is 584 years; sums saturate at [`Instant::MAX`],
/// which therefore reads as "never". There is no `-` between instants, because it would have to panic or lie when the
/// clock steps back: use [`saturating_duration_since`](Self::saturating_duration_since).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::Instant;
///
/// let now = Instant::from_millis(1_500);
/// let deadline = now.saturating_add(Duration::from_secs(2));
/// assert_eq!(deadline, Instant::from_millis(3_500));
/// assert_eq!(deadline.saturating_duration_since(now), Duration::from_secs(2));
/// assert_eq!(now.saturating_duration_since(deadline), Duration::ZERO);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant(u64);

impl Instant {
    /// The epoch.
    pub const ZERO: Self = Self(0);
    /// The end of time, 584 years after the epoch: "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The instant `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `micros` microseconds after the epoch, at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros.saturating_mul(1_000))
    }

    /// The instant `millis` milliseconds after the epoch, at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The instant `secs` seconds after the epoch, at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// This instant moved on by `duration`, at most [`MAX`](Self::MAX).
    #[must_use]
    pub const fn saturating_add(self, duration: Duration) -> Self {
        self.after(Span::new(duration))
    }

    /// This instant moved back by `duration`, at least [`ZERO`](Self::ZERO).
    #[must_use]
    pub const fn saturating_sub(self, duration: Duration) -> Self {
        self.before(Span::new(duration))
    }

    /// The time from `earlier` to `self`, zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.since(earlier).to_duration()
    }

    /// This instant moved on by `span`.
    pub(crate) const fn after(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This instant moved back by `span`.
    pub(crate) const fn before(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// The span from `earlier` to `self`, zero if `earlier` is later.
    pub(crate) const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The later of two instants, usable in `const`.
    pub(crate) const fn later(self, other: Self) -> Self {
        if self.0 >= other.0 { self } else { other }
    }

    /// The earlier of two instants, usable in `const`.
    pub(crate) const fn earlier(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }
}

/// An [`Instant`] in two halves: its alignment costs an entry no padding.
#[derive(Clone, Copy)]
pub(crate) struct Halves([u32; 2]);

impl Halves {
    pub(crate) const ZERO: Self = Self([0; 2]);

    pub(crate) const fn new(at: Instant) -> Self {
        Self([at.0 as u32, (at.0 >> 32) as u32])
    }

    pub(crate) const fn get(self) -> Instant {
        let [low, high] = self.0;
        Instant(low as u64 | (high as u64) << 32)
    }
}

/// As the instant that it is.
impl fmt::Debug for Halves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Halves {
    fn format(&self, f: defmt::Formatter<'_>) {
        self.get().format(f);
    }
}

/// The earliest of some deadlines, `None` if there is none.
///
/// Use this rather than `Option::min`, for which `None` is less than any deadline and so hides all the others.
///
/// ```
/// use steadfast_core::{Instant, earliest};
///
/// let at = Instant::from_secs(5);
/// assert_eq!(earliest([None, Some(at), None]), Some(at));
/// assert_eq!(earliest([None, None]), None);
/// ```
#[must_use]
pub fn earliest<const N: usize>(deadlines: [Option<Instant>; N]) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}

/// A length of time as the state machines store it: nanoseconds, made once from a [`Duration`], so that no hot path divides
/// or carries between seconds and nanoseconds.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Span(u64);

impl Span {
    pub(crate) const ZERO: Self = Self(0);
    pub(crate) const MAX: Self = Self(u64::MAX);

    /// `duration` in nanoseconds, at most 584 years.
    pub(crate) const fn new(duration: Duration) -> Self {
        const LONGEST: u64 = u64::MAX / 1_000_000_000;

        // Not `as_nanos`: 128 bits cost a microcontroller ten times as much. Nor a product that saturates: twice as much.
        if duration.as_secs() > LONGEST {
            return Self::MAX;
        }
        Self(duration.as_secs().wrapping_mul(1_000_000_000).saturating_add(duration.subsec_nanos() as u64))
    }

    pub(crate) const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn as_nanos(self) -> u64 {
        self.0
    }

    pub(crate) const fn to_duration(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    #[expect(clippy::arithmetic_side_effects, reason = "the divisor is not zero")]
    pub(crate) const fn divided_by(self, parts: NonZeroU64) -> Self {
        Self(self.0 / parts.get())
    }

    pub(crate) const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    pub(crate) const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// `self` times 2 to the power of `exponent`, at most [`MAX`](Self::MAX).
    pub(crate) const fn doubled(self, exponent: u32) -> Self {
        if self.0 == 0 {
            self
        } else if exponent > self.0.leading_zeros() {
            Self::MAX
        } else {
            Self(self.0.wrapping_shl(exponent))
        }
    }

    /// The shorter of two spans.
    pub(crate) const fn shorter(self, other: Self) -> Self {
        if self.0 <= other.0 { self } else { other }
    }

    /// This span times `to / from`, rounded up, at most [`MAX`](Self::MAX); nothing if `from` is.
    pub(crate) const fn scaled_up(self, from: Self, to: Self) -> Self {
        const fn rounded_up(whole: u128, from: u128) -> u64 {
            let Some(parts) = whole.saturating_add(from.saturating_sub(1)).checked_div(from) else { return 0 };
            if parts > u64::MAX as u128 { u64::MAX } else { parts as u64 }
        }

        match self.0.checked_mul(to.0) {
            // All that there is in practice, without a division of 128 bits.
            Some(whole) if whole.checked_add(from.0).is_some() => {
                match whole.saturating_add(from.0.saturating_sub(1)).checked_div(from.0) {
                    Some(parts) => Self(parts),
                    None => Self::ZERO,
                }
            }
            _ => Self(rounded_up((self.0 as u128).saturating_mul(to.0 as u128), from.0 as u128)),
        }
    }

    pub(crate) const fn half(self) -> Self {
        Self(self.0 >> 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_at_both_ends() {
        let second = Duration::from_secs(1);
        assert_eq!(Instant::MAX.saturating_add(second), Instant::MAX);
        assert_eq!(Instant::ZERO.saturating_sub(second), Instant::ZERO);
        assert_eq!(Instant::ZERO.saturating_add(Duration::MAX), Instant::MAX);
        assert_eq!(Instant::from_secs(u64::MAX), Instant::MAX);
        let longest = Duration::from_nanos(u64::MAX);
        assert_eq!(Instant::ZERO.saturating_add(longest), Instant::MAX);
        assert_eq!(Instant::ZERO.saturating_add(longest + Duration::from_nanos(1)), Instant::MAX);
        assert_ne!(Instant::ZERO.saturating_add(longest - Duration::from_nanos(1)), Instant::MAX);
        assert_eq!(Instant::ZERO.saturating_duration_since(Instant::MAX), Duration::ZERO);
    }

    #[test]
    fn only_no_time_is_zero() {
        assert!(Span::ZERO.is_zero());
        assert!(!Span::from_nanos(1).is_zero());
    }

    #[test]
    fn an_instant_is_eight_bytes() {
        assert_eq!(size_of::<Instant>(), 8);
        assert_eq!(size_of::<Span>(), 8);
    }

    #[test]
    fn no_deadline_does_not_hide_the_others() {
        let at = Instant::from_nanos(7);
        assert_eq!(earliest([Some(Instant::MAX), None, Some(at)]), Some(at));
        assert_eq!(earliest::<0>([]), None);
    }
}
