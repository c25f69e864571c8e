//! The quorum for servers.

use core::{borrow::Borrow, fmt, marker::PhantomData, time::Duration};
use std::sync::Arc;

use steadfast_core::{
    Ballot, Clock, Instant, List, ListStorage, QuorumError, QuorumIn, QuorumStats, Shared, Timer, Vote,
};

use crate::{Mutex, SystemTimer};

/// Collects one vote from each voter, and decides by an [`aggregate`](crate::aggregate) once enough have voted.
///
/// Cloning is cheap and shares everything: whoever receives votes and whoever waits for the result have a clone each. The
/// first vote of a voter stands; votes count until the decision or the deadline. A `&str` votes as a `String`.
///
/// ```
/// use std::{thread, time::Duration};
/// use steadfast::{Quorum, QuorumError, Vote, aggregate, block_on};
///
/// # fn main() -> Result<(), QuorumError> {
/// let versions = Quorum::<String, u64>::builder(2)
///     .voters(["bob", "carol", "dave"].map(String::from))
///     .timeout(Duration::from_secs(10))
///     .build()?;
///
/// // Whoever receives passes every vote on.
/// let receiver = versions.clone();
/// thread::spawn(move || {
///     for (peer, version) in [("bob", 7), ("mallory", 1), ("carol", 7)] {
///         match receiver.vote(peer, version) {
///             Vote::Counted | Vote::Repeated => {}
///             other => eprintln!("{peer}: {other:?}"),
///         }
///     }
/// });
///
/// // Whoever asks waits for the result: here on a thread, on tokio with `.await`.
/// assert_eq!(block_on(versions.decided(aggregate::majority)), Some(7));
/// # Ok(())
/// # }
/// ```
#[doc(alias = "ConsensusHelper")]
pub struct Quorum<V, T, C = SystemTimer>(Arc<Voting<V, T, C>>);

type Machine<V, T> = QuorumIn<V, T, Lists>;
type Voting<V, T, C> = Shared<Machine<V, T>, Mutex<Machine<V, T>>, C>;

/// The settings of a [`Quorum`].
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
        let deadline = self.timer.now().saturating_add(self.timeout);
        let (voters, votes) = (Bounded::new(places), Bounded::new(places));
        let machine = QuorumIn::try_with_lists(voters, votes, self.threshold, deadline)?;
        let machine = match self.voters {
            Some(voters) => machine.listing(voters)?,
            None => machine,
        };
        Ok(Quorum(Arc::new(Shared::new(Mutex::new(machine), self.timer))))
    }
}

impl<V: PartialEq, T: PartialEq, C: Clock> Quorum<V, T, C> {
    /// Counts the vote of `voter`, unless it has voted, may not vote or is too late. O(voters).
    pub fn vote<Q>(&self, voter: &Q, value: T) -> Vote
    where
        V: Borrow<Q>,
        Q: PartialEq + ToOwned<Owned = V> + ?Sized,
    {
        self.0.vote_with(voter, Q::to_owned, value)
    }
}

impl<V, T: Clone, C: Clock> Quorum<V, T, C> {
    /// The result by `aggregate`, as soon as the threshold is reached and the votes decide something.
    ///
    /// While they do not (`aggregate` gives `None`: no majority, say), the ballot stays open until they do, until nobody
    /// is left to vote or until the deadline. The first decision, and the first failure, end it. `aggregate` gets a copy of
    /// the votes, without a lock held: a function of [`aggregate`](crate::aggregate), or any other that does not depend
    /// on their order.
    pub fn result<R>(&self, aggregate: impl FnMut(&mut [T]) -> Option<R>) -> Ballot<R> {
        self.0.result(aggregate)
    }

    /// The result by `aggregate`, once no missing vote can change it.
    ///
    /// Waits until all have voted, until the deadline, or until the threshold is reached and `settled` says that whatever
    /// the missing ones vote changes nothing; see [`aggregate::settled`](crate::aggregate::settled).
    pub fn result_when_settled<R>(
        &self,
        aggregate: impl FnMut(&mut [T]) -> Option<R>,
        settled: impl FnMut(&mut [T], usize) -> bool,
    ) -> Ballot<R> {
        self.0.result_when_settled(aggregate, settled)
    }

    /// Waits for the [`result`](Self::result) of the present ballot; `None` if it failed or was reset.
    ///
    /// Four tasks at a time are woken at once; more of them look every 10 milliseconds. Dropping the future changes
    /// nothing.
    pub async fn decided<R>(&self, aggregate: impl FnMut(&mut [T]) -> Option<R>) -> Option<R>
    where
        C: Timer,
    {
        self.0.decided(aggregate).await
    }

    /// Waits for the [`result_when_settled`](Self::result_when_settled) of the present ballot; `None` if it failed or was
    /// reset. All else is as for [`decided`](Self::decided).
    pub async fn decided_when_settled<R>(
        &self,
        aggregate: impl FnMut(&mut [T]) -> Option<R>,
        settled: impl FnMut(&mut [T], usize) -> bool,
    ) -> Option<R>
    where
        C: Timer,
    {
        self.0.decided_when_settled(aggregate, settled).await
    }

    /// Those who have voted, and for what, in no order of meaning.
    #[must_use]
    pub fn votes(&self) -> Vec<(V, T)>
    where
        V: Clone,
    {
        self.dissenters(|_| false)
    }

    /// Those whose vote does not agree, by what the caller calls agreement with the result.
    #[must_use]
    pub fn dissenters(&self, agrees: impl Fn(&T) -> bool) -> Vec<(V, T)>
    where
        V: Clone,
    {
        let votes: Vec<(V, T)> =
            self.0.with_lock(|quorum| quorum.votes().map(|(voter, value)| (voter.clone(), value.clone())).collect());
        votes.into_iter().filter(|(_, value)| !agrees(value)).collect()
    }
}

impl<V, T, C: Clock> Quorum<V, T, C> {
    /// Begins another ballot, open for `timeout`: forgets the votes, keeps the voters and the counts. Those who wait for
    /// the former ballot get no result.
    pub fn reset(&self, timeout: Duration) {
        self.0.reset(timeout);
    }

    /// Those on the list who have not voted; nobody if there is no list.
    #[must_use]
    pub fn absentees(&self) -> Vec<V>
    where
        V: Clone,
    {
        self.0.with_lock(|quorum| quorum.absentees().cloned().collect())
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
        self.0.with_lock(|quorum| quorum.fmt(f))
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

/// Lists on the heap.
struct Lists;

impl ListStorage for Lists {
    type Of<T> = Bounded<T>;
}

/// A list whose bound is chosen at run time.
#[derive(Clone)]
struct Bounded<T> {
    items: Vec<T>,
    capacity: usize,
}

impl<T> Bounded<T> {
    fn new(capacity: usize) -> Self {
        Self { items: Vec::with_capacity(capacity), capacity }
    }
}

impl<T> AsRef<[T]> for Bounded<T> {
    fn as_ref(&self) -> &[T] {
        &self.items
    }
}

impl<T> AsMut<[T]> for Bounded<T> {
    fn as_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<T> List<T> for Bounded<T> {
    fn capacity(&self) -> usize {
        self.capacity
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        if self.items.len() == self.capacity {
            return Err(item);
        }
        self.items.push(item);
        Ok(())
    }

    fn clear(&mut self) {
        self.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{
        aggregate::{majority, trimmed_mean},
        block_on,
    };

    #[test]
    fn it_is_shared_between_threads_and_counts_exactly() {
        let quorum = Quorum::<u64, i64>::builder(400).max_voters(400).build().unwrap();
        thread::scope(|scope| {
            for first in 0..4_u64 {
                let quorum = quorum.clone();
                scope.spawn(move || {
                    for voter in 0..200 {
                        // Two threads each vote for the same voter.
                        let _ = quorum.vote(&(voter + 200 * (first % 2)), 7);
                    }
                });
            }
            assert_eq!(block_on(quorum.decided(trimmed_mean)), Some(7));
        });
        let stats = quorum.stats();
        assert_eq!((stats.counted, stats.repeated, stats.seen()), (400, 400, 800));
        assert_eq!(quorum.vote(&1_000, 7), Vote::Late);
    }

    #[test]
    fn text_voters_are_looked_up_borrowed() {
        let quorum =
            Quorum::<String, u8>::builder(2).voters(["bob", "carol", "bob"].map(String::from)).build().unwrap();
        assert_eq!(quorum.vote("mallory", 1), Vote::Stranger);
        assert_eq!(quorum.vote("bob", 1), Vote::Counted);
        assert_eq!(quorum.vote("bob", 2), Vote::Conflicting);
        assert_eq!(quorum.absentees(), ["carol"]);
        assert_eq!(quorum.vote("carol", 2), Vote::Counted);
        assert_eq!(quorum.dissenters(|value| *value == 1), [("carol".to_owned(), 2)]);
        assert_eq!(quorum.votes().len(), 2);
        assert_eq!(quorum.result(majority), Ballot::Failed);
        quorum.reset(Duration::MAX);
        assert!(quorum.is_empty());
        assert_eq!(quorum.next_deadline(), None);
    }

    #[test]
    fn an_impossible_quorum_cannot_be_built() {
        let build = |threshold, places| Quorum::<u8, u8>::builder(threshold).max_voters(places).build().map(|_| ());
        assert_eq!(build(0, 3), Err(QuorumError::NoThreshold));
        assert_eq!(build(4, 3), Err(QuorumError::OutOfReach));
        let listed = Quorum::<u8, u8>::builder(2).voters([1, 1]).build();
        assert_eq!(listed.map(|_| ()), Err(QuorumError::OutOfReach));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_deciding_vote_or_at_the_deadline() {
        let timeout = Duration::from_secs(60);
        let quorum = Quorum::<u8, u8>::builder(2).voters(1..=3).timeout(timeout).build().unwrap();
        let waiting = quorum.clone();
        let decided =
            tokio::spawn(
                async move { waiting.decided_when_settled(majority, crate::aggregate::settled::majority).await },
            );
        tokio::task::yield_now().await;
        assert_eq!(quorum.vote(&1, 7), Vote::Counted);
        assert_eq!(quorum.vote(&2, 7), Vote::Counted);
        assert_eq!(decided.await.unwrap(), Some(7));

        quorum.reset(timeout);
        let start = tokio::time::Instant::now();
        assert_eq!(quorum.vote(&1, 7), Vote::Counted);
        assert_eq!(quorum.decided(majority).await, None);
        let took = start.elapsed();
        assert!(took >= timeout && took < timeout + Duration::from_secs(1), "{took:?}");
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn a_reset_ends_the_wait_for_the_former_ballot() {
        let quorum = Quorum::<u8, u8>::builder(2).build().unwrap();
        let waiting = quorum.clone();
        let former = tokio::spawn(async move { waiting.decided(majority).await });
        tokio::task::yield_now().await;
        quorum.reset(Duration::MAX);
        assert_eq!(former.await.unwrap(), None);
    }
}
