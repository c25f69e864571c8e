//! The name of a call on the wire.

use crate::foundation::split_mix;

/// The correlation id of one call of a [`Correlator`](crate::correlator::Correlator): 64 bits for the wire.
///
/// The low half is the number of a slot, the high half the number of the call, run through a permutation of 32 bits
/// that the correlator's seed keys. So no two of 2^32 successive calls share an id, ids of another seed are others, and
/// one id does not tell the next. That makes ids hard to guess, not impossible: the permutation is no cipher. Where a
/// stranger can write under a peer's name, sign the messages.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Correlator, Instant, correlator::{BeginError, CallId}};
///
/// let mut calls: Correlator<&str, u32, 8> = Correlator::new(0x5eed);
/// let call = calls.begin("bob", Duration::from_secs(2), Instant::ZERO)?;
/// let on_the_wire = call.id().as_u64().to_le_bytes();
///
/// // bob sends it back with his reply.
/// let id = CallId::from_u64(u64::from_le_bytes(on_the_wire));
/// assert!(calls.resolve(id, "bob", 42, Instant::ZERO).is_matched());
/// # Ok::<(), BeginError>(())
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CallId(u64);

impl CallId {
    /// The id that a message carries. Any number will do: one that names no call is `Unknown`.
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The id as a message carries it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl CallId {
    pub(super) const fn new(slot: usize, number: u32) -> Self {
        Self((number as u64) << 32 | slot as u64 & 0xffff_ffff)
    }

    /// The slot that it names, and the number of the call.
    pub(super) const fn parts(self) -> (usize, u32) {
        (self.0 as u32 as usize, (self.0 >> 32) as u32)
    }
}

/// The numbers of successive calls: a counter behind a Feistel network of four rounds, which is one-to-one by
/// construction and costs a microcontroller 20 instructions.
pub(super) struct Numbers {
    keys: [u32; 4],
    next: u32,
}

impl Numbers {
    pub(super) const fn new(seed: u64) -> Self {
        let (first, second, third) = (split_mix::nth(seed, 1), split_mix::nth(seed, 2), split_mix::nth(seed, 3));
        // Odd, as factors have to be.
        let keys = [first as u32 | 1, (first >> 32) as u32 | 1, second as u32 | 1, (second >> 32) as u32 | 1];
        Self { keys, next: third as u32 }
    }

    /// A number that none of the 2^32 - 1 before was.
    #[inline]
    pub(super) const fn next(&mut self) -> u32 {
        let counter = self.next;
        self.next = counter.wrapping_add(1);
        let [first, second, third, fourth] = self.keys;
        let (high, low) = (counter >> 16, counter & 0xffff);
        let high = high ^ round(low, first);
        let low = low ^ round(high, second);
        let high = high ^ round(low, third);
        let low = low ^ round(high, fourth);
        high << 16 | low
    }
}

/// 16 bits to 16 bits: the key's upper half shifts, the whole of it, which is odd, multiplies, the upper bits count.
const fn round(half: u32, key: u32) -> u32 {
    half.wrapping_add(key >> 16).wrapping_mul(key) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn no_number_comes_twice() {
        for seed in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let mut numbers = Numbers::new(seed);
            let mut seen: Vec<u32> = (0..100_000).map(|_| numbers.next()).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), 100_000);
        }
    }

    #[test]
    fn successive_numbers_look_unrelated() {
        let (mut numbers, mut others) = (Numbers::new(7), Numbers::new(8));
        let mut before = numbers.next();
        let mut flipped = 0;
        for _ in 0..10_000 {
            let number = numbers.next();
            flipped += (number ^ before).count_ones() + (number ^ others.next()).count_ones();
            before = number;
        }
        // Unrelated numbers differ in 16 of 32 bits; the standard deviation of this mean is 0.02.
        let mean = f64::from(flipped) / 20_000.0;
        assert!((15.8..16.2).contains(&mean), "{mean} bits differ");
    }

    /// The first outputs of `SplitMix64` from a seed of zero, as its reference implementation gives them.
    #[test]
    fn keys_are_made_by_split_mix() {
        let outputs = [1, 2, 3].map(|index| split_mix::nth(0, index));
        assert_eq!(outputs, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
    }

    #[test]
    fn a_round_shifts_by_the_upper_half_of_its_key() {
        assert_eq!(round(5, 0x0003_8001), (8 * 0x0003_8001) >> 16);
    }

    #[test]
    fn an_id_has_its_parts() {
        for (slot, number) in [(0, 0), (5, u32::MAX), (u32::MAX as usize, 7)] {
            assert_eq!(CallId::new(slot, number).parts(), (slot, number));
        }
    }
}
