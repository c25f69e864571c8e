//! Where the slots of a state machine live: an inline array, or whatever an adapter brings.

use core::{fmt, num::NonZero};

/// A kind of memory for slots.
///
/// [`Inline`] is the one of the core: arrays inside the state machine, so that it can be a `static`. An adapter may bring
/// another whose size is chosen at run time.
pub trait Storage {
    /// The memory of the slots of one type; its length never changes.
    type Of<T>: AsRef<[T]> + AsMut<[T]>;
    /// The same in lines of four.
    type Lines<T>: Lines<T>;
    /// What only machines of run-time size have: one value, or an empty array, which costs nothing.
    type Extra<T>: AsRef<[T]> + AsMut<[T]>;
    /// How slots refer to each other.
    type Link: Link;
}

/// A [`Storage`] whose size is chosen at run time.
pub trait Allocate: Storage {
    /// `len` slots, each made by `fill`.
    fn allocate<T>(len: usize, fill: impl FnMut() -> T) -> Self::Of<T>;

    /// `len` slots in [`Lines`](Storage::Lines), and, where the last line has more, `beyond` in the rest of it.
    fn allocate_lines<T: Copy>(len: usize, slot: T, beyond: T) -> Self::Lines<T>;

    /// Holds `value`.
    fn extra<T>(value: T) -> Self::Extra<T>;
}

/// Slots in lines of four. Each begins where a line of the caches does, where there are caches.
pub trait Lines<T> {
    /// How many slots there are.
    fn slots(&self) -> usize;

    /// How many lines; the last may have fewer than four slots.
    fn lines(&self) -> usize {
        self.slots().div_ceil(4)
    }

    /// The line with this number, if it lies there whole: the last one may go beyond [`slots`](Self::slots).
    fn whole(&self, line: usize) -> Option<&[T; 4]>;

    /// The slots of the last line, if it does not lie there whole.
    fn rest(&self) -> &[T];

    /// The slot with this number.
    fn get(&self, slot: usize) -> Option<&T>;

    /// The slot with this number, to be changed.
    fn get_mut(&mut self, slot: usize) -> Option<&mut T>;

    /// All slots, to be changed.
    fn iter_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut T>
    where
        T: 'a;
}

impl<T, S: AsRef<[T]> + AsMut<[T]>> Lines<T> for S {
    fn slots(&self) -> usize {
        self.as_ref().len()
    }

    #[inline]
    fn whole(&self, line: usize) -> Option<&[T; 4]> {
        self.as_ref().as_chunks().0.get(line)
    }

    fn rest(&self) -> &[T] {
        self.as_ref().as_chunks::<4>().1
    }

    fn get(&self, slot: usize) -> Option<&T> {
        self.as_ref().get(slot)
    }

    #[inline]
    fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.as_mut().get_mut(slot)
    }

    fn iter_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut T>
    where
        T: 'a,
    {
        self.as_mut().iter_mut()
    }
}

/// `N` slots inside the state machine, at most 65,535.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct Inline<const N: usize>;

impl<const N: usize> Storage for Inline<N> {
    type Of<T> = [T; N];
    type Lines<T> = [T; N];
    type Extra<T> = [T; 0];
    type Link = u16;
}

/// The number of a slot, or none: as narrow as the storage allows. None is zero, as memory is that was never written: so a
/// new machine in a `static` takes no flash for its slots.
pub trait Link: Copy + Eq + fmt::Debug {
    /// As many bits of a key's hash as a link has. Never zero, so that it also tells that a slot is occupied.
    type Fingerprint: Copy + Eq + fmt::Debug;

    /// What an index keeps of a fingerprint beside the link: all of it where there may be so many slots that each is a miss
    /// in the caches; nothing on a microcontroller, which has none.
    type Hint: Copy + Eq + fmt::Debug;

    /// No slot.
    const NONE: Self;
    /// What stands beside [`NONE`](Self::NONE).
    const NO_HINT: Self::Hint;

    /// The link to slot `index`, [`NONE`](Self::NONE) if it is out of range.
    fn to(index: usize) -> Self;

    /// The slot it leads to; out of any range if it is [`NONE`](Self::NONE).
    fn index(self) -> usize;

    /// The upper bits of a hash.
    fn fingerprint(hash: u64) -> Self::Fingerprint;

    /// The fingerprint scaled to the numbers below `count`, without a division.
    fn scale(fingerprint: Self::Fingerprint, count: usize) -> usize;

    /// What an index keeps of a fingerprint.
    fn hint(fingerprint: Self::Fingerprint) -> Self::Hint;

    /// The fingerprint, if the hint tells it.
    fn hinted(hint: Self::Hint) -> Option<Self::Fingerprint>;

    /// The lowest bit of a fingerprint, of which [`scale`](Self::scale) makes least.
    fn is_odd(fingerprint: Self::Fingerprint) -> bool;
}

impl Link for u16 {
    type Fingerprint = NonZero<Self>;
    type Hint = ();

    const NONE: Self = 0;
    const NO_HINT: () = ();

    fn to(index: usize) -> Self {
        Self::try_from(index.wrapping_add(1)).unwrap_or(Self::NONE)
    }

    fn index(self) -> usize {
        usize::from(self).wrapping_sub(1)
    }

    fn fingerprint(hash: u64) -> NonZero<Self> {
        NonZero::new((hash >> 48) as Self).unwrap_or(NonZero::<Self>::MIN)
    }

    fn scale(fingerprint: NonZero<Self>, count: usize) -> usize {
        (u32::from(fingerprint.get()).wrapping_mul(count as u32) >> Self::BITS) as usize
    }

    fn hint(_: NonZero<Self>) {}

    fn hinted((): ()) -> Option<NonZero<Self>> {
        None
    }

    fn is_odd(fingerprint: NonZero<Self>) -> bool {
        fingerprint.get() & 1 == 1
    }
}

impl Link for u32 {
    type Fingerprint = NonZero<Self>;
    type Hint = Self;

    const NONE: Self = 0;
    const NO_HINT: Self = 0;

    fn to(index: usize) -> Self {
        Self::try_from(index.wrapping_add(1)).unwrap_or(Self::NONE)
    }

    fn index(self) -> usize {
        (self as usize).wrapping_sub(1)
    }

    fn fingerprint(hash: u64) -> NonZero<Self> {
        NonZero::new((hash >> 32) as Self).unwrap_or(NonZero::<Self>::MIN)
    }

    fn scale(fingerprint: NonZero<Self>, count: usize) -> usize {
        (u64::from(fingerprint.get()).wrapping_mul(count as u64) >> Self::BITS) as usize
    }

    fn hint(fingerprint: NonZero<Self>) -> Self {
        fingerprint.get()
    }

    fn hinted(hint: Self) -> Option<NonZero<Self>> {
        NonZero::new(hint)
    }

    fn is_odd(fingerprint: NonZero<Self>) -> bool {
        fingerprint.get() & 1 == 1
    }
}

/// Slots on the heap, as an adapter brings them.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Heap;

#[cfg(test)]
impl Storage for Heap {
    type Of<T> = std::boxed::Box<[T]>;
    type Lines<T> = std::boxed::Box<[T]>;
    type Extra<T> = [T; 1];
    type Link = u32;
}

#[cfg(test)]
impl Allocate for Heap {
    fn allocate<T>(len: usize, mut fill: impl FnMut() -> T) -> std::boxed::Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }

    fn allocate_lines<T: Copy>(len: usize, slot: T, _: T) -> Self::Lines<T> {
        Self::allocate(len, || slot)
    }

    fn extra<T>(value: T) -> [T; 1] {
        [value]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the links of both widths promise; `FINGERPRINT` is the width of the fingerprint.
    fn a_link_leads_to_its_slot<L: Link<Fingerprint = P>, P: Copy + Eq + fmt::Debug>(width: u32, least: P) {
        for index in [0, 1, 2, 1_000, 65_534] {
            assert_eq!(L::to(index).index(), index);
        }
        assert!(L::NONE.index() > u32::MAX as usize - 1);
        assert_eq!(L::to(usize::MAX), L::NONE);
        assert_eq!(L::fingerprint(0), least, "a fingerprint is never zero");
        let fingerprints = [1_u64, 2, 1 << (width - 1)].map(|upper| L::fingerprint(upper << (64 - width)));
        assert_eq!(fingerprints[0], least);
        assert_ne!(fingerprints[1], least);
        for count in [1, 3, 1_000] {
            assert_eq!(L::scale(L::fingerprint(0), count), 0);
            assert_eq!(L::scale(fingerprints[2], count), count / 2, "half way up");
            assert_eq!(L::scale(L::fingerprint(u64::MAX), count), count - 1);
            assert!(L::is_odd(L::fingerprint(u64::MAX)) && !L::is_odd(fingerprints[2]));
        }
    }

    #[test]
    fn links_of_both_widths_lead_to_their_slots() {
        a_link_leads_to_its_slot::<u16, _>(16, NonZero::<u16>::MIN);
        a_link_leads_to_its_slot::<u32, _>(32, NonZero::<u32>::MIN);
        assert_eq!(u32::to(65_535).index(), 65_535);
    }
}
