//! One vote a voter, until enough agree or the time is up.

mod list;
mod outcome;
mod shared;
mod tally;
#[cfg(test)]
mod tests;
mod waiters;

use core::{borrow::Borrow, fmt, mem};

use heapless::Vec;

use crate::{Inline, Instant, time::Span};
pub use list::{List, ListStorage};
pub use outcome::{Ballot, QuorumError, QuorumStats, Vote};
use waiters::Waiters;

/// Collects one vote from each voter, and decides by an [`aggregate`](crate::aggregate) once enough have voted.
///
/// Up to `N` voters vote for values of type `T`. The first vote of a voter stands, so neither a repeated delivery nor a
/// voter who changes its mind fills the quorum. Votes count until the deadline or the decision, whichever comes first;
/// after either, nothing changes until [`reset`](Self::reset).
///
/// With [`new`](Self::new) whoever comes first may vote: authenticate voters before, or a peer with many names outvotes
/// the rest. [`with_voters`](Self::with_voters) admits those on a list alone.
///
/// Whoever votes first decides first: where up to `f` voters may lie, a majority needs a threshold of `2f + 1` at least.
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
///
/// # Waiting
///
/// Behind a lock and beside a timer, [`decided`](crate::Shared::decided) waits for the result.
#[doc(alias = "ConsensusHelper")]
pub type Quorum<V, T, const N: usize> = QuorumIn<V, T, Inline<N>>;

/// A [`Quorum`] whose storage is a parameter, so that an adapter can choose its size at run time.
pub struct QuorumIn<V, T, S: ListStorage> {
    /// Those who have voted, in the order of `votes`; then, if there is a list, those on it who have not.
    voters: S::Of<V>,
    votes: S::Of<T>,
    listed: bool,
    closed: bool,
    threshold: usize,
    deadline: Instant,
    /// The time that was left when the machine first learned the time.
    left: Option<Span>,
    /// Changes with every ballot and every vote that counts.
    version: u64,
    /// The version with which this ballot began.
    begun: u64,
    stats: QuorumStats,
    waiters: Waiters,
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
    #[doc(alias = "NewConsensusHelper")]
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
        Self::with_lists(Vec::new(), Vec::new(), threshold, deadline)
    }
}

impl<V, T, S: ListStorage> QuorumIn<V, T, S> {
    const fn with_lists(voters: S::Of<V>, votes: S::Of<T>, threshold: usize, deadline: Instant) -> Self {
        Self {
            voters,
            votes,
            listed: false,
            closed: false,
            threshold,
            deadline,
            left: None,
            version: 0,
            begun: 0,
            stats: QuorumStats::NONE,
            waiters: Waiters::new(),
        }
    }

    /// A quorum of `threshold` votes in two empty lists, for adapters.
    ///
    /// # Errors
    ///
    /// If the threshold is zero or above the capacity of a list.
    pub fn try_with_lists(
        voters: S::Of<V>,
        votes: S::Of<T>,
        threshold: usize,
        deadline: Instant,
    ) -> Result<Self, QuorumError> {
        match threshold {
            0 => Err(QuorumError::NoThreshold),
            _ => {
                let quorum = Self::with_lists(voters, votes, threshold, deadline);
                if threshold > quorum.places() { Err(QuorumError::OutOfReach) } else { Ok(quorum) }
            }
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
        self.version = self.version.wrapping_add(1);
        self.begun = self.version;
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
        self.votes.as_ref().len()
    }

    /// True if nobody has voted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.votes.as_ref().is_empty()
    }

    /// The votes that count needed for a result.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// Those who have voted, and for what. The order is of no meaning.
    pub fn votes(&self) -> impl ExactSizeIterator<Item = (&V, &T)> {
        self.voters.as_ref().iter().zip(self.votes.as_ref())
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
        self.voters.as_ref().iter().skip(self.len())
    }

    /// What became of all votes so far.
    #[must_use]
    pub const fn stats(&self) -> QuorumStats {
        self.stats
    }

    /// How many more votes may come.
    fn missing(&self) -> usize {
        let voters = if self.listed { self.voters.as_ref().len() } else { self.places() };
        if self.closed { 0 } else { voters.saturating_sub(self.len()) }
    }

    fn places(&self) -> usize {
        self.voters.capacity().min(self.votes.capacity())
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

impl<V: PartialEq, T, const N: usize> Quorum<V, T, N> {
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
        Self::try_new(threshold, deadline)?.listing(voters)
    }
}

impl<V: PartialEq, T, S: ListStorage> QuorumIn<V, T, S> {
    /// Opens a new quorum to these voters alone; see [`Quorum::with_voters`].
    ///
    /// # Errors
    ///
    /// If the threshold is above the number of voters, or if there are more voters than places.
    pub fn listing(mut self, voters: impl IntoIterator<Item = V>) -> Result<Self, QuorumError> {
        self.listed = true;
        for voter in voters {
            if !self.voters.as_ref().contains(&voter) {
                self.voters.push(voter).map_err(|_unlisted| QuorumError::TooManyVoters)?;
            }
        }
        if self.voters.as_ref().len() > self.places() {
            return Err(QuorumError::TooManyVoters);
        }
        if self.threshold > self.voters.as_ref().len() { Err(QuorumError::OutOfReach) } else { Ok(self) }
    }
}

impl<V: PartialEq, T: PartialEq, S: ListStorage> QuorumIn<V, T, S> {
    /// Counts the vote of `voter`, unless it has voted, may not vote or is too late. O(N).
    #[doc(alias = "AddVote")]
    pub fn vote(&mut self, voter: V, value: T, now: Instant) -> Vote {
        let known = self.position(&voter);
        self.take(known, || voter, value, now)
    }

    /// [`vote`](Self::vote) for a borrowed form of the voter; `own` makes a voter of it, if the vote counts.
    pub fn vote_with<Q>(&mut self, voter: &Q, own: impl FnOnce(&Q) -> V, value: T, now: Instant) -> Vote
    where
        V: Borrow<Q>,
        Q: PartialEq + ?Sized,
    {
        let known = self.position(voter);
        self.take(known, || own(voter), value, now)
    }

    fn position<Q>(&self, voter: &Q) -> Option<usize>
    where
        V: Borrow<Q>,
        Q: PartialEq + ?Sized,
    {
        self.voters.as_ref().iter().position(|known| known.borrow() == voter)
    }

    fn take(&mut self, known: Option<usize>, voter: impl FnOnce() -> V, value: T, now: Instant) -> Vote {
        self.observe(now);
        let vote = self.judge(known, voter, value);
        self.stats.count(vote);
        if vote == Vote::Counted {
            self.version = self.version.wrapping_add(1);
        }
        vote
    }

    fn judge(&mut self, known: Option<usize>, voter: impl FnOnce() -> V, value: T) -> Vote {
        if let Some(first) = known.and_then(|index| self.votes.as_ref().get(index)) {
            return if *first == value { Vote::Repeated } else { Vote::Conflicting };
        }
        match known {
            None if self.listed => return Vote::Stranger,
            _ if self.closed => return Vote::Late,
            None if self.missing() == 0 || self.voters.push(voter()).is_err() => return Vote::Full,
            None => {}
            Some(index) => {
                let here = self.len();
                // One index twice is refused: the voter is in its place then.
                if let Ok([absent, here]) = self.voters.as_mut().get_disjoint_mut([index, here]) {
                    mem::swap(absent, here);
                }
            }
        }
        match self.votes.push(value) {
            Ok(()) => Vote::Counted,
            Err(_value) => Vote::Full,
        }
    }
}

/// Those who wait for the original do not wait for the copy.
impl<V, T, S: ListStorage> Clone for QuorumIn<V, T, S>
where
    S::Of<V>: Clone,
    S::Of<T>: Clone,
{
    fn clone(&self) -> Self {
        Self { voters: self.voters.clone(), votes: self.votes.clone(), waiters: Waiters::new(), ..*self }
    }
}

impl<V, T, S: ListStorage> fmt::Debug for QuorumIn<V, T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quorum")
            .field("votes", &self.len())
            .field("threshold", &self.threshold)
            .field("closed", &self.closed)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
