//! What a confidant did.

use serde::{Deserialize, Serialize};

use super::Outcome;

/// Counts since the start. `seen` is the sum of all the others.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ConfidantStats {
    /// Verified messages that were handed in.
    pub seen: u64,
    /// `Request`s answered.
    pub answered: u64,
    /// `Commit`s that are durable.
    pub committed: u64,
    /// Repeats.
    pub duplicates: u64,
    /// `Fetch`es granted.
    pub fetches: u64,
    /// Replies, which are not for a confidant.
    pub not_questions: u64,
    /// `Holding`s noted.
    pub noted: u64,
    /// Questions answered with no.
    pub refused: u64,
    /// `Store`s written.
    pub stored: u64,
    /// `Refresh`es answered.
    pub welcomed: u64,
}

impl ConfidantStats {
    pub(super) const fn count(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Answered { .. } => &mut self.answered,
            Outcome::Committed { .. } => &mut self.committed,
            Outcome::Duplicate => &mut self.duplicates,
            Outcome::NotAQuestion => &mut self.not_questions,
            Outcome::Noted => &mut self.noted,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Sending { .. } => &mut self.fetches,
            Outcome::Stored => &mut self.stored,
            Outcome::Welcomed => &mut self.welcomed,
        };
        *count = count.saturating_add(1);
        self.seen = self.seen.saturating_add(1);
    }
}
