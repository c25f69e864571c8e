//! The keyed hash under every map.

use core::hash::{BuildHasher, Hasher};

#[cfg(any(test, not(target_pointer_width = "64")))]
mod half_sip;

/// The secret of a keyed hash, the [`BuildHasher`] of every keyed state machine: `SipHash`-1-3 on 64-bit targets, and
/// on all others `HalfSipHash`-1-3, its form for 32-bit registers, which takes them less than half the time.
///
/// Peers choose their own names, so whoever knows the secret can make all of them collide. Give each state machine its own
/// random seed: a `static` starts with [`FIXED`](Self::FIXED) and is reseeded at boot, the std adapter takes one from the
/// system. Keys that no stranger chooses may use any other [`BuildHasher`].
///
/// Hashes are for tables in memory: they differ between targets, so they are neither stored nor sent. Decisions do not
/// differ, except for who has to go where a table is full, and who shares a fingerprint.
///
/// Source: Aumasson and Bernstein, "`SipHash`: a fast short-input PRF", 2012.
///
/// ```
/// use core::hash::BuildHasher;
/// use steadfast_core::HashSeed;
///
/// assert_ne!(HashSeed::new(1, 2).hash_one("bob"), HashSeed::new(3, 4).hash_one("bob"));
/// ```
#[derive(Clone)]
pub struct HashSeed(Words);

/// What a [`HashSeed`] hashes with.
#[derive(Clone)]
pub struct SeededHasher(Sip);

#[cfg(target_pointer_width = "64")]
type Sip = siphasher::sip::SipHasher13;
#[cfg(target_pointer_width = "64")]
type Words = (u64, u64);

#[cfg(not(target_pointer_width = "64"))]
type Sip = half_sip::HalfSipHasher13;
#[cfg(not(target_pointer_width = "64"))]
type Words = (u32, u32);

impl HashSeed {
    /// The seed that everybody knows: for tests, and until a `static` is reseeded.
    pub const FIXED: Self = Self::new(0x7374_6561_6466_6173, 0x7420_6861_7368_2031);

    /// A seed of 128 secret random bits.
    #[cfg(target_pointer_width = "64")]
    #[must_use]
    pub const fn new(low: u64, high: u64) -> Self {
        Self((low, high))
    }

    /// A seed of 128 secret random bits, which are folded to 64.
    #[cfg(not(target_pointer_width = "64"))]
    #[must_use]
    pub const fn new(low: u64, high: u64) -> Self {
        let folded = low ^ high.rotate_left(32);
        Self((folded as u32, (folded >> 32) as u32))
    }
}

impl BuildHasher for HashSeed {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(Sip::new_with_keys(self.0.0, self.0.1))
    }
}

impl Hasher for SeededHasher {
    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn write_u8(&mut self, number: u8) {
        self.0.write_u8(number);
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.0.write_u32(number);
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0.write_u64(number);
    }

    #[inline]
    fn write_usize(&mut self, number: usize) {
        self.0.write_usize(number);
    }
}

/// Shows no secret.
impl core::fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashSeed(..)")
    }
}

/// Shows no state: it holds the secret.
impl core::fmt::Debug for SeededHasher {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SeededHasher(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn neither_a_seed_nor_its_hasher_shows_the_secret() {
        let seed = HashSeed::new(7_777_777, 8_888_888);
        let shown = format!("{seed:?} {:?}", seed.build_hasher());
        assert_eq!(shown, "HashSeed(..) SeededHasher(..)");
    }

    /// Each way to write counts, and all agree with the bytes that they stand for.
    #[test]
    fn numbers_of_every_width_are_hashed() {
        let hash = |write: &dyn Fn(&mut SeededHasher)| {
            let mut hasher = HashSeed::FIXED.build_hasher();
            write(&mut hasher);
            hasher.finish()
        };
        let number = 0x0102_0304_0506_0708_u64;
        assert_eq!(hash(&|hasher| hasher.write_u8(7)), hash(&|hasher| hasher.write(&[7])));
        assert_eq!(hash(&|hasher| hasher.write_u32(7)), hash(&|hasher| hasher.write(&7_u32.to_le_bytes())));
        assert_eq!(hash(&|hasher| hasher.write_u64(number)), hash(&|hasher| hasher.write(&number.to_le_bytes())));
        assert_eq!(hash(&|hasher| hasher.write_usize(7)), hash(&|hasher| hasher.write(&7_usize.to_le_bytes())));
        assert_ne!(hash(&|_| ()), hash(&|hasher| hasher.write(&[7])));
    }
}
