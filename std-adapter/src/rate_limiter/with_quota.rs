//! A quota that comes with the call.

use core::{hash::Hash, num::NonZeroU32};

use steadfast_core::Clock;

use super::{CostExceedsBurst, Names, Naming, PerKey, RateLimiter, Verdict};

impl<K, A: PerKey, T: Clock, P: Naming<K>> RateLimiter<K, A, T, P> {
    /// Decides a request by a quota of this key's own, and counts it if it is allowed: plans, tiers, a customer who has paid
    /// for more.
    ///
    /// The quota comes with each call, and may be another one each time: where it is found is the caller's business, and
    /// only what the key has used is kept. What that means when it changes, [`GcraPerKey`](super::GcraPerKey) tells. Of a
    /// tuple of quotas each part is the key's own.
    ///
    /// ```
    /// use std::num::NonZeroU32;
    /// use steadfast::{Gcra, RateLimiter, rate_limiter::{CostExceedsBurst, GcraPerKey, Verdict}};
    ///
    /// const FREE: GcraPerKey = Gcra::per_minute(2).per_key();
    /// const PAID: GcraPerKey = Gcra::per_minute(100).per_key();
    ///
    /// let limiter = RateLimiter::<String, _>::builder(FREE).build();
    /// let ask = |customer, has_paid| -> Result<Verdict, CostExceedsBurst> {
    ///     let plan = if has_paid { PAID } else { FREE };
    ///     limiter.allow_with_quota(customer, plan, NonZeroU32::MIN)
    /// };
    /// assert!(ask("acme", false)?.is_allowed() && ask("acme", false)?.is_allowed());
    /// assert!(!ask("acme", false)?.is_allowed());
    /// assert_eq!(ask("acme", true)?.remaining, 97); // it has paid since, and used three
    /// # Ok::<(), CostExceedsBurst>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of this quota; nothing was taken, and it counts as denied.
    #[doc(alias("plans", "tiers"))]
    pub fn allow_with_quota<Q>(&self, key: &Q, quota: A, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let hash = self.0.shards.hasher.hash_one(key);
        self.0.shards.of(hash).allow_with_quota_with(hash, key, quota, cost)
    }

    /// Decides a request as [`allow_with_quota`](Self::allow_with_quota) would, and counts nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of this quota.
    pub fn check_with_quota<Q>(&self, key: &Q, quota: A, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.shard_of(key).check_with_quota(key, quota, cost)
    }
}
