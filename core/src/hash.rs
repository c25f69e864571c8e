//! The keyed hash under every map.

use core::hash::BuildHasher;

use siphasher::sip::SipHasher13;

/// The secret of a keyed hash: SipHash-1-3, the [`BuildHasher`] of every keyed machine.
///
/// Peers choose their own names, so whoever knows the secret can make all of them collide. Give each machine its own
/// random seed: a `static` starts with [`FIXED`](Self::FIXED) and is reseeded at boot, the std adapter takes one from the
/// system. Keys that no stranger chooses may use any other [`BuildHasher`].
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
pub struct HashSeed(u64, u64);

impl HashSeed {
    /// The seed that everybody knows: for tests, and until a `static` is reseeded.
    pub const FIXED: Self = Self(0x7374_6561_6466_6173, 0x7420_6861_7368_2031);

    /// A seed of 128 secret random bits.
    #[must_use]
    pub const fn new(low: u64, high: u64) -> Self {
        Self(low, high)
    }
}

impl BuildHasher for HashSeed {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// Shows no secret.
impl core::fmt::Debug for HashSeed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HashSeed(..)")
    }
}
