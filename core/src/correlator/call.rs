//! The future of a call, which can be named.

use core::{
    convert::Infallible,
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    BeginError, CallError, CallId,
    ending::Ending,
    phase::{Calls, Correlates, Left, look_after},
    wait::Held,
};
use crate::foundation::{
    shared::{Lock, Shared, Timer},
    time::{Instant, Span},
};

/// Sends the request of a call: a closure, or a type whose future has a name. `I` is what the request has to carry: a
/// [`CallId`], or nothing where the caller brought the id.
pub trait SendRequest<I> {
    /// Why it could not be sent.
    type Error;
    /// The sending.
    type Sending: Future<Output = Result<(), Self::Error>>;

    /// Begins to send it. The call is pending already.
    fn send_request(self, id: I) -> Self::Sending;
}

impl<F: FnOnce(CallId) -> D, D: Future<Output = Result<(), E>>, E> SendRequest<CallId> for F {
    type Error = E;
    type Sending = D;

    fn send_request(self, id: CallId) -> D {
        self(id)
    }
}

impl<F: FnOnce() -> D, D: Future<Output = Result<(), E>>, E> SendRequest<()> for F {
    type Error = E;
    type Sending = D;

    fn send_request(self, (): ()) -> D {
        self()
    }
}

/// What calls are made on: whatever derefs to a [`Shared`] correlator, such as a reference to one, or a correlator of
/// the std adapter.
pub trait CallOn {
    /// What a call begins with: its peer, or an id of the caller's.
    type Key;
    /// What its request has to carry.
    type Arg;
    /// Names a call to whoever waits for it.
    type Name: Copy;
    /// What comes back.
    type Reply;
    /// Ends at the deadline.
    type Sleep: Future<Output = ()>;

    /// Begins a call that is waited for: its name, what the request has to carry, and the deadline.
    ///
    /// # Errors
    ///
    /// If there is no call; nothing changed.
    fn begin_call(&self, key: Self::Key, timeout: Duration) -> Result<(Self::Name, Self::Arg, Instant), BeginError>;

    /// The outcome, which frees the slot; until then the waker of `cx` is woken when the call is over.
    fn look_after(&self, call: Self::Name, cx: &Context<'_>) -> Poll<Result<Self::Reply, CallError<Infallible>>>;

    /// Ends a call at its deadline, and frees its slot: the outcome.
    ///
    /// # Errors
    ///
    /// How it ended, if no reply has come.
    fn time_out(&self, call: Self::Name) -> Result<Self::Reply, CallError<Infallible>>;

    /// Frees the slot of a call that nobody waits for any more.
    fn give_up(&self, call: Self::Name);

    /// A sleep until the deadline.
    fn sleep_until(&self, at: Instant) -> Self::Sleep;

    /// Times out every call that is due and waited for, and tells when the next may be due, `None` if none is pending. So
    /// one timer can watch over all calls; their own sleeps then need not end. Takes the lock once a call.
    fn time_out_due(&self) -> Option<Instant>;
}

impl<C, M, L, T> CallOn for C
where
    C: Deref<Target = Shared<M, L, T>>,
    M: Calls,
    L: Lock<Target = M>,
    T: Timer,
{
    type Key = <M as Correlates>::Key;
    type Arg = <M as Correlates>::Arg;
    type Name = <M as Correlates>::Name;
    type Reply = <M as Correlates>::Reply;
    type Sleep = T::Sleep;

    #[inline]
    fn begin_call(&self, key: Self::Key, timeout: Duration) -> Result<(Self::Name, Self::Arg, Instant), BeginError> {
        let (mut key, timeout, mut over) = (Some(key), Span::new(timeout), Left::nothing());
        let begun = self.with(|calls, now| calls.begin_held(&mut key, timeout, now, &mut over));
        self.lock().outside(|| over.wake());
        begun
    }

    #[inline]
    fn look_after(&self, call: Self::Name, cx: &Context<'_>) -> Poll<Result<Self::Reply, CallError<Infallible>>> {
        look_after(self, call, cx.waker()).map_err(CallError::from)
    }

    #[inline]
    fn time_out(&self, call: Self::Name) -> Result<Self::Reply, CallError<Infallible>> {
        let mut left = Left::nothing();
        Ok(self.with_lock(|calls| calls.finish(call, Ending::TimedOut, &mut left))?)
    }

    #[inline]
    fn give_up(&self, call: Self::Name) {
        let mut left = Left::nothing();
        let _reply = self.with_lock(|calls| calls.finish(call, Ending::Cancelled, &mut left));
    }

    fn sleep_until(&self, at: Instant) -> T::Sleep {
        self.timer().sleep_until(at)
    }

    fn time_out_due(&self) -> Option<Instant> {
        loop {
            let left = self.with(|calls, now| calls.expire_held(now).ok_or_else(|| calls.next_due()));
            match left {
                Ok(left) => self.lock().outside(|| left.wake()),
                Err(next_at) => return next_at,
            }
        }
    }
}

pin_project! {
    /// The future of `call`. It has a name so that it can be kept in a struct, and be the `Future` of a `tower`
    /// service; `C` is the correlator, or a reference to it, `S` what [sends the request](SendRequest).
    ///
    /// The call begins when it is first polled.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops the sending and frees the slot at once.
    #[must_use = "the call is not made until it is awaited"]
    pub struct PendingCall<C: CallOn, S: SendRequest<C::Arg>> {
        // Dropped before the slot is free.
        #[pin]
        sleep: Option<C::Sleep>,
        #[pin]
        sending: Option<S::Sending>,
        held: Held<C>,
        expires_at: Instant,
        // Until it is first polled.
        start: Option<(C::Key, Duration, S)>,
    }
}

impl<C: CallOn, S: SendRequest<C::Arg>> PendingCall<C, S> {
    /// A call on `correlator`, by its peer or its id; for adapters.
    pub const fn new(correlator: C, key: C::Key, timeout: Duration, send: S) -> Self {
        let start = Some((key, timeout, send));
        Self { sleep: None, sending: None, held: Held::new(correlator), expires_at: Instant::ZERO, start }
    }
}

impl<C: CallOn, S: SendRequest<C::Arg>> Future for PendingCall<C, S> {
    type Output = Result<C::Reply, CallError<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some((key, timeout, send)) = this.start.take() {
            let (arg, expires_at) = this.held.begin(key, timeout)?;
            *this.expires_at = expires_at;
            this.sending.set(Some(send.send_request(arg)));
        }
        if this.held.is_over() {
            return Poll::Pending; // it has ended
        }
        let (sending, sleep) = (this.sending.as_mut(), this.sleep.as_mut());
        let outcome = this.held.poll_call(cx, sending, sleep, *this.expires_at);
        if outcome.is_ready() {
            this.sleep.set(None);
            this.sending.set(None);
        }
        outcome
    }
}

impl<C: CallOn, S: SendRequest<C::Arg>> fmt::Debug for PendingCall<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCall").finish_non_exhaustive()
    }
}
