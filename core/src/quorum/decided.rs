//! Waiting for the end of a ballot, in futures that can be named.

use core::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{Ballot, BallotId, ListStorage, QuorumIn, tally::Tally};
use crate::foundation::{
    shared::{Lock, Shared, Timer},
    time::{Instant, earliest},
};

/// How long those wait for whose waker there is no place before they look again.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What ballots are waited for on: whatever derefs to a [`Shared`] quorum, such as a reference to one.
pub trait DecideOn {
    /// Who votes.
    type Voter;
    /// For what.
    type Value;
    /// Where both are kept.
    type Lists: ListStorage<Of<Self::Value>: Clone>;
    /// The lock around the quorum.
    type Lock: Lock<Target = QuorumIn<Self::Voter, Self::Value, Self::Lists>>;
    /// Its timer.
    type Timer: Timer;

    /// The quorum.
    fn quorum(&self) -> &SharedQuorum<Self>;
}

/// The quorum of a [`DecideOn`].
type SharedQuorum<C> = Shared<
    QuorumIn<<C as DecideOn>::Voter, <C as DecideOn>::Value, <C as DecideOn>::Lists>,
    <C as DecideOn>::Lock,
    <C as DecideOn>::Timer,
>;

impl<C, V, T, S, L, X> DecideOn for C
where
    C: Deref<Target = Shared<QuorumIn<V, T, S>, L, X>>,
    S: ListStorage<Of<T>: Clone>,
    L: Lock<Target = QuorumIn<V, T, S>>,
    X: Timer,
{
    type Voter = V;
    type Value = T;
    type Lists = S;
    type Lock = L;
    type Timer = X;

    #[inline]
    fn quorum(&self) -> &Shared<QuorumIn<V, T, S>, L, X> {
        self
    }
}

type Votes<C> = <<C as DecideOn>::Lists as ListStorage>::Of<<C as DecideOn>::Value>;

pin_project! {
    /// Waits for the end of a ballot, in futures of adapters; `C` is the quorum, or a reference to it. Dropping it frees
    /// its slot.
    pub struct UntilDecided<C: DecideOn> {
        #[pin]
        alarm: Option<<C::Timer as Timer>::Sleep>,
        waiting: Waiting<C>,
    }
}

impl<C: DecideOn> UntilDecided<C> {
    /// Nobody waits yet.
    pub const fn new(quorum: C, ballot: BallotId) -> Self {
        Self { alarm: None, waiting: Waiting { on: quorum, ballot, place: None, alarm_at: None } }
    }

    /// As [`Decided`].
    pub fn poll_decided<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut aggregate: impl FnMut(&mut [C::Value]) -> Option<R>,
    ) -> Poll<Option<R>> {
        self.poll_judged(cx, |tally| tally.soon(&mut aggregate))
    }

    /// As [`DecidedWhenSettled`].
    pub fn poll_decided_when_settled<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut aggregate: impl FnMut(&mut [C::Value]) -> Option<R>,
        mut settled: impl FnMut(&mut [C::Value], usize) -> bool,
    ) -> Poll<Option<R>> {
        self.poll_judged(cx, |tally| tally.when_settled(&mut aggregate, &mut settled))
    }

    fn poll_judged<R>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        judge: impl FnMut(&mut Tally<Votes<C>>) -> Ballot<R>,
    ) -> Poll<Option<R>> {
        let mut this = self.project();
        let result = this.waiting.poll(cx, this.alarm.as_mut(), judge);
        if result.is_ready() {
            this.waiting.leave();
            this.alarm.set(None);
        }
        result
    }
}

impl<C: DecideOn> fmt::Debug for UntilDecided<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilDecided").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of `decided`. It has a name so that it can be kept in a struct, and be the `Future` of a `tower`
    /// service; `C` is the quorum, or a reference to it, `A` makes one value of the votes.
    ///
    /// # Cancellation
    ///
    /// Dropping it changes nothing, and frees its slot.
    #[must_use = "nobody waits until it is awaited"]
    pub struct Decided<C: DecideOn, A> {
        #[pin]
        until: UntilDecided<C>,
        aggregate: A,
    }
}

impl<C: DecideOn, A> Decided<C, A> {
    pub(super) const fn new(quorum: C, ballot: BallotId, aggregate: A) -> Self {
        Self { until: UntilDecided::new(quorum, ballot), aggregate }
    }
}

impl<C: DecideOn, A: FnMut(&mut [C::Value]) -> Option<R>, R> Future for Decided<C, A> {
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let this = self.project();
        this.until.poll_decided(cx, this.aggregate)
    }
}

impl<C: DecideOn, A> fmt::Debug for Decided<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decided").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of `decided_when_settled`, as [`Decided`]; `G` tells whether the missing votes can change anything.
    #[must_use = "nobody waits until it is awaited"]
    pub struct DecidedWhenSettled<C: DecideOn, A, G> {
        #[pin]
        until: UntilDecided<C>,
        aggregate: A,
        settled: G,
    }
}

impl<C: DecideOn, A, G> DecidedWhenSettled<C, A, G> {
    pub(super) const fn new(quorum: C, ballot: BallotId, aggregate: A, settled: G) -> Self {
        Self { until: UntilDecided::new(quorum, ballot), aggregate, settled }
    }
}

impl<C, A, G, R> Future for DecidedWhenSettled<C, A, G>
where
    C: DecideOn,
    A: FnMut(&mut [C::Value]) -> Option<R>,
    G: FnMut(&mut [C::Value], usize) -> bool,
{
    type Output = Option<R>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let this = self.project();
        this.until.poll_decided_when_settled(cx, this.aggregate, this.settled)
    }
}

impl<C: DecideOn, A, G> fmt::Debug for DecidedWhenSettled<C, A, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecidedWhenSettled").finish_non_exhaustive()
    }
}

/// A task that waits for the end of a ballot; dropping it frees its slot.
struct Waiting<C: DecideOn> {
    on: C,
    ballot: BallotId,
    place: Option<usize>,
    alarm_at: Option<Instant>,
}

impl<C: DecideOn> Waiting<C> {
    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut alarm: Pin<&mut Option<<C::Timer as Timer>::Sleep>>,
        mut judge: impl FnMut(&mut Tally<Votes<C>>) -> Ballot<R>,
    ) -> Poll<Option<R>> {
        loop {
            let look = self.look(cx.waker().clone());
            let ballot = match look.tally {
                Err(ballot) => ballot,
                Ok(mut tally) => {
                    let ballot = judge(&mut tally);
                    if !self.on.quorum().with_woken(|quorum, _| quorum.settle(&ballot, tally.version)) {
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
                alarm.set(Some(self.on.quorum().timer().sleep_until(again_at)));
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
    fn look<R>(&mut self, waker: Waker) -> Look<Votes<C>, R> {
        let (look, _stale) = self.on.quorum().with_woken(|quorum, now| {
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

    fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            let _stale = self.on.quorum().with_lock(|quorum| quorum.waiters.leave(place));
        }
    }
}

impl<C: DecideOn> Drop for Waiting<C> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// What a waiting task sees.
struct Look<L, R> {
    tally: Result<Tally<L>, Ballot<R>>,
    /// When to look again if no waker calls before.
    again_at: Option<Instant>,
}
