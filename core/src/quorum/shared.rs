//! The quorum behind a lock: the same calls without `now`, and waiting for the result.

use core::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{Ballot, BallotId, Cast, ListStorage, QuorumIn, QuorumStats, Vote, tally::Tally, waiters::Woken};
use crate::foundation::{
    shared::{Clock, Lock, Shared, Timer},
    time::{Instant, earliest},
};

/// How long those wait for whose waker there is no place before they look again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

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
    fn with_woken<R>(&self, f: impl FnOnce(&mut QuorumIn<V, T, S>, Instant) -> R) -> R {
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
    pub async fn decided<R>(&self, ballot: BallotId, mut aggregate: impl FnMut(&mut [T]) -> Option<R>) -> Option<R> {
        self.until_over(ballot, |tally| tally.soon(&mut aggregate)).await
    }

    /// Waits for the [`result_when_settled`](QuorumIn::result_when_settled) of a ballot. All else is as for
    /// [`decided`](Self::decided).
    pub async fn decided_when_settled<R>(
        &self,
        ballot: BallotId,
        mut aggregate: impl FnMut(&mut [T]) -> Option<R>,
        mut settled: impl FnMut(&mut [T], usize) -> bool,
    ) -> Option<R> {
        self.until_over(ballot, |tally| tally.when_settled(&mut aggregate, &mut settled)).await
    }

    async fn until_over<R>(
        &self,
        ballot: BallotId,
        mut judge: impl FnMut(&mut Tally<S::Of<T>>) -> Ballot<R>,
    ) -> Option<R> {
        let mut waiting = Waiting { shared: self, ballot, place: None, alarm_at: None };
        let mut alarm = pin!(None);
        poll_fn(|cx| waiting.poll(cx, alarm.as_mut(), &mut judge)).await
    }
}

/// A task that waits for the end of a ballot; dropping it frees its slot.
struct Waiting<'a, V, T, S: ListStorage, L: Lock<Target = QuorumIn<V, T, S>>, C> {
    shared: &'a Shared<QuorumIn<V, T, S>, L, C>,
    ballot: BallotId,
    place: Option<usize>,
    alarm_at: Option<Instant>,
}

impl<V, T, S, L, C> Waiting<'_, V, T, S, L, C>
where
    S: ListStorage,
    S::Of<T>: Clone,
    L: Lock<Target = QuorumIn<V, T, S>>,
    C: Timer,
{
    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut alarm: Pin<&mut Option<C::Sleep>>,
        mut judge: impl FnMut(&mut Tally<S::Of<T>>) -> Ballot<R>,
    ) -> Poll<Option<R>> {
        loop {
            let look = self.look(cx.waker().clone());
            let ballot = match look.tally {
                Err(ballot) => ballot,
                Ok(mut tally) => {
                    let ballot = judge(&mut tally);
                    if !self.shared.with_woken(|quorum, _| quorum.settle(&ballot, tally.version)) {
                        continue;
                    }
                    ballot
                }
            };
            match ballot {
                Ballot::Decided(value) => return Poll::Ready(Some(value)),
                Ballot::Failed => return Poll::Ready(None),
                Ballot::Open { .. } => {}
            }
            let Some(again_at) = look.again_at else { return Poll::Pending };
            if self.alarm_at.is_none_or(|at| again_at < at) {
                alarm.set(Some(self.shared.timer().sleep_until(again_at)));
                self.alarm_at = Some(again_at);
            }
            match alarm.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
                Some(Poll::Pending) => return Poll::Pending,
                Some(Poll::Ready(())) | None => {
                    alarm.set(None);
                    self.alarm_at = None;
                }
            }
        }
    }

    /// Looks at the votes, and leaves the waker for the next one to come.
    fn look<R>(&mut self, waker: Waker) -> Look<S::Of<T>, R> {
        let (look, _stale) = self.shared.with_woken(|quorum, now| {
            if quorum.ballot != self.ballot {
                return (Look { tally: Err(Ballot::Failed), again_at: None }, Some(waker));
            }
            self.place = self.place.or_else(|| quorum.waiters.join());
            let (stale, look_at) = match self.place {
                Some(place) => (quorum.waiters.wait(place, waker), None),
                None => (Some(waker), Some(now.saturating_add(LOOK_EVERY))),
            };
            let tally = quorum.tally(self.ballot, now);
            (Look { tally, again_at: earliest([quorum.next_deadline(), look_at]) }, stale)
        });
        look
    }
}

impl<V, T, S: ListStorage, L: Lock<Target = QuorumIn<V, T, S>>, C> Drop for Waiting<'_, V, T, S, L, C> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let _stale = self.shared.with_lock(|quorum| quorum.waiters.leave(place));
        }
    }
}

/// What a waiting task sees.
struct Look<L, R> {
    tally: Result<Tally<L>, Ballot<R>>,
    /// When to look again if no waker calls before.
    again_at: Option<Instant>,
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
