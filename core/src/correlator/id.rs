//! The name of a call on the wire.

/// Names one call of a [`Correlator`](crate::Correlator): 64 bits for the wire.
///
/// It is the number of a slot and the number of its use, run through a permutation that the correlator's seed keys. So
/// no two calls of a correlator share an id until one slot has been used 2^32 times, ids of another seed are others,
/// and they show neither how many calls there were nor how many are pending. That makes ids hard to guess, not
/// impossible: the permutation is no cipher. Where a stranger can write under a peer's name, sign the messages.
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

/// Makes ids of places and places of ids: a Feistel network of four rounds, so that it is one-to-one by construction,
/// at one multiplication of 32 bits by 32 a round, so that it is cheap on a microcontroller.
pub(super) struct Scrambler([u64; 4]);

impl Scrambler {
    pub(super) const fn new(seed: u64) -> Self {
        Self([split_mix(seed, 1), split_mix(seed, 2), split_mix(seed, 3), split_mix(seed, 4)])
    }

    /// The id of one use of a slot.
    pub(super) fn id(&self, slot: u32, generation: u32) -> CallId {
        let mut halves = (slot, generation);
        for key in self.0 {
            halves = (halves.1, halves.0 ^ round(halves.1, key));
        }
        CallId(u64::from(halves.0) << 32 | u64::from(halves.1))
    }

    /// The slot that an id names, and which use of it.
    pub(super) fn place(&self, id: CallId) -> (u32, u32) {
        let mut halves = ((id.0 >> 32) as u32, id.0 as u32);
        for key in self.0.into_iter().rev() {
            halves = (halves.1 ^ round(halves.0, key), halves.0);
        }
        halves
    }
}

/// Half of the key whitens, the other half (made odd) multiplies; both halves of the product count.
const fn round(half: u32, key: u64) -> u32 {
    let whitened = half ^ (key >> 32) as u32;
    let product = (whitened as u64).wrapping_mul(key & 0xffff_ffff | 1);
    (product >> 32) as u32 ^ product as u32
}

/// Output `index` of `SplitMix64`. Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014.
const fn split_mix(seed: u64, index: u64) -> u64 {
    let state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(index));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EDGES: [u32; 7] = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];

    #[test]
    fn every_place_comes_back() {
        for seed in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let scrambler = Scrambler::new(seed);
            for slot in EDGES {
                for generation in EDGES {
                    assert_eq!(scrambler.place(scrambler.id(slot, generation)), (slot, generation));
                }
            }
        }
    }

    #[test]
    fn neighbours_look_unrelated() {
        let scrambler = Scrambler::new(7);
        let mut flipped = 0;
        for step in 0..1_000 {
            let id = scrambler.id(step % 8, step).as_u64();
            flipped += (id ^ scrambler.id((step + 1) % 8, step + 1).as_u64()).count_ones();
            flipped += (id ^ scrambler.id(step % 8, step ^ 0x8000_0000).as_u64()).count_ones();
            flipped += (id ^ Scrambler::new(8).id(step % 8, step).as_u64()).count_ones();
        }
        // Unrelated ids differ in 32 of 64 bits; the standard deviation of this mean is below 0.1.
        let mean = f64::from(flipped) / 3_000.0;
        assert!((31.0..33.0).contains(&mean), "{mean} bits differ");
    }
}
