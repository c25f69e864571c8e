//! The rate limiter with single flight, for servers.

use core::{fmt, hash::Hash, marker::PhantomData, time::Duration};
use std::sync::Arc;

use steadfast_core::{
    Clock, Instant, Shared,
    rate_limiter::{
        AllowOrCached, CachedRateLimiterIn, CachedRateLimiterStats, EndFlight, FlightEnd, FlightGuard, FlightLost,
        FlightPermit, Names, Quota,
    },
};

use super::{Keys, builder::slots_for};
use crate::{
    runtime::{Mutex, SystemTimer},
    storage::{Heap, KeyHasher, Shards, Spread},
};

/// A keyed rate limiter with single flight and a cached value: one caller at a time fetches the value of a key, at most so
/// often, and the others get the last one. It prevents a thundering herd (cache stampede).
///
/// For calls whose answer stays good for a while: is this peer alive? Clones share everything, and a `&str` looks up a
/// `String` without allocating. Nobody waits: without a value the answer is [`AllowOrCached::InFlight`] or
/// [`AllowOrCached::Denied`], which cannot be mistaken for one.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{CachedRateLimiter, Gcra, rate_limiter::AllowOrCached};
///
/// # async fn ping(_: &str) -> bool { true }
/// // One ping a minute for each peer; a ping takes less than five seconds.
/// let quota = Gcra::every(Duration::from_secs(60));
/// let pings = CachedRateLimiter::<String, bool, _>::builder(quota, Duration::from_secs(5)).build();
///
/// # steadfast::block_on(async {
/// let is_alive = match pings.allow_or_cached("bob") {
///     AllowOrCached::Allowed(attempt) => {
///         let is_alive = ping("bob").await;
///         attempt.complete(is_alive).map_or_else(|late| late.0, |()| is_alive)
///     }
///     AllowOrCached::Cached { value, .. } => value,
///     AllowOrCached::InFlight | AllowOrCached::Denied { .. } => { /* not known */ true }
/// };
/// # assert!(is_alive);
/// # });
/// ```
///
/// # When it is full
///
/// An entry is in use until its quota is whole again and its attempt is over; then the next new key takes it, and its value
/// is dropped. No entry in use goes for another key, since its value would be lost. Keys that find none are limited by a
/// ledger, as those of a [`RateLimiter`](crate::RateLimiter), make their attempts one at a time, all of a shard together,
/// and their values are not kept.
///
/// # Cancellation
///
/// A permit that is dropped ends the attempt without a value, and another caller may make the next one.
///
/// # Cost
///
/// A call is O(1) expected and takes the lock of one shard. A value that is kept is allocated.
#[doc(alias("get_with", "request coalescing", "try_get_with"))]
pub struct CachedRateLimiter<K, V, A: Quota, T = SystemTimer>(Arc<Shards<Shard<K, V, A, T>>>);

/// An attempt of a [`CachedRateLimiter`], which ends when it is dropped at the latest.
pub type CachedGuard<K, V, A, T = SystemTimer> = FlightGuard<V, FlightReporter<K, V, A, T>>;

/// Brings the end of an attempt back to its [`CachedRateLimiter`]; it is part of a [`CachedGuard`].
pub struct FlightReporter<K, V, A: Quota, T = SystemTimer> {
    shards: Arc<Shards<Shard<K, V, A, T>>>,
    hash: u64,
    permit: FlightPermit,
}

impl<K, V: Clone, A: Quota, T: Clock> EndFlight<V> for FlightReporter<K, V, A, T> {
    fn end_flight(self, end: FlightEnd<V>) -> Result<(), FlightLost<V>> {
        let end = match end {
            FlightEnd::Complete(value) => FlightEnd::Complete(Arc::new(value)),
            FlightEnd::Refund => FlightEnd::Refund,
            FlightEnd::Release => FlightEnd::Release,
        };
        let replaced = self.shards.of(self.hash).with(|limiter, now| limiter.end(self.permit, end, now));
        replaced.map(drop).map_err(|FlightLost(value)| FlightLost(Arc::unwrap_or_clone(value)))
    }
}

impl<K, V, A: Quota, T> fmt::Debug for FlightReporter<K, V, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightReporter").finish_non_exhaustive()
    }
}

/// Values are kept behind an `Arc`, so that no code of theirs runs inside a lock.
type Machine<K, V, A> = CachedRateLimiterIn<K, Arc<V>, A, Heap, KeyHasher, Keys>;
type Shard<K, V, A, T> = Shared<Machine<K, V, A>, Mutex<Machine<K, V, A>>, T>;

/// Builds a [`CachedRateLimiter`]: its capacity, its clock.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{CachedRateLimiter, Gcra};
///
/// let pings = CachedRateLimiter::<String, u64, _>::builder(Gcra::per_minute(1), Duration::from_secs(5));
/// let pings = pings.capacity(10_000).build();
/// assert!(pings.is_empty() && pings.capacity() >= 10_000);
/// ```
#[derive(Clone, Debug)]
pub struct CachedRateLimiterBuilder<K, V, A, T = SystemTimer> {
    quota: A,
    lease: Duration,
    capacity: usize,
    clock: T,
    entry: PhantomData<fn() -> (K, V)>,
}

impl<K, V, A: Quota + Clone> CachedRateLimiter<K, V, A> {
    /// The settings of a limiter with this quota, whose attempts take at most `lease`: 65,536 keys.
    ///
    /// An attempt that was not ended after `lease` no longer keeps others from trying.
    pub const fn builder(quota: A, lease: Duration) -> CachedRateLimiterBuilder<K, V, A> {
        CachedRateLimiterBuilder { quota, lease, capacity: 65_536, clock: SystemTimer, entry: PhantomData }
    }
}

impl<K, V, A: Quota + Clone, T: Clock + Clone> CachedRateLimiterBuilder<K, V, A, T> {
    /// For how many keys there is room, at least one and at most 2,147,483,647.
    ///
    /// Up to 68 the limiter holds exactly so many. A larger one has twice as many slots, and a margin, so that any `capacity`
    /// keys find room; see [`RateLimiterBuilder::capacity`](crate::rate_limiter::RateLimiterBuilder::capacity).
    #[must_use]
    pub const fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock<U: Clock + Clone>(self, clock: U) -> CachedRateLimiterBuilder<K, V, A, U> {
        let Self { quota, lease, capacity, entry, .. } = self;
        CachedRateLimiterBuilder { quota, lease, capacity, clock, entry }
    }

    /// The limiter. Allocates all its memory; nothing else does later, but the keys and values themselves.
    pub fn build(self) -> CachedRateLimiter<K, V, A, T> {
        CachedRateLimiter(Arc::new(Shards::new(self.capacity, Spread::Wide, |room, hasher| {
            let (slots, cells) = (slots_for(room), room.saturating_mul(4));
            let machine = Machine::allocate(self.quota.clone(), self.lease, slots, cells, hasher);
            Shared::new(Mutex::new(machine), self.clock.clone())
        })))
    }
}

impl<K, V: Clone, A: Quota, T: Clock> CachedRateLimiter<K, V, A, T> {
    /// Allows an attempt for `key`, or tells what there is instead. O(1) expected.
    ///
    /// While an attempt is in flight no other is allowed, whatever the quota has left. The guard ends the attempt, at
    /// the latest when it is dropped; it may be moved into a task. Values and keys are cloned and dropped outside the
    /// lock; only [`Eq`] of keys runs inside, and must not use this limiter.
    #[doc(alias = "AllowOrCached")]
    pub fn allow_or_cached<Q>(&self, key: &Q) -> AllowOrCached<CachedGuard<K, V, A, T>, V>
    where
        Keys: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.hasher.hash_one(key);
        let shard = self.0.of(hash);
        // The key of a new entry is made outside the lock; whatever goes for it is dropped there.
        let mut name = None;
        let mut gone = None;
        let answer = loop {
            let answer = shard.with(|limiter, now| {
                let answer = limiter.allow_or_cached_with(hash, key, &mut name, now, |value| gone = Some(value));
                answer.map(|answer| answer.map(|permit| permit, Arc::clone))
            });
            match answer {
                Some(answer) => break answer,
                None => name = Some(Keys::name(key)),
            }
        };
        drop((name, gone));
        let guard = |permit| FlightGuard::new(FlightReporter { shards: Arc::clone(&self.0), hash, permit });
        answer.map(guard, |value| V::clone(&value))
    }

    /// Gives every key another quota, and attempts another lease, from now on.
    ///
    /// Values stay, and what was counted stays counted. An attempt in flight ends when it would have, or after the new lease
    /// from now, whichever is sooner. Each shard is locked for O(its capacity), one after the other.
    pub fn set_settings(&self, quota: A, lease: Duration)
    where
        A: Clone,
    {
        for shard in self.0.iter() {
            let quota = quota.clone(); // outside the lock
            shard.set_settings(quota, lease);
        }
        self.0.generation.next();
    }

    /// Forgets every idle key and its value, and tells how many; never needed, but it frees the memory of the keys and
    /// values themselves. Each shard is locked for O(its capacity).
    pub fn cleanup(&self) -> usize {
        let cleanup = |shard: &Shard<K, V, A, T>| {
            let mut gone = Vec::new();
            shard.with(|limiter, now| limiter.cleanup_with(now, |key, value| gone.push((key, value))))
        };
        self.0.iter().map(cleanup).sum()
    }

    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.0.iter().map(|shard| shard.with_lock(|limiter| limiter.len())).sum()
    }

    /// True if no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys that can have an entry, over all shards.
    pub fn capacity(&self) -> usize {
        self.0.iter().map(|shard| shard.with_lock(|limiter| limiter.capacity())).sum()
    }

    /// How often other settings were taken since it was built, counted when they are in force: see
    /// [`observe`](crate::observe).
    #[must_use]
    pub fn settings_generation(&self) -> u64 {
        self.0.generation.get()
    }

    /// What was answered so far, over all shards.
    pub fn stats(&self) -> CachedRateLimiterStats {
        let each = self.0.iter().map(|shard| shard.with_lock(|limiter| limiter.stats()));
        each.fold(CachedRateLimiterStats::default(), CachedRateLimiterStats::plus)
    }

    /// The time by this limiter's clock, for [`AllowOrCached::retry_after`].
    pub fn now(&self) -> Instant {
        self.0.of(0).timer().now()
    }
}

impl<K, V, A: Quota, T> Clone for CachedRateLimiter<K, V, A, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V, A: Quota, T> fmt::Debug for CachedRateLimiter<K, V, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedRateLimiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;
    #[cfg(feature = "tokio")]
    use crate::rate_limiter::Gcra;
    use crate::rate_limiter::SlidingLog;

    const LEASE: Duration = Duration::from_secs(5);

    #[test]
    fn of_many_threads_one_tries_and_nobody_reads_a_default() {
        let pings = CachedRateLimiter::<String, u32, _>::builder(SlidingLog::<1>::per_hour(), LEASE).build();
        let tried = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        match pings.allow_or_cached("bob") {
                            AllowOrCached::Allowed(attempt) => {
                                tried.fetch_add(1, Ordering::Relaxed);
                                attempt.complete(7).unwrap();
                            }
                            AllowOrCached::Cached { value, .. } => assert_eq!(value, 7),
                            AllowOrCached::InFlight => {}
                            AllowOrCached::Denied { .. } => panic!("denied though there is a value"),
                        }
                    }
                });
            }
        });
        assert_eq!(tried.into_inner(), 1);
        let stats = pings.stats();
        assert_eq!(stats.allowed + stats.cached + stats.in_flight + stats.denied, 1_600);
        assert_eq!((stats.allowed, stats.completed, pings.len()), (1, 1, 1));
    }

    #[test]
    fn an_attempt_may_be_refunded_and_ends_when_it_is_dropped() {
        let pings = CachedRateLimiter::<u64, bool, _>::builder(SlidingLog::<1>::per_hour(), LEASE);
        let pings = pings.capacity(10_000).build();
        let AllowOrCached::Allowed(attempt) = pings.allow_or_cached(&1) else { panic!() };
        attempt.refund();
        let AllowOrCached::Allowed(attempt) = pings.clone().allow_or_cached(&1) else { panic!() };
        thread::spawn(move || drop(attempt)).join().unwrap();
        let answer = pings.allow_or_cached(&1);
        assert!(answer.retry_after(pings.now()).is_some_and(|wait| wait <= Duration::from_secs(3_600)));
        let stats = pings.stats();
        assert_eq!((stats.refunded, stats.released, stats.denied), (1, 1, 1));
    }

    type Nosy = CachedRateLimiter<Key, Value, SlidingLog<2>, Time>;

    /// A clock by hand, shared by its clones.
    #[derive(Clone, Default)]
    struct Time(Arc<AtomicUsize>);

    impl Clock for Time {
        fn now(&self) -> Instant {
            Instant::from_secs(self.0.load(Ordering::Relaxed) as u64)
        }
    }

    /// Looks at the limiter whenever it is cloned or dropped.
    #[derive(Clone)]
    struct Look(std::sync::Weak<Shards<Shard<Key, Value, SlidingLog<2>, Time>>>);

    impl Look {
        fn look(&self) {
            if let Some(shards) = self.0.upgrade() {
                let limiter: Nosy = CachedRateLimiter(shards);
                assert!(limiter.len() <= 1 && limiter.stats().completed < 100);
            }
        }
    }

    struct Value(Look);

    impl Clone for Value {
        fn clone(&self) -> Self {
            self.0.look();
            Self(self.0.clone())
        }
    }

    impl Drop for Value {
        fn drop(&mut self) {
            self.0.look();
        }
    }

    struct Key(u8, Look);

    impl Clone for Key {
        fn clone(&self) -> Self {
            self.1.look();
            Self(self.0, self.1.clone())
        }
    }

    impl Drop for Key {
        fn drop(&mut self) {
            self.1.look();
        }
    }

    impl PartialEq for Key {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }

    impl Eq for Key {}

    impl Hash for Key {
        fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    #[test]
    fn found_a10_keys_and_values_may_use_the_limiter_when_they_are_cloned_or_dropped() {
        let (done, wait) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let time = Time::default();
            let pings = CachedRateLimiter::builder(SlidingLog::per_minute(), LEASE);
            let pings: Nosy = pings.capacity(1).clock(time.clone()).build();
            let look = || Look(Arc::downgrade(&pings.0));
            let ask = |key| pings.allow_or_cached(&Key(key, look()));
            for _ in 0..2 {
                let AllowOrCached::Allowed(attempt) = ask(1) else { panic!() };
                attempt.complete(Value(look())).unwrap_or_else(|_| panic!()); // the second replaces the first
            }
            assert!(matches!(ask(1), AllowOrCached::Cached { .. }));
            // There is no room: the value is not kept.
            let AllowOrCached::Allowed(attempt) = ask(2) else { panic!() };
            attempt.complete(Value(look())).unwrap_or_else(|_| panic!());
            // An idle entry goes for another key.
            time.0.fetch_add(60, Ordering::Relaxed);
            let AllowOrCached::Allowed(late) = ask(2) else { panic!() };
            // A value that comes too late is given back.
            time.0.fetch_add(6, Ordering::Relaxed);
            let AllowOrCached::Allowed(attempt) = ask(2) else { panic!() };
            drop(late.complete(Value(look())));
            attempt.complete(Value(look())).unwrap_or_else(|_| panic!());
            time.0.fetch_add(60, Ordering::Relaxed);
            assert_eq!(pings.cleanup(), 1);
            done.send(()).unwrap();
        });
        wait.recv_timeout(Duration::from_secs(60)).expect("something of the user's runs inside a lock");
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn a_cancelled_ping_lets_another_try_and_the_value_ages() {
        let quota = Gcra::per_minute(2);
        let pings = CachedRateLimiter::<String, bool, _>::builder(quota, LEASE).build();
        let pinger = pings.clone();
        let task = tokio::spawn(async move {
            let AllowOrCached::Allowed(attempt) = pinger.allow_or_cached("bob") else { panic!() };
            core::future::pending::<()>().await;
            drop(attempt);
        });
        tokio::task::yield_now().await;
        assert!(matches!(pings.allow_or_cached("bob"), AllowOrCached::InFlight));
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        let AllowOrCached::Allowed(attempt) = pings.allow_or_cached("bob") else { panic!() };
        attempt.complete(true).unwrap();
        tokio::time::advance(Duration::from_secs(10)).await;
        let AllowOrCached::Cached { value, age } = pings.allow_or_cached("bob") else { panic!() };
        assert!(value && age >= Duration::from_secs(10) && age < Duration::from_secs(11));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pings.cleanup(), 1);
        assert!(pings.is_empty());
    }
}
