//! Who votes, and whose vote counts.

use core::mem;

use super::{BallotId, Cast, List, ListStorage, QuorumIn, Vote};
use crate::foundation::time::Instant;

impl<V: PartialEq, T: PartialEq, S: ListStorage> QuorumIn<V, T, S> {
    /// Counts the vote of `voter` in `ballot`, unless it has voted, may not vote, is too late, or that is not the
    /// present ballot. O(N).
    #[doc(alias = "AddVote")]
    pub fn vote(&mut self, ballot: BallotId, voter: V, value: T, now: Instant) -> Vote {
        let known = self.position(|known| *known == voter);
        let (mut voter, mut value) = (Some(voter), Some(value));
        let is_same = match self.cast(ballot, known, &mut voter, &mut value, now) {
            Cast::Done(vote) => return vote,
            Cast::Wanted => return Vote::Full, // they are there
            Cast::Again(first) => value.as_ref() == Some(first),
        };
        self.count_again(is_same)
    }
}

impl<V, T, S: ListStorage> QuorumIn<V, T, S> {
    /// [`vote`](Self::vote) for callers that hold a lock: of the code of voters and values only `is_voter`, which knows
    /// the one who votes, runs inside.
    ///
    /// A vote that counts takes the value and the voter (but one on the list is there already); all else is left, to be
    /// dropped outside. Where they are missing, it is [`Cast::Wanted`].
    pub fn vote_with(
        &mut self,
        ballot: BallotId,
        is_voter: impl FnMut(&V) -> bool,
        voter: &mut Option<V>,
        value: &mut Option<T>,
        now: Instant,
    ) -> Cast<'_, T> {
        let known = self.position(is_voter);
        self.cast(ballot, known, voter, value, now)
    }

    /// Counts a vote that was [`Cast::Again`]: for the same value as the first, or for another.
    pub const fn count_again(&mut self, is_same: bool) -> Vote {
        let vote = if is_same { Vote::Repeated } else { Vote::Conflicting };
        self.stats.count(vote);
        vote
    }

    pub(super) fn position(&self, is_voter: impl FnMut(&V) -> bool) -> Option<usize> {
        self.voters.as_ref().iter().position(is_voter)
    }

    pub(super) fn cast(
        &mut self,
        ballot: BallotId,
        known: Option<usize>,
        voter: &mut Option<V>,
        value: &mut Option<T>,
        now: Instant,
    ) -> Cast<'_, T> {
        self.observe(now);
        let vote = if ballot == self.ballot {
            let here = self.len();
            if let Some(index) = known.filter(|index| *index < here) {
                return self.votes.as_ref().get(index).map_or(Cast::Wanted, Cast::Again);
            }
            self.admit(known, voter, value)
        } else {
            Some(Vote::OtherBallot)
        };
        let Some(vote) = vote else { return Cast::Wanted };
        self.stats.count(vote);
        if vote == Vote::Counted {
            self.version = self.version.wrapping_add(1);
        }
        Cast::Done(vote)
    }

    /// What becomes of a first vote; `None` if it would count, and what is to be kept is not there.
    fn admit(&mut self, known: Option<usize>, voter: &mut Option<V>, value: &mut Option<T>) -> Option<Vote> {
        match known {
            None if self.listed => return Some(Vote::Stranger),
            _ if self.closed => return Some(Vote::Late),
            None if self.missing() == 0 => return Some(Vote::Full),
            _ if value.is_none() => return None,
            None => {
                if let Err(refused) = self.voters.push(voter.take()?) {
                    *voter = Some(refused);
                    return Some(Vote::Full);
                }
            }
            Some(index) => {
                let here = self.len();
                // One index twice is refused: the voter is in its place then.
                if let Ok([absent, here]) = self.voters.as_mut().get_disjoint_mut([index, here]) {
                    mem::swap(absent, here);
                }
            }
        }
        match value.take().map(|value| self.votes.push(value)) {
            Some(Ok(())) => Some(Vote::Counted),
            Some(Err(refused)) => {
                *value = Some(refused);
                Some(Vote::Full)
            }
            None => Some(Vote::Full),
        }
    }
}
