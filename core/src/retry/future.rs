//! The whole of it: attempts, waiting, cutting off.

use core::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use rand_core::Rng;

use super::{
    Failure, Operation, Progress, Reason, Retry, RetryBudget, RetryError, Retrying, Step,
    rules::{Classify, NoBudget, Notify, Plain, RetryIf},
};
use crate::foundation::{
    shared::{Lock, Timer},
    time::Instant,
};

pin_project! {
    /// The future of a [`Retrying`]. It has a name so that it can be kept in a struct, and be the `Future` of a `tower`
    /// service; the operation is then a type of one's own that is an [`Operation`].
    #[must_use = "nothing is tried until it is awaited"]
    pub struct RetryFuture<O, T, R, P = Plain, H = Plain, N = Plain, B = NoBudget>
    where
        O: Operation,
        T: Timer,
        B: Lock<Target = RetryBudget>,
    {
        #[pin]
        attempt: Option<O::Attempt>,
        // Until the attempt is cut off, or until the next.
        #[pin]
        sleep: Option<T::Sleep>,
        stage: Stage,
        // It began when this was first polled; read only if there is a limit of time, and else `ZERO`.
        started_at: Instant,
        // Most operations succeed at once.
        failed: Option<Failed<O::Error>>,
        // A retry was taken out of the budget, and has not begun.
        is_charged: bool,
        setup: Retrying<O, T, R, P, H, N, B>,
    }

    impl<O, T, R, P, H, N, B> PinnedDrop for RetryFuture<O, T, R, P, H, N, B>
    where
        O: Operation,
        T: Timer,
        B: Lock<Target = RetryBudget>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.is_charged {
                refund(&this.setup.budget);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Stage {
    New,
    Attempt,
    /// Until the next attempt; whether it slept, and whether the sleep is over.
    Wait {
        was_asleep: bool,
        is_over: bool,
    },
    Ended,
}

/// What is known of an operation that has failed once.
struct Failed<E> {
    progress: Progress,
    /// Of the last attempt that was not cut off.
    last: Option<E>,
    attempts: u32,
}

impl<O, T, R, P, H, N, B> RetryFuture<O, T, R, P, H, N, B>
where
    O: Operation,
    T: Timer,
    B: Lock<Target = RetryBudget>,
{
    pub(super) const fn new(setup: Retrying<O, T, R, P, H, N, B>) -> Self {
        let (stage, started_at) = (Stage::New, Instant::ZERO);
        Self { attempt: None, sleep: None, stage, started_at, failed: None, is_charged: false, setup }
    }
}

impl<O, T, R, P, H, N, B> Future for RetryFuture<O, T, R, P, H, N, B>
where
    O: Operation,
    T: Timer,
    R: Rng,
    P: RetryIf<O::Error>,
    H: Classify<O::Error>,
    N: Notify<O::Error>,
    B: Lock<Target = RetryBudget>,
{
    type Output = Result<O::Value, RetryError<O::Error>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            let deadline = match this.stage {
                Stage::New => {
                    let setup = &mut *this.setup;
                    let is_timed = setup.policy.is_timed() || !setup.deadline.is_never();
                    if is_timed {
                        *this.started_at = setup.timer.now();
                        if setup.deadline.is_over(*this.started_at) {
                            *this.stage = Stage::Ended;
                            let (attempts, reason) = (0, Reason::DeadlineExceeded);
                            return Poll::Ready(Err(RetryError { last: None, attempts, reason }));
                        }
                        setup.policy = setup.policy.until(setup.deadline, *this.started_at);
                    }
                    if let Some(budget) = setup.budget.as_ref().filter(|_| !setup.is_nested) {
                        budget.with(RetryBudget::deposit);
                    }
                    if is_timed { setup.policy.attempt_deadline(*this.started_at, *this.started_at) } else { None }
                }
                Stage::Attempt => {
                    let Some(attempt) = this.attempt.as_mut().as_pin_mut() else { return Poll::Pending };
                    // The attempt comes first: a late success is one.
                    let error = match attempt.poll(cx) {
                        Poll::Ready(Ok(value)) => {
                            *this.stage = Stage::Ended;
                            this.attempt.set(None);
                            this.sleep.set(None);
                            return Poll::Ready(Ok(value));
                        }
                        Poll::Ready(Err(error)) => Some(error),
                        Poll::Pending => match this.sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
                            Some(Poll::Ready(())) => None,
                            _ => return Poll::Pending,
                        },
                    };
                    if let Some(error) = self.as_mut().failed(error) {
                        return Poll::Ready(Err(error));
                    }
                    continue;
                }
                Stage::Wait { .. } => match self.as_mut().waited(cx) {
                    Poll::Ready(Ok(deadline)) => {
                        this = self.as_mut().project();
                        deadline
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                },
                Stage::Ended => return Poll::Pending,
            };
            *this.stage = Stage::Ended; // if the user's code panics
            this.attempt.set(Some(this.setup.operation.attempt()));
            if let Some(at) = deadline {
                this.sleep.set(Some(this.setup.timer.sleep_until(at)));
            }
            *this.stage = Stage::Attempt;
        }
    }
}

impl<O, T, R, P, H, N, B> RetryFuture<O, T, R, P, H, N, B>
where
    O: Operation,
    T: Timer,
    R: Rng,
    P: RetryIf<O::Error>,
    H: Classify<O::Error>,
    N: Notify<O::Error>,
    B: Lock<Target = RetryBudget>,
{
    /// After an attempt that failed, or was cut off without an error: the end of it, or else it waits for the next.
    // Out of the way of those that succeed at once.
    #[cold]
    #[inline(never)]
    fn failed(self: Pin<&mut Self>, error: Option<O::Error>) -> Option<RetryError<O::Error>> {
        let mut this = self.project();
        *this.stage = Stage::Ended;
        this.attempt.set(None);
        this.sleep.set(None);
        let setup = &mut *this.setup;
        let (progress, earlier) = match this.failed.take() {
            Some(failed) => (failed.progress, failed.last),
            None => (setup.policy.start(*this.started_at).progress, None),
        };
        let is_cut_off = error.is_none();
        let last = error.or(earlier);
        let error = last.as_ref().filter(|_| !is_cut_off);
        let mut retry = Retry { policy: &setup.policy, progress };
        let number = retry.attempts();
        let failure = match error {
            Some(error) if !setup.retry_if.is_worth_another(error) => Failure::Permanent,
            error => setup.classify.classify(error, number),
        };
        let attempts = number.saturating_sub(u32::from(retry.is_refusal(failure)));
        let now = setup.timer.now();
        let (budget, timer, mut is_charged) = (setup.budget.as_ref(), &setup.timer, false);
        // The time by its lock: no other task has brought a later one.
        let admit = || {
            is_charged = true;
            budget.is_none_or(|budget| budget.with(|budget| budget.withdraw(timer.now())))
        };
        let at = match retry.next_if(failure, now, &mut setup.rng, admit) {
            Step::GiveUp(Reason::AttemptsExhausted) if is_cut_off => {
                return Some(RetryError { last, attempts, reason: Reason::AttemptTimedOut });
            }
            Step::GiveUp(reason) => return Some(RetryError { last, attempts, reason }),
            Step::RetryAt(at) => at,
        };
        let progress = retry.progress;
        *this.is_charged = is_charged;
        setup.notify.notify(error, number, at.saturating_duration_since(now));
        *this.failed = Some(Failed { progress, last, attempts });
        this.sleep.set(Some(setup.timer.sleep_until(at)));
        *this.stage = Stage::Wait { was_asleep: false, is_over: false };
        None
    }

    /// While it waits for the next attempt: by when that has to end.
    #[cold]
    #[inline(never)]
    fn waited(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Option<Instant>, RetryError<O::Error>>> {
        let mut this = self.project();
        let Stage::Wait { was_asleep, is_over } = this.stage else { return Poll::Pending };
        let sleep = this.sleep.as_mut().as_pin_mut().filter(|_| !*is_over);
        if sleep.is_some_and(|sleep| sleep.poll(cx).is_pending()) {
            *was_asleep = true;
            return Poll::Pending;
        }
        // If the sleep is over at once, other tasks of the executor have their turn: an operation that fails without
        // waiting, and is tried again without a delay, would keep it from them.
        if !*was_asleep && !mem::replace(is_over, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        this.sleep.set(None);
        let now = this.setup.timer.now();
        let Some(failed) = this.failed.as_mut() else { return Poll::Pending };
        let retry = Retry { policy: &this.setup.policy, progress: failed.progress };
        if retry.is_over(now) {
            // The timer was late.
            *this.stage = Stage::Ended;
            if mem::take(this.is_charged) {
                refund(&this.setup.budget);
            }
            let (last, attempts, reason) = (failed.last.take(), failed.attempts, Reason::DeadlineExceeded);
            return Poll::Ready(Err(RetryError { last, attempts, reason }));
        }
        *this.is_charged = false;
        Poll::Ready(Ok(retry.attempt_deadline(now)))
    }
}

fn refund<B: Lock<Target = RetryBudget>>(budget: &Option<B>) {
    if let Some(budget) = budget {
        budget.with(RetryBudget::refund);
    }
}

impl<O, T, R, P, H, N, B> fmt::Debug for RetryFuture<O, T, R, P, H, N, B>
where
    O: Operation,
    T: Timer,
    B: Lock<Target = RetryBudget>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryFuture").field("setup", &self.setup).finish_non_exhaustive()
    }
}
