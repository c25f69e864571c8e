//! One question to many peers.

use core::{
    future::{Future, poll_fn},
    ops::ControlFlow,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use super::{
    CallError, CallId, CorrelatorIn,
    ending::Ending,
    phase::{Calls, Left, look_after},
    wait::poll_sleep,
};
use crate::foundation::{
    shared::{Lock, Shared, Timer},
    storage::Storage,
    time::{Instant, Span},
};

/// A peer to be asked by [`gather_each`](Shared::gather_each), with room for its call.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Asked<P> {
    peer: P,
    id: Option<CallId>,
}

impl<P> Asked<P> {
    /// A peer that has not been asked yet.
    #[must_use]
    pub const fn new(peer: P) -> Self {
        Self { peer, id: None }
    }
}

impl<P, R, S, L, T> Shared<CorrelatorIn<P, R, S>, L, T>
where
    P: Copy + Eq,
    S: Storage,
    L: Lock<Target = CorrelatorIn<P, R, S>>,
    T: Timer,
{
    /// Asks up to `M` peers the same, and returns what they answered as soon as `want` of them have, all are done, or
    /// `timeout` has passed.
    ///
    /// Each peer has a call of its own, so it answers once and for itself only; a peer that is listed twice is asked
    /// once. `send` is called for one peer after the other: a send that waits holds up the next, but neither the
    /// answers nor the deadline. A peer to which sending fails is as good as silent. Dropping the future frees every
    /// slot.
    ///
    /// Each poll looks at every call that has no answer yet, so `n` answers that come one by one cost O(`n`²); a
    /// thousand peers are asked in milliseconds. For many more, ask them in parts.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Correlator, Shared, Timer, correlator::{CallError, CallId}, foundation::shared::Lock};
    ///
    /// # struct Network;
    /// # struct Unreachable;
    /// # impl Network { async fn ask_version(&self, _: u8, _: CallId) -> Result<(), Unreachable> { Ok(()) } }
    /// type Calls = Correlator<u8, u32, 16>;
    ///
    /// /// The newest version that two of five confidants report.
    /// async fn newest(
    ///     calls: &Shared<Calls, impl Lock<Target = Calls>, impl Timer>,
    ///     network: &Network,
    /// ) -> Result<Option<u32>, CallError<Unreachable>> {
    ///     let ask = |peer, id| network.ask_version(peer, id);
    ///     let answers = calls.gather::<5, _, _, _>([1, 2, 3, 4, 5], 2, Duration::from_secs(3), ask).await?;
    ///     Ok(answers.iter().map(|(_peer, version)| *version).max())
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] if there are more than `M` peers or fewer free slots than peers, and nothing was sent;
    /// [`CallError::Closed`]; [`CallError::Send`] if sending failed for every peer (the first failure).
    pub async fn gather<const M: usize, F, D, E>(
        &self,
        peers: impl IntoIterator<Item = P>,
        want: usize,
        timeout: Duration,
        send: F,
    ) -> Result<heapless::Vec<(P, R), M>, CallError<E>>
    where
        F: FnMut(P, CallId) -> D,
        D: Future<Output = Result<(), E>>,
    {
        let mut calls = heapless::Vec::<_, M>::new();
        for peer in peers {
            if calls.push(Asked::new(peer)).is_err() {
                return Err(CallError::Full);
            }
        }
        let mut answers = heapless::Vec::new();
        if want == 0 {
            return Ok(answers);
        }
        self.gather_each(&mut calls, timeout, send, |peer, reply| {
            // There are as many places as peers, and each answers once.
            let _ = answers.push((peer, reply));
            if answers.len() < want { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .await?;
        Ok(answers)
    }

    /// Asks each peer of `calls` the same, and hands over each answer as it comes, until `on_answer` breaks off, all
    /// are done, or `timeout` has passed: for answers that are to be judged one by one, and for memory of the caller's.
    ///
    /// All else is as for [`gather`](Self::gather). `on_answer` runs outside the lock.
    ///
    /// # Errors
    ///
    /// As for `gather`; answers that came before were handed over.
    pub async fn gather_each<F, D, E>(
        &self,
        calls: &mut [Asked<P>],
        timeout: Duration,
        mut send: F,
        mut on_answer: impl FnMut(P, R) -> ControlFlow<()>,
    ) -> Result<(), CallError<E>>
    where
        F: FnMut(P, CallId) -> D,
        D: Future<Output = Result<(), E>>,
    {
        let mut gathering = Gathering { shared: self, calls, expires_at: Instant::ZERO };
        gathering.begin(timeout)?;
        let mut sleep = pin!(None);
        let (mut any_sent, mut failure) = (false, None);
        for index in 0..gathering.calls.len() {
            let Some(&Asked { peer, id: Some(id) }) = gathering.calls.get(index) else { continue };
            let mut sending = pin!(send(peer, id));
            let step = poll_fn(|cx| match sending.as_mut().poll(cx) {
                Poll::Ready(sent) => Poll::Ready(Step::Sent(sent)),
                Poll::Pending => gathering.poll(cx, sleep.as_mut(), &mut on_answer).map(Step::Over),
            });
            match step.await {
                Step::Sent(Ok(())) => any_sent = true,
                Step::Sent(Err(error)) => {
                    if gathering.finish(index, Ending::Cancelled, &mut on_answer).is_break() {
                        return Ok(());
                    }
                    failure.get_or_insert(error);
                }
                Step::Over(result) => return result.map_err(CallError::from),
            }
        }
        if let Some(error) = failure.filter(|_| !any_sent) {
            return Err(CallError::Send(error));
        }
        poll_fn(|cx| gathering.poll(cx, sleep.as_mut(), &mut on_answer)).await.map_err(CallError::from)
    }
}

enum Step<E> {
    Sent(Result<(), E>),
    Over(Result<(), Ending>),
}

/// The calls of one `gather`; dropping it frees their slots.
struct Gathering<'a, P: Copy + Eq, R, S: Storage, L: Lock<Target = CorrelatorIn<P, R, S>>, T> {
    shared: &'a Shared<CorrelatorIn<P, R, S>, L, T>,
    calls: &'a mut [Asked<P>],
    expires_at: Instant,
}

impl<P, R, S, L, T> Gathering<'_, P, R, S, L, T>
where
    P: Copy + Eq,
    S: Storage,
    L: Lock<Target = CorrelatorIn<P, R, S>>,
    T: Timer,
{
    /// Begins a call to each peer, so that nothing is sent unless all can be asked.
    fn begin<E>(&mut self, timeout: Duration) -> Result<(), CallError<E>> {
        let timeout = Span::new(timeout);
        for index in 0..self.calls.len() {
            let Some((call, before)) = self.calls.get_mut(..=index).and_then(<[_]>::split_last_mut) else { continue };
            if before.iter().any(|other| other.peer == call.peer) {
                continue;
            }
            let mut over = Left::nothing();
            let begun = self.shared.with(|calls, now| calls.begin_for(call.peer, timeout, true, now, &mut over));
            self.shared.lock().outside(|| over.wake());
            let begun = begun?;
            call.id = Some(begun.id);
            self.expires_at = begun.expires_at;
        }
        Ok(())
    }

    /// Hands over what has come; ready when that is enough, when nothing more can come, and at the deadline.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sleep: Pin<&mut Option<T::Sleep>>,
        on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>,
    ) -> Poll<Result<(), Ending>> {
        let mut pending = false;
        for call in self.calls.iter_mut() {
            let Some(id) = call.id else { continue };
            let Poll::Ready(outcome) = look_after(self.shared, id, cx.waker()) else {
                pending = true;
                continue;
            };
            call.id = None;
            match outcome {
                Ok(reply) => {
                    if on_answer(call.peer, reply).is_break() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Err(Ending::Closed) => return Poll::Ready(Err(Ending::Closed)),
                // One peer's silence is not the end.
                Err(Ending::Cancelled | Ending::TimedOut) => {}
            }
        }
        if !pending {
            return Poll::Ready(Ok(()));
        }
        if poll_sleep(self.shared.timer(), cx, sleep, self.expires_at).is_pending() {
            return Poll::Pending;
        }
        for index in 0..self.calls.len() {
            if self.finish(index, Ending::TimedOut, on_answer).is_break() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends one call, and hands over its answer if that has come all the same.
    fn finish(
        &mut self,
        index: usize,
        ending: Ending,
        on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some(call) = self.calls.get_mut(index) else { return ControlFlow::Continue(()) };
        let Some(id) = call.id.take() else { return ControlFlow::Continue(()) };
        let mut left = Left::nothing();
        match self.shared.with_lock(|calls| calls.finish(id, ending, &mut left)) {
            Ok(reply) => on_answer(call.peer, reply),
            Err(_) => ControlFlow::Continue(()),
        }
    }
}

impl<P: Copy + Eq, R, S: Storage, L: Lock<Target = CorrelatorIn<P, R, S>>, T> Drop for Gathering<'_, P, R, S, L, T> {
    fn drop(&mut self) {
        for id in self.calls.iter_mut().filter_map(|call| call.id.take()) {
            let mut left = Left::nothing();
            let _reply = self.shared.with_lock(|calls| calls.finish(id, Ending::Cancelled, &mut left));
        }
    }
}
