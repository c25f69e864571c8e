//! The caching limiter behind a lock: the same calls without `now`, and a guard that releases on drop.

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
};

use super::{AllowOrCached, AttemptLost, AttemptPermit, CachedRateLimiterIn, CachedRateLimiterStats};
use crate::{Clock, Lock, Quota, Shared, Storage};

impl<K, V, A, S, H, L, T> Shared<CachedRateLimiterIn<K, V, A, S, H>, L, T>
where
    K: Eq + Hash,
    V: Clone,
    A: Quota,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H>>,
    T: Clock,
{
    /// [`CachedRateLimiterIn::allow_or_cached`] now. The value is cloned inside the lock: make that cheap.
    ///
    /// ```
    /// use core::{cell::RefCell, time::Duration};
    /// use steadfast_core::{AllowOrCached, CachedRateLimiter, Clock, Gcra, Instant, Shared};
    ///
    /// # struct Uptime;
    /// # impl Clock for Uptime {
    /// #     fn now(&self) -> Instant {
    /// #         Instant::from_secs(1)
    /// #     }
    /// # }
    /// let limiter: CachedRateLimiter<u8, bool, _, 8> =
    ///     CachedRateLimiter::new(Gcra::every(Duration::from_secs(60)), Duration::from_secs(5));
    /// let pings = Shared::new(RefCell::new(limiter), Uptime);
    /// if let AllowOrCached::Allowed(attempt) = pings.allow_or_cached(&7) {
    ///     // Ping; whatever ends this block early releases the attempt.
    ///     let _ = attempt.complete(true);
    /// }
    /// assert_eq!(pings.allow_or_cached(&7).value(), Some(&true));
    /// ```
    #[expect(clippy::type_complexity, reason = "a guard names the lock that it will take")]
    pub fn allow_or_cached(&self, key: &K) -> AllowOrCached<AttemptGuard<'_, K, V, A, S, H, L, T>, V>
    where
        K: Clone,
    {
        let hash = self.with_lock(|limiter| limiter.hash(key));
        self.allow_or_cached_with(hash, key, K::clone)
    }

    /// [`CachedRateLimiterIn::allow_or_cached_with`] now.
    #[expect(clippy::type_complexity, reason = "a guard names the lock that it will take")]
    pub fn allow_or_cached_with<Q>(
        &self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> K,
    ) -> AllowOrCached<AttemptGuard<'_, K, V, A, S, H, L, T>, V>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let answer =
            self.with(|limiter, now| limiter.allow_or_cached_with(hash, key, own, now).map(|permit| permit, V::clone));
        answer.map(|permit| AttemptGuard { shared: self, permit: Some(permit) }, |value| value)
    }

    /// [`CachedRateLimiterIn::stats`].
    pub fn stats(&self) -> CachedRateLimiterStats {
        self.with_lock(|limiter| limiter.stats())
    }
}

/// The right to make one attempt; dropping it releases the attempt.
#[must_use = "dropping the guard ends the attempt without a value"]
pub struct AttemptGuard<'a, K, V, A, S, H, L, T>
where
    A: Quota,
    S: Storage,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H>>,
{
    shared: &'a Shared<CachedRateLimiterIn<K, V, A, S, H>, L, T>,
    permit: Option<AttemptPermit>,
}

impl<K, V, A, S, H, L, T> AttemptGuard<'_, K, V, A, S, H, L, T>
where
    A: Quota,
    S: Storage,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H>>,
    T: Clock,
{
    /// [`CachedRateLimiterIn::complete`] now.
    ///
    /// # Errors
    ///
    /// [`AttemptLost`] with the value if it came too late; nothing is changed.
    pub fn complete(mut self, value: V) -> Result<(), AttemptLost<V>> {
        match self.permit.take() {
            Some(permit) => self.shared.with(|limiter, now| limiter.complete(permit, value, now)),
            None => Err(AttemptLost(value)),
        }
    }

    /// [`CachedRateLimiterIn::refund`] now.
    pub fn refund(mut self) {
        if let Some(permit) = self.permit.take() {
            self.shared.with(|limiter, now| limiter.refund(permit, now));
        }
    }
}

impl<K, V, A, S, H, L, T> Drop for AttemptGuard<'_, K, V, A, S, H, L, T>
where
    A: Quota,
    S: Storage,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H>>,
{
    fn drop(&mut self) {
        if let Some(permit) = self.permit.take() {
            self.shared.with_lock(|limiter| limiter.release(permit));
        }
    }
}

impl<K, V, A, S, H, L, T> fmt::Debug for AttemptGuard<'_, K, V, A, S, H, L, T>
where
    A: Quota,
    S: Storage,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptGuard").field("permit", &self.permit).finish_non_exhaustive()
    }
}
