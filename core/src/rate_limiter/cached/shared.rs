//! The caching limiter behind a lock: the same calls without `now`, and attempts that are released on drop.

use core::{
    hash::{BuildHasher, Hash},
    time::Duration,
};

use super::{
    AllowOrCached, CachedRateLimiterIn, CachedRateLimiterStats, EndFlight, FlightEnd, FlightGuard, FlightLost,
    FlightPermit,
};
use crate::{
    foundation::{
        shared::{Clock, Lock, Shared},
        storage::Storage,
    },
    rate_limiter::{OnFull, Quota},
};

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
    /// [`CachedRateLimiterIn::set_settings`] now.
    pub fn set_settings(&self, quota: A, lease: Duration) {
        self.with(|limiter, now| limiter.set_settings(quota, lease, now));
    }

    /// [`CachedRateLimiterIn::set_on_full`].
    pub fn set_on_full(&self, on_full: OnFull) {
        self.with_lock(|limiter| limiter.set_on_full(on_full));
    }

    /// [`CachedRateLimiterIn::allow_or_cached`] now.
    ///
    /// Inside the lock the value is cloned, and the key of a new entry: make both cheap, and let neither use this limiter.
    /// What is replaced is dropped outside.
    ///
    /// ```
    /// use core::{cell::RefCell, time::Duration};
    /// use steadfast_core::{CachedRateLimiter, Clock, Gcra, Instant, Shared, rate_limiter::AllowOrCached};
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
    pub fn allow_or_cached(&self, key: &K) -> AllowOrCached<FlightGuard<V, (&Self, FlightPermit)>, V>
    where
        K: Clone,
    {
        let mut gone = None;
        let answer = self.with(|limiter, now| {
            let hash = limiter.hash(key);
            let answer = limiter.allow_or_cached_with(hash, key, K::clone, now, |key, value| gone = Some((key, value)));
            answer.map(|permit| permit, V::clone)
        });
        drop(gone);
        answer.map(|permit| FlightGuard::new((self, permit)), |value| value)
    }

    /// [`CachedRateLimiterIn::stats`].
    pub fn stats(&self) -> CachedRateLimiterStats {
        self.with_lock(|limiter| limiter.stats())
    }
}

impl<K, V, A, S, H, L, T> EndFlight<V> for (&Shared<CachedRateLimiterIn<K, V, A, S, H>, L, T>, FlightPermit)
where
    K: Eq + Hash,
    A: Quota,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H>>,
    T: Clock,
{
    fn end_flight(self, end: FlightEnd<V>) -> Result<(), FlightLost<V>> {
        let (limiter, permit) = self;
        let replaced = limiter.with(|limiter, now| limiter.end(permit, end, now));
        replaced.map(drop)
    }
}
