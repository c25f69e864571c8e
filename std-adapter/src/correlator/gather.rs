//! One question to many peers, with a waker for each of their calls.

use core::{
    convert::Infallible,
    future::{Future, Pending, pending, poll_fn},
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Wake,
};

use steadfast_core::{
    Clock, Instant, Lock, Shared, Timer,
    correlator::{CallError, CallId},
};

use super::{Calls, Machine};
use crate::runtime::unless_it_panics;

/// As [`Correlator::gather_each`](super::Correlator::gather_each).
///
/// The core has no memory to tell which calls were answered, and looks at them all. Here each has a waker that knows
/// it, so that a poll looks at those alone that are over.
pub(super) async fn gather_each<P, R, T, F, D, E>(
    shared: &Calls<P, R, T>,
    peers: impl IntoIterator<Item = P>,
    timeout: Duration,
    mut send: F,
    mut on_answer: impl FnMut(P, R) -> ControlFlow<()>,
) -> Result<(), CallError<E>>
where
    P: Copy + Eq,
    T: Timer,
    F: FnMut(P, CallId) -> D,
    D: Future<Output = Result<(), E>>,
{
    let (is_over, begun) = (AtomicBool::new(false), Mutex::new(None));
    let same = Shared::new(Same(shared), Deadline { clock: shared.timer(), is_over: &is_over });
    let mut gathering = Gathering { peers: Vec::new(), calls: Vec::new(), pending: 0, woken: Arc::default() };
    // All calls begin before anything is sent.
    for peer in peers {
        if gathering.peers.contains(&peer) {
            continue;
        }
        let sending = |id| {
            *locked(&begun) = Some(id);
            pending()
        };
        let call = same.call::<_, Pending<Result<(), Infallible>>, _>(peer, timeout, sending);
        let refusal = gathering.begin(peer, Box::pin(call));
        let id = locked(&begun).take();
        match (id, gathering.calls.last_mut()) {
            (Some(id), Some(call)) => call.id = Some(id),
            _ => return Err(if refusal == Some(CallError::Closed) { CallError::Closed } else { CallError::Full }),
        }
    }
    let expires_at = shared.timer().now().saturating_add(timeout);
    let mut sleep = pin!(None);
    let (mut any_sent, mut failure) = (false, None);
    for index in 0..gathering.calls.len() {
        let (Some(&peer), Some(id)) = (gathering.peers.get(index), gathering.id(index)) else { continue };
        let mut sending = pin!(send(peer, id));
        let step = poll_fn(|cx| match sending.as_mut().poll(cx) {
            Poll::Ready(sent) => Poll::Ready(Step::Sent(sent)),
            Poll::Pending => {
                let sleep = poll_sleep(shared.timer(), sleep.as_mut(), expires_at);
                gathering.poll(cx, sleep, &is_over, &mut on_answer).map(Step::Over)
            }
        });
        match step.await {
            Step::Sent(Ok(())) => any_sent = true,
            Step::Sent(Err(error)) => {
                // An answer proves that the request got there.
                if gathering.look(index, &mut on_answer).is_break() {
                    return Ok(());
                }
                gathering.give_up(index);
                failure.get_or_insert(error);
            }
            Step::Over(is_closed) => return ended(is_closed),
        }
    }
    if let Some(error) = failure.filter(|_| !any_sent) {
        return Err(CallError::Send(error));
    }
    let is_closed = poll_fn(|cx| {
        let sleep = poll_sleep(shared.timer(), sleep.as_mut(), expires_at);
        gathering.poll(cx, sleep, &is_over, &mut on_answer)
    });
    ended(is_closed.await)
}

enum Step<E> {
    Sent(Result<(), E>),
    Over(IsClosed),
}

/// Whether a gather ended with the correlator.
type IsClosed = bool;

const fn ended<E>(is_closed: IsClosed) -> Result<(), CallError<E>> {
    if is_closed { Err(CallError::Closed) } else { Ok(()) }
}

/// Polls the sleep, which is made when it is first needed.
fn poll_sleep<T: Timer>(
    timer: &T,
    mut sleep: Pin<&mut Option<T::Sleep>>,
    until: Instant,
) -> impl FnOnce(&mut Context<'_>) -> Poll<()> {
    move |cx| {
        if sleep.is_none() {
            sleep.set(Some(timer.sleep_until(until)));
        }
        sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    }
}

/// The calls of one `gather`; dropping them frees their slots.
struct Gathering<P, C> {
    peers: Vec<P>,
    calls: Vec<Asked<C>>,
    /// How many are not over.
    pending: usize,
    woken: Arc<Woken>,
}

struct Asked<C> {
    id: Option<CallId>,
    /// `None` once it is over.
    call: Option<Pin<Box<C>>>,
    waker: Waker,
}

impl<P: Copy, C> Gathering<P, C> {
    /// Begins a call, and tells why if it is over at once.
    fn begin<R>(&mut self, peer: P, mut call: Pin<Box<C>>) -> Option<CallError<Infallible>>
    where
        C: Future<Output = Result<R, CallError<Infallible>>>,
    {
        let waker = Waker::from(Arc::new(OneCall { index: self.calls.len(), woken: self.woken.clone() }));
        let outcome = call.as_mut().poll(&mut Context::from_waker(&waker));
        let call = outcome.is_pending().then_some(call);
        self.pending = self.pending.saturating_add(usize::from(call.is_some()));
        self.peers.push(peer);
        self.calls.push(Asked { id: None, call, waker });
        if let Poll::Ready(Err(error)) = outcome { Some(error) } else { None }
    }

    fn id(&self, index: usize) -> Option<CallId> {
        self.calls.get(index)?.id
    }

    fn give_up(&mut self, index: usize) {
        if self.calls.get_mut(index).is_some_and(|asked| asked.call.take().is_some()) {
            self.pending = self.pending.saturating_sub(1);
        }
    }

    /// Looks at one call, and hands over its answer; breaks off with whether the correlator was closed.
    fn look<R>(&mut self, index: usize, on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>) -> ControlFlow<IsClosed>
    where
        C: Future<Output = Result<R, CallError<Infallible>>>,
    {
        #[cfg(test)]
        tests::LOOKS.with(|looks| looks.set(looks.get() + 1));
        let (Some(&peer), Some(asked)) = (self.peers.get(index), self.calls.get_mut(index)) else {
            return ControlFlow::Continue(());
        };
        let Some(call) = &mut asked.call else { return ControlFlow::Continue(()) };
        let Poll::Ready(outcome) = call.as_mut().poll(&mut Context::from_waker(&asked.waker)) else {
            return ControlFlow::Continue(());
        };
        self.give_up(index);
        match outcome {
            Ok(reply) => on_answer(peer, reply).map_break(|()| false),
            Err(CallError::Closed) => ControlFlow::Break(true),
            // One peer's silence is not the end.
            Err(_) => ControlFlow::Continue(()),
        }
    }

    /// Hands over what has come; ready when that is enough, when nothing more can come, and at the deadline.
    fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        poll_sleep: impl FnOnce(&mut Context<'_>) -> Poll<()>,
        is_over: &AtomicBool,
        on_answer: &mut impl FnMut(P, R) -> ControlFlow<()>,
    ) -> Poll<IsClosed>
    where
        C: Future<Output = Result<R, CallError<Infallible>>>,
    {
        for index in self.woken.take(cx.waker()) {
            if let ControlFlow::Break(is_closed) = self.look(index, on_answer) {
                return Poll::Ready(is_closed);
            }
        }
        if self.pending == 0 {
            return Poll::Ready(false);
        }
        if poll_sleep(cx).is_pending() {
            return Poll::Pending;
        }
        is_over.store(true, Ordering::Relaxed);
        for index in 0..self.calls.len() {
            if let ControlFlow::Break(is_closed) = self.look(index, on_answer) {
                return Poll::Ready(is_closed);
            }
        }
        Poll::Ready(false)
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

/// The lock of the correlator.
struct Same<'a, P, R, T>(&'a Calls<P, R, T>);

impl<P, R, T> Lock for Same<'_, P, R, T> {
    type Target = Machine<P, R>;

    fn with<O>(&self, f: impl FnOnce(&mut Machine<P, R>) -> O) -> O {
        self.0.with_lock(f)
    }

    /// Panics are caught, as by the lock itself.
    fn outside(&self, f: impl FnOnce()) {
        let _ = unless_it_panics(f);
    }
}

/// One deadline for all calls, which wakes nobody: whoever gathers has a sleep for that.
struct Deadline<'a, T> {
    clock: &'a T,
    is_over: &'a AtomicBool,
}

impl<T: Clock> Clock for Deadline<'_, T> {
    fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl<'a, T: Clock> Timer for Deadline<'a, T> {
    type Sleep = IsOver<'a>;

    fn sleep_until(&self, _: Instant) -> IsOver<'a> {
        IsOver(self.is_over)
    }
}

struct IsOver<'a>(&'a AtomicBool);

impl Future for IsOver<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.0.load(Ordering::Relaxed) { Poll::Ready(()) } else { Poll::Pending }
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
