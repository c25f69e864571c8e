//! A hash that is the same on every target.

use core::hash::{BuildHasher, Hasher};

/// What the keyed machines hash with where a table may be full: [`HashSeed`](steadfast_core::HashSeed) is another function
/// on 32 bits than on 64, and who has to go then may depend on it.
///
/// Keys below 2^31 have as many different fingerprints, on 64 bits and on 32 alike.
#[derive(Clone, Debug)]
pub(crate) struct SameEverywhere;

#[derive(Debug)]
pub(crate) struct Mixer(u32);

impl BuildHasher for SameEverywhere {
    type Hasher = Mixer;

    fn build_hasher(&self) -> Mixer {
        Mixer(0)
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        // One to one on 31 bits; the lowest bit of the upper half is left out, since a fingerprint of 32 bits does so too.
        const BITS: u32 = u32::MAX >> 1;
        let mixed = self.0.wrapping_mul(0x9e37_79b1) & BITS;
        let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(0x85eb_ca6b) & BITS;
        let upper = (mixed ^ (mixed >> 13)) << 1;
        u64::from(upper) << 32 | u64::from(upper)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(31).wrapping_add(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = self.0.wrapping_mul(31).wrapping_add(number);
    }
}
