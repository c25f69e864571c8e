//! What is kept for an id beside its age, in one word.

use core::num::NonZeroU32;

/// Claimed, or marked and how often it came again.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct State(NonZeroU32);

/// Set: claimed, and the other bits are the claim's number. Clear: marked, and they count how often it came.
const CLAIMED: NonZeroU32 = match NonZeroU32::new(1 << 31) {
    Some(bit) => bit,
    None => NonZeroU32::MIN,
};

impl State {
    /// Marked just now.
    pub(super) const MARKED: Self = Self(NonZeroU32::MIN);

    pub(super) fn claimed(number: u32) -> Self {
        Self(CLAIMED | number)
    }

    pub(super) const fn is_claimed(self) -> bool {
        self.0.get() >= CLAIMED.get()
    }

    /// How often it came again since it was marked; 0 for a claimed one.
    pub(super) const fn repeats(self) -> u32 {
        if self.is_claimed() { 0 } else { self.0.get().saturating_sub(1) }
    }

    /// The state once it has come again.
    pub(super) fn repeated(self) -> Self {
        let next = self.0.saturating_add(1);
        if self.is_claimed() || next >= CLAIMED { self } else { Self(next) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_as_often_as_can_be_counted_is_not_taken_for_a_claim() {
        let most = State(NonZeroU32::new(u32::MAX >> 1).unwrap());
        assert_eq!(most.repeated(), most);
        assert!(!most.is_claimed());
        let claimed = State::claimed(7);
        assert_eq!(claimed.repeated(), claimed);
    }
}
