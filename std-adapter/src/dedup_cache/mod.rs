//! Deduplication with a TTL in fixed memory: of messages (at least once delivery, gossip), and of work by idempotency key.
//!
//! [`DedupCache`] tells whether an id was seen within its TTL. For work that may fail, or must not run twice,
//! [`claim`](DedupCache::claim) an id, do the work, then commit or abort.
//!
//! **Outcomes**: [`Seen`] of a check, [`Claim`] of a claim, both with `Full`. **Errors**: [`ClaimLost`] of a commit
//! that came too late. **Counts**: [`DedupStats`].
//!
//! Next: [`batch_collector`](crate::batch_collector), to write what is fresh.

mod builder;
mod guard;
mod kept;
mod until_claimed;

use core::{borrow::Borrow, fmt, hash::Hash, mem::needs_drop, time::Duration};
use std::sync::Arc;

pub use builder::DedupCacheBuilder;
pub use guard::ClaimGuard;
pub use kept::Kept;
use steadfast_core::{Clock, Instant, Shared, Timer, dedup_cache::DedupCacheIn};
pub use until_claimed::{UntilClaimed, UntilClaimedOwned};

use crate::{
    runtime::{Mutex, SystemTimer, Waiters},
    storage::{Heap, KeyHasher, Shards},
};

#[doc(inline)]
pub use steadfast_core::dedup_cache::{Claim, ClaimLost, DedupStats, OnFull, Seen};

/// A deduplication cache with a TTL and fixed memory. It never forgets an id early without saying so: see
/// [When it is full](#when-it-is-full).
///
/// [`check`](Self::check) asks and marks in one step, so of many threads exactly one is told [`Seen::Fresh`]. A
/// duplicate does not prolong the TTL of an id. Clones share everything. No background task is needed. Ids are hashed
/// with a random seed; a `&str` looks up a `String` without allocating.
///
/// ```
/// use core::time::Duration;
/// use steadfast::{DedupCache, dedup_cache::{Seen, OnFull}};
///
/// let heard = DedupCache::<String>::builder(Duration::from_secs(600), OnFull::ForgetOldest).capacity(1_000_000).build();
///
/// match heard.check("A4dCc1zmYeMWBSo5") {
///     Seen::Fresh => { /* handle it */ }
///     Seen::Duplicate { .. } | Seen::Full => { /* drop it */ }
/// }
/// ```
///
/// # Work that may fail
///
/// [`claim`](Self::claim) an id, do the work, then commit. If the claim is dropped instead, by an early return, a panic or
/// a cancelled future, it is aborted, and the id may come again.
///
/// ```
/// # use core::time::Duration;
/// use steadfast::{DedupCache, dedup_cache::{Claim, OnFull}};
///
/// # async fn index(_: u64) -> Result<(), std::io::Error> { Ok(()) }
/// # steadfast::block_on(async {
/// let documents = DedupCache::<u64>::builder(Duration::from_secs(600), OnFull::Refuse).build();
/// match documents.claim(&7) {
///     Claim::Fresh(claim) => {
///         index(7).await?;
///         claim.commit()?;
///     }
///     Claim::Duplicate { .. } => { /* done already: acknowledge it again */ }
///     Claim::InFlight | Claim::Full => { /* ask to try again later */ }
/// }
/// # assert!(documents.seen(&7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Work that must not run twice
///
/// The id is an idempotency key. Dropping a future aborts the claim in it, and another caller may run the work again. A
/// server drops a handler's future when its client hangs up: a payment that was made, but not yet committed, would be
/// made again. So move the claim into a spawned task, which outlives its client, and commit there, also when it is not
/// known how the work ended. Abort only what surely did not happen. The runtime drops such a task too: before `main`
/// returns, and after the server has stopped, wait for those that are under way. Here each holds a sender until it ends.
///
/// ```
/// # #[cfg(feature = "tokio")] {
/// use steadfast::{DedupCache, dedup_cache::{Claim, ClaimGuard, ClaimLost}};
/// use tokio::sync::mpsc;
///
/// # enum PayError { NotSent, Unknown }
/// # async fn pay(_: u64) -> Result<(), PayError> { Ok(tokio::task::yield_now().await) }
/// /// Runs to its end, whatever becomes of the client.
/// async fn pay_once(order: u64, claim: ClaimGuard<u64>, _running: mpsc::Sender<()>) -> Result<(), ClaimLost> {
///     match pay(order).await {
///         Err(PayError::NotSent) => Ok(drop(claim)), // it may come again
///         Ok(()) | Err(PayError::Unknown) => claim.commit(),
///     }
/// }
///
/// async fn handle(orders: &DedupCache<u64>, order: u64, running: &mpsc::Sender<()>) {
///     if let Claim::Fresh(claim) = orders.claim(&order) {
///         let _paid = tokio::spawn(pay_once(order, claim, running.clone())).await;
///     }
/// }
///
/// /// When the server has stopped.
/// async fn end(running: mpsc::Sender<()>, mut ended: mpsc::Receiver<()>) {
///     drop(running);
///     let _none = ended.recv().await; // once the last task has ended
/// }
/// #
/// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// # let orders = DedupCache::builder(core::time::Duration::from_secs(60), steadfast::dedup_cache::OnFull::Refuse).build();
/// # runtime.block_on(async {
/// #     let (running, ended) = mpsc::channel(1);
/// #     tokio::select! {
/// #         biased;
/// #         () = handle(&orders, 7, &running) => panic!("the client did not wait"),
/// #         () = core::future::ready(()) => {}
/// #     }
/// #     end(running, ended).await;
/// # });
/// # drop(runtime);
/// # assert_eq!((orders.stats().committed, orders.stats().aborted), (1, 0));
/// # }
/// ```
///
/// # An answer that is given again
///
/// To a request that comes twice, give the answer of the first: [`commit_with`](ClaimGuard::commit_with) keeps it with the
/// id, and [`Claim::Duplicate`] shows it. Whoever comes while the first is in flight is told so, and sees no answer;
/// [`until_claimed`](Self::until_claimed) waits for it. An answer lives as long as its id: for one TTL, unless it is forgotten
/// before. After that its memory is given back when the place is needed, or by a [`cleanup`](Self::cleanup). A client who
/// can choose another's id is shown its answer: of keys that clients choose, make ids with the client in them.
///
/// ```
/// # use core::time::Duration;
/// use std::sync::Arc;
/// use steadfast::{DedupCache, dedup_cache::{Claim, OnFull}};
///
/// struct Answer {
///     status: u16,
///     body: String,
/// }
/// # async fn charge(_: u32) -> Answer { Answer { status: 201, body: "paid".into() } }
///
/// type Id = (u32, String); // the client, who was authenticated, and the key that it chose
///
/// /// The answer to the request with this key, which is worked on once. `None`: ask to try again later.
/// async fn pay(answers: &DedupCache<Id, Option<Arc<Answer>>>, client: u32, key: &str) -> Option<Arc<Answer>> {
///     match answers.until_claimed(&(client, key.to_owned())).await {
///         Claim::Fresh(claim) => {
///             let answer = Some(Arc::new(charge(client).await));
///             claim.commit_with(answer.clone()).ok()?;
///             answer
///         }
///         Claim::Duplicate { value, .. } => value,
///         Claim::InFlight | Claim::Full => None,
///     }
/// }
///
/// # steadfast::block_on(async {
/// let answers = DedupCache::<Id>::builder(Duration::from_secs(86_400), OnFull::Refuse).keeping().build();
/// let first = pay(&answers, 1, "order 7").await.unwrap();
/// let again = pay(&answers, 1, "order 7").await.unwrap();
/// assert!(Arc::ptr_eq(&first, &again), "it was charged once");
/// # assert!(!Arc::ptr_eq(&first, &pay(&answers, 2, "order 7").await.unwrap()), "another client's");
/// # assert_eq!((first.status, first.body.as_str()), (201, "paid"));
/// # });
/// ```
///
/// # Not a replay window
///
/// An id is known for one TTL, and not across a restart. A message that is sent again after that is `Fresh`. Where that
/// does harm, put a timestamp or a counter under the message's authentication, and refuse what is older than a TTL, or
/// than the start of this process.
///
/// # Your code
///
/// Inside a lock only `Eq` runs, of keys with the same hash. Keys are hashed, made and dropped outside, and answers are dropped
/// there: in the call that forgets them. A panic of a `Drop` ends that call, and what it did stays done.
///
/// # When it is full
///
/// When all entries are alive, [`OnFull`] decides: refuse the new id (fail closed), or evict the oldest (fail open).
/// [`horizon`](Self::horizon) tells how far back the cache remembers.
///
/// # Clock
///
/// A time that is earlier than another before it, as [`check_at`](Self::check_at) may bring it, is taken for a late
/// reading: time stands still for the ids of that shard, and none is forgotten. Once all readings have been behind for
/// a TTL or a lease (the shorter of the two), the clock has stepped back: what lay ahead of it ends one TTL, or one
/// lease, after the first such reading. No id is kept for longer than one TTL more than its own.
///
/// # Cost
///
/// A call is O(1) expected and takes the lock of one shard. That is so because all ids of a cache have one TTL, and so expire
/// in the order in which they came: for ids with another TTL, take another cache.
#[doc(alias("Cache", "TTL cache", "at least once", "time_to_live"))]
pub struct DedupCache<K, V = (), T = SystemTimer>(Arc<Cache<K, V, T>>);

/// The shards, and those who wait for a claim of another to end, by its hash.
struct Cache<K, V, T> {
    shards: Shards<Shard<K, V, T>>,
    waiters: Waiters,
}

type Machine<K, V> = DedupCacheIn<K, Heap, KeyHasher, V>;
type Shard<K, V, T> = Shared<Machine<K, V>, Mutex<Machine<K, V>>, T>;

/// How many ids a cleanup removes before it leaves the lock for a moment.
const CLEANUP_STEP: usize = 256;

impl<K: Eq + Hash, V: Kept, T: Clock> DedupCache<K, V, T> {
    /// Other settings from now on, for every id that is held: it is known until `ttl` after it was marked, a claim is given
    /// up `lease` after it began. The shards change one after the other.
    ///
    /// So a shorter TTL ends the life of older ids now, and a longer one prolongs it, of those also whose life has ended and
    /// whose entry was not needed yet. [`horizon`](Self::horizon) says from when on all are known. A claim whose lease ends by
    /// this is lost: its commit says so, and who waits for its end is told now.
    pub fn set_settings(&self, ttl: Duration, lease: Duration, on_full: OnFull) {
        for shard in self.0.shards.iter() {
            shard.with(|cache, now| cache.set_settings(ttl, lease, on_full, now));
        }
        self.0.shards.generation.next();
        self.0.waiters.wake_all();
    }

    /// Tells whether `key` was seen, and marks it if it was not. O(1) expected.
    #[doc(alias("is_fresh", "or_insert"))]
    pub fn check<Q>(&self, key: &Q) -> Seen
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.with_spare(key, |shard, hash, spare| {
            shard.with_lock(|cache| cache.check_with(hash, key, spare, || shard.timer().now()))
        })
    }

    /// [`check`](Self::check) at a time that the caller has read from this cache's clock.
    pub fn check_at<Q>(&self, key: &Q, now: Instant) -> Seen
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        self.with_spare(key, |shard, hash, spare| shard.with_lock(|cache| cache.check_with(hash, key, spare, || now)))
    }

    /// True if `key` is marked or claimed; changes nothing.
    #[doc(alias = "contains_key")]
    pub fn seen<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).with(|cache, now| cache.seen_with(hash, key, now))
    }

    /// Begins the TTL of `key` now, whether or not it was seen, and tells what it was.
    ///
    /// A claim of it is over, as if it were committed. An answer that is kept with it stays.
    pub fn mark<Q>(&self, key: &Q) -> Seen
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let seen =
            self.with_spare(key, |shard, hash, spare| shard.with(|cache, now| cache.mark_with(hash, key, spare, now)));
        self.0.waiters.wake(self.0.shards.hasher.hash_one(key));
        seen
    }

    /// Forgets `key` before its TTL ends; true if it was known. It may come again.
    ///
    /// A claim of it is over, as if it were aborted: its commit is told [`ClaimLost`].
    #[doc(alias("invalidate", "remove", "del"))]
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        // The id is dropped outside the lock.
        let forgotten = self.0.shards.of(hash).with(|cache, now| cache.forget_with(hash, key, now));
        self.0.waiters.wake(hash);
        forgotten.is_some()
    }

    /// When the lease of a claim of `key` ends that is neither committed nor aborted; `None` if there is none. Whoever is told
    /// [`Claim::InFlight`] may come again then, or sooner: a `Retry-After`.
    pub fn in_flight_until<Q>(&self, key: &Q) -> Option<Instant>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).with(|cache, now| cache.in_flight_until_with(hash, key, now))
    }

    /// Claims `key` for work that may fail. The guard commits, or aborts when it is dropped.
    ///
    /// It may be moved into a task: do so with [work that must not run twice](Self#work-that-must-not-run-twice), or a
    /// client that hangs up lets the id come again while the work goes on.
    #[doc(alias("SETNX", "exactly once", "idempotency key"))]
    pub fn claim<Q>(&self, key: &Q) -> Claim<ClaimGuard<K, V, T>, V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        let claim = self.with_spare(key, |shard, hash, spare| {
            let claim = |cache: &mut Machine<K, V>, now| {
                cache.claim_with(hash, key, spare, now).map(|claim| claim.map_value(V::clone))
            };
            shard.with(claim)
        });
        claim.map(|ticket| ClaimGuard::new(Arc::clone(&self.0), hash, ticket))
    }

    /// Runs `f` with a key to spare, if it asks for one: it is made and dropped outside the lock.
    fn with_spare<Q, A>(&self, key: &Q, f: impl Fn(&Shard<K, V, T>, u64, &mut Option<(K, V)>) -> Option<A>) -> A
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        // To copy what needs no drop costs less than a second look.
        let mut spare = (!needs_drop::<K>()).then(|| (key.to_owned(), V::default()));
        loop {
            if let Some(answer) = f(self.0.shards.of(hash), hash, &mut spare) {
                return answer;
            }
            spare = Some((key.to_owned(), V::default()));
        }
    }

    /// Forgets every id whose TTL has ended, and tells how many; never needed, but it frees the memory of the ids
    /// themselves. A lock is held for 256 of them at a time.
    pub fn cleanup(&self) -> usize {
        let mut removed = 0_usize;
        let mut gone = Vec::with_capacity(CLEANUP_STEP);
        for shard in self.0.shards.iter() {
            loop {
                let some = shard.with(|cache, now| cache.cleanup_some(CLEANUP_STEP, |id| gone.push(id), now));
                gone.clear();
                removed = removed.saturating_add(some);
                if some < CLEANUP_STEP {
                    break;
                }
            }
        }
        removed
    }

    /// The window that is really held: every id that was marked less than this ago is known.
    ///
    /// It is the TTL, unless live ids had to be forgotten for want of room.
    pub fn horizon(&self) -> Duration {
        self.0.shards.iter().map(|shard| shard.with(|cache, now| cache.horizon(now))).min().unwrap_or_default()
    }

    /// How many ids have an entry; those whose TTL ended may be among them until their entry is needed.
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|cache| cache.len())).sum()
    }

    /// True if no id has an entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most ids that are held at once, the shards' margins included.
    pub fn capacity(&self) -> usize {
        self.0.shards.iter().map(|shard| shard.with_lock(|cache| cache.capacity())).sum()
    }

    /// How often other settings were taken since it was built, counted when they are in force: see
    /// [`observe`](crate::observe).
    #[must_use]
    pub fn settings_generation(&self) -> u64 {
        self.0.shards.generation.get()
    }

    /// What was done so far, over all shards.
    pub fn stats(&self) -> DedupStats {
        let each = self.0.shards.iter().map(|shard| shard.with_lock(|cache| cache.stats()));
        each.fold(DedupStats::default(), DedupStats::plus)
    }

    /// The time by this cache's clock, beside [`Seen::Duplicate`]'s instant.
    pub fn now(&self) -> Instant {
        self.0.shards.of(0).timer().now()
    }
}

impl<K: Eq + Hash, V: Kept, T: Timer> DedupCache<K, V, T> {
    /// [`claim`](Self::claim), but where another claim is in flight it waits until that is committed, aborted or over: the
    /// answer is never [`Claim::InFlight`].
    ///
    /// All that wait for one id are woken together, and one of them gets the claim if it was aborted. It waits no longer than
    /// the leases of the claims before it. Each time that it asks in vain counts as in flight.
    ///
    /// # Cancellation
    ///
    /// Dropping this claims nothing: the claim begins in the poll that returns it.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast::{DedupCache, dedup_cache::{Claim, OnFull}};
    ///
    /// # async fn charge(_: &str) {}
    /// # steadfast::block_on(async {
    /// let orders = DedupCache::<String>::builder(Duration::from_secs(600), OnFull::Refuse).build();
    /// match orders.until_claimed("order 7").await {
    ///     Claim::Fresh(claim) => {
    ///         charge("order 7").await;
    ///         claim.commit()?;
    ///     }
    ///     Claim::Duplicate { .. } => { /* another has done it meanwhile */ }
    ///     Claim::Full | Claim::InFlight => { /* ask to try again later */ }
    /// }
    /// # Ok::<(), steadfast::dedup_cache::ClaimLost>(())
    /// # }).unwrap();
    /// ```
    #[doc(alias("single flight", "get_or_insert_with"))]
    pub fn until_claimed<'k, Q>(&self, key: &'k Q) -> UntilClaimed<'k, K, Q, V, T>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        UntilClaimed::new(self.clone(), key)
    }

    /// [`until_claimed`](Self::until_claimed) in a future that borrows nothing, for a struct or a `tower` service.
    pub fn until_claimed_owned(&self, key: K) -> UntilClaimedOwned<K, V, T>
    where
        K: Clone,
    {
        UntilClaimedOwned::new(self.clone(), key)
    }
}

impl<K, V, T> Clone for DedupCache<K, V, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K, V, T> fmt::Debug for DedupCache<K, V, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DedupCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
