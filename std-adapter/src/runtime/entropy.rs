//! Randomness from the operating system.

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};

/// The operating system's entropy.
///
/// As a [`rand_core::TryRng`] it reports a failure of the system; jitter, which needs no secrecy, uses
/// [`SystemRng::jitter`].
///
/// ```
/// use rand_core::TryRng;
/// use steadfast::runtime::SystemRng;
///
/// let mut key = [0; 32];
/// SystemRng.try_fill_bytes(&mut key)?;
/// # Ok::<(), getrandom::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRng;

impl SystemRng {
    /// A fast generator for jitter and hash seeds, seeded by the system when it is first asked; not for keys.
    #[must_use]
    pub const fn jitter() -> JitterRng {
        JitterRng(None)
    }
}

impl TryRng for SystemRng {
    type Error = getrandom::Error;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        getrandom::u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        getrandom::u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Self::Error> {
        getrandom::fill(dst)
    }
}

impl TryCryptoRng for SystemRng {}

/// A generator for jitter: `SplitMix64` over a seed from the system.
///
/// It takes its seed with the first number, because most operations succeed at once and need none.
#[derive(Clone, Debug)]
pub struct JitterRng(Option<u64>);

impl TryRng for JitterRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let state = self.0.unwrap_or_else(random_seed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0 = Some(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            let bytes = self.try_next_u64()?.to_le_bytes();
            for (to, from) in chunk.iter_mut().zip(bytes) {
                *to = from;
            }
        }
        Ok(())
    }
}

/// 64 bits that differ between processes and calls, even where the system has no entropy to give.
pub(crate) fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};

    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn two_generators_differ() {
        assert_ne!(SystemRng::jitter().next_u64(), SystemRng::jitter().next_u64());
        assert_ne!(random_seed(), random_seed());
    }

    #[test]
    fn odd_lengths_are_filled() {
        let mut bytes = [0; 37];
        SystemRng::jitter().fill_bytes(&mut bytes);
        assert!(bytes.iter().filter(|byte| **byte == 0).count() < 10);
    }
}
