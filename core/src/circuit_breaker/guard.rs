//! A permit that reports itself.

use core::{fmt, future::Future};

use super::{BreakerError, Open, Outcome, Permit};

/// A permit for one call that tells the breaker how the call ended, at the latest when it is dropped.
///
/// Dropped without an outcome it counts as [`Outcome::Ignored`]: a call that was cancelled, or that panicked, says nothing
/// about the other side, and a probe's place is free for another.
#[must_use = "dropping it means that the call said nothing"]
pub struct CallGuard<R: FnMut(Permit, Outcome)> {
    permit: Option<Permit>,
    report: R,
}

impl<R: FnMut(Permit, Outcome)> CallGuard<R> {
    /// Guards a permit; `report` brings it back to its breaker.
    pub const fn new(permit: Permit, report: R) -> Self {
        Self { permit: Some(permit), report }
    }

    /// Tells how the call ended.
    pub fn record(mut self, outcome: Outcome) {
        self.report(outcome);
    }

    /// Makes the call: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// What the call returns.
    pub fn call<V, E>(self, call: impl Future<Output = Result<V, E>>) -> impl Future<Output = Result<V, E>> {
        self.call_with(call, Outcome::of)
    }

    /// Makes the call; `classify` tells its outcome.
    ///
    /// # Errors
    ///
    /// What the call returns.
    #[expect(clippy::manual_async_fn, reason = "as in `acquire_and_call`")]
    pub fn call_with<V, E>(
        mut self,
        call: impl Future<Output = Result<V, E>>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> impl Future<Output = Result<V, E>> {
        async move {
            let result = call.await;
            self.report(classify(&result));
            result
        }
    }

    /// Makes the call under the permit that `acquire` gets: the `call_with` of every breaker.
    #[doc(hidden)]
    #[expect(
        clippy::manual_async_fn,
        reason = "an `async fn`, and each one in another, moves the guard and the call from its arguments into variables \
                  once more, which takes longer than all that the breaker does"
    )]
    pub fn acquire_and_call<V, E>(
        acquire: impl FnOnce() -> Result<Self, Open>,
        call: impl Future<Output = Result<V, E>>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> impl Future<Output = Result<V, BreakerError<E>>> {
        async move {
            let mut guard = acquire()?;
            let result = call.await;
            guard.report(classify(&result));
            result.map_err(BreakerError::Inner)
        }
    }

    /// Makes a call that blocks: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// What the call returns.
    pub fn run<V, E>(self, call: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        self.run_with(call, Outcome::of)
    }

    /// Makes a call that blocks; `classify` tells its outcome.
    ///
    /// # Errors
    ///
    /// What the call returns.
    pub fn run_with<V, E>(
        self,
        call: impl FnOnce() -> Result<V, E>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> Result<V, E> {
        let result = call();
        self.record(classify(&result));
        result
    }

    fn report(&mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            (self.report)(permit, outcome);
        }
    }
}

impl<R: FnMut(Permit, Outcome)> Drop for CallGuard<R> {
    fn drop(&mut self) {
        self.report(Outcome::Ignored);
    }
}

impl<R: FnMut(Permit, Outcome)> fmt::Debug for CallGuard<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallGuard").field("permit", &self.permit).finish_non_exhaustive()
    }
}
