//! Waiting for one call.

use core::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::{BeginError, CallError, CallOn};
use crate::foundation::time::Instant;

/// A call that a future waits for; dropping it frees the slot.
pub(super) struct Held<C: CallOn> {
    on: C,
    call: Option<C::Name>,
}

impl<C: CallOn> Held<C> {
    pub(super) const fn new(on: C) -> Self {
        Self { on, call: None }
    }

    /// Begins the call: what its request has to carry, and its deadline.
    #[inline]
    pub(super) fn begin(&mut self, key: C::Key, timeout: Duration) -> Result<(C::Arg, Instant), BeginError> {
        let (call, arg, expires_at) = self.on.begin_call(key, timeout)?;
        self.call = Some(call);
        Ok((arg, expires_at))
    }

    /// True before it begins, and once the outcome was taken.
    pub(super) const fn is_over(&self) -> bool {
        self.call.is_none()
    }

    /// The outcome, once; until then the waker of `cx` is woken when the call is over.
    #[inline]
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<C::Reply, CallError<Infallible>>> {
        let Some(call) = self.call.take() else { return Poll::Pending };
        let outcome = self.on.look_after(call, cx);
        if outcome.is_pending() {
            self.call = Some(call);
        }
        outcome
    }

    /// Sends, and waits for the outcome, the deadline or the failure of sending, whichever comes first.
    ///
    /// The sleep is made late: a reply that comes while sending needs none. Always inlined, or the outcome takes a
    /// detour through memory that costs more than a lock.
    #[inline(always)]
    pub(super) fn poll_call<S, E>(
        &mut self,
        cx: &mut Context<'_>,
        mut sending: Pin<&mut Option<S>>,
        sleep: Pin<&mut Option<C::Sleep>>,
        expires_at: Instant,
    ) -> Poll<Result<C::Reply, CallError<E>>>
    where
        S: Future<Output = Result<(), E>>,
    {
        let mut failure = None;
        if let Some(send) = sending.as_mut().as_pin_mut()
            && let Poll::Ready(sent) = send.poll(cx)
        {
            sending.set(None);
            failure = sent.err();
        }
        // First of all the reply: it proves that the request got there, whatever became of sending.
        if let Poll::Ready(outcome) = self.poll(cx) {
            return Poll::Ready(outcome.map_err(|ending| ending.map_inner(|never| match never {})));
        }
        if let Some(error) = failure {
            self.give_up();
            return Poll::Ready(Err(CallError::Send(error)));
        }
        if poll_made(cx, sleep, || self.on.sleep_until(expires_at)).is_pending() {
            return Poll::Pending;
        }
        let outcome = self.call.take().map_or(Err(CallError::TimedOut), |call| self.on.time_out(call));
        Poll::Ready(outcome.map_err(|ending| ending.map_inner(|never| match never {})))
    }

    fn give_up(&mut self) {
        if let Some(call) = self.call.take() {
            self.on.give_up(call);
        }
    }
}

impl<C: CallOn> Drop for Held<C> {
    #[inline]
    fn drop(&mut self) {
        self.give_up();
    }
}

/// Polls a sleep, which is made by the first call.
pub(super) fn poll_made<S: Future<Output = ()>>(
    cx: &mut Context<'_>,
    mut sleep: Pin<&mut Option<S>>,
    make: impl FnOnce() -> S,
) -> Poll<()> {
    if sleep.is_none() {
        sleep.set(Some(make()));
    }
    sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
}
