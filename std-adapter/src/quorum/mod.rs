//! Quorum: one vote a voter, until enough have voted or the time is up.
//!
//! [`Quorum`] collects the votes of one ballot after another; a function of [`aggregate`](crate::aggregate) makes one
//! value of them, such as a [majority vote](crate::aggregate::majority).
//!
//! **Outcomes**: [`Vote`] of a vote, [`Ballot`] of a result. **Errors**: [`QuorumError`] when it is made. **Counts**:
//! [`QuorumStats`].
//!
//! Next: [`correlator`](crate::correlator), to ask the voters.

mod decided;
mod list;

use core::{borrow::Borrow, fmt, marker::PhantomData, time::Duration};
use std::sync::Arc;

pub use decided::{Decided, DecidedWhenSettled};
use list::{Bounded, Lists};
use steadfast_core::{
    Clock, Instant, Shared, Timer,
    quorum::{Cast, QuorumIn},
};

use crate::runtime::{Mutex, SystemTimer, random_seed};

#[doc(inline)]
pub use steadfast_core::quorum::{Ballot, BallotId, QuorumError, QuorumStats, Vote};

/// A quorum (majority vote): it collects one vote from each voter, and decides by an [`aggregate`](crate::aggregate)
/// once enough have voted. It is no consensus protocol.
///
/// Clones share everything: whoever receives votes and whoever waits for the result have a clone each. The first vote
/// of a voter stands; votes count until the decision or the deadline. A `&str` votes as a `String`.
///
/// Each ballot has a [`BallotId`], which goes along with the question and comes back with each vote: a vote for a
/// former ballot that was held up is [`Vote::OtherBallot`], and decides nothing. The first ballot has a random number,
/// so that no vote of a former run of the program counts either.
///
/// ```
/// use std::{thread, time::Duration};
/// use steadfast::{Quorum, aggregate, block_on, quorum::{QuorumError, Vote}};
///
/// # fn main() -> Result<(), QuorumError> {
/// let versions = Quorum::<String, u64>::builder(2)
///     .voters(["bob", "carol", "dave"].map(String::from))
///     .timeout(Duration::from_secs(10))
///     .build()?;
///
/// // The question carries the ballot's id, and each answer repeats it. Whoever receives passes every vote on.
/// let ballot = versions.ballot();
/// let receiver = versions.clone();
/// thread::spawn(move || {
///     for (peer, version) in [("bob", 7), ("mallory", 1), ("carol", 7)] {
///         match receiver.vote(ballot, peer, version) {
///             Vote::Counted | Vote::Repeated => {}
///             other => eprintln!("{peer}: {other:?}"),
///         }
///     }
/// });
///
/// // Whoever asks waits for the result: here on a thread, on tokio with `.await`.
/// assert_eq!(block_on(versions.decided(ballot, aggregate::majority)), Some(7));
/// # Ok(())
/// # }
/// ```
///
/// # Code of voters and values
///
/// Inside the lock only `PartialEq` of voters runs. Values are compared, cloned and dropped outside.
#[doc(alias = "ConsensusHelper")]
pub struct Quorum<V, T, C = SystemTimer>(Arc<Voting<V, T, C>>);

/// Both are counted, so that they leave the lock without a call of their own code; a vote that counts allocates them.
type Machine<V, T> = QuorumIn<Arc<V>, Arc<T>, Lists>;
type Voting<V, T, C> = Shared<Machine<V, T>, Mutex<Machine<V, T>>, C>;

/// Builds a [`Quorum`]: its voters, timeout and timer.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{Quorum, quorum::QuorumError};
///
/// let two_of_three = Quorum::<&str, u64>::builder(2).voters(["bob", "carol", "dave"]).timeout(Duration::from_secs(10));
/// assert!(two_of_three.build().is_ok());
/// assert_eq!(Quorum::<&str, u64>::builder(4).voters(["bob"]).build().unwrap_err(), QuorumError::OutOfReach);
/// ```
pub struct QuorumBuilder<V, T, C = SystemTimer> {
    threshold: usize,
    max_voters: usize,
    voters: Option<Vec<V>>,
    timeout: Duration,
    timer: C,
    values: PhantomData<fn() -> T>,
}

impl<V, T> Quorum<V, T> {
    /// The settings of a quorum of `threshold` votes: the first 1,024 voters, no deadline.
    #[doc(alias = "NewConsensusHelper")]
    #[must_use]
    pub const fn builder(threshold: usize) -> QuorumBuilder<V, T> {
        QuorumBuilder {
            threshold,
            max_voters: 1_024,
            voters: None,
            timeout: Duration::MAX,
            timer: SystemTimer,
            values: PhantomData,
        }
    }
}

impl<V, T, C> QuorumBuilder<V, T, C> {
    /// Whoever comes first may vote, up to so many. Authenticate voters before: a peer with many names has many votes.
    #[must_use]
    pub fn max_voters(mut self, max_voters: usize) -> Self {
        self.max_voters = max_voters;
        self.voters = None;
        self
    }

    /// These alone may vote. A voter who is listed twice has one vote.
    #[must_use]
    pub fn voters(mut self, voters: impl IntoIterator<Item = V>) -> Self {
        self.voters = Some(voters.into_iter().collect());
        self
    }

    /// How long the first ballot is open, from [`build`](Self::build) on.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Another clock or timer than the system's.
    #[must_use]
    pub fn timer<U: Clock>(self, timer: U) -> QuorumBuilder<V, T, U> {
        QuorumBuilder {
            threshold: self.threshold,
            max_voters: self.max_voters,
            voters: self.voters,
            timeout: self.timeout,
            timer,
            values: PhantomData,
        }
    }
}

impl<V: PartialEq, T, C: Clock> QuorumBuilder<V, T, C> {
    /// The quorum. Allocates room for all voters.
    ///
    /// # Errors
    ///
    /// If the threshold is zero or above the number of voters.
    pub fn build(self) -> Result<Quorum<V, T, C>, QuorumError> {
        let places = self.voters.as_ref().map_or(self.max_voters, Vec::len);
        let now = self.timer.now();
        let deadline = now.saturating_add(self.timeout);
        let (voters, votes) = (Bounded::new(places), Bounded::new(places));
        let machine = QuorumIn::try_with_lists(voters, votes, self.threshold, deadline)?;
        let mut machine = match self.voters {
            Some(voters) => machine.listing(voters.into_iter().map(Arc::new))?,
            None => machine,
        };
        machine.reset_to(BallotId::from_u64(random_seed()), deadline, now);
        Ok(Quorum(Arc::new(Shared::new(Mutex::new(machine), self.timer))))
    }
}

impl<V: PartialEq, T: PartialEq, C: Clock> Quorum<V, T, C> {
    /// Counts the vote of `voter` in `ballot`, unless it has voted, may not vote, is too late, or that is not the
    /// present ballot. O(voters).
    pub fn vote<Q>(&self, ballot: BallotId, voter: &Q, value: T) -> Vote
    where
        V: Borrow<Q>,
        Q: PartialEq + ToOwned<Owned = V> + ?Sized,
    {
        let is_voter = |known: &Arc<V>| V::borrow(known) == voter;
        let cast = |own: &mut Option<_>, kept: &mut Option<_>| {
            self.0.vote_with(ballot, is_voter, own, kept, |cast| match cast {
                Cast::Again(first) => Err(Arc::clone(first)),
                Cast::Done(vote) => Ok(Some(vote)),
                Cast::Wanted => Ok(None),
            })
        };
        let is_same = match cast(&mut None, &mut None) {
            Ok(Some(vote)) => return vote,
            Err(first) => value == *first,
            Ok(None) => {
                let (mut own, mut kept) = (Some(Arc::new(voter.to_owned())), Some(Arc::new(value)));
                match cast(&mut own, &mut kept) {
                    Ok(Some(vote)) => return vote,
                    // Somebody has cast a vote of the same voter meanwhile.
                    Err(first) => kept.is_some_and(|value| value == first),
                    Ok(None) => return Vote::Full, // both are there
                }
            }
        };
        self.0.with_lock(|quorum| quorum.count_again(is_same))
    }
}

impl<V, T: Clone, C: Clock> Quorum<V, T, C> {
    /// The result of `ballot` by `aggregate`, as soon as the threshold is reached and the votes decide something.
    ///
    /// While they do not (`aggregate` gives `None`: no majority, say), the ballot stays open until they do, until
    /// nobody is left to vote or until the deadline. The first decision, and the first failure, end it. Another ballot
    /// than the present one has failed. `aggregate` gets a copy of the votes, without a lock held: a function of
    /// [`aggregate`](crate::aggregate), or any other that does not depend on their order.
    pub fn result<R>(&self, ballot: BallotId, mut aggregate: impl FnMut(&mut [T]) -> Option<R>) -> Ballot<R> {
        self.0.result(ballot, |votes| aggregate(&mut copies(votes)))
    }

    /// The result of `ballot` by `aggregate`, once no missing vote can change it.
    ///
    /// Waits until all have voted, until the deadline, or until the threshold is reached and `settled` says that
    /// whatever the missing ones vote changes nothing; see [`aggregate::settled`](crate::aggregate::settled).
    pub fn result_when_settled<R>(
        &self,
        ballot: BallotId,
        mut aggregate: impl FnMut(&mut [T]) -> Option<R>,
        mut settled: impl FnMut(&mut [T], usize) -> bool,
    ) -> Ballot<R> {
        let settled = |votes: &mut [Arc<T>], missing| settled(&mut copies(votes), missing);
        self.0.result_when_settled(ballot, |votes| aggregate(&mut copies(votes)), settled)
    }

    /// Waits for the [`result`](Self::result) of `ballot`; `None` if it failed, or as soon as it is not the present
    /// one.
    ///
    /// Four tasks at a time are woken at once, a task that is not polled among them; more of them look every 10
    /// milliseconds, and so learn it that much later at most. Dropping the future changes nothing. It borrows nothing.
    pub fn decided<A, R>(&self, ballot: BallotId, aggregate: A) -> Decided<V, T, A, C>
    where
        A: FnMut(&mut [T]) -> Option<R>,
        C: Timer,
    {
        Decided::new(&self.0, ballot, aggregate)
    }

    /// Waits for the [`result_when_settled`](Self::result_when_settled) of `ballot`. All else is as for
    /// [`decided`](Self::decided).
    pub fn decided_when_settled<A, G, R>(
        &self,
        ballot: BallotId,
        aggregate: A,
        settled: G,
    ) -> DecidedWhenSettled<V, T, A, G, C>
    where
        A: FnMut(&mut [T]) -> Option<R>,
        G: FnMut(&mut [T], usize) -> bool,
        C: Timer,
    {
        DecidedWhenSettled::new(&self.0, ballot, aggregate, settled)
    }

    /// Those who have voted in the present ballot, and for what, in no order of meaning.
    #[must_use]
    pub fn votes(&self) -> Vec<(V, T)>
    where
        V: Clone,
    {
        self.dissenters(|_| false)
    }

    /// Those whose vote in the present ballot does not agree, by what the caller calls agreement with the result.
    #[must_use]
    pub fn dissenters(&self, agrees: impl Fn(&T) -> bool) -> Vec<(V, T)>
    where
        V: Clone,
    {
        let votes: Vec<_> =
            self.0.with_lock(|quorum| quorum.votes().map(|(voter, value)| (voter.clone(), value.clone())).collect());
        let dissent = votes.iter().filter(|(_, value)| !agrees(value));
        dissent.map(|(voter, value)| (V::clone(voter), T::clone(value))).collect()
    }
}

/// The values themselves, made outside the lock.
fn copies<T: Clone>(votes: &[Arc<T>]) -> Vec<T> {
    votes.iter().map(|value| T::clone(value)).collect()
}

impl<V, T, C: Clock> Quorum<V, T, C> {
    /// The present ballot: what the question has to carry, and each vote to repeat.
    #[must_use]
    pub fn ballot(&self) -> BallotId {
        self.0.ballot()
    }

    /// Begins another ballot, the next by number, open for `timeout`, and names it: forgets the votes, keeps the voters
    /// and the counts. Those who wait for the former ballot get no result.
    pub fn reset(&self, timeout: Duration) -> BallotId {
        self.0.reset(timeout)
    }

    /// [`reset`](Self::reset) to a ballot that the caller numbers, as a term of the protocol; false, and nothing changed, if
    /// it is the present one. See [`QuorumIn::reset_to`](steadfast_core::quorum::QuorumIn::reset_to).
    pub fn reset_to(&self, ballot: BallotId, timeout: Duration) -> bool {
        self.0.reset_to(ballot, timeout)
    }

    /// Another threshold from the next ballot on, as
    /// [`QuorumIn::set_threshold`](steadfast_core::quorum::QuorumIn::set_threshold): no ballot is decided by anything but
    /// the threshold that it began with.
    ///
    /// # Errors
    ///
    /// If it is zero or above the number of voters. Nothing is changed.
    #[doc(alias = "set_settings")]
    pub fn set_threshold(&self, threshold: usize) -> Result<(), QuorumError> {
        self.0.set_threshold(threshold)
    }

    /// The votes needed for a result of the present ballot.
    #[must_use]
    pub fn threshold(&self) -> usize {
        self.0.with_lock(|quorum| quorum.threshold())
    }

    /// Those on the list who have not voted; nobody if there is no list.
    #[must_use]
    pub fn absentees(&self) -> Vec<V>
    where
        V: Clone,
    {
        let absentees: Vec<_> = self.0.with_lock(|quorum| quorum.absentees().cloned().collect());
        absentees.iter().map(|voter| V::clone(voter)).collect()
    }

    /// The number of votes that count.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.with_lock(|quorum| quorum.len())
    }

    /// True if nobody has voted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the ballot ends if nothing decides it before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    /// What became of all votes so far.
    #[must_use]
    pub fn stats(&self) -> QuorumStats {
        self.0.stats()
    }
}

impl<V, T, C> Clone for Quorum<V, T, C> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<V, T, C> fmt::Debug for Quorum<V, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What `f` writes to is the user's, and may come back for the lock.
        let shown = |quorum: &mut Machine<V, T>| match f.alternate() {
            true => format!("{quorum:#?}"),
            false => format!("{quorum:?}"),
        };
        let shown = self.0.with_lock(shown);
        f.write_str(&shown)
    }
}

impl<V, T, C> fmt::Debug for QuorumBuilder<V, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuorumBuilder")
            .field("threshold", &self.threshold)
            .field("max_voters", &self.voters.as_ref().map_or(self.max_voters, Vec::len))
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
