//! Guards and futures of a single breaker, by their names.

use core::{fmt, future::Future};
use std::{sync::Arc, thread};

use steadfast_core::{
    Clock, Timer,
    circuit_breaker::{
        Admit, BreakerError, CallGuard, Classify, Consecutive, GuardedCall, OkOrErr, Open, Outcome, Permit,
        ReportOutcome, TripPolicy,
    },
};

use super::{
    CircuitBreaker,
    single::{Reporter, Single},
};
use crate::runtime::SystemTimer;

impl<P: TripPolicy, T: Timer> CircuitBreaker<P, T> {
    /// Makes a call unless the breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// The breaker is asked when this is first polled; `call` is not polled if it is open. It is cut off at
    /// [`Reset::call_timeout`](crate::Reset::call_timeout), if that is set.
    ///
    /// # Cancellation
    ///
    /// Dropping this drops the call, which counts as [`CallGuard`] says. If it was a probe, its slot is free at once.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed,
    /// [`BreakerError::TimedOut`] if it was cut off.
    pub const fn call<V, E, F>(&self, call: F) -> GuardedCall<&Self, F>
    where
        F: Future<Output = Result<V, E>>,
    {
        GuardedCall::new(self, call, OkOrErr)
    }

    /// [`call`](Self::call) where `classify` tells the outcome.
    ///
    /// # Errors
    ///
    /// As for `call`.
    #[doc(alias("ShouldHandle", "ignoreExceptions", "recordExceptions", "recordResult"))]
    pub const fn call_with<V, E, F, C>(&self, call: F, classify: C) -> GuardedCall<&Self, F, C>
    where
        F: Future<Output = Result<V, E>>,
        C: FnOnce(&Result<V, E>) -> Outcome,
    {
        GuardedCall::new(self, call, classify)
    }

    /// [`call_with`](Self::call_with) whose future holds a clone of this breaker, and borrows nothing: it can be the
    /// `Future` of a `tower` service, or be kept in a struct.
    ///
    /// ```
    /// use core::task::{Context, Poll};
    /// use steadfast::{CircuitBreaker, circuit_breaker::{BreakerCall, BreakerError, OkOrErr}};
    /// # trait Service<R> {
    /// #     type Response;
    /// #     type Error;
    /// #     type Future: Future<Output = Result<Self::Response, Self::Error>>;
    /// #     fn call(&mut self, request: R) -> Self::Future;
    /// # }
    ///
    /// struct Guarded<S> {
    ///     breaker: CircuitBreaker,
    ///     inner: S,
    /// }
    ///
    /// impl<R, S: Service<R>> Service<R> for Guarded<S> {
    ///     type Response = S::Response;
    ///     type Error = BreakerError<S::Error>;
    ///     type Future = BreakerCall<S::Future>;
    ///
    ///     fn call(&mut self, request: R) -> Self::Future {
    ///         self.breaker.call_owned(self.inner.call(request), OkOrErr)
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    pub fn call_owned<V, E, F, C>(&self, call: F, classify: C) -> BreakerCall<F, C, P, T>
    where
        F: Future<Output = Result<V, E>>,
        C: Classify<V, E>,
    {
        GuardedCall::new(self.clone(), call, classify)
    }
}

impl<P: TripPolicy, T: Clock> CircuitBreaker<P, T> {
    /// Makes a call that blocks, unless the breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn call_blocking<V, E>(&self, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>> {
        let (permit, reporter) = Single::acquire(&*self.0)?;
        CallGuard::new(permit, reporter).call_blocking(call).map_err(BreakerError::Inner)
    }

    /// A permit for one call that is made elsewhere; it reports the outcome, at the latest when it is dropped, and may
    /// be moved into a task or kept in a struct. [`CallGuard`] says what it counts as if it is dropped.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    pub fn try_acquire(&self) -> Result<BreakerGuard<P, T>, Open> {
        let (permit, reporter) = Single::acquire(Arc::clone(&self.0))?;
        Ok(CallGuard::new(permit, BreakerReporter(reporter)))
    }
}

/// A permit of a [`CircuitBreaker`] that reports the outcome, at the latest when it is dropped.
pub type BreakerGuard<P = Consecutive, T = SystemTimer> = CallGuard<BreakerReporter<P, T>>;

/// The future of [`CircuitBreaker::call_owned`].
pub type BreakerCall<F, C = OkOrErr, P = Consecutive, T = SystemTimer> = GuardedCall<CircuitBreaker<P, T>, F, C>;

/// Brings a permit back to its [`CircuitBreaker`]; it is part of a [`BreakerGuard`].
pub struct BreakerReporter<P: TripPolicy = Consecutive, T = SystemTimer>(Reporter<Arc<Single<P, T>>>);

impl<P: TripPolicy, T: Clock> ReportOutcome for BreakerReporter<P, T> {
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        self.0.report_outcome(permit, dropped_by_a_panic(outcome));
    }
}

impl<P: TripPolicy, T> fmt::Debug for BreakerReporter<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerReporter").finish_non_exhaustive()
    }
}

/// As a [`BreakerReporter`], for as long as a [`CircuitBreaker`] is borrowed; it is part of [`CircuitBreaker::call`].
pub struct BorrowedReporter<'a, P: TripPolicy = Consecutive, T = SystemTimer>(Reporter<&'a Single<P, T>>);

impl<P: TripPolicy, T: Clock> ReportOutcome for BorrowedReporter<'_, P, T> {
    #[inline]
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        self.0.report_outcome(permit, outcome);
    }
}

impl<P: TripPolicy, T> fmt::Debug for BorrowedReporter<'_, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowedReporter").finish_non_exhaustive()
    }
}

impl<'a, P: TripPolicy, T: Timer> Admit for &'a CircuitBreaker<P, T> {
    type Report = BorrowedReporter<'a, P, T>;
    type Sleep = T::Sleep;

    #[inline]
    fn admit(self) -> Result<(CallGuard<Self::Report>, Option<T::Sleep>), Open> {
        let (permit, reporter) = Single::acquire(&*self.0)?;
        let sleep = reporter.sleep();
        Ok((CallGuard::new(permit, BorrowedReporter(reporter)), sleep))
    }
}

impl<P: TripPolicy, T: Timer> Admit for CircuitBreaker<P, T> {
    type Report = BreakerReporter<P, T>;
    type Sleep = T::Sleep;

    fn admit(self) -> Result<(CallGuard<Self::Report>, Option<T::Sleep>), Open> {
        let (permit, reporter) = Single::acquire(self.0)?;
        let sleep = reporter.sleep();
        Ok((CallGuard::new(permit, BreakerReporter(reporter)), sleep))
    }
}

/// The outcome of a permit in somebody's hands: whether they dropped it or panicked.
pub(super) fn dropped_by_a_panic(outcome: Outcome) -> Outcome {
    if outcome == Outcome::Dropped && thread::panicking() { Outcome::Panicked } else { outcome }
}
