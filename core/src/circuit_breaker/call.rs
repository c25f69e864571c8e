//! The future of a call, which can be named.

use core::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{BreakerError, CallGuard, Open, Outcome, ReportOutcome};

/// Who lets a [`GuardedCall`] begin: a breaker, or one of several with the key. For adapters.
pub trait Admit {
    /// Brings the permit back.
    type Report: ReportOutcome;
    /// Ends when the call has taken too long.
    type Sleep: Future<Output = ()>;

    /// A permit, and the sleep until its call is cut off, if that is ever.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    #[expect(clippy::type_complexity, reason = "a type of its own would have to be read too")]
    fn admit(self) -> Result<(CallGuard<Self::Report>, Option<Self::Sleep>), Open>;
}

/// Tells the [`Outcome`] of a call: a closure, or [`OkOrErr`].
pub trait Classify<V, E> {
    /// What `result` says about the other side.
    fn classify(self, result: &Result<V, E>) -> Outcome;
}

impl<V, E, C: FnOnce(&Result<V, E>) -> Outcome> Classify<V, E> for C {
    fn classify(self, result: &Result<V, E>) -> Outcome {
        self(result)
    }
}

/// `Ok` is a success, `Err` a failure.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Default)]
pub struct OkOrErr;

impl<V, E> Classify<V, E> for OkOrErr {
    fn classify(self, result: &Result<V, E>) -> Outcome {
        Outcome::of(result)
    }
}

pin_project! {
    /// The future of a call under a breaker, made by the `call` and `call_with` of each. The breaker is asked when it
    /// is first polled.
    ///
    /// `A` is the breaker, `F` the call, `C` what [classifies](Classify) its outcome. It has a name so that it can be
    /// kept in a struct, and be the `Future` of a `tower` service.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops the call, which counts as [`CallGuard`] says.
    #[must_use = "the call is not made until it is awaited"]
    pub struct GuardedCall<A: Admit, F, C = OkOrErr> {
        // Dropped before the guard, which tells how it ended.
        #[pin]
        call: Option<F>,
        #[pin]
        sleep: Option<A::Sleep>,
        guard: Option<CallGuard<A::Report>>,
        // Until it is first polled.
        admit: Option<A>,
        classify: Option<C>,
    }
}

impl<A: Admit, F, C> GuardedCall<A, F, C> {
    /// For adapters: `call` under the breaker that `admit` asks.
    pub const fn new(admit: A, call: F, classify: C) -> Self {
        Self { call: Some(call), sleep: None, guard: None, admit: Some(admit), classify: Some(classify) }
    }
}

impl<V, E, A, F, C> Future for GuardedCall<A, F, C>
where
    A: Admit,
    F: Future<Output = Result<V, E>>,
    C: Classify<V, E>,
{
    type Output = Result<V, BreakerError<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(admit) = this.admit.take() {
            match admit.admit() {
                Ok((guard, sleep)) => {
                    *this.guard = Some(guard);
                    if sleep.is_some() {
                        this.sleep.set(sleep);
                    }
                }
                Err(open) => {
                    this.call.set(None);
                    return Poll::Ready(Err(open.into()));
                }
            }
        }
        let (Some(call), Some(guard)) = (this.call.as_mut().as_pin_mut(), this.guard.as_mut()) else {
            return Poll::Pending; // it has ended
        };
        // The call comes first: one that ends late has still ended.
        let result = match guard.run_user_code(|| call.poll(cx)) {
            Poll::Ready(result) => {
                if let Some(classify) = this.classify.take() {
                    guard.report_classified(&result, |result| classify.classify(result));
                }
                result.map_err(BreakerError::Inner)
            }
            Poll::Pending => match this.sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
                Some(Poll::Ready(())) => {
                    guard.report(Outcome::Failure);
                    Err(BreakerError::TimedOut)
                }
                _ => return Poll::Pending,
            },
        };
        this.call.set(None);
        this.sleep.set(None);
        Poll::Ready(result)
    }
}

impl<A: Admit, F, C> fmt::Debug for GuardedCall<A, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardedCall").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a call under a permit that is there already, made by [`CallGuard::call`] and
    /// [`call_with`](CallGuard::call_with).
    ///
    /// `R` is what the guard reports to, `F` the call, `C` what [classifies](Classify) its outcome. It has a name so that
    /// it can be kept in a struct.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops the call, which counts as [`CallGuard`] says.
    #[must_use = "the call is not made until it is awaited"]
    pub struct PermittedCall<R: ReportOutcome, F, C = OkOrErr> {
        // Dropped before the guard, which tells how it ended.
        #[pin]
        call: Option<F>,
        guard: CallGuard<R>,
        classify: Option<C>,
    }
}

impl<R: ReportOutcome, F, C> PermittedCall<R, F, C> {
    /// For adapters: `call` under the permit of `guard`.
    pub const fn new(guard: CallGuard<R>, call: F, classify: C) -> Self {
        Self { call: Some(call), guard, classify: Some(classify) }
    }
}

impl<V, E, R, F, C> Future for PermittedCall<R, F, C>
where
    R: ReportOutcome,
    F: Future<Output = Result<V, E>>,
    C: Classify<V, E>,
{
    type Output = Result<V, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(call) = this.call.as_mut().as_pin_mut() else { return Poll::Pending }; // it has ended
        let polled = this.guard.run_user_code(|| call.poll(cx));
        if let Poll::Ready(result) = &polled {
            if let Some(classify) = this.classify.take() {
                this.guard.report_classified(result, |result| classify.classify(result));
            }
            this.call.set(None);
        }
        polled
    }
}

impl<R: ReportOutcome, F, C> fmt::Debug for PermittedCall<R, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PermittedCall").finish_non_exhaustive()
    }
}
