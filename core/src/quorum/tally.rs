//! What the votes come to.

use super::{Ballot, BallotId, List, ListStorage, QuorumIn};
use crate::foundation::time::Instant;

impl<V, T, S: ListStorage> QuorumIn<V, T, S>
where
    S::Of<T>: Clone,
{
    /// The result by `aggregate`, as soon as the threshold is reached and the votes decide something.
    ///
    /// While they do not (`aggregate` gives `None`: no majority, say), the ballot stays open until they do, until
    /// nobody is left to vote or until the deadline. [`result_when_settled`](Self::result_when_settled) waits for all
    /// instead. The first decision, and the first failure, end the ballot. Another ballot than the present one has
    /// failed.
    ///
    /// `aggregate` gets a copy of the votes, at least as many as the threshold: a function of
    /// [`aggregate`](crate::aggregate), or any other that does not depend on their order.
    ///
    /// ```
    /// use steadfast_core::{Instant, Quorum, quorum::Ballot};
    ///
    /// let now = Instant::ZERO;
    /// let mut newest: Quorum<&str, u64, 8> = Quorum::new::<2>(Instant::MAX);
    /// let ballot = newest.ballot();
    /// let _ = newest.vote(ballot, "bob", 41, now);
    /// let _ = newest.vote(ballot, "carol", 42, now);
    /// assert_eq!(newest.result(ballot, |versions| versions.iter().max().copied(), now), Ballot::Decided(42));
    /// ```
    #[doc(alias("HasQuorum", "Result"))]
    pub fn result<R>(
        &mut self,
        ballot: BallotId,
        aggregate: impl FnOnce(&mut [T]) -> Option<R>,
        now: Instant,
    ) -> Ballot<R> {
        self.decide(ballot, now, |tally| tally.soon(aggregate))
    }

    /// The result by `aggregate`, once no missing vote can change it.
    ///
    /// Waits until all have voted, until the deadline, or until the threshold is reached and `settled` says that
    /// whatever the missing ones vote changes nothing (see [`aggregate::settled`](crate::aggregate::settled)): then the
    /// ballot is decided, or has failed, early. All are those on the list, or `N` voters if there is none.
    ///
    /// ```
    /// use steadfast_core::{Instant, Quorum, aggregate::{majority, settled}, quorum::Ballot};
    ///
    /// let now = Instant::ZERO;
    /// let mut quorum: Quorum<u8, &str, 5> = Quorum::new::<3>(Instant::MAX);
    /// let ballot = quorum.ballot();
    /// for (voter, version) in [(1, "v2"), (2, "v1"), (3, "v2")] {
    ///     let _ = quorum.vote(ballot, voter, version, now);
    /// }
    /// assert_eq!(quorum.result_when_settled(ballot, majority, settled::majority, now), Ballot::Open { missing: 0 });
    /// let _ = quorum.vote(ballot, 4, "v2", now);
    /// assert_eq!(quorum.result_when_settled(ballot, majority, settled::majority, now), Ballot::Decided("v2"));
    /// ```
    pub fn result_when_settled<R>(
        &mut self,
        ballot: BallotId,
        aggregate: impl FnOnce(&mut [T]) -> Option<R>,
        settled: impl FnOnce(&mut [T], usize) -> bool,
        now: Instant,
    ) -> Ballot<R> {
        self.decide(ballot, now, |tally| tally.when_settled(aggregate, settled))
    }

    fn decide<R>(
        &mut self,
        ballot: BallotId,
        now: Instant,
        judge: impl FnOnce(&mut Tally<S::Of<T>>) -> Ballot<R>,
    ) -> Ballot<R> {
        match self.tally(ballot, now) {
            Ok(mut tally) => {
                let ballot = judge(&mut tally);
                self.settle(&ballot, tally.version);
                ballot
            }
            Err(ballot) => ballot,
        }
    }

    /// The votes, if there are enough of them for a result.
    pub(super) fn tally<R>(&mut self, ballot: BallotId, now: Instant) -> Result<Tally<S::Of<T>>, Ballot<R>> {
        self.observe(now);
        if ballot != self.ballot {
            return Err(Ballot::Failed);
        }
        let missing = self.missing();
        match self.threshold.saturating_sub(self.len()) {
            0 => Ok(Tally { votes: self.votes.clone(), missing, version: self.version }),
            needed if needed <= missing => Err(Ballot::Open { missing: needed }),
            _ => {
                self.closed = true;
                Err(Ballot::Failed)
            }
        }
    }

    /// Ends the ballot if this is its end; false if it was reached for other votes than there are now.
    pub(super) const fn settle<R>(&mut self, ballot: &Ballot<R>, version: u64) -> bool {
        let stands = version == self.version;
        self.closed |= stands && !matches!(ballot, Ballot::Open { .. });
        stands
    }
}

/// The votes as they were, so that a result can be found outside a lock.
pub(super) struct Tally<L> {
    votes: L,
    missing: usize,
    pub(super) version: u64,
}

impl<L> Tally<L> {
    pub(super) fn soon<T, R>(&mut self, aggregate: impl FnOnce(&mut [T]) -> Option<R>) -> Ballot<R>
    where
        L: List<T>,
    {
        match aggregate(self.votes.as_mut()) {
            Some(value) => Ballot::Decided(value),
            None if self.missing == 0 => Ballot::Failed,
            None => Ballot::Open { missing: 0 },
        }
    }

    pub(super) fn when_settled<T, R>(
        &mut self,
        aggregate: impl FnOnce(&mut [T]) -> Option<R>,
        settled: impl FnOnce(&mut [T], usize) -> bool,
    ) -> Ballot<R>
    where
        L: List<T>,
    {
        if self.missing > 0 && !settled(self.votes.as_mut(), self.missing) {
            return Ballot::Open { missing: 0 };
        }
        aggregate(self.votes.as_mut()).map_or(Ballot::Failed, Ballot::Decided)
    }
}
