//! Breakers behind a lock: the same calls without `now`, and calls that report themselves.

use core::{
    borrow::Borrow,
    future::Future,
    hash::{BuildHasher, Hash},
};

use super::{
    BreakerError, BreakerMode, BreakerState, BreakerStats, BreakersIn, CallGuard, CircuitBreaker, GuardedCall, OkOrErr,
    Open, Outcome, Permit, ReportOutcome, Reset, Transition, TripPolicy, WindowStats, call::Admit, guard::OnUnwind,
};
use crate::foundation::{
    shared::{Clock, Lock, Shared, Timer},
    storage::Storage,
};

impl<P, L, T> ReportOutcome for &Shared<CircuitBreaker<P>, L, T>
where
    P: TripPolicy,
    L: Lock<Target = CircuitBreaker<P>>,
    T: Clock,
{
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        self.with(|breaker, now| breaker.record(permit, outcome, now));
    }
}

impl<P, L, T> Shared<CircuitBreaker<P>, L, T>
where
    P: TripPolicy,
    L: Lock<Target = CircuitBreaker<P>>,
    T: Timer,
{
    /// Makes a call unless the breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// The breaker is asked when this is first polled; `call` is not polled if it is open. It is cut off at
    /// [`Reset::call_timeout`](super::Reset::call_timeout), if that is set.
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
    pub const fn call_with<V, E, F, C>(&self, call: F, classify: C) -> GuardedCall<&Self, F, C>
    where
        F: Future<Output = Result<V, E>>,
        C: FnOnce(&Result<V, E>) -> Outcome,
    {
        GuardedCall::new(self, call, classify)
    }
}

impl<P, L, T> Admit for &Shared<CircuitBreaker<P>, L, T>
where
    P: TripPolicy,
    L: Lock<Target = CircuitBreaker<P>>,
    T: Timer,
{
    type Report = Self;
    type Sleep = T::Sleep;

    fn admit(self) -> Result<(CallGuard<Self>, Option<T::Sleep>), Open> {
        let (permit, deadline) =
            self.with(|breaker, now| breaker.try_acquire(now).map(|permit| (permit, breaker.call_deadline(now))))?;
        Ok((CallGuard::new(permit, self), deadline.map(|at| self.timer().sleep_until(at))))
    }
}

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
    pub fn try_acquire(&self) -> Result<CallGuard<&Self>, Open> {
        let permit = self.with(CircuitBreaker::try_acquire)?;
        Ok(CallGuard::new(permit, self))
    }

    /// Makes a call that blocks, unless the breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn call_blocking<V, E>(&self, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>> {
        self.try_acquire()?.call_blocking(call).map_err(BreakerError::Inner)
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

    /// [`CircuitBreaker::set_settings`] now. Calls that are under way are cut off when they would have been.
    pub fn set_settings(&self, trip: P, reset: Reset) {
        self.with(|breaker, now| breaker.set_settings(trip, reset, now));
    }

    /// [`CircuitBreaker::close`].
    pub fn close(&self) {
        self.with_lock(CircuitBreaker::close);
    }

    /// [`CircuitBreaker::open`] now.
    pub fn open(&self) {
        self.with(CircuitBreaker::open);
    }

    /// [`CircuitBreaker::last_transition`].
    pub fn last_transition(&self) -> Option<Transition> {
        self.with_lock(|breaker| breaker.last_transition())
    }

    /// [`CircuitBreaker::window`] now.
    pub fn window(&self) -> WindowStats {
        self.with(CircuitBreaker::window)
    }

    /// [`CircuitBreaker::stats`].
    pub fn stats(&self) -> BreakerStats {
        self.with_lock(|breaker| breaker.stats())
    }
}

impl<K, P, S, H, L, T> Shared<BreakersIn<K, P, S, H>, L, T>
where
    K: Eq + Hash,
    P: TripPolicy,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = BreakersIn<K, P, S, H>>,
    T: Clock,
{
    /// For adapters: records what became of a call, or of one without a permit, for a borrowed form of the key whose
    /// [`hash`](BreakersIn::hash) is known; `own` makes the key of a new entry.
    ///
    /// Keys are made and dropped outside the lock. Returns the changes of state that it brought.
    pub fn record_with<Q>(
        &self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        permit: Option<Permit>,
        outcome: Outcome,
    ) -> [Option<Transition>; 2]
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        self.record_in_two_steps(|_| hash, key, own, permit, outcome)
    }

    fn record_in_two_steps<Q>(
        &self,
        hash: impl Fn(&BreakersIn<K, P, S, H>) -> u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
        permit: Option<Permit>,
        outcome: Outcome,
    ) -> [Option<Transition>; 2]
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let permit = permit.as_ref();
        let (is_recorded, transitions) = self.with(|breakers, now| {
            breakers.telling(|breakers| breakers.record_existing(hash(breakers), key, permit, outcome, now))
        });
        if is_recorded {
            return transitions;
        }
        // If the key's own code panics, the result still counts.
        let unwinding = OnUnwind::new(|| self.with(|breakers, now| breakers.record_untracked(permit, outcome, now)));
        let key = own(key);
        unwinding.disarm();
        let (_left_over, transitions) = self.with(|breakers, now| {
            breakers.telling(|breakers| breakers.record_new(hash(breakers), key, permit, outcome, now))
        });
        transitions
    }
}

/// The key is one of its own, or borrowed.
impl<K, B, P, S, H, L, T> ReportOutcome for (&Shared<BreakersIn<K, P, S, H>, L, T>, B)
where
    K: Clone + Eq + Hash,
    B: Borrow<K>,
    P: TripPolicy,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = BreakersIn<K, P, S, H>>,
    T: Clock,
{
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        let (breakers, key) = self;
        breakers.record((*key).borrow(), permit, outcome);
    }
}

impl<K, P, S, H, L, T> Shared<BreakersIn<K, P, S, H>, L, T>
where
    K: Clone + Eq + Hash,
    P: TripPolicy,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = BreakersIn<K, P, S, H>>,
    T: Timer,
{
    /// Makes a call to `key` unless its breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// The breaker is asked when this is first polled; `call` is not polled if it is open. It is cut off at
    /// [`Reset::call_timeout`](super::Reset::call_timeout), if that is set.
    ///
    /// # Cancellation
    ///
    /// Dropping this drops the call, which counts as [`CallGuard`] says. If it was a probe, its slot is free at once.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed,
    /// [`BreakerError::TimedOut`] if it was cut off.
    pub const fn call<'a, V, E, F>(&'a self, key: &'a K, call: F) -> GuardedCall<(&'a Self, &'a K), F>
    where
        F: Future<Output = Result<V, E>>,
    {
        GuardedCall::new((self, key), call, OkOrErr)
    }

    /// [`call`](Self::call) where `classify` tells the outcome.
    ///
    /// # Errors
    ///
    /// As for `call`.
    pub const fn call_with<'a, V, E, F, C>(
        &'a self,
        key: &'a K,
        call: F,
        classify: C,
    ) -> GuardedCall<(&'a Self, &'a K), F, C>
    where
        F: Future<Output = Result<V, E>>,
        C: FnOnce(&Result<V, E>) -> Outcome,
    {
        GuardedCall::new((self, key), call, classify)
    }
}

impl<K, P, S, H, L, T> Admit for (&Shared<BreakersIn<K, P, S, H>, L, T>, &K)
where
    K: Clone + Eq + Hash,
    P: TripPolicy,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = BreakersIn<K, P, S, H>>,
    T: Timer,
{
    type Report = Self;
    type Sleep = T::Sleep;

    fn admit(self) -> Result<(CallGuard<Self>, Option<T::Sleep>), Open> {
        let (breakers, key) = self;
        let (permit, deadline) = breakers
            .with(|breakers, now| breakers.try_acquire(key, now).map(|permit| (permit, breakers.call_deadline(now))))?;
        Ok((CallGuard::new(permit, self), deadline.map(|at| breakers.timer().sleep_until(at))))
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
    /// [`BreakersIn::try_acquire`] now. The guard keeps the key and reports the outcome.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    pub fn try_acquire(&self, key: &K) -> Result<CallGuard<(&Self, K)>, Open> {
        let permit = self.with(|breakers, now| breakers.try_acquire(key, now))?;
        // Guarded first, in case that the key's `clone` panics.
        let guard = CallGuard::new(permit, (self, key));
        let key = key.clone();
        Ok(guard.report_to((self, key)))
    }

    /// Makes a call to `key` that blocks, unless its breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn call_blocking<V, E>(&self, key: &K, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>> {
        let permit = self.with(|breakers, now| breakers.try_acquire(key, now))?;
        let guard = CallGuard::new(permit, (self, key));
        guard.call_blocking(call).map_err(BreakerError::Inner)
    }

    fn record(&self, key: &K, permit: Permit, outcome: Outcome) {
        let _ = self.record_in_two_steps(|breakers| breakers.hash(key), key, K::clone, Some(permit), outcome);
    }

    /// [`BreakersIn::state`].
    pub fn state(&self, key: &K) -> BreakerState {
        self.with_lock(|breakers| breakers.state(key))
    }

    /// [`BreakersIn::set_settings`] now. Calls that are under way are cut off when they would have been.
    pub fn set_settings(&self, trip: P, reset: Reset) {
        self.with(|breakers, now| breakers.set_settings(trip, reset, now));
    }

    /// [`BreakersIn::set_mode`].
    pub fn set_mode(&self, mode: BreakerMode) {
        self.with_lock(|breakers| breakers.set_mode(mode));
    }

    /// [`BreakersIn::close`].
    pub fn close(&self, key: &K) -> bool {
        self.with_lock(|breakers| breakers.close(key))
    }

    /// [`BreakersIn::open`] now. Keys are made and dropped outside the lock.
    pub fn open(&self, key: &K) -> bool {
        if self.with(|breakers, now| breakers.open_existing(breakers.hash(key), key, now)) {
            return true;
        }
        let own = key.clone();
        // Whatever key is left over is dropped here.
        self.with(|breakers, now| breakers.open_new(breakers.hash(key), own, now)).is_ok()
    }

    /// [`BreakersIn::last_transition`].
    pub fn last_transition(&self) -> Option<Transition> {
        self.with_lock(|breakers| breakers.last_transition())
    }

    /// [`BreakersIn::window`] now.
    pub fn window(&self, key: &K) -> WindowStats {
        self.with(|breakers, now| breakers.window(key, now))
    }

    /// [`BreakersIn::stats`].
    pub fn stats(&self) -> BreakerStats {
        self.with_lock(|breakers| breakers.stats())
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
