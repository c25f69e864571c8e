//! The cache behind a lock: the same calls without `now`, and claims that are aborted on drop.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    mem::needs_drop,
    time::Duration,
};

use super::{Claim, ClaimGuard, DedupCacheIn, DedupStats, OnFull, Seen};
use crate::foundation::{
    shared::{Clock, Lock, Shared},
    storage::Storage,
    time::Instant,
};

/// How many ids leave the lock at once: it bounds how long the lock is held and how much stack that takes.
const CLEANED_AT_ONCE: usize = 8;

/// Values are copied out of the lock: so they are small, and no code of `V` runs inside.
impl<K, S, H, V, L, T> Shared<DedupCacheIn<K, S, H, V>, L, T>
where
    K: Clone + Eq + Hash,
    V: Copy + Default,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H, V>>,
    T: Clock,
{
    /// [`DedupCacheIn::set_settings`] now.
    pub fn set_settings(&self, ttl: Duration, lease: Duration, on_full: OnFull) {
        self.with(|cache, now| cache.set_settings(ttl, lease, on_full, now));
    }

    /// [`DedupCacheIn::check`] now.
    ///
    /// Of the code of `K`, only `Eq` and `Hash` run inside the lock.
    pub fn check(&self, key: &K) -> Seen {
        self.with_spare(key, |cache, spare, now| cache.check_with(cache.hash(key), key, spare, || now))
    }

    /// [`DedupCacheIn::seen`] now.
    pub fn seen<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|cache, now| cache.seen(key, now))
    }

    /// [`DedupCacheIn::mark`] now.
    pub fn mark(&self, key: &K) -> Seen {
        self.with_spare(key, |cache, spare, now| cache.mark_with(cache.hash(key), key, spare, now))
    }

    /// [`DedupCacheIn::claim`] now. The guard commits, or aborts when it is dropped.
    ///
    /// Dropping it, as a cancelled future does, lets the id come again. Work that must not run twice has to end in its
    /// commit: spawn a task of its own for it, move the guard there, and abort only what surely did not happen.
    ///
    /// ```
    /// use core::{cell::RefCell, time::Duration};
    /// use steadfast_core::{Clock, DedupCache, Instant, Shared, dedup_cache::{Claim, OnFull}};
    ///
    /// # struct Uptime;
    /// # impl Clock for Uptime {
    /// #     fn now(&self) -> Instant {
    /// #         Instant::from_secs(1)
    /// #     }
    /// # }
    /// let cache: DedupCache<u32, 8> = DedupCache::new(Duration::from_secs(60), OnFull::Refuse);
    /// let orders = Shared::new(RefCell::new(cache), Uptime);
    /// if let Claim::Fresh(claim) = orders.claim(&7) {
    ///     // Do the work; whatever ends this block early aborts the claim.
    ///     claim.commit()?;
    /// }
    /// assert!(orders.seen(&7));
    /// # Ok::<(), steadfast_core::dedup_cache::ClaimLost>(())
    /// ```
    pub fn claim(&self, key: &K) -> Claim<ClaimGuard<'_, K, S, H, V, L, T>, V> {
        let claim = self.with_spare(key, |cache, spare, now| {
            let claim = cache.claim_with(cache.hash(key), key, spare, now);
            claim.map(|claim| claim.map_value(|value| *value))
        });
        claim.map(|ticket| ClaimGuard::new(self, ticket))
    }

    /// [`DedupCacheIn::forget`] now; true if it was known. The id is dropped outside the lock.
    pub fn forget<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|cache, now| cache.forget(key, now)).is_some()
    }

    /// [`DedupCacheIn::in_flight_until`] now.
    pub fn in_flight_until<Q>(&self, key: &Q) -> Option<Instant>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|cache, now| cache.in_flight_until(key, now))
    }

    /// [`DedupCacheIn::cleanup`] now. Leaves the lock after every 8 ids.
    pub fn cleanup(&self) -> usize {
        let mut removed = 0_usize;
        loop {
            let mut gone = heapless::Vec::<(K, V), CLEANED_AT_ONCE>::new();
            let keep = |id| {
                let _ = gone.push(id); // as many as there are places
            };
            let some = self.with(|cache, now| cache.cleanup_some(CLEANED_AT_ONCE, keep, now));
            removed = removed.saturating_add(some);
            if some < CLEANED_AT_ONCE {
                return removed;
            }
        }
    }

    /// [`DedupCacheIn::horizon`] now.
    pub fn horizon(&self) -> Duration {
        self.with(|cache, now| cache.horizon(now))
    }

    /// [`DedupCacheIn::stats`].
    pub fn stats(&self) -> DedupStats {
        self.with_lock(|cache| cache.stats())
    }

    /// Runs `f` inside the lock with a key to spare, if it asks for one: it is made and dropped outside.
    fn with_spare<A>(
        &self,
        key: &K,
        f: impl Fn(&mut DedupCacheIn<K, S, H, V>, &mut Option<(K, V)>, Instant) -> Option<A>,
    ) -> A {
        // To copy what needs no drop costs less than a second look.
        let mut spare = (!needs_drop::<K>()).then(|| (key.clone(), V::default()));
        loop {
            if let Some(answer) = self.with(|cache, now| f(cache, &mut spare, now)) {
                return answer;
            }
            spare = Some((key.clone(), V::default()));
        }
    }
}
