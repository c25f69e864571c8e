//! `SplitMix64`: numbers that look random, of a seed. Source: Steele, Lea and Flood (2014), "Fast splittable pseudorandom
//! number generators".

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The next number of a generator in this state, which is the seed at first.
pub(crate) const fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(STEP);
    mixed(*state)
}

/// Number `index` of a seed; the first is 1.
pub(crate) const fn nth(seed: u64, index: u64) -> u64 {
    mixed(seed.wrapping_add(STEP.wrapping_mul(index)))
}

const fn mixed(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
