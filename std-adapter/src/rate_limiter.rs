//! The rate limiter for servers.

mod line;

use core::{borrow::Borrow, fmt, hash::Hash, marker::PhantomData, num::NonZeroU32, time::Duration};
use std::sync::Arc;

use steadfast_core::{
    Clock, Decision, Instant, NeverFits, OnFull, Quota, RateLimiterIn, RateLimiterStats, Shared, Timer, Verdict,
    WaitError,
};

use self::line::{Line, Waiting};
use crate::{
    Mutex, SystemTimer,
    storage::{KeyHasher, Shards, SparseHeap, Spread, spread},
};

/// A keyed rate limiter: each key may do so much in so much time, in memory that is fixed when it is built.
///
/// Cloning is cheap and shares everything. `A` is the quota: [`Gcra`](crate::Gcra) (a rate and a burst, as a token bucket
/// has; the smallest and fastest) or [`SlidingLog`](crate::SlidingLog) (at most so many in any window). No background task
/// is needed. Keys are hashed with a random seed; a `&str` looks up a `String` without allocating. `Eq` and `Hash` of a key
/// run inside a lock, and must not use the limiter; `Clone` and `Drop` run outside.
///
/// ```
/// use steadfast::{Decision, Gcra, RateLimiter};
///
/// let limiter = RateLimiter::builder(Gcra::per_second(100).burst(20)).max_keys(1_000_000).build();
///
/// match limiter.allow("10.0.0.7") {
///     Decision::Allow => { /* serve */ }
///     Decision::Deny { .. } => { /* 429, with `retry_after(limiter.now())` as its header */ }
/// }
/// ```
///
/// # When it is full
///
/// An entry is in use until its quota is whole again. So make room for as many keys as come in that time: for
/// `Gcra::per_second(100).burst(20)` for those of 200 ms, for 100 a day for those of a whole day. Then every
/// key is served, whatever else comes. Beyond that, a key without an entry is denied, or shares one quota with all others
/// of its shard; [`OnFull`] says which. Known keys keep their entry and their quota, and nobody gets a fresh one.
///
/// A flood of made-up keys cannot grow the limiter, and cannot reset or take the quota of a known key. But it can fill the
/// table: who sends `max_keys` made-up keys within the time that one quota takes to be whole again locks newcomers out, and
/// one made-up key for each entry that becomes idle keeps them out. At 65,536 keys and 10 a second that takes 655,360 keys
/// a second, at 100 a day it takes 76 a second: limit what strangers can name by a coarser key first (a network, an account)
/// if the quota is slow.
///
/// # Clock
///
/// A clock that steps back costs at most one extra burst a step, and keeps a key out for no longer than its quota takes to
/// be whole, whoever asks. What was told as `retry_at` comes true.
///
/// # Requests of different size
///
/// ```
/// use std::num::NonZeroU32;
/// use steadfast::{Gcra, NeverFits, RateLimiter};
///
/// let bytes = RateLimiter::builder(Gcra::per_second(1_000)).build();
/// let cost = |bytes| NonZeroU32::new(bytes).unwrap();
/// if bytes.allow_n("10.0.0.7", cost(800))?.is_allowed() {
///     // ... only 500 were sent:
///     bytes.refund("10.0.0.7", cost(300));
/// }
/// assert!(bytes.remaining("10.0.0.7") >= 500);
/// assert_eq!(bytes.allow_n("10.0.0.7", cost(1_001)), Err(NeverFits { limit: 1_000 }));
/// # Ok::<(), NeverFits>(())
/// ```
pub struct RateLimiter<K, A: Quota, T = SystemTimer>(Arc<Inner<K, A, T>>);

type Machine<K, A> = RateLimiterIn<K, A, SparseHeap, KeyHasher>;
type Shard<K, A, T> = Shared<Machine<K, A>, Mutex<Machine<K, A>>, T>;

struct Inner<K, A: Quota, T> {
    shards: Shards<Shard<K, A, T>>,
    /// A power of two of them, fewer than shards: those who wait are few, and a line takes 4 KiB.
    lines: Box<[Line]>,
}

/// How many keys are worth a line.
const WORTH_A_LINE: usize = 1_024;

/// The settings of a [`RateLimiter`].
#[derive(Clone, Debug)]
pub struct RateLimiterBuilder<K, A, T = SystemTimer> {
    quota: A,
    max_keys: usize,
    on_full: OnFull,
    timer: T,
    key: PhantomData<fn() -> K>,
}

impl<K: Eq + Hash, A: Quota + Clone> RateLimiter<K, A> {
    /// The settings of a limiter with this quota: 65,536 keys, [`OnFull::Share`].
    #[doc(alias = "NewRateLimiter")]
    pub const fn builder(quota: A) -> RateLimiterBuilder<K, A> {
        RateLimiterBuilder { quota, max_keys: 65_536, on_full: OnFull::Share, timer: SystemTimer, key: PhantomData }
    }
}

impl<K: Eq + Hash, A: Quota + Clone, T: Clock + Clone> RateLimiterBuilder<K, A, T> {
    /// The capacity: for how many keys there is room, at least one and at most 4,294,967,294.
    ///
    /// As many as come in the time that one quota takes to be whole again; see [When it is full](RateLimiter#when-it-is-full).
    ///
    /// Up to 255 the limiter holds exactly so many. A larger one consists of shards that share the keys by their hash, up
    /// to 256 of them. Each has a margin of six standard deviations and six keys, so that any `max_keys` keys find room: 122
    /// percent more at 256, 28 at 65,536, 7 at a million, if there are two processors. Keys beyond that may find some.
    ///
    /// Each shard has its own quota for the keys that it has no room for; see [`OnFull::Share`].
    #[must_use]
    pub const fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// What to do with a new key when there is no room.
    #[must_use]
    pub const fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// Another clock or timer than the system's.
    #[must_use]
    pub fn timer<U: Clock + Clone>(self, timer: U) -> RateLimiterBuilder<K, A, U> {
        let Self { quota, max_keys, on_full, key, .. } = self;
        RateLimiterBuilder { quota, max_keys, on_full, timer, key }
    }

    /// The limiter. Allocates all its memory; nothing else does later, but the keys themselves.
    pub fn build(self) -> RateLimiter<K, A, T> {
        let shards = Shards::new(self.max_keys, Spread::Fine, |room, hasher| {
            let machine = RateLimiterIn::allocate(self.quota.clone(), room, hasher).with_on_full(self.on_full);
            Shared::new(Mutex::new(machine), self.timer.clone())
        });
        let lines = (self.max_keys / WORTH_A_LINE).next_power_of_two().min(64);
        RateLimiter(Arc::new(Inner { shards, lines: (0..lines).map(|_| Line::new()).collect() }))
    }
}

impl<K: Eq + Hash, A: Quota, T: Clock> RateLimiter<K, A, T> {
    /// Decides a request of `key`, and counts it if it is allowed. O(1) expected.
    pub fn allow<Q>(&self, key: &Q) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_with(hash, key, Q::to_owned)
    }

    /// [`allow`](Self::allow) at a time that the caller has read from this limiter's clock.
    ///
    /// For many requests that came together: a reading of the clock is a third of a check, and keeps the processor from
    /// beginning with the next one.
    ///
    /// A reading that is older than the latest one that this key's shard has seen is late, however old it is: the clock is
    /// read anew, so no quota is given back, and nobody else's is touched. Only if the clock itself shows an older time has
    /// it stepped back; by up to a second that, too, counts as late, and the latest reading is the time.
    pub fn allow_at<Q>(&self, key: &Q, now: Instant) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_at_with(hash, key, Q::to_owned, now)
    }

    /// Decides a request that counts `cost` times, all or nothing.
    ///
    /// # Errors
    ///
    /// [`NeverFits`] if `cost` is above the limit of the quota; no quota changed.
    pub fn allow_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Decision, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_n_with(hash, key, Q::to_owned, cost)
    }

    /// [`allow_n`](Self::allow_n) with all that a client is told, decided in one step: the limit, what remains, and when it
    /// is whole again. For the headers of an HTTP answer.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use steadfast::{Gcra, NeverFits, RateLimiter};
    ///
    /// let limiter = RateLimiter::builder(Gcra::per_minute(60)).build();
    /// let verdict = limiter.allow_verdict("10.0.0.7", NonZeroU32::MIN)?;
    /// assert!(verdict.is_allowed());
    /// assert_eq!((verdict.limit, verdict.remaining), (60, 59)); // RateLimit-Limit, RateLimit-Remaining
    /// let reset = verdict.reset_at.saturating_duration_since(limiter.now()); // RateLimit-Reset
    /// assert!(reset.as_secs() <= 1);
    /// # Ok::<(), NeverFits>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`NeverFits`] if `cost` is above the limit of the quota; no quota changed.
    pub fn allow_verdict<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Verdict, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_verdict_with(hash, key, Q::to_owned, cost)
    }

    /// Decides a request of `key` as [`allow`](Self::allow) would, and counts nothing.
    pub fn check<Q>(&self, key: &Q) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.check(key, now))
    }

    /// Decides a request as [`allow_n`](Self::allow_n) would, and counts nothing.
    ///
    /// # Errors
    ///
    /// [`NeverFits`] if `cost` is above the limit of the quota.
    pub fn check_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Decision, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).check_n(key, cost)
    }

    /// [`check_n`](Self::check_n) with all that a client is told.
    ///
    /// # Errors
    ///
    /// [`NeverFits`] if `cost` is above the limit of the quota.
    pub fn check_verdict<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Verdict, NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).check_verdict(key, cost)
    }

    /// How much `key` could do at once.
    pub fn remaining<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.remaining(key, now))
    }

    /// When `key` has its whole quota again if it does nothing until then.
    pub fn reset_at<Q>(&self, key: &Q) -> Instant
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shard_of(key).with(|limiter, now| limiter.reset_at(key, now))
    }

    /// Gives back `cost` that was allowed and not used, and wakes who waits for it; false, and nothing given, if `key` has no
    /// entry of its own.
    pub fn refund<Q>(&self, key: &Q, cost: NonZeroU32) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).refund_and_wake(key, cost, spread(&self.0.lines, hash))
    }

    /// Forgets what `key` has used, so that it has its whole quota again, and wakes who waits for it; false if it has no entry of its own.
    pub fn reset<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).reset_and_wake(key, spread(&self.0.lines, hash))
    }

    /// Waits until `key` is allowed, and counts it then: once, however often it asks meanwhile.
    ///
    /// Those who wait for one key are served in the order of their arrival, as far as its line has places: 64, which some
    /// thousand keys share. Beyond them that order is not kept, but whoever waits longest comes before those who come.
    /// [`allow`](Self::allow) never waits its turn, and may go before all of them.
    ///
    /// - A waiter that nobody polls, though its turn has come, keeps each of those behind it waiting for 5 ms; then they go
    ///   before it, until it is polled again.
    /// - A turn counts from when it came, at most 5 ms back: a timer that wakes late costs no throughput. See
    ///   [`Gcra`](crate::Gcra).
    /// - [`set_quota`](Self::set_quota), [`refund`](Self::refund), [`reset`](Self::reset) and [`cleanup`](Self::cleanup) wake
    ///   those who wait.
    /// - A quota of zero is waited for until there is another one.
    ///
    /// It counts as allowed when it is, and never as denied. Without a runtime, wait in [`block_on`](crate::block_on).
    ///
    /// # Cancellation
    ///
    /// A future that is dropped has counted nothing and frees its place at once.
    ///
    /// ```
    /// # use steadfast::{Gcra, RateLimiter};
    /// # let limiter = RateLimiter::<String, _>::builder(Gcra::per_second(100)).build();
    /// # steadfast::block_on(async {
    /// limiter.until_allowed("10.0.0.7").await;
    /// # });
    /// ```
    pub async fn until_allowed<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        T: Timer,
    {
        // One never fails to fit, and without a limit no wait is too long.
        let _ = self.wait(key, NonZeroU32::MIN, None).await;
    }

    /// [`until_allowed`](Self::until_allowed) for a request that counts `cost` times, all or nothing.
    ///
    /// Those behind it wait until it was served, also where the quota would suffice for them.
    ///
    /// # Errors
    ///
    /// [`NeverFits`] if `cost` is above the limit of the quota, at once or when [`set_quota`](Self::set_quota) makes it so;
    /// nothing was taken from the quota, and it counts as denied.
    pub async fn until_allowed_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<(), NeverFits>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        T: Timer,
    {
        match self.wait(key, cost, None).await {
            Err(WaitError::NeverFits { limit }) => Err(NeverFits { limit }),
            _ => Ok(()),
        }
    }

    /// [`until_allowed_n`](Self::until_allowed_n), unless it would take longer than `longest`.
    ///
    /// It fails at once if those who wait already, and what the quota has left, make it longer; and later if others,
    /// by [`allow`](Self::allow), take what it waits for. It never takes longer than `longest`.
    ///
    /// ```
    /// use core::{num::NonZeroU32, time::Duration};
    /// use steadfast::{Gcra, RateLimiter, WaitError};
    ///
    /// # steadfast::block_on(async {
    /// let limiter = RateLimiter::<String, _>::builder(Gcra::per_minute(1)).build();
    /// let (one, longest) = (NonZeroU32::MIN, Duration::from_secs(2));
    /// assert_eq!(limiter.until_allowed_within("bob", one, longest).await, Ok(()));
    /// let Err(WaitError::TooLong { retry_at }) = limiter.until_allowed_within("bob", one, longest).await else { panic!() };
    /// assert!(retry_at.saturating_duration_since(limiter.now()) > Duration::from_secs(50));
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`WaitError::TooLong`] with the instant at which it would have been allowed, or [`WaitError::NeverFits`]. Nothing was
    /// taken from the quota, and it counts as denied.
    pub async fn until_allowed_within<Q>(&self, key: &Q, cost: NonZeroU32, longest: Duration) -> Result<(), WaitError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        T: Timer,
    {
        self.wait(key, cost, Some(longest)).await
    }

    async fn wait<Q>(&self, key: &Q, cost: NonZeroU32, longest: Option<Duration>) -> Result<(), WaitError>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
        T: Timer,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        let (shard, line) = (self.0.shards.of(hash), spread(&self.0.lines, hash));
        if line.is_empty() {
            let decision = shard.allow_n_waiting_with(hash, key, Q::to_owned, cost);
            if decision == Ok(Decision::Allow) {
                return Ok(());
            }
        }
        shard.until_allowed_with(hash, key, Q::to_owned, cost, longest, line).await
    }

    /// Gives every key another quota from now on; what was counted stays counted, in requests, and those who wait do so by
    /// the new one.
    ///
    /// Who has used 7 of 10 has used 7 of what there is now, and all of it if that is less. Each shard is locked for O(its
    /// capacity), one after the other: a decision is made by the former quota or by this one, never by a mixture.
    pub fn set_quota(&self, quota: A)
    where
        A: Clone,
    {
        for shard in self.0.shards.iter() {
            let quota = quota.clone(); // outside the lock
            shard.set_quota(quota);
        }
        self.wake_all();
    }

    fn wake_all(&self) {
        self.0.lines.iter().for_each(Waiting::wake_all);
    }

    /// Each key that has an entry, with how much of its quota is left. Each shard is locked for O(its capacity), and keys
    /// are cloned inside: a key whose `Clone` uses this limiter would wait for itself.
    #[must_use]
    pub fn usage(&self) -> Vec<(K, u32)>
    where
        K: Clone,
    {
        let mut usage = Vec::new();
        for shard in self.0.shards.iter() {
            let add = |limiter: &mut Machine<K, A>, now| {
                usage.extend(limiter.usage(now).map(|(key, left)| (key.clone(), left)));
            };
            shard.with(add);
        }
        usage
    }

    /// Forgets every idle key, and tells how many; never needed, but it frees the memory of the keys themselves.
    ///
    /// Each shard is locked for O(its capacity); the keys are dropped outside.
    pub fn cleanup(&self) -> usize {
        let clean = |shard: &Shard<K, A, T>| {
            let mut keys = Vec::new();
            shard.with(|limiter, now| limiter.cleanup_with(now, |key, _| keys.push(key)))
        };
        let freed = self.0.shards.iter().map(clean).sum();
        // Those who found the table full may find an entry now.
        self.wake_all();
        freed
    }

    /// How many keys have an entry.
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|limiter| limiter.len())).sum()
    }

    /// True if no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most keys that can have an entry, over all shards.
    pub fn capacity(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|limiter| limiter.capacity())).sum()
    }

    /// What was decided so far, over all shards.
    pub fn stats(&self) -> RateLimiterStats {
        let each = self.0.shards.iter().map(|shard| shard.with_lock(|limiter| limiter.stats()));
        each.fold(RateLimiterStats::default(), RateLimiterStats::plus)
    }

    /// The time by this limiter's clock, for [`Decision::retry_after`].
    pub fn now(&self) -> Instant {
        self.0.shards.of(0).timer().now()
    }

    fn shard_of<Q: Hash + ?Sized>(&self, key: &Q) -> &Shard<K, A, T> {
        self.0.shards.of(self.0.shards.hasher.hash_one(key))
    }
}

impl<K, A: Quota, T> Clone for RateLimiter<K, A, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, A: Quota, T> fmt::Debug for RateLimiter<K, A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::thread;

    use super::*;
    use crate::{Gcra, SlidingLog, block_on};

    #[test]
    fn it_is_shared_between_threads_and_counts_exactly() {
        let limiter = RateLimiter::<u64, _>::builder(SlidingLog::<100>::per_hour()).max_keys(100_000).build();
        let allowed: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..4_000_u64).filter(|i| limiter.allow(&(i % 10)).is_allowed()).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(allowed, 10 * 100);
        let stats = limiter.stats();
        assert_eq!((stats.allowed, stats.allowed + stats.denied), (1_000, 16_000));
        assert_eq!(limiter.len(), 10);
    }

    #[test]
    fn threads_in_each_others_way_get_no_more_than_the_rate() {
        let limiter = RateLimiter::<u64, _>::builder(Gcra::per_second(1_000).burst(10)).build();
        let start = limiter.now();
        let allowed: u32 = thread::scope(|scope| {
            let ask = || (0..50_000).map(|_| u32::from(limiter.allow(&1).is_allowed())).sum::<u32>();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        let most = 10 + limiter.now().saturating_duration_since(start).as_millis() + 1;
        assert!(u128::from(allowed) <= most, "{allowed} of at most {most}");
    }

    #[test]
    fn a_large_limiter_holds_its_keys_and_no_flood_grows_it() {
        for max_keys in [256, 1_000, 10_000] {
            let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(1)).max_keys(max_keys).build();
            assert!((0..max_keys as u64).all(|key| limiter.allow(&key).is_allowed()));
            assert_eq!((limiter.len(), limiter.stats().overflowed), (max_keys, 0));
            (0..200_000).for_each(|key| _ = limiter.allow(&key));
            assert_eq!(limiter.len(), limiter.capacity());
            assert_eq!(limiter.stats().overflowed, 200_000 - limiter.len() as u64);
        }
    }

    #[test]
    fn a_small_limiter_holds_exactly_its_capacity() {
        let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(1)).max_keys(255).on_full(OnFull::Deny).build();
        assert!((0..255).all(|key| limiter.allow(&key).is_allowed()));
        assert!(!limiter.allow(&255).is_allowed());
        assert_eq!((limiter.len(), limiter.capacity()), (255, 255));
    }

    /// A key that asks its own limiter whenever it is cloned or dropped.
    struct Touchy(u8, Arc<std::sync::OnceLock<RateLimiter<Self, Gcra>>>);

    impl Eq for Touchy {}

    impl PartialEq for Touchy {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }

    impl Hash for Touchy {
        fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }

    impl Clone for Touchy {
        fn clone(&self) -> Self {
            let _ = self.1.get().map(RateLimiter::len);
            Self(self.0, self.1.clone())
        }
    }

    impl Drop for Touchy {
        fn drop(&mut self) {
            let _ = self.1.get().map(RateLimiter::stats);
        }
    }

    #[test]
    fn found_a10_keys_are_cloned_and_dropped_outside_the_lock() {
        let (done, is_done) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let cell = Arc::default();
            let key = |number| Touchy(number, Arc::clone(&cell));
            // One whose quota is whole again at once, and one that never lets anybody in.
            let limiter = RateLimiter::builder(Gcra::every(Duration::from_nanos(1))).max_keys(1).build();
            let _ = cell.set(limiter.clone());
            for number in 0..100 {
                while !limiter.allow(&key(number)).is_allowed() {}
            }
            let _ = limiter.allow_verdict(&key(101), NonZeroU32::MIN);
            let _ = limiter.allow_at(&key(102), limiter.now());
            limiter.reset(&key(102));
            limiter.set_quota(Gcra::every(Duration::MAX));
            (0..100).for_each(|number| assert!(!limiter.allow(&key(number)).is_allowed()));
            limiter.set_quota(Gcra::every(Duration::ZERO));
            assert!(limiter.allow(&key(7)).is_allowed());
            assert_eq!(limiter.cleanup(), 1);
            done.send(()).unwrap();
        });
        assert!(is_done.recv_timeout(Duration::from_secs(60)).is_ok(), "a key waits for its own limiter");
    }

    #[test]
    fn found_a3_what_was_counted_stays_counted_in_every_shard() {
        let limiter = RateLimiter::<u64, _>::builder(Gcra::per_hour(100)).max_keys(10_000).build();
        (0..1_000).for_each(|key| (0..=key % 100).for_each(|_| assert!(limiter.allow(&key).is_allowed())));
        limiter.set_quota(Gcra::per(100, Duration::from_secs(86_400)));
        (0..1_000).for_each(|key| assert_eq!(u64::from(limiter.remaining(&key)), 99 - key % 100));
    }

    /// A log of 160 kB a key, on the stack of a thread as the standard library makes it.
    #[test]
    fn found_a13_a_long_log_fits_the_stack_of_a_thread() {
        let small = thread::Builder::new().stack_size(2 << 20).spawn(|| {
            let limiter = RateLimiter::<u64, _>::builder(SlidingLog::<20_000>::per_hour()).max_keys(3).build();
            (0..4).for_each(|key| assert!(limiter.allow(&key).is_allowed()));
            limiter.set_quota(SlidingLog::per_minute());
            assert!(limiter.refund(&1, NonZeroU32::MIN) && limiter.reset(&2) && limiter.check(&4).is_allowed());
        });
        small.unwrap().join().unwrap();
    }

    #[test]
    fn text_keys_are_looked_up_borrowed() {
        let limiter = RateLimiter::<String, _>::builder(Gcra::per_hour(2)).build();
        assert!(limiter.allow("bob").is_allowed());
        assert_eq!(limiter.remaining("bob"), 1);
        assert!(limiter.refund("bob", NonZeroU32::MIN));
        assert!(limiter.clone().allow("bob").is_allowed());
        assert!(limiter.check("bob").is_allowed());
        assert!(limiter.allow("bob").is_allowed());
        assert!(!limiter.allow("bob").is_allowed());
        assert_eq!(limiter.usage(), [("bob".to_owned(), 0)]);
        limiter.set_quota(Gcra::every(Duration::ZERO));
        assert!(limiter.allow("bob").is_allowed());
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn waiting_takes_exactly_as_long_as_the_quota_says() {
        let limiter = RateLimiter::<String, _>::builder(Gcra::every(Duration::from_secs(60))).build();
        let start = limiter.now();
        for _ in 0..3 {
            limiter.until_allowed("bob").await;
        }
        let took = limiter.now().saturating_duration_since(start);
        assert!(took >= Duration::from_secs(120) && took < Duration::from_secs(121), "{took:?}");
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn a_waiting_future_can_be_spawned_and_dropped() {
        let limiter = RateLimiter::<String, _>::builder(Gcra::every(Duration::from_secs(60))).build();
        limiter.until_allowed("bob").await;
        let waiting = limiter.clone();
        let dropped = tokio::spawn(async move { waiting.until_allowed("bob").await });
        tokio::task::yield_now().await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        let start = limiter.now();
        limiter.until_allowed("bob").await;
        assert!(limiter.now().saturating_duration_since(start) < Duration::from_secs(61));
        assert_eq!(limiter.stats().allowed, 2);
    }

    #[test]
    fn without_a_runtime_a_thread_waits() {
        let limiter = RateLimiter::<u8, _>::builder(Gcra::every(Duration::from_millis(2))).build();
        let start = limiter.now();
        block_on(async {
            limiter.until_allowed(&1).await;
            limiter.until_allowed(&1).await;
        });
        assert!(limiter.now().saturating_duration_since(start) >= Duration::from_millis(2));
    }
}
