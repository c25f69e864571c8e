//! Guards and futures of breakers by key, by their names.

use core::{borrow::Borrow, fmt, future::Future, hash::Hash};
use std::sync::Arc;

use steadfast_core::{
    Clock, Instant, Timer,
    circuit_breaker::{
        Admit, BreakerError, CallGuard, Classify, Consecutive, GuardedCall, OkOrErr, Open, Outcome, Permit,
        ReportOutcome, Transition, TripPolicy,
    },
};

use super::{Breakers, Keyed, Watched};
use crate::{
    circuit_breaker::call::dropped_by_a_panic,
    runtime::{SystemTimer, unless_it_panics},
};

impl<K: Eq + Hash, P: TripPolicy, T: Timer> Breakers<K, P, T> {
    /// Makes a call to `key` unless its breaker is open: `Ok` is a success, `Err` a failure.
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
    pub fn call<'a, Q, V, E, F>(&'a self, key: &'a Q, call: F) -> GuardedCall<KeyReporter<'a, K, Q, P, T>, F>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        F: Future<Output = Result<V, E>>,
    {
        GuardedCall::new(KeyReporter::new(self, key), call, OkOrErr)
    }

    /// [`call`](Self::call) where `classify` tells the outcome.
    ///
    /// # Errors
    ///
    /// As for `call`.
    pub fn call_with<'a, Q, V, E, F, C>(
        &'a self,
        key: &'a Q,
        call: F,
        classify: C,
    ) -> GuardedCall<KeyReporter<'a, K, Q, P, T>, F, C>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        F: Future<Output = Result<V, E>>,
        C: FnOnce(&Result<V, E>) -> Outcome,
    {
        GuardedCall::new(KeyReporter::new(self, key), call, classify)
    }

    /// [`call_with`](Self::call_with) whose future holds a clone of these breakers and the key, and borrows nothing: it
    /// can be the `Future` of a `tower` service, or be kept in a struct.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    pub fn call_owned<V, E, F, C>(&self, key: K, call: F, classify: C) -> BreakersCall<K, F, C, P, T>
    where
        K: Clone,
        F: Future<Output = Result<V, E>>,
        C: Classify<V, E>,
    {
        GuardedCall::new(self.admission(key), call, classify)
    }

    /// Lets one call to `key` begin, as an [`Admit`]: for a future of one's own that asks before it makes the call, and cuts
    /// it off, such as a layer of `tower`.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast::{Breakers, Reset, Trip, circuit_breaker::{Admit, Outcome}};
    ///
    /// let reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_secs(2));
    /// let breakers = Breakers::<String>::builder(Trip::consecutive(1), reset).build();
    /// let (permit, cut_off) = breakers.admission("10.0.0.7".to_owned()).admit()?;
    /// assert!(cut_off.is_some(), "it ends after two seconds");
    /// permit.record(Outcome::Failure);
    /// assert!(breakers.admission("10.0.0.7".to_owned()).admit().is_err());
    /// # Ok::<(), steadfast::circuit_breaker::Open>(())
    /// ```
    pub fn admission(&self, key: K) -> BreakersReporter<K, P, T>
    where
        K: Clone,
    {
        let (breakers, hash) = (Arc::clone(&self.0), self.0.shards.hasher.hash_one(&key));
        BreakersReporter { breakers, hash, key: Some(key), own: K::clone }
    }
}

impl<K: Eq + Hash, P: TripPolicy, T: Clock> Breakers<K, P, T> {
    /// Makes a call to `key` that blocks, unless its breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn call_blocking<Q, V, E>(&self, key: &Q, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        KeyReporter::new(self, key).acquire()?.call_blocking(call).map_err(BreakerError::Inner)
    }

    /// A permit for one call to `key` that is made elsewhere; it reports the outcome, at the latest when it is dropped,
    /// and may be moved into a task or kept in a struct. It keeps a key of its own.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<BreakersGuard<K, P, T>, Open>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let reporter = KeyReporter::new(self, key);
        let hash = reporter.hash;
        let guard = reporter.acquire()?;
        let (breakers, key) = (Arc::clone(&self.0), Some(key.to_owned()));
        Ok(guard.report_to(BreakersReporter { breakers, hash, key, own: |key| key.borrow().to_owned() }))
    }
}

/// A permit of [`Breakers`] that reports the outcome, at the latest when it is dropped.
pub type BreakersGuard<K, P = Consecutive, T = SystemTimer> = CallGuard<BreakersReporter<K, P, T>>;

/// Brings a permit back to its [`Breakers`]; it is part of a [`BreakersGuard`].
pub struct BreakersReporter<K, P: TripPolicy = Consecutive, T = SystemTimer> {
    breakers: Arc<Watched<K, P, T>>,
    hash: u64,
    /// Until it is told.
    key: Option<K>,
    /// Makes another such key.
    own: fn(&K) -> K,
}

impl<K: Eq + Hash, P: TripPolicy, T: Clock> ReportOutcome for BreakersReporter<K, P, T> {
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        let Some(key) = self.key.take() else { return };
        let (hash, hook, shard) = (self.hash, &self.breakers.hook, self.breakers.shards.of(self.hash));
        let (permit, outcome) = (Some(&permit), dropped_by_a_panic(outcome));
        let (is_recorded, transitions) = shard.with(|breakers, now| {
            breakers.telling(|breakers| breakers.record_existing(hash, &key, permit, outcome, now))
        });
        if is_recorded {
            return hook.tell(transitions, |hook, transition| hook(&key, transition));
        }
        // A table keeps the key: the hook needs another.
        let told = hook.is_set().then(|| unless_it_panics(|| (self.own)(&key))).flatten();
        let (left_over, transitions) = shard
            .with(|breakers, now| breakers.telling(|breakers| breakers.record_new(hash, key, permit, outcome, now)));
        drop(left_over); // outside the lock
        // Without a hook it is an event, which needs no key.
        hook.tell(transitions, |hook, transition| {
            if let Some(key) = &told {
                hook(key, transition);
            }
        });
    }
}

impl<K, P: TripPolicy, T> fmt::Debug for BreakersReporter<K, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakersReporter").finish_non_exhaustive()
    }
}

/// The future of [`Breakers::call_owned`].
pub type BreakersCall<K, F, C = OkOrErr, P = Consecutive, T = SystemTimer> =
    GuardedCall<BreakersReporter<K, P, T>, F, C>;

impl<K: Eq + Hash, P: TripPolicy, T: Timer> Admit for BreakersReporter<K, P, T> {
    type Report = Self;
    type Sleep = T::Sleep;

    fn admit(self) -> Result<(CallGuard<Self>, Option<T::Sleep>), Open> {
        let Some(key) = &self.key else { return Err(Open { retry_at: Instant::MAX }) };
        let tell = |transitions| self.breakers.hook.tell(transitions, |hook, transition| hook(key, transition));
        let shard = self.breakers.shards.of(self.hash);
        let (permit, deadline) = ask(shard, self.hash, key, tell)?;
        let sleep = deadline.map(|at| shard.timer().sleep_until(at));
        Ok((CallGuard::new(permit, self), sleep))
    }
}

/// As a [`BreakersReporter`], for as long as [`Breakers`] and the key are borrowed; it is part of [`Breakers::call`].
pub struct KeyReporter<'a, K, Q: ?Sized, P: TripPolicy = Consecutive, T = SystemTimer> {
    breakers: &'a Watched<K, P, T>,
    hash: u64,
    key: &'a Q,
}

impl<'a, K: Eq + Hash, Q: Hash + ?Sized, P: TripPolicy, T> KeyReporter<'a, K, Q, P, T> {
    fn new(breakers: &'a Breakers<K, P, T>, key: &'a Q) -> Self {
        let hash = breakers.0.shards.hasher.hash_one(key);
        Self { breakers: &breakers.0, hash, key }
    }
}

impl<K, Q, P, T> KeyReporter<'_, K, Q, P, T>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    P: TripPolicy,
    T: Clock,
{
    /// A permit whose guard borrows.
    fn acquire(self) -> Result<CallGuard<Self>, Open> {
        let (permit, _deadline) = self.ask()?;
        Ok(CallGuard::new(permit, self))
    }

    fn ask(&self) -> Result<(Permit, Option<Instant>), Open> {
        let tell = |transitions| self.breakers.tell(self.key, transitions);
        ask(self.breakers.shards.of(self.hash), self.hash, self.key, tell)
    }
}

impl<K, Q, P, T> ReportOutcome for KeyReporter<'_, K, Q, P, T>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    P: TripPolicy,
    T: Clock,
{
    fn report_outcome(&mut self, permit: Permit, outcome: Outcome) {
        let shard = self.breakers.shards.of(self.hash);
        let transitions = shard.record_with(self.hash, self.key, Q::to_owned, Some(permit), outcome);
        self.breakers.tell(self.key, transitions);
    }
}

impl<K, Q, P, T> Admit for KeyReporter<'_, K, Q, P, T>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    P: TripPolicy,
    T: Timer,
{
    type Report = Self;
    type Sleep = T::Sleep;

    fn admit(self) -> Result<(CallGuard<Self>, Option<T::Sleep>), Open> {
        let (permit, deadline) = self.ask()?;
        let sleep = deadline.map(|at| self.breakers.shards.of(self.hash).timer().sleep_until(at));
        Ok((CallGuard::new(permit, self), sleep))
    }
}

/// The permit of a call that may be made, and when it is to be cut off; `tell` hears of changes outside the lock.
fn ask<K, Q, P, T>(
    shard: &Keyed<K, P, T>,
    hash: u64,
    key: &Q,
    tell: impl FnOnce([Option<Transition>; 2]),
) -> Result<(Permit, Option<Instant>), Open>
where
    K: Borrow<Q> + Eq + Hash,
    Q: Eq + ?Sized,
    P: TripPolicy,
    T: Clock,
{
    let (decision, transitions) = shard.with(|breakers, now| {
        breakers.telling(|breakers| {
            breakers.try_acquire_with(hash, key, now).map(|permit| (permit, breakers.call_deadline(now)))
        })
    });
    tell(transitions);
    decision
}

impl<K, Q: ?Sized, P: TripPolicy, T> fmt::Debug for KeyReporter<'_, K, Q, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyReporter").finish_non_exhaustive()
    }
}
