//! What comes of a vote and of a ballot.

use core::{error, fmt};

/// What became of a vote.
#[must_use = "a vote that was not counted may be evidence against its voter"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Vote {
    /// Not counted: the voter has voted for another value, and the first vote stands. An honest voter does not do this.
    Conflicting,
    /// Counted.
    Counted,
    /// Not counted: as many voters as there is room for have voted.
    Full,
    /// Not counted: the ballot is over, or its deadline is reached.
    Late,
    /// Not counted: it is for another ballot than the present one, most likely for a former one.
    OtherBallot,
    /// Not counted again: the voter has voted for this value. A network that delivers twice does this.
    Repeated,
    /// Not counted: the voter is not on the list.
    Stranger,
}

/// What [`vote_with`](crate::quorum::QuorumIn::vote_with) comes to inside a lock.
#[must_use = "only a vote that is done has been counted"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cast<'a, T> {
    /// The voter has voted, first for this value. Once it was compared, outside the lock,
    /// [`count_again`](crate::quorum::QuorumIn::count_again) counts the second vote.
    Again(&'a T),
    /// This became of the vote.
    Done(Vote),
    /// The vote would count, if the voter and the value were there to be kept; nothing was changed.
    Wanted,
}

/// The state of a ballot: open, decided or failed.
#[must_use = "a ballot that is not looked at decides nothing"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Ballot<R> {
    /// This is the result, for good: later votes are [`Vote::Late`].
    Decided(R),
    /// There is no result, for good: too few votes, they decide nothing, or another ballot has begun.
    Failed,
    /// It can still be decided.
    Open {
        /// So many votes are needed at least; none means that the threshold is reached, but the votes decide nothing
        /// yet.
        missing: usize,
    },
}

impl<R> Ballot<R> {
    /// The result, if there is one.
    #[must_use]
    pub fn decided(self) -> Option<R> {
        match self {
            Self::Decided(value) => Some(value),
            Self::Failed | Self::Open { .. } => None,
        }
    }
}

/// The counts of a quorum since it was made, over all its ballots: every vote is in exactly one of them.
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QuorumStats {
    /// Votes that were [`Vote::Conflicting`].
    pub conflicting: u64,
    /// Votes that were [`Vote::Counted`].
    pub counted: u64,
    /// Votes that were [`Vote::Full`].
    pub full: u64,
    /// Votes that were [`Vote::Late`].
    pub late: u64,
    /// Votes that were [`Vote::OtherBallot`].
    pub other_ballots: u64,
    /// Votes that were [`Vote::Repeated`].
    pub repeated: u64,
    /// Votes that were [`Vote::Stranger`].
    pub strangers: u64,
}

impl QuorumStats {
    pub(super) const NONE: Self =
        Self { conflicting: 0, counted: 0, full: 0, late: 0, other_ballots: 0, repeated: 0, strangers: 0 };

    /// All votes that came.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.conflicting
            .saturating_add(self.counted)
            .saturating_add(self.full)
            .saturating_add(self.late)
            .saturating_add(self.other_ballots)
            .saturating_add(self.repeated)
            .saturating_add(self.strangers)
    }

    pub(super) const fn count(&mut self, vote: Vote) {
        let counter = match vote {
            Vote::Conflicting => &mut self.conflicting,
            Vote::Counted => &mut self.counted,
            Vote::Full => &mut self.full,
            Vote::Late => &mut self.late,
            Vote::OtherBallot => &mut self.other_ballots,
            Vote::Repeated => &mut self.repeated,
            Vote::Stranger => &mut self.strangers,
        };
        *counter = counter.saturating_add(1);
    }

    /// What was counted since `earlier`, when the same stats were read before; it adds up as they do.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            conflicting: self.conflicting.saturating_sub(earlier.conflicting),
            counted: self.counted.saturating_sub(earlier.counted),
            full: self.full.saturating_sub(earlier.full),
            late: self.late.saturating_sub(earlier.late),
            other_ballots: self.other_ballots.saturating_sub(earlier.other_ballots),
            repeated: self.repeated.saturating_sub(earlier.repeated),
            strangers: self.strangers.saturating_sub(earlier.strangers),
        }
    }
}

/// Why a quorum could not be made, or have another threshold. There is none then, or it is as it was.
#[non_exhaustive]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QuorumError {
    /// A threshold of zero would decide on no votes.
    NoThreshold,
    /// The threshold is above the number of voters, or of places for them: it could never be reached.
    OutOfReach,
    /// There are more voters than places.
    TooManyVoters,
}

impl fmt::Display for QuorumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoThreshold => "a threshold of zero decides on no votes",
            Self::OutOfReach => "the threshold is above the number of voters",
            Self::TooManyVoters => "more voters than places",
        })
    }
}

impl error::Error for QuorumError {}
