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
    rate_limiter::{Names, Naming, Quota},
};

impl<K, V, A, S, H, P, L, T> Shared<CachedRateLimiterIn<K, V, A, S, H, P>, L, T>
where
    V: Clone,
    A: Quota,
    S: Storage,
    H: BuildHasher,
    P: Naming<K>,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H, P>>,
    T: Clock,
{
    /// [`CachedRateLimiterIn::set_settings`] now.
    pub fn set_settings(&self, quota: A, lease: Duration) {
        self.with(|limiter, now| limiter.set_settings(quota, lease, now));
    }

    /// [`CachedRateLimiterIn::allow_or_cached`] now.
    ///
    /// Inside the lock the value is cloned: make that cheap, and let it not use this limiter. Keys are cloned outside, and
    /// what is replaced is dropped there.
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
    pub fn allow_or_cached<Q>(&self, key: &Q) -> AllowOrCached<FlightGuard<V, (&Self, FlightPermit)>, V>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let mut name = P::ALL;
        let mut gone = None;
        loop {
            let answer = self.with(|limiter, now| {
                let hash = limiter.hash(key);
                let answer = limiter.allow_or_cached_with(hash, key, &mut name, now, |value| gone = Some(value));
                answer.map(|answer| answer.map(|permit| permit, V::clone))
            });
            if let Some(answer) = answer {
                return answer.map(|permit| FlightGuard::new((self, permit)), |value| value);
            }
            name = Some(P::name(key));
        }
    }

    /// [`CachedRateLimiterIn::stats`].
    pub fn stats(&self) -> CachedRateLimiterStats {
        self.with_lock(|limiter| limiter.stats())
    }
}

impl<K, V, A, S, H, P, L, T> EndFlight<V> for (&Shared<CachedRateLimiterIn<K, V, A, S, H, P>, L, T>, FlightPermit)
where
    A: Quota,
    S: Storage,
    P: Naming<K>,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H, P>>,
    T: Clock,
{
    fn end_flight(self, end: FlightEnd<V>) -> Result<(), FlightLost<V>> {
        let (limiter, permit) = self;
        let replaced = limiter.with(|limiter, now| limiter.end(permit, end, now));
        replaced.map(drop)
    }
}
