//! A generator for programs that have none of their own.

use core::convert::Infallible;

use rand_core::TryRng;

use crate::foundation::split_mix;

/// A random number generator for jitter: `SplitMix64` over a seed, in 8 bytes.
///
/// For programs without a generator, or whose hardware's implements another version of `rand_core`. Give each device
/// its own seed, such as 64 bits of its hardware's generator at boot, or all come back in step. It is not for keys and
/// secrets: who sees one number knows the others.
///
/// ```
/// use rand_core::Rng;
/// use steadfast_core::retry::SeededRng;
///
/// let seed = 0x5eed; // from the hardware, in real life
/// let (mut rng, mut other) = (SeededRng::new(seed), SeededRng::new(seed + 1));
/// assert_ne!(rng.next_u64(), other.next_u64());
/// ```
#[doc(alias("SmallRng", "SplitMix64"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    /// The generator of this seed; any will do.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }
}

impl TryRng for SeededRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| (number >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(split_mix::next(&mut self.0))
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

#[cfg(test)]
mod tests {
    use rand_core::Rng;

    use super::*;

    /// The numbers of the algorithm's authors, as other libraries test them.
    #[test]
    fn it_is_split_mix_64() {
        let first = |seed| {
            let mut rng = SeededRng::new(seed);
            [(); 3].map(|()| rng.next_u64())
        };
        assert_eq!(first(0), [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        assert_eq!(first(1_234_567), [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
        assert_eq!(SeededRng::new(0).next_u32(), 0xe220_a839, "the upper half");
    }

    #[test]
    fn bytes_are_those_of_the_numbers_in_turn() {
        let mut bytes = [0; 11];
        SeededRng::new(0).fill_bytes(&mut bytes);
        assert_eq!(bytes[..8], 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        assert_eq!(bytes[8..], 0x6e78_9e6a_a1b9_65f4_u64.to_le_bytes()[..3]);
    }
}
