//! A quota that comes with the call.

use core::{
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{CostExceedsBurst, Names, Naming, PerKey, RateLimiterIn, Verdict, decide::Request};
use crate::foundation::{
    shared::{Clock, Lock, Shared},
    storage::Storage,
    time::Instant,
};

/// A limiter with the quota of a call in place of its own, until this is dropped.
struct With<'a, K, A: PerKey, S: Storage, H, P: Naming<K>> {
    limiter: &'a mut RateLimiterIn<K, A, S, H, P>,
    own: A,
}

impl<K, A: PerKey, S: Storage, H, P: Naming<K>> Drop for With<'_, K, A, S, H, P> {
    fn drop(&mut self) {
        self.limiter.quota = self.own;
    }
}

impl<K, A: PerKey, S: Storage, H: BuildHasher, P: Naming<K>> RateLimiterIn<K, A, S, H, P> {
    /// Decides a request by a quota of this key's own, and counts it if it is allowed: plans, tiers, a customer who has paid
    /// for more.
    ///
    /// The quota comes with each call, and may be another one each time: where it is found is the caller's business, and
    /// only what the key has used is kept. What that means when it changes, [`GcraPerKey`](super::GcraPerKey) tells. Of a
    /// tuple of quotas each part is the key's own.
    ///
    /// ```
    /// use core::num::NonZeroU32;
    /// use steadfast_core::{Gcra, Instant, RateLimiter, rate_limiter::{CostExceedsBurst, GcraPerKey}};
    ///
    /// const FREE: GcraPerKey = Gcra::per_minute(2).per_key();
    /// const PAID: GcraPerKey = Gcra::per_minute(100).per_key();
    ///
    /// let mut limiter: RateLimiter<&str, GcraPerKey, 32> = RateLimiter::new(FREE);
    /// let (one, now) = (NonZeroU32::MIN, Instant::from_secs(100));
    /// assert!((0..2).all(|_| limiter.allow(&"acme", now).is_allowed()));
    /// assert!(!limiter.allow(&"acme", now).is_allowed());
    ///
    /// // It has paid:
    /// let verdict = limiter.allow_with_quota(&"acme", PAID, one, now)?;
    /// assert_eq!((verdict.limit, verdict.remaining), (100, 97));
    /// # Ok::<(), CostExceedsBurst>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of this quota; nothing was taken, and it counts as denied.
    #[doc(alias("plans", "tiers"))]
    pub fn allow_with_quota<Q>(
        &mut self,
        key: &Q,
        quota: A,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(quota).limiter.allow_verdict(key, cost, now)
    }

    /// Decides a request as [`allow_with_quota`](Self::allow_with_quota) would, and counts nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of this quota.
    pub fn check_with_quota<Q>(
        &mut self,
        key: &Q,
        quota: A,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(quota).limiter.check_verdict(key, cost, now)
    }

    const fn with(&mut self, quota: A) -> With<'_, K, A, S, H, P> {
        let own = core::mem::replace(&mut self.quota, quota);
        With { limiter: self, own }
    }
}

impl<K, A, S, H, P, L, T> Shared<RateLimiterIn<K, A, S, H, P>, L, T>
where
    A: PerKey,
    S: Storage,
    H: BuildHasher,
    P: Naming<K>,
    L: Lock<Target = RateLimiterIn<K, A, S, H, P>>,
    T: Clock,
{
    /// [`RateLimiterIn::allow_with_quota`] now.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of this quota; nothing was taken, and it counts as denied.
    pub fn allow_with_quota<Q>(&self, key: &Q, quota: A, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.by(|limiter| limiter.hash(key), key, quota, cost)
    }

    /// [`allow_with_quota`](Self::allow_with_quota) for a key that was hashed already; see [`RateLimiterIn::allow_with`].
    ///
    /// # Errors
    ///
    /// As for `allow_with_quota`.
    pub fn allow_with_quota_with<Q>(
        &self,
        hash: u64,
        key: &Q,
        quota: A,
        cost: NonZeroU32,
    ) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.by(|_| hash, key, quota, cost)
    }

    /// Asks now, for a key whose hash `hash` finds.
    fn by<Q>(
        &self,
        hash: impl Fn(&RateLimiterIn<K, A, S, H, P>) -> u64,
        key: &Q,
        quota: A,
        cost: NonZeroU32,
    ) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.outside(key, |limiter, name| {
            let request = Request { hash: hash(limiter), key, cost, since: None };
            limiter.with(quota).limiter.decide(request, name, || self.timer().now(), Verdict::of)
        })
    }

    /// [`RateLimiterIn::check_with_quota`] now.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of this quota.
    pub fn check_with_quota<Q>(&self, key: &Q, quota: A, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.check_with_quota(key, quota, cost, now))
    }
}
