//! The quorum behind a lock: the same calls without `now`, and waiting for the result.

use core::time::Duration;

use super::{
    Ballot, BallotId, Cast, Decided, DecidedWhenSettled, ListStorage, QuorumError, QuorumIn, QuorumStats, Vote,
    tally::Tally, waiters::Woken,
};
use crate::foundation::{
    shared::{Clock, Lock, Shared, Timer},
    time::Instant,
};

impl<V, T, S, L, C> Shared<QuorumIn<V, T, S>, L, C>
where
    S: ListStorage,
    L: Lock<Target = QuorumIn<V, T, S>>,
    C: Clock,
{
    /// [`QuorumIn::vote`] now; wakes those who wait for the result.
    pub fn vote(&self, ballot: BallotId, voter: V, value: T) -> Vote
    where
        V: PartialEq,
        T: PartialEq,
    {
        // What is left of them is dropped outside the lock.
        let (mut voter, mut value) = (Some(voter), Some(value));
        self.with_woken(|quorum, now| {
            let known = quorum.position(|known| voter.as_ref() == Some(known));
            let is_same = match quorum.cast(ballot, known, &mut voter, &mut value, now) {
                Cast::Done(vote) => return vote,
                Cast::Wanted => return Vote::Full, // they are there
                Cast::Again(first) => value.as_ref() == Some(first),
            };
            quorum.count_again(is_same)
        })
    }

    /// [`QuorumIn::vote_with`] now; wakes those who wait for the result. `first` gets the first value of a voter who
    /// votes again, and runs inside the lock.
    pub fn vote_with<A>(
        &self,
        ballot: BallotId,
        is_voter: impl FnMut(&V) -> bool,
        voter: &mut Option<V>,
        value: &mut Option<T>,
        first: impl FnOnce(Cast<'_, T>) -> A,
    ) -> A {
        self.with_woken(|quorum, now| first(quorum.vote_with(ballot, is_voter, voter, value, now)))
    }

    /// [`QuorumIn::result`] now. `aggregate` runs outside the lock, again if votes came meanwhile.
    pub fn result<R>(&self, ballot: BallotId, mut aggregate: impl FnMut(&mut [T]) -> Option<R>) -> Ballot<R>
    where
        S::Of<T>: Clone,
    {
        self.decide(ballot, |tally| tally.soon(&mut aggregate))
    }

    /// [`QuorumIn::result_when_settled`] now. Both functions run outside the lock, again if votes came meanwhile.
    pub fn result_when_settled<R>(
        &self,
        ballot: BallotId,
        mut aggregate: impl FnMut(&mut [T]) -> Option<R>,
        mut settled: impl FnMut(&mut [T], usize) -> bool,
    ) -> Ballot<R>
    where
        S::Of<T>: Clone,
    {
        self.decide(ballot, |tally| tally.when_settled(&mut aggregate, &mut settled))
    }

    /// [`QuorumIn::ballot`].
    #[must_use]
    pub fn ballot(&self) -> BallotId {
        self.with_lock(|quorum| quorum.ballot())
    }

    /// [`QuorumIn::reset`], with the deadline `timeout` from now. Those who wait for the former ballot get no result.
    pub fn reset(&self, timeout: Duration) -> BallotId {
        let (ballot, _former) = self.with_woken(|quorum, now| {
            let former = quorum.restart(quorum.ballot.next(), now.saturating_add(timeout), now);
            (quorum.ballot, former)
        });
        ballot
    }

    /// [`QuorumIn::reset_to`], with the deadline `timeout` from now. Those who wait for the former ballot get no
    /// result.
    pub fn reset_to(&self, ballot: BallotId, timeout: Duration) -> bool {
        let former = self.with_woken(|quorum, now| {
            let is_other = ballot != quorum.ballot;
            is_other.then(|| quorum.restart(ballot, now.saturating_add(timeout), now))
        });
        former.is_some()
    }

    /// [`QuorumIn::set_threshold`].
    ///
    /// # Errors
    ///
    /// As for that.
    pub fn set_threshold(&self, threshold: usize) -> Result<(), QuorumError> {
        self.with_lock(|quorum| quorum.set_threshold(threshold))
    }

    /// [`QuorumIn::next_deadline`]; those who wait need nobody to watch it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.with_lock(|quorum| quorum.next_deadline())
    }

    /// [`QuorumIn::on_timeout`] now.
    pub fn on_timeout(&self) -> bool {
        self.with_woken(QuorumIn::on_timeout)
    }

    /// [`QuorumIn::stats`].
    #[must_use]
    pub fn stats(&self) -> QuorumStats {
        self.with_lock(|quorum| quorum.stats())
    }

    /// Runs `f`, and wakes those who wait if it changed what they wait for.
    pub(super) fn with_woken<R>(&self, f: impl FnOnce(&mut QuorumIn<V, T, S>, Instant) -> R) -> R {
        let (result, woken) = self.with(|quorum, now| {
            let before = (quorum.version, quorum.next_deadline(), quorum.closed);
            let result = f(quorum, now);
            let changed = before != (quorum.version, quorum.next_deadline(), quorum.closed);
            (result, if changed { quorum.waiters.wake() } else { Woken::new() })
        });
        woken.into_iter().for_each(|waker| self.lock().outside(|| waker.wake()));
        result
    }

    fn decide<R>(&self, ballot: BallotId, mut judge: impl FnMut(&mut Tally<S::Of<T>>) -> Ballot<R>) -> Ballot<R>
    where
        S::Of<T>: Clone,
    {
        loop {
            let mut tally = match self.with_woken(|quorum, now| quorum.tally(ballot, now)) {
                Ok(tally) => tally,
                Err(outcome) => return outcome,
            };
            let outcome = judge(&mut tally);
            if self.with_woken(|quorum, _| quorum.settle(&outcome, tally.version)) {
                return outcome;
            }
        }
    }
}

impl<V, T, S, L, C> Shared<QuorumIn<V, T, S>, L, C>
where
    S: ListStorage,
    S::Of<T>: Clone,
    L: Lock<Target = QuorumIn<V, T, S>>,
    C: Timer,
{
    /// Waits for the [`result`](QuorumIn::result) of a ballot; `None` if it failed, or as soon as it is not the present
    /// one.
    ///
    /// It comes with the vote that decides it, or at the deadline. `aggregate` runs outside the lock, for every vote
    /// that counts once the threshold is reached. Four tasks at a time are woken at once, a task that is not polled
    /// among them; more of them look every 10 milliseconds, and so learn it that much later at most. Dropping the
    /// future changes nothing and frees its slot.
    ///
    /// ```
    /// use steadfast_core::{Quorum, Shared, Timer, aggregate, foundation::shared::Lock};
    ///
    /// type Versions = Quorum<u8, u64, 8>;
    ///
    /// /// What most of the confidants hold, as soon as enough have told.
    /// async fn version(told: &Shared<Versions, impl Lock<Target = Versions>, impl Timer>) -> Option<u64> {
    ///     told.decided(told.ballot(), aggregate::majority).await
    /// }
    /// // Meanwhile, whoever receives: told.vote(message.ballot, message.from, message.version)
    /// ```
    pub const fn decided<A, R>(&self, ballot: BallotId, aggregate: A) -> Decided<&Self, A>
    where
        A: FnMut(&mut [T]) -> Option<R>,
    {
        Decided::new(self, ballot, aggregate)
    }

    /// Waits for the [`result_when_settled`](QuorumIn::result_when_settled) of a ballot. All else is as for
    /// [`decided`](Self::decided).
    pub const fn decided_when_settled<A, G, R>(
        &self,
        ballot: BallotId,
        aggregate: A,
        settled: G,
    ) -> DecidedWhenSettled<&Self, A, G>
    where
        A: FnMut(&mut [T]) -> Option<R>,
        G: FnMut(&mut [T], usize) -> bool,
    {
        DecidedWhenSettled::new(self, ballot, aggregate, settled)
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
