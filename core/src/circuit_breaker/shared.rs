//! Breakers behind a lock: the same calls without `now`, and calls that report themselves.

use core::{
    future::Future,
    hash::{BuildHasher, Hash},
};

use super::{
    BreakerError, BreakerMode, BreakerState, BreakerStats, BreakersIn, CallGuard, CircuitBreaker, Open, Outcome,
    Permit, TripPolicy,
};
use crate::{Clock, Lock, Shared, Storage};

impl<P, L, T> Shared<CircuitBreaker<P>, L, T>
where
    P: TripPolicy,
    L: Lock<Target = CircuitBreaker<P>>,
    T: Clock,
{
    /// [`CircuitBreaker::try_acquire`] now. The guard reports the outcome.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    pub fn try_acquire(&self) -> Result<CallGuard<impl FnMut(Permit, Outcome)>, Open> {
        let permit = self.with(CircuitBreaker::try_acquire)?;
        Ok(CallGuard::new(permit, |permit, outcome| self.with(|breaker, now| breaker.record(permit, outcome, now))))
    }

    /// Makes a call unless the breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// The breaker is asked when this is first polled; `call` is not polled if it is open. If this is dropped, the call
    /// counts as [`Outcome::Ignored`].
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn call<V, E>(
        &self,
        call: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, BreakerError<E>>> {
        self.call_with(call, Outcome::of)
    }

    /// [`call`](Self::call) where `classify` tells the outcome.
    ///
    /// # Errors
    ///
    /// As for `call`.
    pub fn call_with<V, E>(
        &self,
        call: impl Future<Output = Result<V, E>>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> impl Future<Output = Result<V, BreakerError<E>>> {
        CallGuard::acquire_and_call(move || self.try_acquire(), call, classify)
    }

    /// Makes a call that blocks, unless the breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn run<V, E>(&self, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>> {
        self.try_acquire()?.run(call).map_err(BreakerError::Inner)
    }

    /// [`CircuitBreaker::allow_request`] now.
    #[must_use]
    pub fn allow_request(&self) -> bool {
        self.with(CircuitBreaker::allow_request)
    }

    /// [`CircuitBreaker::record_success`] now.
    pub fn record_success(&self) {
        self.with(CircuitBreaker::record_success);
    }

    /// [`CircuitBreaker::record_failure`] now.
    pub fn record_failure(&self) {
        self.with(CircuitBreaker::record_failure);
    }

    /// [`CircuitBreaker::state`].
    pub fn state(&self) -> BreakerState {
        self.with_lock(|breaker| breaker.state())
    }

    /// [`CircuitBreaker::set_mode`].
    pub fn set_mode(&self, mode: BreakerMode) {
        self.with_lock(|breaker| breaker.set_mode(mode));
    }

    /// [`CircuitBreaker::reset`].
    pub fn reset(&self) {
        self.with_lock(CircuitBreaker::reset);
    }

    /// [`CircuitBreaker::stats`].
    pub fn stats(&self) -> BreakerStats {
        self.with_lock(|breaker| breaker.stats())
    }
}

impl<K, P, S, H, L, T> Shared<BreakersIn<K, P, S, H>, L, T>
where
    K: Clone + Eq + Hash,
    P: TripPolicy,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = BreakersIn<K, P, S, H>>,
    T: Clock,
{
    /// [`BreakersIn::try_acquire`] now. The guard reports the outcome.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    pub fn try_acquire(&self, key: &K) -> Result<CallGuard<impl FnMut(Permit, Outcome)>, Open> {
        let permit = self.with(|breakers, now| breakers.try_acquire(key, now))?;
        let report = move |permit, outcome| self.with(|breakers, now| breakers.record(key, permit, outcome, now));
        Ok(CallGuard::new(permit, report))
    }

    /// Makes a call to `key` unless its breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// The breaker is asked when this is first polled; `call` is not polled if it is open. If this is dropped, the call
    /// counts as [`Outcome::Ignored`].
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn call<V, E>(
        &self,
        key: &K,
        call: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, BreakerError<E>>> {
        self.call_with(key, call, Outcome::of)
    }

    /// [`call`](Self::call) where `classify` tells the outcome.
    ///
    /// # Errors
    ///
    /// As for `call`.
    pub fn call_with<V, E>(
        &self,
        key: &K,
        call: impl Future<Output = Result<V, E>>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> impl Future<Output = Result<V, BreakerError<E>>> {
        CallGuard::acquire_and_call(move || self.try_acquire(key), call, classify)
    }

    /// Makes a call to `key` that blocks, unless its breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn run<V, E>(&self, key: &K, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>> {
        self.try_acquire(key)?.run(call).map_err(BreakerError::Inner)
    }

    /// [`BreakersIn::state`].
    pub fn state(&self, key: &K) -> BreakerState {
        self.with_lock(|breakers| breakers.state(key))
    }

    /// [`BreakersIn::set_mode`].
    pub fn set_mode(&self, mode: BreakerMode) {
        self.with_lock(|breakers| breakers.set_mode(mode));
    }

    /// [`BreakersIn::reset`].
    pub fn reset(&self, key: &K) -> bool {
        self.with_lock(|breakers| breakers.reset(key))
    }

    /// [`BreakersIn::stats`].
    pub fn stats(&self) -> BreakerStats {
        self.with_lock(|breakers| breakers.stats())
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
