//! A permit that reports itself.

use core::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use super::{OkOrErr, Outcome, Permit, PermittedCall};

/// Brings a permit and its call's outcome back to the breaker: what a [`CallGuard`] reports to.
pub trait ReportOutcome {
    /// Tells how the call ended. It is called once for each permit.
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome);
}

impl<R: FnMut(Permit, Outcome)> ReportOutcome for R {
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        self(permit, outcome);
    }
}

/// A permit for one call that reports its outcome to the circuit breaker, at the latest when it is dropped.
///
/// Dropped without an outcome it counts as [`Outcome::Dropped`]: as a failure at
/// [`Reset::call_timeout`](super::Reset::call_timeout) or later, as slow after the limit of slow calls, and before that
/// as [`Reset::on_drop`](super::Reset::on_drop) says, which is to ignore it. A call that panics counts as
/// [`Outcome::Panicked`]. A probe's slot is free for another in any case.
///
/// Its type can be written down, so that it can be kept in a struct: see `try_acquire` of each breaker.
///
/// ```
/// use core::{cell::RefCell, time::Duration};
/// use steadfast_core::{CircuitBreaker, Reset, Shared, Trip, circuit_breaker::{Consecutive, Outcome}};
/// # use steadfast_core::{Clock, Instant};
/// # struct Rtc;
/// # impl Clock for Rtc { fn now(&self) -> Instant { Instant::ZERO } }
///
/// type Machine = CircuitBreaker<Consecutive>;
/// let reset = Reset::after(Duration::from_secs(30));
/// let breaker: Shared<Machine, RefCell<Machine>, _> =
///     Shared::new(RefCell::new(CircuitBreaker::new(Trip::consecutive(1), reset)), Rtc);
///
/// let Ok(guard) = breaker.try_acquire() else { return };
/// // ... the call, in as many steps as it takes ...
/// guard.record(Outcome::Failure);
/// assert!(breaker.try_acquire().is_err());
/// ```
#[must_use = "dropping it means that the call said nothing"]
pub struct CallGuard<R: ReportOutcome> {
    permit: Option<Permit>,
    /// The user's code runs: if the guard is dropped now, it has panicked.
    is_running: bool,
    report: R,
}

impl<R: ReportOutcome> CallGuard<R> {
    /// Guards a permit; `report` brings it back to its breaker.
    pub const fn new(permit: Permit, report: R) -> Self {
        Self { permit: Some(permit), is_running: false, report }
    }

    /// For adapters: the same permit, which now reports elsewhere.
    pub fn report_to<O: ReportOutcome>(mut self, report: O) -> CallGuard<O> {
        CallGuard { permit: self.permit.take(), is_running: false, report }
    }

    /// Tells how the call ended.
    pub fn record(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    /// Makes the call: `Ok` is a success, `Err` a failure. It is not cut off.
    ///
    /// # Errors
    ///
    /// What the call returns.
    pub const fn call<F: Future<Output = Result<V, E>>, V, E>(self, call: F) -> PermittedCall<R, F> {
        PermittedCall::new(self, call, OkOrErr)
    }

    /// Makes the call; `classify` tells its outcome. It is not cut off.
    ///
    /// # Errors
    ///
    /// What the call returns.
    pub const fn call_with<F, C, V, E>(self, call: F, classify: C) -> PermittedCall<R, F, C>
    where
        F: Future<Output = Result<V, E>>,
        C: FnOnce(&Result<V, E>) -> Outcome,
    {
        PermittedCall::new(self, call, classify)
    }

    /// Polls the call, and reports its outcome when it has ended: for a future that is written by hand, and does more
    /// than [`GuardedCall`](super::GuardedCall). It is not cut off.
    ///
    /// ```
    /// use core::{pin::Pin, task::{Context, Poll}};
    /// use steadfast_core::circuit_breaker::{CallGuard, Outcome, ReportOutcome};
    ///
    /// struct Guarded<F, R: ReportOutcome> {
    ///     call: F,
    ///     guard: CallGuard<R>,
    /// }
    ///
    /// impl<V, E, F, R> Future for Guarded<F, R>
    /// where
    ///     F: Future<Output = Result<V, E>> + Unpin, // else project it, with `pin-project-lite`
    ///     R: ReportOutcome + Unpin,
    /// {
    ///     type Output = Result<V, E>;
    ///
    ///     fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
    ///         let this = self.get_mut();
    ///         this.guard.poll_call(Pin::new(&mut this.call), cx, Outcome::of)
    ///     }
    /// }
    /// ```
    pub fn poll_call<V, E>(
        &mut self,
        call: Pin<&mut impl Future<Output = Result<V, E>>>,
        cx: &mut Context<'_>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> Poll<Result<V, E>> {
        let polled = self.run_user_code(|| call.poll(cx));
        if let Poll::Ready(result) = &polled {
            self.report_classified(result, classify);
        }
        polled
    }

    /// Makes a call that blocks: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// What the call returns.
    pub fn call_blocking<V, E>(self, call: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        self.call_blocking_with(call, Outcome::of)
    }

    /// Makes a call that blocks; `classify` tells its outcome.
    ///
    /// # Errors
    ///
    /// What the call returns.
    pub fn call_blocking_with<V, E>(
        mut self,
        call: impl FnOnce() -> Result<V, E>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> Result<V, E> {
        let result = self.run_user_code(call);
        self.report_classified(&result, classify);
        result
    }

    pub(super) fn report_classified<V, E>(
        &mut self,
        result: &Result<V, E>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) {
        let outcome = self.run_user_code(|| classify(result));
        self.report(outcome);
    }

    pub(super) fn run_user_code<V>(&mut self, code: impl FnOnce() -> V) -> V {
        self.is_running = true;
        let value = code();
        self.is_running = false;
        value
    }

    pub(super) fn report(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            self.report.report_outcome(permit, outcome);
        }
    }
}

impl<R: ReportOutcome> Drop for CallGuard<R> {
    fn drop(&mut self) {
        self.report(if self.is_running { Outcome::Panicked } else { Outcome::Dropped });
    }
}

impl<R: ReportOutcome> fmt::Debug for CallGuard<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallGuard").field("permit", &self.permit).finish_non_exhaustive()
    }
}

/// Runs unless it is disarmed: for what must be done even if the user's code panics.
pub(super) struct OnUnwind<F: FnMut()>(F);

impl<F: FnMut()> OnUnwind<F> {
    pub(super) const fn new(undo: F) -> Self {
        Self(undo)
    }

    pub(super) const fn disarm(self) {
        mem::forget(self);
    }
}

impl<F: FnMut()> Drop for OnUnwind<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
