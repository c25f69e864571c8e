//! The futures of one question to many peers, which can be named.

use core::{
    convert::Infallible,
    fmt,
    future::Future,
    mem,
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use heapless::Vec;
use pin_project_lite::pin_project;

use super::{Asked, BeginError, CallError, CallId, CallOn, wait::poll_made};
use crate::foundation::time::Instant;

/// Sends the requests of a gather, one after the other: a closure, or a type whose future has a name. `P` is the peer.
pub trait SendEach<P> {
    /// Why one could not be sent.
    type Error;
    /// The sending of one.
    type Sending: Future<Output = Result<(), Self::Error>>;

    /// Begins to send the request of the call with this id, which is pending already.
    fn send_each(&mut self, peer: P, id: CallId) -> Self::Sending;
}

impl<P, F: FnMut(P, CallId) -> D, D: Future<Output = Result<(), E>>, E> SendEach<P> for F {
    type Error = E;
    type Sending = D;

    fn send_each(&mut self, peer: P, id: CallId) -> D {
        self(peer, id)
    }
}

/// The future of `gather`, with room for `M` peers. It has a name so that it can be kept in a struct, and be the `Future`
/// of a `tower` service; `C` is the correlator, or a reference to it, `S` what [sends the requests](SendEach).
///
/// # Cancellation
///
/// Dropping it drops the sending and frees every slot.
pub type Gather<C, S, const M: usize> = GatherIn<C, S, Vec<AskedOf<C>, M>, Vec<AnswerOf<C>, M>>;

type AskedOf<C> = Asked<<C as CallOn>::Key>;
type AnswerOf<C> = (<C as CallOn>::Key, <C as CallOn>::Reply);

pin_project! {
    /// A [`Gather`]: `B` has the calls, `W` the answers.
    #[must_use = "nobody is asked until it is awaited"]
    pub struct GatherIn<C: CallOn<Name = CallId>, S: SendEach<C::Key>, B: AsMut<[Asked<C::Key>]>, W> {
        #[pin]
        asking: Asking<C, S, B>,
        answers: W,
        want: usize,
        // More peers than there is room for.
        is_too_many: bool,
    }
}

impl<C, S, const M: usize> Gather<C, S, M>
where
    C: CallOn<Key: Copy, Name = CallId, Arg = CallId>,
    S: SendEach<C::Key>,
{
    /// Asks `peers` on `correlator`; for adapters, and for what sends by a type with a name.
    pub fn new(
        correlator: C,
        peers: impl IntoIterator<Item = C::Key>,
        want: usize,
        timeout: Duration,
        send: S,
    ) -> Self {
        let mut calls = Vec::new();
        let is_too_many = peers.into_iter().any(|peer| calls.push(Asked::new(peer)).is_err());
        Self { asking: Asking::new(correlator, calls, timeout, send), answers: Vec::new(), want, is_too_many }
    }
}

impl<C, S, const M: usize> Future for Gather<C, S, M>
where
    C: CallOn<Key: Copy + Eq, Name = CallId, Arg = CallId>,
    S: SendEach<C::Key>,
{
    type Output = Result<Vec<(C::Key, C::Reply), M>, CallError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if *this.is_too_many {
            return Poll::Ready(Err(CallError::Full));
        }
        let (answers, want) = (this.answers, *this.want);
        if want == 0 {
            return Poll::Ready(Ok(Vec::new()));
        }
        let on_answer = &mut |peer, reply| {
            // There are as many places as peers, and each answers once.
            let _ = answers.push((peer, reply));
            if answers.len() < want { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let Poll::Ready(result) = this.asking.poll(cx, on_answer) else { return Poll::Pending };
        Poll::Ready(result.map(|()| mem::take(answers)))
    }
}

impl<C, S, B, W> fmt::Debug for GatherIn<C, S, B, W>
where
    C: CallOn<Name = CallId>,
    S: SendEach<C::Key>,
    B: AsMut<[Asked<C::Key>]>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of `gather_each`, as [`Gather`]; `A` takes the answers.
    #[must_use = "nobody is asked until it is awaited"]
    pub struct GatherEach<'a, C: CallOn<Name = CallId>, S: SendEach<C::Key>, A> {
        #[pin]
        asking: Asking<C, S, &'a mut [Asked<C::Key>]>,
        on_answer: A,
    }
}

impl<'a, C, S, A> GatherEach<'a, C, S, A>
where
    C: CallOn<Name = CallId, Arg = CallId>,
    S: SendEach<C::Key>,
{
    /// Asks the peers of `calls` on `correlator`; for adapters, and for what sends by a type with a name.
    pub const fn new(correlator: C, calls: &'a mut [Asked<C::Key>], timeout: Duration, send: S, on_answer: A) -> Self {
        Self { asking: Asking::new(correlator, calls, timeout, send), on_answer }
    }
}

impl<C, S, A> Future for GatherEach<'_, C, S, A>
where
    C: CallOn<Key: Copy + Eq, Name = CallId, Arg = CallId>,
    S: SendEach<C::Key>,
    A: FnMut(C::Key, C::Reply) -> ControlFlow<()>,
{
    type Output = Result<(), CallError<S::Error>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.asking.poll(cx, this.on_answer)
    }
}

impl<C, S, A> fmt::Debug for GatherEach<'_, C, S, A>
where
    C: CallOn<Name = CallId, Arg = CallId>,
    S: SendEach<C::Key>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatherEach").finish_non_exhaustive()
    }
}

pin_project! {
    /// One question to the peers of `B`, a list or a slice.
    struct Asking<C: CallOn<Name = CallId>, S: SendEach<C::Key>, B: AsMut<[Asked<C::Key>]>> {
        // Both are dropped before the slots are free.
        #[pin]
        sending: Option<S::Sending>,
        #[pin]
        sleep: Option<C::Sleep>,
        gathering: Gathering<C, B>,
        send: S,
        failure: Option<S::Error>,
        any_sent: bool,
        // Whose turn to be asked it is.
        index: usize,
        // Until it is first polled.
        timeout: Option<Duration>,
    }
}

impl<C, S, B> Asking<C, S, B>
where
    C: CallOn<Name = CallId, Arg = CallId>,
    S: SendEach<C::Key>,
    B: AsMut<[Asked<C::Key>]>,
{
    const fn new(on: C, calls: B, timeout: Duration, send: S) -> Self {
        let gathering = Gathering { on, calls, expires_at: Instant::ZERO };
        let timeout = Some(timeout);
        Self { sending: None, sleep: None, gathering, send, failure: None, any_sent: false, index: 0, timeout }
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        on_answer: &mut impl FnMut(C::Key, C::Reply) -> ControlFlow<()>,
    ) -> Poll<Result<(), CallError<S::Error>>>
    where
        C::Key: Copy + Eq,
    {
        let result = self.as_mut().poll_sends(cx, on_answer);
        if result.is_ready() {
            let mut this = self.project();
            this.sending.set(None);
            this.sleep.set(None);
            this.gathering.give_up();
        }
        result
    }

    fn poll_sends(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        on_answer: &mut impl FnMut(C::Key, C::Reply) -> ControlFlow<()>,
    ) -> Poll<Result<(), CallError<S::Error>>>
    where
        C::Key: Copy + Eq,
    {
        let mut this = self.project();
        if let Some(timeout) = this.timeout.take() {
            this.gathering.begin(timeout)?;
        }
        while let Some(call) = this.gathering.calls.as_mut().get(*this.index) {
            let Some(id) = call.id else {
                *this.index = this.index.saturating_add(1);
                continue;
            };
            if this.sending.is_none() {
                this.sending.set(Some(this.send.send_each(call.peer, id)));
            }
            let Some(sending) = this.sending.as_mut().as_pin_mut() else { break };
            let Poll::Ready(sent) = sending.poll(cx) else { break };
            this.sending.set(None);
            match sent {
                Ok(()) => *this.any_sent = true,
                Err(error) => {
                    if this.gathering.refuse(*this.index, cx, on_answer).is_break() {
                        return Poll::Ready(Ok(()));
                    }
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
        this.gathering.poll(cx, this.sleep, on_answer).map_err(|error| error.map_inner(|never| match never {}))
    }
}

/// The calls of one question; dropping it frees their slots.
struct Gathering<C: CallOn<Name = CallId>, B: AsMut<[Asked<C::Key>]>> {
    on: C,
    calls: B,
    expires_at: Instant,
}

impl<C: CallOn<Name = CallId>, B: AsMut<[Asked<C::Key>]>> Gathering<C, B> {
    /// Begins a call to each peer, so that nothing is sent unless all can be asked.
    fn begin(&mut self, timeout: Duration) -> Result<(), BeginError>
    where
        C::Key: Copy + Eq,
    {
        let calls = self.calls.as_mut();
        for index in 0..calls.len() {
            let Some((call, before)) = calls.get_mut(..=index).and_then(<[_]>::split_last_mut) else { continue };
            if before.iter().any(|other| other.peer == call.peer) {
                continue;
            }
            let (id, _, expires_at) = self.on.begin_call(call.peer, timeout)?;
            call.id = Some(id);
            self.expires_at = expires_at;
        }
        Ok(())
    }

    /// Hands over what has come; ready when that is enough, when nothing more can come, and at the deadline.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        sleep: Pin<&mut Option<C::Sleep>>,
        on_answer: &mut impl FnMut(C::Key, C::Reply) -> ControlFlow<()>,
    ) -> Poll<Result<(), CallError<Infallible>>>
    where
        C::Key: Copy,
    {
        let mut pending = false;
        for call in self.calls.as_mut() {
            let Some(id) = call.id else { continue };
            let Poll::Ready(outcome) = self.on.look_after(id, cx) else {
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
                Err(CallError::Closed) => return Poll::Ready(Err(CallError::Closed)),
                // One peer's silence is not the end.
                Err(_) => {}
            }
        }
        if !pending {
            return Poll::Ready(Ok(()));
        }
        if poll_made(cx, sleep, || self.on.sleep_until(self.expires_at)).is_pending() {
            return Poll::Pending;
        }
        for call in self.calls.as_mut() {
            let Some(id) = call.id.take() else { continue };
            // An answer that has come all the same counts.
            if let Ok(reply) = self.on.time_out(id)
                && on_answer(call.peer, reply).is_break()
            {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the call whose request could not be sent, and hands over its answer if that has come: it proves that the
    /// request got there.
    fn refuse(
        &mut self,
        index: usize,
        cx: &Context<'_>,
        on_answer: &mut impl FnMut(C::Key, C::Reply) -> ControlFlow<()>,
    ) -> ControlFlow<()>
    where
        C::Key: Copy,
    {
        let Some(call) = self.calls.as_mut().get_mut(index) else { return ControlFlow::Continue(()) };
        let Some(id) = call.id.take() else { return ControlFlow::Continue(()) };
        match self.on.look_after(id, cx) {
            Poll::Ready(Ok(reply)) => on_answer(call.peer, reply),
            Poll::Ready(Err(_)) => ControlFlow::Continue(()),
            Poll::Pending => {
                self.on.give_up(id);
                ControlFlow::Continue(())
            }
        }
    }

    fn give_up(&mut self) {
        for id in self.calls.as_mut().iter_mut().filter_map(|call| call.id.take()) {
            self.on.give_up(id);
        }
    }
}

impl<C: CallOn<Name = CallId>, B: AsMut<[Asked<C::Key>]>> Drop for Gathering<C, B> {
    fn drop(&mut self) {
        self.give_up();
    }
}
