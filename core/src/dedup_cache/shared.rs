//! The cache behind a lock: the same calls without `now`, and claims that are aborted on drop.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    time::Duration,
};

use super::{Claim, ClaimEnd, ClaimGuard, ClaimLost, DedupCacheIn, DedupStats, Seen};
use crate::{Clock, Lock, Shared, Storage};

impl<K, S, H, L, T> Shared<DedupCacheIn<K, S, H>, L, T>
where
    K: Clone + Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = DedupCacheIn<K, S, H>>,
    T: Clock,
{
    /// [`DedupCacheIn::check`] now.
    pub fn check(&self, key: &K) -> Seen {
        self.with(|cache, now| cache.check(key, now))
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
        self.with(|cache, now| cache.mark(key, now))
    }

    /// [`DedupCacheIn::claim`] now. The guard commits, or aborts when it is dropped.
    ///
    /// ```
    /// use core::{cell::RefCell, time::Duration};
    /// use steadfast_core::{Claim, Clock, DedupCache, Instant, Shared, WhenFull};
    ///
    /// # struct Uptime;
    /// # impl Clock for Uptime {
    /// #     fn now(&self) -> Instant {
    /// #         Instant::from_secs(1)
    /// #     }
    /// # }
    /// let cache: DedupCache<u32, 8> = DedupCache::new(Duration::from_secs(60), WhenFull::Refuse);
    /// let orders = Shared::new(RefCell::new(cache), Uptime);
    /// if let Claim::Fresh(claim) = orders.claim(&7) {
    ///     // Do the work; whatever ends this block early aborts the claim.
    ///     claim.commit()?;
    /// }
    /// assert!(orders.seen(&7));
    /// # Ok::<(), steadfast_core::ClaimLost>(())
    /// ```
    pub fn claim(
        &self,
        key: &K,
    ) -> Claim<ClaimGuard<impl FnOnce(ClaimEnd) -> Result<(), ClaimLost> + use<'_, K, S, H, L, T>>> {
        let claim = self.with(|cache, now| cache.claim(key, now));
        claim.map(|ticket| ClaimGuard::new(|end| self.with(|cache, now| cache.end(ticket, end, now))))
    }

    /// [`DedupCacheIn::cleanup`] now.
    pub fn cleanup(&self) -> usize {
        self.with(|cache, now| cache.cleanup(now))
    }

    /// [`DedupCacheIn::horizon`] now.
    pub fn horizon(&self) -> Duration {
        self.with(|cache, now| cache.horizon(now))
    }

    /// [`DedupCacheIn::stats`].
    pub fn stats(&self) -> DedupStats {
        self.with_lock(|cache| cache.stats())
    }
}
