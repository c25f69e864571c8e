//! A fuzzer's bytes, read as choices.

use arbitrary::Unstructured;

/// A source of choices. Past the end of its bytes every choice is the first one.
pub struct Script<'a>(Unstructured<'a>);

impl<'a> Script<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// A number below `count`.
    pub fn below(&mut self, count: u64) -> u64 {
        self.0.int_in_range(0..=count - 1).unwrap_or(0)
    }

    pub fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.below(u64::MAX)
    }

    /// Small, round, or at an end: what a span or an instant in nanoseconds is likely to go wrong with.
    pub fn nanos(&mut self) -> u64 {
        match self.below(5) {
            0 => self.below(5),
            1 => self.below(100) * 1_000_000_000,
            2 => self.below(100_000_000_000),
            3 => u64::MAX - self.below(3),
            _ => self.any(),
        }
    }

    /// One of `choices`, each as likely as its weight says.
    pub fn weighted<T: Copy>(&mut self, choices: &[(u8, T)]) -> T {
        let sum = choices.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut drawn = self.below(sum);
        for (weight, choice) in choices {
            match drawn.checked_sub(u64::from(*weight)) {
                Some(rest) => drawn = rest,
                None => return *choice,
            }
        }
        unreachable!("drawn below the sum of the weights")
    }

    /// As many items as the bytes yield, at most `most`.
    pub fn list<T>(&mut self, most: usize, mut next: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut list = Vec::new();
        while list.len() < most && !self.0.is_empty() {
            list.push(next(self));
        }
        list
    }

    /// At most `most` bytes, as they are.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let length = self.below(most as u64 + 1) as usize;
        self.0.bytes(length.min(self.0.len())).unwrap_or_default()
    }

    /// All that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }
}
