//! A breaker for each key.

mod call;

pub use call::{BreakersCall, BreakersGuard, BreakersReporter, KeyReporter};
use core::{borrow::Borrow, fmt, hash::Hash, marker::PhantomData};
use std::sync::Arc;

use steadfast_core::{
    Clock, Instant, Reset, Shared,
    circuit_breaker::{
        BreakerMode, BreakerState, BreakerStats, BreakersIn, Consecutive, Outcome, Transition, TripPolicy, WindowStats,
    },
};

use super::watch::Hook;
use crate::{
    runtime::{Mutex, SystemTimer, random_seed},
    storage::{Heap, KeyHasher, Shards, Spread},
};

/// Circuit breakers by key: a [`CircuitBreaker`](crate::circuit_breaker::CircuitBreaker) for each host or peer, in
/// fixed memory.
///
/// Clones share everything. A key that never fails takes no memory (with a window, from its first result on). Keys are
/// hashed with a random seed; a `&str` looks up a `String` without allocating. Of a key's own code only `Eq` and `Hash`
/// run while a lock is held (and `clone` in [`tripped`](Self::tripped)).
///
/// ```
/// use core::time::Duration;
/// use steadfast::{Breakers, Reset, Trip};
///
/// # steadfast::block_on(async {
/// # struct Transport;
/// # impl Transport { async fn store(&self, _peer: &str, _data: &[u8]) -> Result<(), &'static str> { Ok(()) } }
/// # let (transport, data) = (Transport, [0; 8]);
/// let reset = Reset::after(Duration::from_secs(30)).call_timeout(Duration::from_secs(2));
/// let breakers =
///     Breakers::<String>::builder(Trip::consecutive(3), reset).capacity(10_000).build();
///
/// let stored = breakers.call("10.0.0.7", transport.store("10.0.0.7", &data)).await;
/// # assert_eq!(stored, Ok(()));
/// # });
/// ```
///
/// # When it is full
///
/// A key that needs an entry takes over an idle one: that of a closed breaker with nothing against its key, that of an
/// open one that nobody has asked for during the longest open time after they might have, or that of any closed one
/// that nobody has told anything for a minute (or the longest open time, the window's span, or two
/// [leases](Reset::lease) that are set, if that is longer). If there is none near, calls for that key are permitted
/// without tracking (fail open); [`untracked`](Self::untracked) counts them. No flood of failing keys can grow it,
/// block a call, or make it forget a breaker that is open, or failures from within that time.
///
/// A result whose key has no entry counts for a new one, however long ago its call began.
#[doc(alias = "CircuitBreakerRegistry")]
pub struct Breakers<K, P: TripPolicy = Consecutive, T = SystemTimer>(Arc<Watched<K, P, T>>);

/// The shards, and who hears of their changes.
struct Watched<K, P: TripPolicy, T> {
    shards: Shards<Keyed<K, P, T>>,
    hook: Hook<OnTransition<K>>,
}

type OnTransition<K> = dyn Fn(&K, &Transition) + Send + Sync;

impl<K, P: TripPolicy, T> Watched<K, P, T> {
    /// Calls the hook, outside the lock. The key is made if there is something to tell.
    fn tell<Q: ToOwned<Owned = K> + ?Sized>(&self, key: &Q, transitions: [Option<Transition>; 2]) {
        self.hook.tell(transitions, |hook, transition| hook(&key.to_owned(), transition));
    }
}

type KeyedMachine<K, P> = BreakersIn<K, P, Heap, KeyHasher>;
type Keyed<K, P, T> = Shared<KeyedMachine<K, P>, Mutex<KeyedMachine<K, P>>, T>;

/// Builds [`Breakers`]: their capacity and timer.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{Breakers, Reset, Trip};
///
/// let reset = Reset::after(Duration::from_secs(30));
/// let breakers = Breakers::<String>::builder(Trip::consecutive(3), reset).capacity(1_000).build();
/// assert!(breakers.capacity() >= 1_000 && breakers.allow_request("10.0.0.7"));
/// ```
#[derive(Clone, Debug)]
pub struct BreakersBuilder<K, P = Consecutive, T = SystemTimer> {
    trip: P,
    reset: Reset,
    capacity: usize,
    timer: T,
    key: PhantomData<fn() -> K>,
}

impl<K: Eq + Hash, P: TripPolicy> Breakers<K, P> {
    /// The settings of breakers that open by `trip` and come back by `reset`: 65,536 keys.
    pub const fn builder(trip: P, reset: Reset) -> BreakersBuilder<K, P> {
        BreakersBuilder { trip, reset, capacity: 65_536, timer: SystemTimer, key: PhantomData }
    }
}

impl<K: Eq + Hash, P: TripPolicy, T: Clock + Clone> BreakersBuilder<K, P, T> {
    /// For how many keys there is room, at least one and at most 4,294,967,294.
    ///
    /// From 256 on, shards share the keys by their hash, each with a margin, so that any `capacity` keys find room; see
    /// [`RateLimiterBuilder::capacity`](crate::rate_limiter::RateLimiterBuilder::capacity).
    #[must_use]
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Another timer than the system's. A [`Clock`](crate::runtime::Clock) suffices for all but async calls.
    #[must_use]
    pub fn timer<U: Clock + Clone>(self, timer: U) -> BreakersBuilder<K, P, U> {
        let Self { trip, reset, capacity, key, .. } = self;
        BreakersBuilder { trip, reset, capacity, timer, key }
    }

    /// The breakers. Allocates all their memory; nothing else does later, but the keys themselves.
    pub fn build(self) -> Breakers<K, P, T> {
        let shards = Shards::new(self.capacity, Spread::Wide, |room, hasher| {
            let mut machine = BreakersIn::allocate(self.trip.clone(), self.reset, room, hasher);
            machine.reseed_jitter(random_seed());
            Shared::new(Mutex::new(machine), self.timer.clone())
        });
        Breakers(Arc::new(Watched { shards, hook: Hook::default() }))
    }
}

impl<K: Eq + Hash, P: TripPolicy, T: Clock> Breakers<K, P, T> {
    /// True if a call to `key` may be made, for callers that tell its end by [`record_success`](Self::record_success)
    /// or [`record_failure`](Self::record_failure). If they do not, a probe's slot is lost for [`Reset::lease`].
    #[must_use]
    pub fn allow_request<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let (is_allowed, transitions) =
            self.of(key).with(|breakers, now| breakers.telling(|breakers| breakers.allow_request(key, now)));
        self.0.tell(key, transitions);
        is_allowed
    }

    /// A success for the current state of `key`: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_success<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.record_bare(key, Outcome::Success);
    }

    /// A failure for the current state of `key`: it counts while closed, or if a probe is out; else it changes nothing.
    pub fn record_failure<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.record_bare(key, Outcome::Failure);
    }

    fn record_bare<Q>(&self, key: &Q, outcome: Outcome)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        let transitions = self.0.shards.of(hash).record_with(hash, key, Q::to_owned, None, outcome);
        self.0.tell(key, transitions);
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
    pub fn close<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let (has_entry, transitions) =
            self.of(key).with_lock(|breakers| breakers.telling(|breakers| breakers.close(key)));
        self.0.tell(key, transitions);
        has_entry
    }

    /// Opens the breaker of `key` for its open time, as
    /// [`BreakersIn::open`](steadfast_core::circuit_breaker::BreakersIn::open); false if there is no entry for it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast::{Breakers, Reset, Trip};
    ///
    /// let breakers = Breakers::<String>::builder(Trip::consecutive(3), Reset::after(Duration::from_secs(30))).build();
    /// assert!(breakers.open("10.0.0.7")); // its health check failed
    /// assert!(!breakers.allow_request("10.0.0.7"));
    /// ```
    #[doc(alias("trip", "force_open"))]
    pub fn open<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        let shard = self.0.shards.of(hash);
        let (mut is_open, mut transitions) =
            shard.with(|breakers, now| breakers.telling(|breakers| breakers.open_existing(hash, key, now)));
        if !is_open {
            let own = key.to_owned();
            let (opened, brought) =
                shard.with(|breakers, now| breakers.telling(|breakers| breakers.open_new(hash, own, now)));
            (is_open, transitions) = (opened.is_ok(), brought); // whatever key is left over is dropped here
        }
        self.0.tell(key, transitions);
        is_open
    }

    /// Calls `hook` at each change of a key's state, from now on and in place of an earlier hook.
    ///
    /// It runs on the thread whose call brought the change, outside the lock, and may use these breakers; keep it
    /// short. Two changes on two threads may be told in either order; of one key, [`Transition::number`] says which
    /// came first. A panic in it is caught. What a full table forgets is not told.
    ///
    /// Without a hook, and with the feature `tracing`, each change is an event, as
    /// [`CircuitBreaker::on_transition`](crate::CircuitBreaker::on_transition) says. It does not name the key: a hook may.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast::{Breakers, Reset, Trip};
    ///
    /// let breakers = Breakers::<String>::builder(Trip::consecutive(3), Reset::after(Duration::from_secs(30))).build();
    /// breakers.on_transition(|peer, change| eprintln!("{peer}: {:?} after {:?}", change.to, change.from));
    /// ```
    #[doc(alias("on_state_change", "event", "listener"))]
    pub fn on_transition(&self, hook: impl Fn(&K, &Transition) + Send + Sync + 'static) {
        self.0.hook.set(Arc::new(hook));
    }

    /// What counts in the window of `key` now.
    #[must_use]
    pub fn window<Q>(&self, key: &Q) -> WindowStats
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.of(key).with(|breakers, now| breakers.window(key, now))
    }

    /// Whether the breakers decide, or an operator does for all of them.
    #[must_use]
    pub fn mode(&self) -> BreakerMode {
        self.0.shards.of(0).with_lock(|breakers| breakers.mode())
    }

    /// Hands the decision about every key to the breakers or to an operator; the states beneath are untouched.
    pub fn set_mode(&self, mode: BreakerMode) {
        self.0.shards.iter().for_each(|shard| shard.with_lock(|breakers| breakers.set_mode(mode)));
    }

    /// Every breaker decides by other settings from now on, as
    /// [`CircuitBreaker::set_settings`](crate::CircuitBreaker::set_settings) says.
    ///
    /// Each shard is locked for O(its capacity), one after the other: of one key all calls are decided by the former
    /// settings until one moment, and by these after it. What opens or closes by this is told to
    /// [`on_transition`](Self::on_transition) when the shard is unlocked again. Such keys are cloned while it is
    /// locked: their `clone` must not use these breakers.
    pub fn set_settings(&self, trip: P, reset: Reset)
    where
        K: Clone,
    {
        for shard in self.0.shards.iter() {
            let (trip, mut changed) = (trip.clone(), Vec::new());
            let note = |key: &K, transitions| changed.push((key.clone(), transitions));
            shard.with(|breakers, now| breakers.set_settings_telling(trip, reset, now, note));
            for (key, transitions) in changed {
                self.0.tell(&key, transitions);
            }
        }
        self.0.shards.generation.next();
    }

    /// The keys whose breaker is not closed. Each shard is locked for O(its capacity), and keys are cloned meanwhile:
    /// their `clone` must not use these breakers.
    #[must_use]
    pub fn tripped(&self) -> Vec<(K, BreakerState)>
    where
        K: Clone,
    {
        let mut tripped = Vec::new();
        for shard in self.0.shards.iter() {
            shard.with_lock(|breakers| {
                let not_closed = breakers.iter().filter(|(_, state)| *state != BreakerState::Closed);
                tripped.extend(not_closed.map(|(key, state)| (key.clone(), state)));
            });
        }
        tripped
    }

    /// How many keys have a breaker that is closed, half-open and open, in this order. Each shard is locked for O(its
    /// capacity).
    #[must_use]
    pub fn states(&self) -> [u64; 3] {
        self.0.shards.iter().map(|shard| shard.with_lock(|breakers| breakers.states())).fold([0; 3], add)
    }

    /// Forgets every key whose breaker is as good as new, and tells how many; never needed, but it frees the memory of
    /// the keys themselves. It blinds no breaker, however often it is called.
    ///
    /// As good as new is a breaker that has never opened and in which no call counts, and one that nobody has told
    /// anything for ten minutes, the longest open time, the window's span, and two [leases](Reset::lease).
    /// Each shard is locked for O(its capacity). Keys are dropped outside the lock.
    pub fn cleanup(&self) -> usize {
        let mut forgotten = 0_usize;
        for shard in self.0.shards.iter() {
            let mut from = 0;
            while let Some((slot, _key)) = shard.with(|breakers, now| breakers.forget_next(from, now)) {
                from = slot.saturating_add(1);
                forgotten = forgotten.saturating_add(1);
            }
        }
        forgotten
    }

    /// How many keys have an entry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|breakers| breakers.len())).sum()
    }

    /// True if no key has an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys that can have an entry, over all shards.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|breakers| breakers.capacity())).sum()
    }

    /// Results that would have needed an entry when there was none to be had.
    #[must_use]
    pub fn untracked(&self) -> u64 {
        self.0.shards.iter().map(|shard| shard.with_lock(|breakers| breakers.untracked())).sum()
    }

    /// How often other settings were taken since it was built, counted when they are in force: see
    /// [`observe`](crate::observe).
    #[must_use]
    pub fn settings_generation(&self) -> u64 {
        self.0.shards.generation.get()
    }

    /// What all breakers together have counted.
    #[must_use]
    pub fn stats(&self) -> BreakerStats {
        let add = |sum: BreakerStats, shard: &Keyed<K, P, T>| sum.plus(shard.with_lock(|breakers| breakers.stats()));
        self.0.shards.iter().fold(BreakerStats::default(), add)
    }

    /// The time by the clock of these breakers, for [`Open::retry_after`](crate::circuit_breaker::Open::retry_after).
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.shards.of(0).timer().now()
    }

    fn of<Q: Hash + ?Sized>(&self, key: &Q) -> &Keyed<K, P, T> {
        self.0.shards.of(self.0.shards.hasher.hash_one(key))
    }
}

const fn add([a, b, c]: [u64; 3], [d, e, f]: [u64; 3]) -> [u64; 3] {
    [a.wrapping_add(d), b.wrapping_add(e), c.wrapping_add(f)]
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
