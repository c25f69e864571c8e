//! The whole of it: attempts, waiting, cutting off.

use core::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::pin,
    task::Poll,
};

use rand_core::Rng;

use super::{
    Failure, Reason, RetryBudget, Step,
    rules::{Hint, Notify, RetryIf},
    run::Setup,
};
use crate::foundation::{
    shared::{Lock, Timer},
    time::Instant,
};

/// A retry gave up: the last error, the number of attempts and the [`Reason`](super::Reason). It says what the last error says, so its [`source`](Error::source) is that error's.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryError<E> {
    /// The error of the last attempt; `None` if that attempt was cut off.
    pub last: Option<E>,
    /// How many attempts were made.
    pub attempts: u32,
    /// Why there was no other attempt.
    pub reason: Reason,
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (attempts, reason) = (self.attempts, self.reason);
        write!(f, "gave up after {attempts} attempt{}, {reason}: ", if attempts == 1 { "" } else { "s" })?;
        match &self.last {
            Some(error) => error.fmt(f),
            None => f.write_str("timed out"),
        }
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // What the error itself says is said above.
        self.last.as_ref().and_then(Error::source)
    }
}

impl<O, F, V, E, P, H, N, B, T, R> Setup<O, P, H, N, B, T, R>
where
    O: FnMut() -> F,
    F: Future<Output = Result<V, E>>,
    P: RetryIf<E>,
    H: Hint<E>,
    N: Notify<E>,
    B: Lock<Target = RetryBudget>,
    T: Timer,
    R: Rng,
{
    /// Most operations succeed at once: until an attempt has failed, this keeps no more than it must.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` first moves its arguments into variables, all of them")]
    pub(super) fn drive(mut self) -> impl Future<Output = Result<V, RetryError<E>>> {
        async move {
            if let Some(budget) = self.budget.as_ref().filter(|_| !self.is_nested) {
                budget.with(RetryBudget::deposit);
            }
            let (mut started_at, mut deadline) = (Instant::ZERO, None);
            if self.policy.is_timed() {
                started_at = self.timer.now();
                deadline = self.policy.attempt_deadline(started_at, started_at);
            }
            let mut failed = None;
            loop {
                let last = match deadline {
                    None => match (self.operation)().await {
                        Ok(value) => return Ok(value),
                        Err(error) => Some(error),
                    },
                    Some(at) => match within(&self.timer, at, (self.operation)()).await {
                        Some(Ok(value)) => return Ok(value),
                        Some(Err(error)) => Some(error),
                        None => None,
                    },
                };
                let failure = match &last {
                    Some(error) if !self.retry_if.is_worth_another(error) => Failure::Permanent,
                    Some(error) => self.hint.hint(error).map_or(Failure::Transient, Failure::RetryAfter),
                    None => Failure::Transient,
                };
                let now = self.timer.now();
                let retry = failed.get_or_insert_with(|| self.policy.start(started_at));
                let attempts = retry.attempts();
                let (budget, timer) = (self.budget.as_ref(), &self.timer);
                // The time by its lock: no other task has brought a later one.
                let admit = || budget.is_none_or(|budget| budget.with(|budget| budget.withdraw(timer.now())));
                let at = match retry.next_if(failure, now, &mut self.rng, admit) {
                    Step::GiveUp(reason) => return Err(RetryError { last, attempts, reason }),
                    Step::RetryAt(at) => at,
                };
                let charge = Charge(budget);
                self.notify.notify(last.as_ref(), at.saturating_duration_since(now));
                sleep_or_yield(&self.timer, at).await;
                let now = self.timer.now();
                if retry.is_over(now) {
                    return Err(RetryError { last, attempts, reason: Reason::DeadlineExceeded }); // the timer was late
                }
                charge.spend();
                deadline = retry.attempt_deadline(now);
            }
        }
    }
}

/// A retry that was taken out of a budget, and goes back into it unless it is made.
struct Charge<'b, B: Lock<Target = RetryBudget>>(Option<&'b B>);

impl<B: Lock<Target = RetryBudget>> Charge<'_, B> {
    fn spend(mut self) {
        self.0 = None;
    }
}

impl<B: Lock<Target = RetryBudget>> Drop for Charge<'_, B> {
    fn drop(&mut self) {
        if let Some(budget) = self.0 {
            budget.with(RetryBudget::refund);
        }
    }
}

/// Sleeps until then. If that is over at once, other tasks of the executor have their turn: an operation that fails without
/// waiting, and is tried again without a delay, would keep it from them.
async fn sleep_or_yield<T: Timer>(timer: &T, at: Instant) {
    let (mut sleep, mut is_over, mut was_asleep) = (pin!(timer.sleep_until(at)), false, false);
    poll_fn(|cx| {
        if !is_over && sleep.as_mut().poll(cx).is_pending() {
            was_asleep = true;
            return Poll::Pending;
        }
        if was_asleep || mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What `future` gives, `None` if it has not given it at `deadline`. The future comes first: a late success is one.
async fn within<T: Timer, F: Future>(timer: &T, deadline: Instant, future: F) -> Option<F::Output> {
    let (mut future, mut sleep) = (pin!(future), pin!(timer.sleep_until(deadline)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(cx).map(|()| None),
    })
    .await
}
