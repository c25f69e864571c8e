//! Circuit breakers for servers.

mod single;

use core::{borrow::Borrow, fmt, future::Future, hash::Hash, marker::PhantomData};
use std::sync::Arc;

use steadfast_core::{
    BreakerError, BreakerMode, BreakerState, BreakerStats, BreakersIn, CallGuard, CircuitBreaker as Machine, Clock,
    Consecutive, Instant, Open, Outcome, Permit, Reset, Shared, TripPolicy,
};

use self::single::Single;
use crate::{
    Heap, Mutex, SystemTimer,
    runtime::random_seed,
    storage::{KeyHasher, Shards, Spread},
};

/// Refuses calls to something that keeps failing, and lets a few probes find out when it is back.
///
/// Cloning is cheap and shares everything. `P` says when it opens: see [`Trip`](crate::Trip); [`Reset`] says how it comes
/// back, with jitter from the system's entropy (the seed in [`Reset::jitter`] is not used). No background task is needed,
/// and nothing is allocated after it is made. For one breaker a peer, see [`Breakers`].
///
/// While all is well, a call takes no lock and reads no clock, and threads are not in each other's way: that is, while
/// the last call succeeded, or none of the [`CallWindow`](crate::CallWindow) failed. A breaker that looks at times takes
/// its lock twice a call. A breaker has about a kibibyte.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{BreakerError, CircuitBreaker, Reset, Trip};
///
/// # steadfast::block_on(async {
/// # let fetch = async |_url: &str| Err::<(), _>("connection refused");
/// let breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(Duration::from_secs(30)));
///
/// for _ in 0..3 {
///     assert_eq!(breaker.call(fetch("/orders")).await, Err(BreakerError::Inner("connection refused")));
/// }
/// match breaker.call(fetch("/orders")).await {
///     Ok(orders) => { /* serve them */ }
///     Err(BreakerError::Inner(error)) => { /* the call failed */ }
///     Err(BreakerError::Open { retry_at }) => { /* it was not made: answer at once */ }
/// }
/// # assert_eq!(breaker.stats().rejected, 1);
/// # });
/// ```
///
/// # What counts as a failure
///
/// Every `Err`, unless [`call_with`](Self::call_with) is told otherwise. A call that is dropped, or that panics, says
/// nothing: it counts as [`Outcome::Ignored`], and if it was a probe its place is free at once.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CircuitBreaker, Outcome, Percent, Reset, Trip};
///
/// # steadfast::block_on(async {
/// # let get = async || Ok::<u16, std::io::Error>(503);
/// let trip = Trip::call_window::<100>(Percent::new(50)).slow_calls(Duration::from_secs(2), Percent::new(80));
/// let breaker = CircuitBreaker::new(trip, Reset::after(Duration::from_secs(30)).up_to(Duration::from_secs(600)));
/// let status = breaker
///     .call_with(get(), |result| match result {
///         Ok(503) => Outcome::RetryAfter(Duration::from_secs(120)),
///         Ok(400..=499) => Outcome::Ignored, // the caller's own mistake
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::Failure,
///     })
///     .await;
/// # assert_eq!(status.unwrap(), 503);
/// # });
/// ```
///
/// # Blocking calls
///
/// ```
/// # use steadfast::{CircuitBreaker, Reset, Trip};
/// # let breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(core::time::Duration::from_secs(30)));
/// let text = breaker.run(|| std::fs::read_to_string("orders.json"));
/// ```
pub struct CircuitBreaker<P: TripPolicy = Consecutive, T = SystemTimer>(Arc<Single<P, T>>);

impl<P: TripPolicy> CircuitBreaker<P> {
    /// A closed breaker that opens by `trip` and comes back by `reset`.
    #[doc(alias = "NewCircuitBreaker")]
    #[must_use]
    pub fn new(trip: P, reset: Reset) -> Self {
        Self::with_clock(trip, reset, SystemTimer)
    }
}

impl<P: TripPolicy, T: Clock> CircuitBreaker<P, T> {
    /// As [`new`](CircuitBreaker::new), on another clock than the system's.
    #[must_use]
    pub fn with_clock(trip: P, reset: Reset, clock: T) -> Self {
        let mut machine = Machine::new(trip, reset);
        machine.reseed_jitter(random_seed());
        Self(Arc::new(Single::new(Mutex::new(machine), clock)))
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
        CallGuard::acquire_and_call(|| Single::guard(&*self.0), call, classify)
    }

    /// Makes a call that blocks, unless the breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn run<V, E>(&self, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>> {
        Single::guard(&*self.0)?.run(call).map_err(BreakerError::Inner)
    }

    /// A permit for one call that is made elsewhere; it reports the outcome, at the latest when it is dropped, and may be
    /// moved into a task.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    pub fn try_acquire(&self) -> Result<CallGuard<impl FnMut(Permit, Outcome) + use<P, T>>, Open> {
        Single::guard(Arc::clone(&self.0))
    }

    /// True if a call may be made, for callers that tell its end by [`record_success`](Self::record_success) or
    /// [`record_failure`](Self::record_failure). If they do not, a probe's place is lost for [`Reset::lease`].
    #[must_use]
    pub fn allow_request(&self) -> bool {
        self.0.allow_request()
    }

    /// A success for the current state: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_success(&self) {
        self.0.record_success();
    }

    /// A failure for the current state: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_failure(&self) {
        self.0.with(Machine::record_failure);
    }

    /// Where the breaker stands. `Open` stays until somebody makes a call.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.0.with_lock(|breaker| breaker.state())
    }

    /// Whether the breaker decides, or an operator does.
    #[must_use]
    pub fn mode(&self) -> BreakerMode {
        self.0.with_lock(|breaker| breaker.mode())
    }

    /// Hands the decision to the breaker or to an operator; the state beneath is untouched.
    pub fn set_mode(&self, mode: BreakerMode) {
        self.0.with_lock(|breaker| breaker.set_mode(mode));
    }

    /// Closes the breaker and forgets its past; calls that are under way no longer count.
    pub fn reset(&self) {
        self.0.with_lock(Machine::reset);
    }

    /// What the breaker has counted since it was made. While all is well, a call counts when it has ended.
    #[must_use]
    pub fn stats(&self) -> BreakerStats {
        self.0.with_lock(|breaker| breaker.stats())
    }

    /// The time by this breaker's clock, for [`Open::retry_after`].
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.clock().now()
    }
}

impl<P: TripPolicy, T> Clone for CircuitBreaker<P, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<P: TripPolicy, T> fmt::Debug for CircuitBreaker<P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").finish_non_exhaustive()
    }
}

/// A [`CircuitBreaker`] for each key, in memory that is fixed when it is built.
///
/// Cloning is cheap and shares everything. A key that never fails takes no memory (with a window, from its first result
/// on). When every entry is taken, idle ones are reused; if there is none, the key's calls pass unjudged and are counted:
/// no flood of failing keys can grow it, block a call, or make it forget a breaker that is open. Keys are hashed with a
/// random seed; a `&str` looks up a `String` without allocating.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{Breakers, Reset, Trip};
///
/// # steadfast::block_on(async {
/// # struct Transport;
/// # impl Transport { async fn store(&self, _peer: &str, _data: &[u8]) -> Result<(), &'static str> { Ok(()) } }
/// # let (transport, data) = (Transport, [0; 8]);
/// let breakers =
///     Breakers::<String>::builder(Trip::consecutive(3), Reset::after(Duration::from_secs(30))).max_keys(10_000).build();
///
/// let stored = breakers.call("10.0.0.7", transport.store("10.0.0.7", &data)).await;
/// # assert_eq!(stored, Ok(()));
/// # });
/// ```
pub struct Breakers<K, P: TripPolicy = Consecutive, T = SystemTimer>(Arc<Shards<Keyed<K, P, T>>>);

type KeyedMachine<K, P> = BreakersIn<K, P, Heap, KeyHasher>;
type Keyed<K, P, T> = Shared<KeyedMachine<K, P>, Mutex<KeyedMachine<K, P>>, T>;

/// The settings of [`Breakers`].
#[derive(Clone, Debug)]
pub struct BreakersBuilder<K, P = Consecutive, T = SystemTimer> {
    trip: P,
    reset: Reset,
    max_keys: usize,
    clock: T,
    key: PhantomData<fn() -> K>,
}

impl<K: Eq + Hash, P: TripPolicy> Breakers<K, P> {
    /// The settings of breakers that open by `trip` and come back by `reset`: 65,536 keys.
    pub const fn builder(trip: P, reset: Reset) -> BreakersBuilder<K, P> {
        BreakersBuilder { trip, reset, max_keys: 65_536, clock: SystemTimer, key: PhantomData }
    }
}

impl<K: Eq + Hash, P: TripPolicy, T: Clock + Clone> BreakersBuilder<K, P, T> {
    /// For how many keys there is room, at least one and at most 4,294,967,294.
    ///
    /// From 256 on, shards share the keys by their hash, each with a margin, so that any `max_keys` keys find room; see
    /// [`RateLimiterBuilder::max_keys`](crate::RateLimiterBuilder::max_keys).
    #[must_use]
    pub const fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock<U: Clock + Clone>(self, clock: U) -> BreakersBuilder<K, P, U> {
        let Self { trip, reset, max_keys, key, .. } = self;
        BreakersBuilder { trip, reset, max_keys, clock, key }
    }

    /// The breakers. Allocates all their memory; nothing else does later, but the keys themselves.
    pub fn build(self) -> Breakers<K, P, T> {
        Breakers(Arc::new(Shards::new(self.max_keys, Spread::Wide, |room, hasher| {
            let mut machine = BreakersIn::allocate(self.trip.clone(), self.reset, room, hasher);
            machine.reseed_jitter(random_seed());
            Shared::new(Mutex::new(machine), self.clock.clone())
        })))
    }
}

impl<K: Eq + Hash, P: TripPolicy, T: Clock> Breakers<K, P, T> {
    /// Makes a call to `key` unless its breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// The breaker is asked when this is first polled; `call` is not polled if it is open. If this is dropped, the call
    /// counts as [`Outcome::Ignored`].
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn call<Q, V, E>(
        &self,
        key: &Q,
        call: impl Future<Output = Result<V, E>>,
    ) -> impl Future<Output = Result<V, BreakerError<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.call_with(key, call, Outcome::of)
    }

    /// [`call`](Self::call) where `classify` tells the outcome.
    ///
    /// # Errors
    ///
    /// As for `call`.
    pub fn call_with<Q, V, E>(
        &self,
        key: &Q,
        call: impl Future<Output = Result<V, E>>,
        classify: impl FnOnce(&Result<V, E>) -> Outcome,
    ) -> impl Future<Output = Result<V, BreakerError<E>>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        CallGuard::acquire_and_call(move || self.try_acquire(key), call, classify)
    }

    /// Makes a call to `key` that blocks, unless its breaker is open: `Ok` is a success, `Err` a failure.
    ///
    /// # Errors
    ///
    /// [`BreakerError::Open`] if the call was not made, [`BreakerError::Inner`] if it failed.
    pub fn run<Q, V, E>(&self, key: &Q, call: impl FnOnce() -> Result<V, E>) -> Result<V, BreakerError<E>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.try_acquire(key)?.run(call).map_err(BreakerError::Inner)
    }

    /// A permit for one call to `key` that is made elsewhere; it reports the outcome, at the latest when it is dropped.
    ///
    /// # Errors
    ///
    /// [`Open`] if the call must not be made.
    pub fn try_acquire<Q>(&self, key: &Q) -> Result<CallGuard<impl FnMut(Permit, Outcome)>, Open>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.hasher.hash_one(key);
        let shard = self.0.of(hash);
        let permit = shard.with(|breakers, now| breakers.try_acquire_with(hash, key, now))?;
        Ok(CallGuard::new(permit, move |permit, outcome| {
            shard.with(|breakers, now| breakers.record_with(hash, key, Q::to_owned, permit, outcome, now));
        }))
    }

    /// True if a call to `key` may be made, for callers that tell its end by [`record_success`](Self::record_success) or
    /// [`record_failure`](Self::record_failure). If they do not, a probe's place is lost for [`Reset::lease`].
    #[must_use]
    pub fn allow_request<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.of(key).with(|breakers, now| breakers.allow_request(key, now))
    }

    /// A success for the current state of `key`: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_success(&self, key: &K)
    where
        K: Clone,
    {
        self.of(key).with(|breakers, now| breakers.record_success(key, now));
    }

    /// A failure for the current state of `key`: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_failure(&self, key: &K)
    where
        K: Clone,
    {
        self.of(key).with(|breakers, now| breakers.record_failure(key, now));
    }

    /// Where the breaker of `key` stands. `Open` stays until somebody makes a call.
    #[must_use]
    pub fn state<Q>(&self, key: &Q) -> BreakerState
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.of(key).with_lock(|breakers| breakers.state(key))
    }

    /// Closes the breaker of `key` and forgets its past; calls that are under way no longer count. False, and nothing
    /// done, if it has no entry.
    pub fn reset<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.of(key).with_lock(|breakers| breakers.reset(key))
    }

    /// Whether the breakers decide, or an operator does for all of them.
    #[must_use]
    pub fn mode(&self) -> BreakerMode {
        self.0.of(0).with_lock(|breakers| breakers.mode())
    }

    /// Hands the decision about every key to the breakers or to an operator; the states beneath are untouched.
    pub fn set_mode(&self, mode: BreakerMode) {
        self.0.iter().for_each(|shard| shard.with_lock(|breakers| breakers.set_mode(mode)));
    }

    /// The keys whose breaker is not closed. Each shard is locked for O(its capacity).
    #[must_use]
    pub fn tripped(&self) -> Vec<(K, BreakerState)>
    where
        K: Clone,
    {
        let mut tripped = Vec::new();
        for shard in self.0.iter() {
            shard.with_lock(|breakers| {
                let not_closed = breakers.iter().filter(|(_, state)| *state != BreakerState::Closed);
                tripped.extend(not_closed.map(|(key, state)| (key.clone(), state)));
            });
        }
        tripped
    }

    /// Forgets every idle key, and tells how many; never needed, but it frees the memory of the keys themselves.
    ///
    /// Each shard is locked for O(its capacity).
    pub fn cleanup(&self) -> usize {
        self.0.iter().map(|shard| shard.with(|breakers, now| breakers.cleanup(now))).sum()
    }

    /// How many keys have an entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.with_lock(|breakers| breakers.len())).sum()
    }

    /// True if no key has an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys that can have an entry, over all shards.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.iter().map(|shard| shard.with_lock(|breakers| breakers.capacity())).sum()
    }

    /// Results that would have needed an entry when there was none to be had.
    #[must_use]
    pub fn untracked(&self) -> u64 {
        self.0.iter().map(|shard| shard.with_lock(|breakers| breakers.untracked())).sum()
    }

    /// What all breakers together have counted.
    #[must_use]
    pub fn stats(&self) -> BreakerStats {
        let add = |sum: BreakerStats, shard: &Keyed<K, P, T>| sum.plus(shard.with_lock(|breakers| breakers.stats()));
        self.0.iter().fold(BreakerStats::default(), add)
    }

    /// The time by the clock of these breakers, for [`Open::retry_after`].
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.of(0).timer().now()
    }

    fn of<Q: Hash + ?Sized>(&self, key: &Q) -> &Keyed<K, P, T> {
        self.0.of(self.0.hasher.hash_one(key))
    }
}

impl<K, P: TripPolicy, T> Clone for Breakers<K, P, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, P: TripPolicy, T> fmt::Debug for Breakers<K, P, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Breakers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
