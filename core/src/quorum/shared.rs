//! The quorum behind a lock: the same calls without `now`, and waiting for the result.

use core::{
    borrow::Borrow,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{Ballot, ListStorage, QuorumIn, QuorumStats, Vote, tally::Tally, waiters::Woken};
use crate::{Clock, Instant, Lock, Shared, Timer, earliest};

/// How long those wait for whose waker there is no place before they look again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl<V, T, S, L, C> Shared<QuorumIn<V, T, S>, L, C>
where
    S: ListStorage,
    L: Lock<Target = QuorumIn<V, T, S>>,
    C: Clock,
{
    /// [`QuorumIn::vote`] now; wakes those who wait for the result.
    pub fn vote(&self, voter: V, value: T) -> Vote
    where
        V: PartialEq,
        T: PartialEq,
    {
        self.with_woken(|quorum, now| quorum.vote(voter, value, now))
    }

    /// [`QuorumIn::vote_with`] now; wakes those who wait for the result.
    pub fn vote_with<Q>(&self, voter: &Q, own: impl FnOnce(&Q) -> V, value: T) -> Vote
    where
        V: Borrow<Q> + PartialEq,
        T: PartialEq,
        Q: PartialEq + ?Sized,
    {
        self.with_woken(|quorum, now| quorum.vote_with(voter, own, value, now))
    }

    /// [`QuorumIn::result`] now. `aggregate` runs outside the lock, again if votes came meanwhile.
    pub fn result<R>(&self, mut aggregate: impl FnMut(&mut [T]) -> Option<R>) -> Ballot<R>
    where
        S::Of<T>: Clone,
    {
        self.decide(|tally| tally.soon(&mut aggregate))
    }

    /// [`QuorumIn::result_when_settled`] now. Both functions run outside the lock, again if votes came meanwhile.
    pub fn result_when_settled<R>(
        &self,
        mut aggregate: impl FnMut(&mut [T]) -> Option<R>,
        mut settled: impl FnMut(&mut [T], usize) -> bool,
    ) -> Ballot<R>
    where
        S::Of<T>: Clone,
    {
        self.decide(|tally| tally.when_settled(&mut aggregate, &mut settled))
    }

    /// [`QuorumIn::reset`], with the deadline `timeout` from now. Those who wait for the former ballot get no result.
    pub fn reset(&self, timeout: Duration) {
        self.with_woken(|quorum, now| quorum.reset(now.saturating_add(timeout)));
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
            let before = (quorum.version, quorum.closed);
            let result = f(quorum, now);
            let changed = before != (quorum.version, quorum.closed);
            (result, if changed { quorum.waiters.wake() } else { Woken::new() })
        });
        woken.into_iter().for_each(Waker::wake);
        result
    }

    fn decide<R>(&self, mut judge: impl FnMut(&mut Tally<S::Of<T>>) -> Ballot<R>) -> Ballot<R>
    where
        S::Of<T>: Clone,
    {
        loop {
            let mut tally = match self.with_woken(|quorum, now| quorum.tally(now)) {
                Ok(tally) => tally,
                Err(ballot) => return ballot,
            };
            let ballot = judge(&mut tally);
            if self.with_woken(|quorum, _| quorum.settle(&ballot, tally.version)) {
                return ballot;
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
    /// Waits for the [`result`](QuorumIn::result) of the present ballot; `None` if it failed or was reset.
    ///
    /// It comes with the vote that decides it, or at the deadline. `aggregate` runs outside the lock, for every vote that
    /// counts once the threshold is reached. Four tasks at a time are woken at once; more of them look every 10
    /// milliseconds. Dropping the future changes nothing and frees its place.
    ///
    /// ```
    /// use steadfast_core::{Lock, Quorum, Shared, Timer, aggregate};
    ///
    /// type Versions = Quorum<u8, u64, 8>;
    ///
    /// /// What most of the confidants hold, as soon as enough have told.
    /// async fn version(told: &Shared<Versions, impl Lock<Target = Versions>, impl Timer>) -> Option<u64> {
    ///     told.decided(aggregate::majority).await
    /// }
    /// // Meanwhile, whoever receives: told.vote(message.from, message.version)
    /// ```
    pub async fn decided<R>(&self, mut aggregate: impl FnMut(&mut [T]) -> Option<R>) -> Option<R> {
        self.until_over(|tally| tally.soon(&mut aggregate)).await
    }

    /// Waits for the [`result_when_settled`](QuorumIn::result_when_settled) of the present ballot; `None` if it failed or
    /// was reset. All else is as for [`decided`](Self::decided).
    pub async fn decided_when_settled<R>(
        &self,
        mut aggregate: impl FnMut(&mut [T]) -> Option<R>,
        mut settled: impl FnMut(&mut [T], usize) -> bool,
    ) -> Option<R> {
        self.until_over(|tally| tally.when_settled(&mut aggregate, &mut settled)).await
    }

    async fn until_over<R>(&self, mut judge: impl FnMut(&mut Tally<S::Of<T>>) -> Ballot<R>) -> Option<R> {
        let begun = self.with_lock(|quorum| quorum.begun);
        let mut waiting = Waiting { shared: self, begun, place: None, alarm_at: None };
        let mut alarm = pin!(None);
        poll_fn(|cx| waiting.poll(cx, alarm.as_mut(), &mut judge)).await
    }
}

/// A task that waits for the end of the ballot that began with version `begun`; dropping it frees its place.
struct Waiting<'a, V, T, S: ListStorage, L: Lock<Target = QuorumIn<V, T, S>>, C> {
    shared: &'a Shared<QuorumIn<V, T, S>, L, C>,
    begun: u64,
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
            if quorum.begun != self.begun {
                return (Look { tally: Err(Ballot::Failed), again_at: None }, Some(waker));
            }
            self.place = self.place.or_else(|| quorum.waiters.join());
            let (stale, look_at) = match self.place {
                Some(place) => (quorum.waiters.wait(place, waker), None),
                None => (Some(waker), Some(now.saturating_add(LOOK_EVERY))),
            };
            let tally = quorum.tally(now);
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
