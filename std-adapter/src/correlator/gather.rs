//! One question to many peers, with a waker for each of their calls.

use core::{
    convert::Infallible,
    fmt,
    future::Future,
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Wake,
};

use pin_project_lite::pin_project;
use steadfast_core::{
    Instant, Timer,
    correlator::{BeginError, CallError, CallId, CallOn, SendEach},
};

use super::Correlator;
use crate::runtime::SystemTimer;

pin_project! {
    /// The future of [`Correlator::gather`] and [`gather_owned`](Correlator::gather_owned), for a struct or a `tower`
    /// service; `S` is what [sends the requests](SendEach). It borrows nothing.
    ///
    /// ```
    /// use std::{future::{Ready, ready}, time::Duration};
    /// use steadfast::{Correlator, block_on, correlator::{CallId, Gather, SendEach}};
    ///
    /// /// Sends each question; in place of a network, everyone answers at once.
    /// struct Ask(Correlator<u32, &'static str>);
    ///
    /// impl SendEach<u32> for Ask {
    ///     type Error = ();
    ///     type Sending = Ready<Result<(), ()>>;
    ///
    ///     fn send_each(&mut self, peer: u32, id: CallId) -> Self::Sending {
    ///         assert!(self.0.resolve(id, peer, "newest: 7").is_matched());
    ///         ready(Ok(()))
    ///     }
    /// }
    ///
    /// struct Reading {
    ///     answers: Gather<u32, &'static str, Ask>,
    /// }
    ///
    /// let calls = Correlator::new(64);
    /// let ask = Ask(calls.clone());
    /// let reading = Reading { answers: calls.gather_owned([1, 2, 3], 2, Duration::from_secs(3), ask) };
    /// assert_eq!(block_on(reading.answers), Ok(vec![(1, "newest: 7"), (2, "newest: 7")]));
    /// ```
    #[must_use = "nobody is asked until it is awaited"]
    pub struct Gather<P, R, S: SendEach<P>, T: Timer = SystemTimer>
    where
        P: Copy,
        P: Eq,
    {
        #[pin]
        asking: Asking<P, R, S, T>,
        answers: Vec<(P, R)>,
        want: usize,
    }
}

pin_project! {
    /// The future of [`Correlator::gather_each`], as [`Gather`]; `A` takes the answers.
    #[must_use = "nobody is asked until it is awaited"]
    pub struct GatherEach<P, R, S: SendEach<P>, A, T: Timer = SystemTimer>
    where
        P: Copy,
        P: Eq,
    {
        #[pin]
        asking: Asking<P, R, S, T>,
        on_answer: A,
    }
}

impl<P: Copy + Eq, R, S: SendEach<P>, T: Timer> Gather<P, R, S, T> {
    pub(super) fn new(calls: Correlator<P, R, T>, peers: Vec<P>, want: usize, timeout: Duration, send: S) -> Self {
        Self { asking: Asking::new(calls, peers, timeout, send), answers: Vec::new(), want }
    }
}

impl<P: Copy + Eq, R, S: SendEach<P>, A, T: Timer> GatherEach<P, R, S, A, T> {
    pub(super) fn new(calls: Correlator<P, R, T>, peers: Vec<P>, timeout: Duration, send: S, on_answer: A) -> Self {
        Self { asking: Asking::new(calls, peers, timeout, send), on_answer }
    }
}

impl<P: Copy + Eq, R, S: SendEach<P>, T: Timer> Future for Gather<P, R, S, T> {
    type Output = Result<Vec<(P, R)>, CallError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (answers, want) = (this.answers, *this.want);
        if want == 0 {
            return Poll::Ready(Ok(Vec::new()));
        }
        let polled = this.asking.poll(cx, &mut |peer, reply| {
            answers.push((peer, reply));
            if answers.len() < want { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let Poll::Ready(result) = polled else { return Poll::Pending };
        Poll::Ready(result.map(|()| mem::take(answers)))
    }
}

impl<P, R, S, A, T> Future for GatherEach<P, R, S, A, T>
where
    P: Copy + Eq,
    S: SendEach<P>,
    A: FnMut(P, R) -> ControlFlow<()>,
    T: Timer,
{
    type Output = Result<(), CallError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.asking.poll(cx, this.on_answer)
    }
}

impl<P: Copy + Eq, R, S: SendEach<P>, T: Timer> fmt::Debug for Gather<P, R, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

impl<P: Copy + Eq, R, S: SendEach<P>, A, T: Timer> fmt::Debug for GatherEach<P, R, S, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatherEach").finish_non_exhaustive()
    }
}

pin_project! {
    /// One question to many peers.
    ///
    /// The core has no memory to tell which calls were answered, and looks at them all. Here each has a waker that knows
    /// it, so that a poll looks at those alone that are over.
    struct Asking<P, R, S: SendEach<P>, T: Timer>
    where
        P: Copy,
        P: Eq,
    {
        // Both are dropped before the slots are free.
        #[pin]
        sending: Option<S::Sending>,
        #[pin]
        sleep: Option<T::Sleep>,
        gathering: Gathering<P, R, T>,
        send: S,
        failure: Option<S::Error>,
        any_sent: bool,
        // Whose turn to be asked it is.
        index: usize,
        // Until it is first polled.
        start: Option<(Vec<P>, Duration)>,
    }
}

impl<P: Copy + Eq, R, S: SendEach<P>, T: Timer> Asking<P, R, S, T> {
    fn new(on: Correlator<P, R, T>, peers: Vec<P>, timeout: Duration, send: S) -> Self {
        let start = Some((peers, timeout));
        let gathering = Gathering::new(on);
        Self { sending: None, sleep: None, gathering, send, failure: None, any_sent: false, index: 0, start }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>,
    ) -> Poll<Result<(), CallError<S::Error>>> {
        let result = self.as_mut().poll_sends(cx, on_answer);
        if result.is_ready() {
            let mut this = self.project();
            this.sending.set(None);
            this.sleep.set(None);
            this.gathering.give_up_all();
        }
        result
    }

    fn poll_sends(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>,
    ) -> Poll<Result<(), CallError<S::Error>>> {
        let mut this = self.project();
        if let Some((peers, timeout)) = this.start.take() {
            this.gathering.begin(peers, timeout)?;
        }
        while let Some(asked) = this.gathering.calls.get(*this.index) {
            if this.sending.is_none() {
                this.sending.set(Some(this.send.send_each(asked.peer, asked.id)));
            }
            let Some(sending) = this.sending.as_mut().as_pin_mut() else { break };
            let Poll::Ready(sent) = sending.poll(cx) else { break };
            this.sending.set(None);
            match sent {
                Ok(()) => *this.any_sent = true,
                Err(error) => {
                    // An answer proves that the request got there.
                    if this.gathering.look(*this.index, on_answer).is_break() {
                        return Poll::Ready(Ok(()));
                    }
                    this.gathering.give_up(*this.index);
                    this.failure.get_or_insert(error);
                }
            }
            *this.index = this.index.saturating_add(1);
        }
        if this.sending.is_none()
            && !*this.any_sent
            && let Some(error) = this.failure.take()
        {
            return Poll::Ready(Err(CallError::Send(error)));
        }
        this.gathering.poll(cx, this.sleep, on_answer).map(|is_closed| match is_closed {
            true => Err(CallError::Closed),
            false => Ok(()),
        })
    }
}

/// Whether a gather ended with the correlator.
type IsClosed = bool;

/// The calls of one `gather`; dropping them frees their slots.
struct Gathering<P: Copy + Eq, R, T: Timer> {
    on: Correlator<P, R, T>,
    calls: Vec<Asked<P>>,
    /// How many are not over.
    pending: usize,
    expires_at: Instant,
    woken: Arc<Woken>,
}

struct Asked<P> {
    peer: P,
    id: CallId,
    is_over: bool,
    waker: Waker,
}

impl<P: Copy + Eq, R, T: Timer> Gathering<P, R, T> {
    fn new(on: Correlator<P, R, T>) -> Self {
        Self { on, calls: Vec::new(), pending: 0, expires_at: Instant::ZERO, woken: Arc::default() }
    }

    /// Begins a call to each peer, so that nothing is sent unless all can be asked.
    fn begin(&mut self, peers: Vec<P>, timeout: Duration) -> Result<(), BeginError> {
        for peer in peers {
            if self.calls.iter().any(|asked| asked.peer == peer) {
                continue;
            }
            let (id, _, expires_at) = self.on.begin_call(peer, timeout)?;
            let index = self.calls.len();
            let waker = Waker::from(Arc::new(OneCall { index, woken: self.woken.clone() }));
            self.calls.push(Asked { peer, id, is_over: false, waker });
            self.pending = self.pending.saturating_add(1);
            self.expires_at = expires_at;
            // Nobody knows its id, so there is no answer; only its end can have come.
            if let Some(Poll::Ready(outcome)) = self.outcome(index)
                && matches!(outcome, Err(CallError::Closed))
            {
                return Err(BeginError::Closed);
            }
        }
        Ok(())
    }

    /// What has become of one call, once; its waker is woken when there is something.
    fn outcome(&mut self, index: usize) -> Option<Poll<Result<R, CallError<Infallible>>>> {
        let asked = self.calls.get_mut(index).filter(|asked| !asked.is_over)?;
        let outcome = self.on.look_after(asked.id, &Context::from_waker(&asked.waker));
        if outcome.is_ready() {
            asked.is_over = true;
            self.pending = self.pending.saturating_sub(1);
        }
        Some(outcome)
    }

    /// Frees the slot of one call.
    fn give_up(&mut self, index: usize) {
        if let Some(asked) = self.calls.get_mut(index).filter(|asked| !asked.is_over) {
            asked.is_over = true;
            self.pending = self.pending.saturating_sub(1);
            self.on.give_up(asked.id);
        }
    }

    fn give_up_all(&mut self) {
        (0..self.calls.len()).for_each(|index| self.give_up(index));
    }

    /// Looks at one call, and hands over its answer; breaks off with whether the correlator was closed.
    fn look(&mut self, index: usize, on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>) -> ControlFlow<IsClosed> {
        #[cfg(test)]
        tests::LOOKS.with(|looks| looks.set(looks.get() + 1));
        match self.outcome(index) {
            Some(Poll::Ready(outcome)) => self.hand_over(index, outcome, on_answer),
            Some(Poll::Pending) | None => ControlFlow::Continue(()),
        }
    }

    fn hand_over(
        &self,
        index: usize,
        outcome: Result<R, CallError<Infallible>>,
        on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>,
    ) -> ControlFlow<IsClosed> {
        let Some(asked) = self.calls.get(index) else { return ControlFlow::Continue(()) };
        match outcome {
            Ok(reply) => on_answer(asked.peer, reply).map_break(|()| false),
            Err(CallError::Closed) => ControlFlow::Break(true),
            // One peer's silence is not the end.
            Err(_) => ControlFlow::Continue(()),
        }
    }

    /// Hands over what has come; ready when that is enough, when nothing more can come, and at the deadline.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut sleep: Pin<&mut Option<T::Sleep>>,
        on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>,
    ) -> Poll<IsClosed> {
        for index in self.woken.take(cx.waker()) {
            if let ControlFlow::Break(is_closed) = self.look(index, on_answer) {
                return Poll::Ready(is_closed);
            }
        }
        if self.pending == 0 {
            return Poll::Ready(false);
        }
        if sleep.is_none() {
            sleep.set(Some(self.on.timer().sleep_until(self.expires_at)));
        }
        if sleep.as_pin_mut().is_none_or(|sleep| sleep.poll(cx).is_pending()) {
            return Poll::Pending;
        }
        for index in 0..self.calls.len() {
            let Some(asked) = self.calls.get_mut(index).filter(|asked| !asked.is_over) else { continue };
            asked.is_over = true;
            self.pending = self.pending.saturating_sub(1);
            // An answer that has come all the same counts.
            let outcome = self.on.time_out(asked.id);
            if let ControlFlow::Break(is_closed) = self.hand_over(index, outcome, on_answer) {
                return Poll::Ready(is_closed);
            }
        }
        Poll::Ready(false)
    }
}

impl<P: Copy + Eq, R, T: Timer> Drop for Gathering<P, R, T> {
    fn drop(&mut self) {
        self.give_up_all();
    }
}

/// Which calls are to be looked at, and the task to be told. No code of the user's runs while it is locked.
#[derive(Default)]
struct Woken(Mutex<(Vec<usize>, Option<Waker>)>);

impl Woken {
    /// The calls that were woken since, in the order of their peers; the next one wakes `task`.
    fn take(&self, task: &Waker) -> Vec<usize> {
        let mut task = Some(task.clone());
        let mut state = locked(&self.0);
        let mut woken = mem::take(&mut state.0);
        mem::swap(&mut state.1, &mut task);
        drop(state);
        woken.sort_unstable();
        woken
    }
}

/// Wakes a task for one call.
struct OneCall {
    index: usize,
    woken: Arc<Woken>,
}

impl Wake for OneCall {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = locked(&self.woken.0);
        state.0.push(self.index);
        let task = state.1.take();
        drop(state);
        task.into_iter().for_each(Waker::wake);
    }
}

fn locked<V>(lock: &Mutex<V>) -> MutexGuard<'_, V> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use core::{cell::Cell, future::ready};

    use crate::correlator::Correlator;

    use super::*;

    thread_local! {
        pub(super) static LOOKS: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn found_b9_gather_looks_at_the_calls_that_are_over_only() {
        const PEERS: usize = 2_000;
        let calls: Correlator<usize, usize> = Correlator::new(PEERS);
        let sent = Mutex::new(Vec::new());
        LOOKS.set(0);
        let send = |peer, id| {
            locked(&sent).push((peer, id));
            ready(Ok::<_, ()>(()))
        };
        let mut cx = Context::from_waker(Waker::noop());
        let peers = (0..PEERS).chain(0..9);
        let mut gather = Box::pin(calls.gather(peers, PEERS, Duration::from_secs(3_600), send));
        assert!(gather.as_mut().poll(&mut cx).is_pending());
        let sent = mem::take(&mut *locked(&sent));
        for (count, (peer, id)) in sent.into_iter().rev().enumerate() {
            assert!(calls.resolve(id, peer, count).is_matched());
            let Poll::Ready(answers) = gather.as_mut().poll(&mut cx) else { continue };
            assert_eq!(count, PEERS - 1);
            assert!(answers.unwrap().into_iter().eq((0..PEERS).rev().zip(0..)));
        }
        assert_eq!(LOOKS.get(), PEERS, "one look for each answer");
    }

    /// Sending may fail for some, the rest is silent: the numbers are those of the core.
    #[test]
    fn the_counts_and_ends_are_those_of_the_core() {
        let calls: Correlator<u8, u8> = Correlator::new(4);
        let send = |peer, id| {
            let answered = peer == 1 && calls.resolve(id, peer, 10).is_matched();
            assert_eq!(answered, peer == 1);
            ready(if peer == 3 { Err("unreachable") } else { Ok(()) })
        };
        let gather = |want, timeout| crate::runtime::block_on(calls.gather([1, 1, 2, 3, 2], want, timeout, send));
        assert_eq!(gather(3, Duration::from_millis(1)), Ok(vec![(1, 10)]));
        let stats = calls.stats();
        assert_eq!((stats.begun, stats.resolved, stats.timed_out, stats.cancelled), (3, 1, 1, 1));
        assert_eq!(gather(1, Duration::from_secs(3_600)), Ok(vec![(1, 10)]));
        assert_eq!(calls.stats().cancelled, 3);
        let unreachable = |peer, _| ready(Err::<(), u8>(peer));
        let none = crate::runtime::block_on(calls.gather([7, 8], 1, Duration::from_secs(3_600), unreachable));
        assert_eq!(none, Err(CallError::Send(7)));
        let many = crate::runtime::block_on(calls.gather(0..5, 1, Duration::from_secs(3_600), unreachable));
        assert_eq!(many, Err(CallError::Full));
        assert!(calls.is_empty());
        calls.close();
        let closed = crate::runtime::block_on(calls.gather([7], 1, Duration::from_secs(3_600), unreachable));
        assert_eq!(closed, Err(CallError::Closed));
        assert!(calls.is_empty());
    }
}
