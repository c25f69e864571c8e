//! Keys by chance, and keys that collide.

use core::hash::{BuildHasher, Hash};

use steadfast_core::HashSeed;

/// What a peer can call itself.
pub trait Key: Copy + Eq + Hash {
    fn from_number(number: u64) -> Self;
}

impl Key for u64 {
    fn from_number(number: u64) -> Self {
        number
    }
}

impl Key for [u8; 16] {
    fn from_number(number: u64) -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_le_bytes());
        id[8..].copy_from_slice(&mix(number).to_le_bytes());
        id
    }
}

/// Keys that nobody chose; another `stream` has others.
pub fn by_chance<K: Key, const N: usize>(stream: u64) -> [K; N] {
    core::array::from_fn(|index| K::from_number(mix(stream << 32 | index as u64)))
}

/// Keys of one bucket in any table of up to 128, by somebody who knows the seed: the same highest and lowest seven bits of
/// the hash.
pub fn colliding<K: Key, const N: usize>() -> [K; N] {
    const SAME: u64 = 0x7f << 57 | 0x7f;
    let mut numbers = 0..;
    core::array::from_fn(|_| {
        let mut keys = numbers.by_ref().map(K::from_number);
        keys.find(|key| HashSeed::FIXED.hash_one(key) & SAME == 0).expect("there is always one more")
    })
}

/// `SplitMix64`.
pub const fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
