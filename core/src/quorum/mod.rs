//! Quorum: one vote a voter, until enough have voted or the time is up.
//!
//! [`Quorum`] collects the votes of one ballot after another; a function of [`aggregate`](crate::aggregate) makes one
//! value of them, such as a [majority vote](crate::aggregate::majority).
//!
//! **Outcomes**: [`Vote`] of a vote, [`Ballot`] of a result. **Errors**: [`QuorumError`] when it is made. **Counts**:
//! [`QuorumStats`].

mod decided;
mod id;
mod list;
mod observe;
mod outcome;
mod shared;
mod tally;
#[cfg(test)]
mod tests;
mod voting;
mod waiters;

use core::fmt;

use heapless::Vec;

use crate::foundation::{
    storage::Inline,
    time::{Instant, Span},
};
pub use decided::{DecideOn, Decided, DecidedWhenSettled, UntilDecided};
pub use id::BallotId;
pub use list::{List, ListStorage};
pub use outcome::{Ballot, Cast, QuorumError, QuorumStats, Vote};
use waiters::Waiters;

/// A quorum (majority vote): it collects one vote from each of up to `N` voters, and decides by an
/// [`aggregate`](crate::aggregate) once enough have voted. It is no consensus protocol.
///
/// Voters vote for values of type `T`. The first vote of a voter stands, so neither a repeated delivery nor a
/// voter who changes its mind fills the quorum. Votes count until the deadline or the decision, whichever comes first;
/// after either, nothing changes until [`reset`](Self::reset) begins another ballot.
///
/// Each ballot has a [`BallotId`], which goes along with the question and comes back with each vote: a vote for a
/// former ballot that was held up is [`Vote::OtherBallot`], and decides nothing.
///
/// With [`new`](Self::new) whoever comes first may vote: authenticate voters before, or a peer with many names outvotes
/// the rest. [`with_voters`](Self::with_voters) admits those on a list alone.
///
/// Whoever votes first decides first: where up to `f` voters may lie, a majority needs a threshold of `2f + 1` at
/// least.
///
/// ```
/// use steadfast_core::{Instant, Quorum, aggregate, quorum::{Ballot, Vote}};
///
/// let now = Instant::from_secs(100);
/// let mut quorum: Quorum<&str, i64, 8> = Quorum::new::<3>(Instant::from_secs(160));
/// let first = quorum.ballot();
/// // ... ask, with first.as_u64() in the question; each answer repeats it ...
/// assert_eq!(quorum.vote(first, "alice", 10, now), Vote::Counted);
/// assert_eq!(quorum.vote(first, "bob", 12, now), Vote::Counted);
/// assert_eq!(quorum.vote(first, "alice", 1_000, now), Vote::Conflicting);
/// assert_eq!(quorum.result(first, aggregate::trimmed_mean, now), Ballot::Open { missing: 1 });
///
/// assert_eq!(quorum.vote(first, "carol", 11, now), Vote::Counted);
/// assert_eq!(quorum.result(first, aggregate::trimmed_mean, now), Ballot::Decided(11));
/// assert_eq!(quorum.vote(first, "dave", 99, now), Vote::Late);
///
/// let second = quorum.reset(Instant::from_secs(200), now);
/// assert_eq!(quorum.vote(first, "dave", 99, now), Vote::OtherBallot);
/// assert_eq!(quorum.vote(second, "dave", 10, now), Vote::Counted);
/// ```
///
/// # Cost
///
/// A vote is O(N) comparisons of voters. A result is one copy of the votes and what its aggregate costs.
///
/// # Clock
///
/// When the time is first told (by [`reset`](Self::reset), a vote, a result or a time-out), it is known for how long
/// the ballot is to be open. A `now` before that is taken for a late reading, and changes nothing. Once readings have
/// been before it, and nothing but before it, for so long, the clock has stepped back, and the ballot is over.
///
/// # Code of voters and values
///
/// The state machine itself calls `PartialEq` of voters and values, and clones values for a result. Behind a lock of
/// the core's ([`Shared`](crate::foundation::shared::Shared)) that happens inside it: let both be plain data there.
/// They are dropped outside.
///
/// # Waiting
///
/// Behind a lock and beside a timer, [`decided`](crate::foundation::shared::Shared::decided) waits for the result.
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
    /// That of the next ballot.
    next_threshold: usize,
    deadline: Instant,
    /// The time that was left when the state machine first learned the time.
    left: Option<Span>,
    /// The earliest reading since readings are before the first one; the end of time while they are not.
    behind: Instant,
    /// Changes with every ballot and every vote that counts.
    version: u64,
    ballot: BallotId,
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
            next_threshold: threshold,
            deadline,
            left: None,
            behind: Instant::MAX,
            version: 0,
            ballot: BallotId::from_u64(0),
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

    /// The present ballot: what the question has to carry, and each vote to repeat. It is 0 when the quorum is made.
    ///
    /// Where votes of a former run of the program may still come, begin with a number that none had, random or counted:
    /// [`reset_to`](Self::reset_to).
    #[must_use]
    pub const fn ballot(&self) -> BallotId {
        self.ballot
    }

    /// Begins another ballot, the next by number, and names it: forgets the votes, keeps the list of voters and the
    /// counts, and the threshold unless [`set_threshold`](Self::set_threshold) has changed it.
    pub fn reset(&mut self, deadline: Instant, now: Instant) -> BallotId {
        self.restart(self.ballot.next(), deadline, now);
        self.ballot
    }

    /// [`reset`](Self::reset) to a ballot that the caller numbers: a term of the protocol, or the first number of a
    /// run.
    ///
    /// False, and nothing changed, if it is the present one: so whoever hears twice of a term begins it once. To come
    /// back to a former number is to let its late votes in.
    pub fn reset_to(&mut self, ballot: BallotId, deadline: Instant, now: Instant) -> bool {
        let is_other = ballot != self.ballot;
        if is_other {
            self.restart(ballot, deadline, now);
        }
        is_other
    }

    /// Another threshold from the next ballot on. The present one keeps the threshold, the votes and the decision that it
    /// has: [`reset`](Self::reset) ends it.
    ///
    /// ```
    /// use steadfast_core::{Instant, Quorum, aggregate::majority, quorum::{Ballot, QuorumError}};
    ///
    /// let now = Instant::ZERO;
    /// let mut quorum: Quorum<&str, u64, 8> = Quorum::new::<1>(Instant::MAX);
    /// let _ = quorum.vote(quorum.ballot(), "bob", 7, now);
    /// assert_eq!(quorum.set_threshold(9), Err(QuorumError::OutOfReach));
    /// assert_eq!(quorum.set_threshold(2), Ok(()));
    /// assert_eq!(quorum.result(quorum.ballot(), majority, now), Ballot::Decided(7));
    ///
    /// let second = quorum.reset(Instant::MAX, now);
    /// let _ = quorum.vote(second, "bob", 7, now);
    /// assert_eq!(quorum.result(second, majority, now), Ballot::Open { missing: 1 });
    /// ```
    ///
    /// # Errors
    ///
    /// If it is zero or above the number of voters, or of places for them. Nothing is changed.
    #[doc(alias = "set_settings")]
    pub fn set_threshold(&mut self, threshold: usize) -> Result<(), QuorumError> {
        let voters = if self.listed { self.voters.as_ref().len() } else { self.places() };
        match threshold {
            0 => Err(QuorumError::NoThreshold),
            _ if threshold > voters => Err(QuorumError::OutOfReach),
            _ => {
                self.next_threshold = threshold;
                Ok(())
            }
        }
    }

    /// Begins a ballot; gives back what was kept for the former one, to be dropped outside a lock.
    fn restart(&mut self, ballot: BallotId, deadline: Instant, now: Instant) -> (Option<S::Of<V>>, S::Of<T>) {
        self.closed = false;
        self.threshold = self.next_threshold;
        self.deadline = deadline;
        self.left = Some(deadline.since(now));
        self.behind = Instant::MAX;
        self.version = self.version.wrapping_add(1);
        self.ballot = ballot;
        ((!self.listed).then(|| self.voters.take()), self.votes.take())
    }

    /// When the ballot ends if nothing decides it before.
    ///
    /// Changed by [`reset`](Self::reset), by whatever ends the ballot, and by a call that tells a time before the
    /// first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.closed || self.deadline == Instant::MAX {
            return None;
        }
        Some(self.left.map_or(self.deadline, |left| self.behind.after(left).earlier(self.deadline)))
    }

    /// Ends the ballot if its deadline is reached; true if this call ended it, so that it is time for the result. O(1).
    ///
    /// There is no need to call it: votes and results heed the deadline by themselves.
    pub fn on_timeout(&mut self, now: Instant) -> bool {
        let was_closed = self.closed;
        self.observe(now);
        self.closed && !was_closed
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

    /// The votes that count needed for a result of the present ballot.
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
    /// use steadfast_core::{Instant, Quorum, aggregate, quorum::Ballot};
    ///
    /// let now = Instant::ZERO;
    /// let mut quorum: Quorum<&str, i64, 8> = Quorum::new::<3>(Instant::MAX);
    /// let ballot = quorum.ballot();
    /// for (voter, restarts) in [("alice", 10), ("bob", 11), ("mallory", 900)] {
    ///     let _ = quorum.vote(ballot, voter, restarts, now);
    /// }
    /// let Ballot::Decided(agreed) = quorum.result(ballot, aggregate::median, now) else { return };
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
        if self.closed || self.deadline == Instant::MAX {
            return;
        }
        let left = self.deadline.since(now);
        let longest = *self.left.get_or_insert(left);
        if left > longest {
            self.fall_behind(now, longest);
        } else {
            self.behind = Instant::MAX;
        }
        self.closed = now >= self.deadline;
    }

    #[cold]
    fn fall_behind(&mut self, now: Instant, longest: Span) {
        if now >= self.behind.after(longest) {
            self.deadline = self.behind.after(longest);
        } else {
            self.behind = self.behind.earlier(now);
        }
    }
}

impl<V: PartialEq, T, const N: usize> Quorum<V, T, N> {
    /// A quorum of `threshold` votes, open to `voters` alone until `deadline`. A voter who is listed twice has one
    /// vote.
    ///
    /// ```
    /// use steadfast_core::{Instant, Quorum, quorum::{QuorumError, Vote}};
    ///
    /// # fn main() -> Result<(), QuorumError> {
    /// let mut quorum: Quorum<&str, i64, 8> = Quorum::with_voters(2, ["alice", "bob", "carol"], Instant::MAX)?;
    /// let ballot = quorum.ballot();
    /// assert_eq!(quorum.vote(ballot, "mallory", 7, Instant::ZERO), Vote::Stranger);
    /// assert_eq!(quorum.vote(ballot, "alice", 5, Instant::ZERO), Vote::Counted);
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
            .field("ballot", &self.ballot)
            .finish_non_exhaustive()
    }
}
