//! One vote a voter, until enough agree or the time is up.

mod outcome;
#[cfg(test)]
mod tests;

use heapless::Vec;

use crate::{Instant, time::Span};
pub use outcome::{Ballot, QuorumError, QuorumStats, Vote};

/// Collects one vote from each voter, and decides by an [`aggregate`](crate::aggregate) once enough have voted.
///
/// Up to `N` voters vote for values of type `T`. The first vote of a voter stands, so neither a repeated delivery nor a
/// voter who changes its mind fills the quorum. Votes count until the deadline or the decision, whichever comes first;
/// after either, nothing changes until [`reset`](Self::reset).
///
/// With [`new`](Self::new) whoever comes first may vote: authenticate voters before, or a peer with many names outvotes
/// the rest. [`with_voters`](Self::with_voters) admits those on a list alone.
///
/// ```
/// use steadfast_core::{Ballot, Instant, Quorum, Vote, aggregate};
///
/// let now = Instant::from_secs(100);
/// let mut quorum: Quorum<&str, i64, 8> = Quorum::new::<3>(Instant::from_secs(160));
/// assert_eq!(quorum.vote("alice", 10, now), Vote::Counted);
/// assert_eq!(quorum.vote("bob", 12, now), Vote::Counted);
/// assert_eq!(quorum.vote("alice", 1_000, now), Vote::Conflicting);
/// assert_eq!(quorum.result(aggregate::trimmed_mean, now), Ballot::Open { missing: 1 });
///
/// assert_eq!(quorum.vote("carol", 11, now), Vote::Counted);
/// assert_eq!(quorum.result(aggregate::trimmed_mean, now), Ballot::Decided(11));
/// assert_eq!(quorum.vote("dave", 99, now), Vote::Late);
/// ```
///
/// # Cost
///
/// A vote is O(N) comparisons of voters. A result is one copy of the votes and what its aggregate costs.
///
/// # Clock
///
/// A clock that steps back keeps the ballot open for no longer than it was still to be open when a vote or a result first
/// told the time.
#[doc(alias = "ConsensusHelper")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct Quorum<V, T, const N: usize> {
    /// Those who have voted, in the order of `votes`; then, if there is a list, those on it who have not.
    voters: Vec<V, N>,
    votes: Vec<T, N>,
    listed: bool,
    closed: bool,
    threshold: usize,
    deadline: Instant,
    /// The time that was left when the machine first learned the time.
    left: Option<Span>,
    stats: QuorumStats,
}

impl<V, T, const N: usize> Quorum<V, T, N> {
    /// A quorum of `THRESHOLD` votes, open to the first `N` voters until `deadline`.
    ///
    /// [`Instant::MAX`] means no deadline. A threshold of zero or above `N` does not compile.
    ///
    /// ```
    /// use std::sync::Mutex;
    /// use steadfast_core::{Instant, Quorum};
    ///
    /// static VERSION: Mutex<Quorum<u32, u64, 8>> = Mutex::new(Quorum::new::<5>(Instant::MAX));
    /// ```
    ///
    /// ```compile_fail
    /// # use steadfast_core::{Instant, Quorum};
    /// let nine_of_eight: Quorum<u32, u64, 8> = Quorum::new::<9>(Instant::MAX);
    /// ```
    #[must_use]
    pub const fn new<const THRESHOLD: usize>(deadline: Instant) -> Self {
        const { assert!(0 < THRESHOLD && THRESHOLD <= N, "a threshold is from 1 to the number of places") }
        Self::unlisted(THRESHOLD, deadline)
    }

    /// As [`new`](Self::new), for a threshold that is known at run time.
    ///
    /// # Errors
    ///
    /// If the threshold is zero or above `N`.
    pub const fn try_new(threshold: usize, deadline: Instant) -> Result<Self, QuorumError> {
        match threshold {
            0 => Err(QuorumError::NoThreshold),
            _ if threshold > N => Err(QuorumError::OutOfReach),
            _ => Ok(Self::unlisted(threshold, deadline)),
        }
    }

    const fn unlisted(threshold: usize, deadline: Instant) -> Self {
        Self {
            voters: Vec::new(),
            votes: Vec::new(),
            listed: false,
            closed: false,
            threshold,
            deadline,
            left: None,
            stats: QuorumStats { conflicting: 0, counted: 0, full: 0, late: 0, repeated: 0, strangers: 0 },
        }
    }

    /// Begins another ballot: forgets the votes, keeps the threshold, the list of voters and the counts.
    pub fn reset(&mut self, deadline: Instant) {
        self.votes.clear();
        if !self.listed {
            self.voters.clear();
        }
        self.closed = false;
        self.deadline = deadline;
        self.left = None;
    }

    /// When the ballot ends if nothing decides it before.
    ///
    /// Changed by [`reset`](Self::reset), by whatever ends the ballot, and by a vote or a result that finds that the clock
    /// has stepped back.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        (!self.closed && self.deadline != Instant::MAX).then_some(self.deadline)
    }

    /// Ends the ballot if its deadline is reached; true if this call ended it, so that it is time for the result. O(1).
    ///
    /// There is no need to call it: votes and results heed the deadline by themselves.
    pub fn on_timeout(&mut self, now: Instant) -> bool {
        let ends = self.next_deadline().is_some_and(|at| now >= at);
        self.closed |= ends;
        ends
    }

    /// The number of votes that count.
    #[doc(alias = "VoteCount")]
    #[must_use]
    pub fn len(&self) -> usize {
        self.votes.len()
    }

    /// True if nobody has voted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.votes.is_empty()
    }

    /// The votes that count needed for a result.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// Those who have voted, and for what. The order is of no meaning.
    pub fn votes(&self) -> impl ExactSizeIterator<Item = (&V, &T)> {
        self.voters.iter().zip(&self.votes)
    }

    /// Those whose vote does not agree, by what the caller calls agreement with the result.
    ///
    /// ```
    /// use steadfast_core::{Ballot, Instant, Quorum, aggregate};
    ///
    /// let now = Instant::ZERO;
    /// let mut quorum: Quorum<&str, i64, 8> = Quorum::new::<3>(Instant::MAX);
    /// for (voter, restarts) in [("alice", 10), ("bob", 11), ("mallory", 900)] {
    ///     let _ = quorum.vote(voter, restarts, now);
    /// }
    /// let Ballot::Decided(agreed) = quorum.result(aggregate::median, now) else { return };
    /// assert!(quorum.dissenters(|vote| vote.abs_diff(agreed) <= 5).eq([(&"mallory", &900)]));
    /// ```
    pub fn dissenters(&self, agrees: impl Fn(&T) -> bool) -> impl Iterator<Item = (&V, &T)> {
        self.votes().filter(move |(_, vote)| !agrees(vote))
    }

    /// Those on the list who have not voted; nobody if there is no list.
    pub fn absentees(&self) -> impl Iterator<Item = &V> {
        self.voters.iter().skip(self.votes.len())
    }

    /// What became of all votes so far.
    #[must_use]
    pub const fn stats(&self) -> QuorumStats {
        self.stats
    }

    /// How many more votes may come.
    fn missing(&self) -> usize {
        let voters = if self.listed { self.voters.len() } else { N };
        if self.closed { 0 } else { voters.saturating_sub(self.votes.len()) }
    }

    fn observe(&mut self, now: Instant) {
        if self.deadline != Instant::MAX {
            let left = self.deadline.since(now);
            let longest = *self.left.get_or_insert(left);
            if left > longest {
                self.deadline = now.after(longest);
            }
        }
        self.on_timeout(now);
    }
}

impl<V: PartialEq, T: PartialEq, const N: usize> Quorum<V, T, N> {
    /// A quorum of `threshold` votes, open to `voters` alone until `deadline`. A voter who is listed twice has one vote.
    ///
    /// ```
    /// use steadfast_core::{Instant, Quorum, QuorumError, Vote};
    ///
    /// # fn main() -> Result<(), QuorumError> {
    /// let mut quorum: Quorum<&str, i64, 8> = Quorum::with_voters(2, ["alice", "bob", "carol"], Instant::MAX)?;
    /// assert_eq!(quorum.vote("mallory", 7, Instant::ZERO), Vote::Stranger);
    /// assert_eq!(quorum.vote("alice", 5, Instant::ZERO), Vote::Counted);
    /// assert!(quorum.absentees().eq(["bob", "carol"].iter()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If the threshold is zero or above the number of voters, or if there are more than `N` voters.
    pub fn with_voters(
        threshold: usize,
        voters: impl IntoIterator<Item = V>,
        deadline: Instant,
    ) -> Result<Self, QuorumError> {
        let mut quorum = Self::try_new(threshold, deadline)?;
        quorum.listed = true;
        for voter in voters {
            if !quorum.voters.contains(&voter) {
                quorum.voters.push(voter).map_err(|_unlisted| QuorumError::TooManyVoters)?;
            }
        }
        if threshold > quorum.voters.len() { Err(QuorumError::OutOfReach) } else { Ok(quorum) }
    }

    /// Counts the vote of `voter`, unless it has voted, may not vote or is too late. O(N).
    #[doc(alias = "AddVote")]
    pub fn vote(&mut self, voter: V, value: T, now: Instant) -> Vote {
        self.observe(now);
        let vote = self.take(voter, value);
        self.stats.count(vote);
        vote
    }

    fn take(&mut self, voter: V, value: T) -> Vote {
        let known = self.voters.iter().position(|known| *known == voter);
        if let Some(first) = known.and_then(|index| self.votes.get(index)) {
            return if *first == value { Vote::Repeated } else { Vote::Conflicting };
        }
        match known {
            None if self.listed => return Vote::Stranger,
            _ if self.closed => return Vote::Late,
            None => {
                if self.voters.push(voter).is_err() {
                    return Vote::Full;
                }
            }
            Some(index) => {
                // The same index twice, where it is in its place already, is refused: nothing to do then.
                if let Ok([absent, here]) = self.voters.get_disjoint_mut([index, self.votes.len()]) {
                    core::mem::swap(absent, here);
                }
            }
        }
        match self.votes.push(value) {
            Ok(()) => Vote::Counted,
            Err(_value) => Vote::Full,
        }
    }
}

impl<V, T: Clone, const N: usize> Quorum<V, T, N> {
    /// The result by `aggregate`, as soon as the threshold is reached and the votes decide something.
    ///
    /// While they do not (`aggregate` gives `None`: no majority, say), the ballot stays open until they do, until nobody
    /// is left to vote or until the deadline. [`result_when_settled`](Self::result_when_settled) waits for all instead.
    /// The first decision, and the first failure, end the ballot.
    ///
    /// `aggregate` gets a copy of the votes, at least as many as the threshold: a function of
    /// [`aggregate`](crate::aggregate), or any other that does not depend on their order.
    ///
    /// ```
    /// use steadfast_core::{Ballot, Instant, Quorum};
    ///
    /// let now = Instant::ZERO;
    /// let mut newest: Quorum<&str, u64, 8> = Quorum::new::<2>(Instant::MAX);
    /// let _ = newest.vote("bob", 41, now);
    /// let _ = newest.vote("carol", 42, now);
    /// assert_eq!(newest.result(|versions| versions.iter().max().copied(), now), Ballot::Decided(42));
    /// ```
    #[doc(alias("HasQuorum", "Result"))]
    pub fn result<R>(&mut self, aggregate: impl FnOnce(&mut [T]) -> Option<R>, now: Instant) -> Ballot<R> {
        self.decide(now, |votes, missing| match aggregate(votes) {
            Some(value) => Ballot::Decided(value),
            None if missing == 0 => Ballot::Failed,
            None => Ballot::Open { missing: 0 },
        })
    }

    /// The result by `aggregate`, once no missing vote can change it.
    ///
    /// Waits until all have voted, until the deadline, or until the threshold is reached and `settled` says that whatever
    /// the missing ones vote changes nothing (see [`aggregate::settled`](crate::aggregate::settled)): then the ballot is
    /// decided, or has failed, early. All are those on the list, or `N` voters if there is none.
    ///
    /// ```
    /// use steadfast_core::{Ballot, Instant, Quorum, aggregate::{majority, settled}};
    ///
    /// let now = Instant::ZERO;
    /// let mut quorum: Quorum<u8, &str, 5> = Quorum::new::<3>(Instant::MAX);
    /// for (voter, version) in [(1, "v2"), (2, "v1"), (3, "v2")] {
    ///     let _ = quorum.vote(voter, version, now);
    /// }
    /// assert_eq!(quorum.result_when_settled(majority, settled::majority, now), Ballot::Open { missing: 0 });
    /// let _ = quorum.vote(4, "v2", now);
    /// assert_eq!(quorum.result_when_settled(majority, settled::majority, now), Ballot::Decided("v2"));
    /// ```
    pub fn result_when_settled<R>(
        &mut self,
        aggregate: impl FnOnce(&mut [T]) -> Option<R>,
        settled: impl FnOnce(&mut [T], usize) -> bool,
        now: Instant,
    ) -> Ballot<R> {
        self.decide(now, |votes, missing| {
            if missing > 0 && !settled(votes, missing) {
                return Ballot::Open { missing: 0 };
            }
            aggregate(votes).map_or(Ballot::Failed, Ballot::Decided)
        })
    }

    fn decide<R>(&mut self, now: Instant, judge: impl FnOnce(&mut [T], usize) -> Ballot<R>) -> Ballot<R> {
        self.observe(now);
        let missing = self.missing();
        let ballot = match self.threshold.saturating_sub(self.votes.len()) {
            0 => judge(&mut self.votes.clone(), missing),
            needed if needed <= missing => Ballot::Open { missing: needed },
            _ => Ballot::Failed,
        };
        self.closed |= !matches!(ballot, Ballot::Open { .. });
        ballot
    }
}
