//! A share of a whole.

use core::num::NonZeroU16;

/// A share of calls or keys, from 0.1 % to 100 %. With the feature `serde` it is written as `"50%"`, and in permille
/// in formats that people do not read.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Percent {
    permille: NonZeroU16,
}

impl Percent {
    /// `percent` of a hundred.
    ///
    /// # Panics
    ///
    /// If `percent` is not from 1 to 100: at compile time in a `const` or a `static`. For numbers that are known at
    /// run time there is [`try_from_permille`](Self::try_from_permille).
    #[must_use]
    pub const fn new(percent: u16) -> Self {
        assert!(0 < percent && percent <= 100, "a percentage is from 1 to 100");
        Self { permille: NonZeroU16::MIN.saturating_add(percent.saturating_mul(10).saturating_sub(1)) }
    }

    /// `permille` of a thousand; `None` unless it is from 1 to 1000.
    #[must_use]
    pub const fn try_from_permille(permille: u16) -> Option<Self> {
        match NonZeroU16::new(permille) {
            Some(permille) if permille.get() <= 1_000 => Some(Self { permille }),
            _ => None,
        }
    }

    /// In parts of a thousand.
    #[must_use]
    pub const fn as_permille(self) -> u16 {
        self.permille.get()
    }

    /// True if `part` of `whole` is at least this share. Two multiplications and no division.
    pub(crate) const fn is_reached(self, part: u32, whole: u32) -> bool {
        (part as u64).saturating_mul(1_000) >= (whole as u64).saturating_mul(self.permille.get() as u64)
    }

    /// In parts of 65,536, at most 65,535.
    pub(crate) const fn of_65536(self) -> u16 {
        let parts = (self.permille.get() as u32).saturating_mul(65_535);
        (parts / 1_000) as u16
    }

    /// The other way round; none for zero.
    #[cfg(feature = "serde")]
    pub(crate) const fn from_65536(parts: u16) -> Option<Self> {
        let permille = (parts as u32).saturating_mul(1_000).div_ceil(65_535);
        Self::try_from_permille(permille as u16)
    }
}
