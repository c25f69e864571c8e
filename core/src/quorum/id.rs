//! The name of a ballot.

/// Names one ballot of a [`Quorum`](crate::quorum::Quorum): 64 bits for the wire.
///
/// Whoever asks for votes sends it along, and whoever votes repeats it, so that a vote that was held up never counts in
/// a later ballot. A protocol that numbers its ballots itself (a term, an epoch, a view) uses its own numbers:
/// [`reset_to`](crate::quorum::QuorumIn::reset_to).
///
/// ```
/// use steadfast_core::{Instant, Quorum, quorum::{BallotId, Vote}};
///
/// let mut quorum: Quorum<&str, u64, 8> = Quorum::new::<2>(Instant::MAX);
/// let on_the_wire = quorum.ballot().as_u64().to_le_bytes();
///
/// // bob sends it back with his vote.
/// let ballot = BallotId::from_u64(u64::from_le_bytes(on_the_wire));
/// assert_eq!(quorum.vote(ballot, "bob", 7, Instant::ZERO), Vote::Counted);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BallotId(u64);

impl BallotId {
    /// The id that a message carries, or a number of the caller's own.
    #[must_use]
    pub const fn from_u64(bits: u64) -> Self {
        Self(bits)
    }

    /// The id as a message carries it.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}
