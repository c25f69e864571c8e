//! Randomness from the operating system.

use core::convert::Infallible;

use rand_core::{TryCryptoRng, TryRng};
use steadfast_core::retry::SeededRng;

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

/// A generator for jitter: a [`SeededRng`] over a seed from the system.
///
/// It takes its seed with the first number, because most operations succeed at once and need none.
#[derive(Clone, Debug)]
pub struct JitterRng(Option<SeededRng>);

impl JitterRng {
    fn seeded(&mut self) -> &mut SeededRng {
        self.0.get_or_insert_with(|| SeededRng::new(random_seed()))
    }
}

impl TryRng for JitterRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.seeded().try_next_u32()
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.seeded().try_next_u64()
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        self.seeded().try_fill_bytes(dst)
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
