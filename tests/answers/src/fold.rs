//! All answers in one number.

use serde::Serialize;

/// Everything that a caller sees, in order, in 64 bits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Fold(u64);

impl Fold {
    pub(crate) const fn new() -> Self {
        Self(0x5374_6561_6466_6173)
    }

    pub(crate) const fn get(&self) -> u64 {
        self.0
    }

    pub(crate) fn number(&mut self, number: u64) {
        // What is folded last counts as much as what came first, and their order counts.
        let mixed = (self.0.rotate_left(5) ^ number).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.0 = mixed ^ (mixed >> 32);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    /// An outcome, with every field that it shows, as the core's own `serde` writes it.
    pub(crate) fn answer(&mut self, answer: &impl Serialize) {
        let mut buffer = [0; 192];
        let bytes = postcard::to_slice(answer, &mut buffer).expect("no answer is longer");
        self.bytes(bytes);
    }
}
