//! Which chunks of an upload are there.

use stash_protocol::FETCH_CHUNKS;

/// A bit for each chunk.
#[derive(Debug, Default)]
pub(super) struct Present {
    words: Vec<u32>,
    /// All words before this one are full.
    full: usize,
}

impl Present {
    /// Notes a chunk; the memory grows with its index.
    pub(super) fn add(&mut self, index: u32) {
        let at = word_of(index);
        if self.words.len() <= at {
            self.words.resize(at.saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(at) {
            *word |= 1 << (index % u32::BITS);
        }
    }

    /// The first chunk of so many that is not there, and a bit for it and each of the next that is not. What was found
    /// full is not looked at again, so that asking costs little.
    pub(super) fn missing(&mut self, chunks: u32) -> Option<(u32, u32)> {
        let rest = self.words.get(self.full..).unwrap_or_default();
        self.full = self.full.saturating_add(rest.iter().take_while(|word| **word == u32::MAX).count());
        let bits = self.words.get(self.full).copied().unwrap_or(0);
        let words = u32::try_from(self.full).unwrap_or(u32::MAX);
        let first = words.saturating_mul(u32::BITS).saturating_add(bits.trailing_ones());
        let window = first..chunks.min(first.saturating_add(FETCH_CHUNKS));
        let missing = window.zip(0..).fold(0, |all, (index, bit)| all | u32::from(!self.has(index)) << bit);
        (first < chunks).then_some((first, missing))
    }

    fn has(&self, index: u32) -> bool {
        self.words.get(word_of(index)).is_some_and(|word| word >> (index % u32::BITS) & 1 == 1)
    }
}

fn word_of(index: u32) -> usize {
    usize::try_from(index / u32::BITS).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_missing_is_told_as_by_a_set() {
        let mut random: u64 = 5;
        for chunks in [1, 31, 32, 33, 64, 100, 257] {
            let (mut present, mut set) = (Present::default(), BTreeSet::new());
            for step in 0..2 * chunks {
                let missing: Vec<_> = (0..chunks).filter(|index| !set.contains(index)).collect();
                let expected = missing.first().map(|first| {
                    let near = missing.iter().filter(|index| **index - first < FETCH_CHUNKS);
                    (*first, near.fold(0, |bits, index| bits | 1 << (index - first)))
                });
                assert_eq!(present.missing(chunks), expected, "{chunks} {step}");
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let index = if step < chunks { (random >> 33) as u32 % chunks } else { step - chunks };
                present.add(index);
                set.insert(index);
            }
            assert_eq!(present.missing(chunks), None);
        }
    }

    #[test]
    fn found_f1_what_is_full_is_looked_at_once() {
        let mut present = Present::default();
        (0..70_000).for_each(|index| present.add(index));
        assert_eq!(present.missing(70_001), Some((70_000, 1)));
        assert_eq!(present.full, 70_000 / 32);
        assert_eq!(present.missing(70_000), None);
    }
}
