//! Chance, from one seed.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A generator that can be shared: `SplitMix64`, whose state is a counter.
///
/// The choices of each worker follow from the seed; how the threads interleave does not.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Another generator, whose numbers have nothing to do with these.
    pub(crate) fn fork(&self) -> Self {
        Self::new(self.roll())
    }

    /// 64 bits.
    pub(crate) fn roll(&self) -> u64 {
        let state = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    /// True once in `times`, on the average.
    pub(crate) fn one_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }
}
