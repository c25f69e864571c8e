//! Where the slots of a machine live: an inline array, or whatever an adapter brings.

use core::{fmt, num::NonZero};

/// A kind of memory for slots.
///
/// [`Inline`] is the one of the core: arrays inside the machine, so that it can be a `static`. An adapter may bring
/// another whose size is chosen at run time.
pub trait Storage {
    /// The memory of the slots of one type; its length never changes.
    type Of<T>: AsRef<[T]> + AsMut<[T]>;
    /// How slots refer to each other.
    type Link: Link;
}

/// A [`Storage`] whose size is chosen at run time.
pub trait Allocate: Storage {
    /// `len` slots, each made by `fill`.
    fn allocate<T>(len: usize, fill: impl FnMut() -> T) -> Self::Of<T>;
}

/// `N` slots inside the machine, at most 65,535.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct Inline<const N: usize>;

impl<const N: usize> Storage for Inline<N> {
    type Of<T> = [T; N];
    type Link = u16;
}

/// The number of a slot, or none: as narrow as the storage allows.
pub trait Link: Copy + Eq + fmt::Debug {
    /// As many bits of a key's hash as a link has. Never zero, so that it also tells that a slot is occupied.
    type Print: Copy + Eq + fmt::Debug;

    /// No slot.
    const NONE: Self;

    /// The link to slot `index`, [`NONE`](Self::NONE) if it is out of range.
    fn to(index: usize) -> Self;

    /// The slot it leads to; out of any range if it is [`NONE`](Self::NONE).
    fn index(self) -> usize;

    /// The upper bits of a hash.
    fn print(hash: u64) -> Self::Print;

    /// The print scaled to the numbers below `count`, without a division.
    fn scale(print: Self::Print, count: usize) -> usize;
}

impl Link for u16 {
    type Print = NonZero<Self>;

    const NONE: Self = Self::MAX;

    fn to(index: usize) -> Self {
        Self::try_from(index).unwrap_or(Self::NONE)
    }

    fn index(self) -> usize {
        if self == Self::NONE { usize::MAX } else { usize::from(self) }
    }

    fn print(hash: u64) -> NonZero<Self> {
        NonZero::new((hash >> 48) as Self).unwrap_or(NonZero::<Self>::MIN)
    }

    fn scale(print: NonZero<Self>, count: usize) -> usize {
        (u32::from(print.get()).wrapping_mul(count as u32) >> Self::BITS) as usize
    }
}

impl Link for u32 {
    type Print = NonZero<Self>;

    const NONE: Self = Self::MAX;

    fn to(index: usize) -> Self {
        Self::try_from(index).unwrap_or(Self::NONE)
    }

    fn index(self) -> usize {
        if self == Self::NONE { usize::MAX } else { self as usize }
    }

    fn print(hash: u64) -> NonZero<Self> {
        NonZero::new((hash >> 32) as Self).unwrap_or(NonZero::<Self>::MIN)
    }

    fn scale(print: NonZero<Self>, count: usize) -> usize {
        (u64::from(print.get()).wrapping_mul(count as u64) >> Self::BITS) as usize
    }
}
