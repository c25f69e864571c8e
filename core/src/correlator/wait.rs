//! Waiting for one call.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    ending::Ending,
    phase::{Calls, Left, look_after},
};
use crate::foundation::{
    shared::{Lock, Shared, Timer},
    time::Instant,
};

/// A call that a future waits for; dropping it frees the slot.
pub(super) struct Held<'a, M: Calls, L: Lock<Target = M>, T> {
    shared: &'a Shared<M, L, T>,
    call: Option<M::Name>,
}

impl<'a, M: Calls, L: Lock<Target = M>, T> Held<'a, M, L, T> {
    pub(super) const fn new(shared: &'a Shared<M, L, T>, call: M::Name) -> Self {
        Self { shared, call: Some(call) }
    }

    /// The outcome, once; until then the waker of `cx` is woken when the call is over.
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<M::Reply, Ending>> {
        let Some(call) = self.call.take() else { return Poll::Pending };
        let outcome = look_after(self.shared, call, cx.waker());
        if outcome.is_pending() {
            self.call = Some(call);
        }
        outcome
    }

    /// The outcome; a call that is still pending ends as `ending`. `None` if the outcome was taken before.
    fn finish(&mut self, ending: Ending) -> Option<Result<M::Reply, Ending>> {
        let call = self.call.take()?;
        let mut left = Left::nothing();
        Some(self.shared.with_lock(|calls| calls.finish(call, ending, &mut left)))
    }
}

impl<M: Calls, L: Lock<Target = M>, T: Timer> Held<'_, M, L, T> {
    /// Sends, and waits for the outcome, the deadline or the failure of sending, whichever comes first.
    ///
    /// The sleep is made late: a reply that comes while sending needs none. Always inlined, or the outcome takes a detour
    /// through memory that costs more than a lock.
    #[inline(always)]
    pub(super) fn poll_call<S, E>(
        &mut self,
        cx: &mut Context<'_>,
        mut sending: Pin<&mut Option<S>>,
        sleep: Pin<&mut Option<T::Sleep>>,
        expires_at: Instant,
    ) -> Poll<Result<Result<M::Reply, Ending>, E>>
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
            return Poll::Ready(Ok(outcome));
        }
        if let Some(error) = failure {
            return Poll::Ready(Err(error));
        }
        if poll_sleep(self.shared.timer(), cx, sleep, expires_at).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Ok(self.finish(Ending::TimedOut).unwrap_or(Err(Ending::TimedOut))))
    }
}

impl<M: Calls, L: Lock<Target = M>, T> Drop for Held<'_, M, L, T> {
    #[inline]
    fn drop(&mut self) {
        if self.call.is_some() {
            self.finish(Ending::Cancelled);
        }
    }
}

/// Sleeps until `until`; the sleep is made by the first call.
pub(super) fn poll_sleep<T: Timer>(
    timer: &T,
    cx: &mut Context<'_>,
    mut sleep: Pin<&mut Option<T::Sleep>>,
    until: Instant,
) -> Poll<()> {
    if sleep.is_none() {
        sleep.set(Some(timer.sleep_until(until)));
    }
    sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
}
