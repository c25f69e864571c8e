//! The limiter behind a lock: decisions, with keys made and dropped outside it.

use core::{
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{
    CostExceedsBurst, Decision, Enforce, Names, Naming, ONE, OnFull, Quota, RateLimiterIn, Verdict,
    decide::{Request, State, plain},
    enforce::Judged,
};
use crate::foundation::{
    shared::{Clock, Lock, Shared},
    storage::{Allocate, Storage},
    time::Instant,
};

impl<K, A, S, H, P, L, T> Shared<RateLimiterIn<K, A, S, H, P>, L, T>
where
    A: Quota,
    S: Storage,
    H: BuildHasher,
    P: Naming<K>,
    L: Lock<Target = RateLimiterIn<K, A, S, H, P>>,
    T: Clock,
{
    /// [`RateLimiterIn::allow`] now.
    pub fn allow<Q>(&self, key: &Q) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.allow_n(key, ONE).unwrap_or(Decision::Deny { retry_at: Instant::MAX })
    }

    /// [`RateLimiterIn::allow_n`] now.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn allow_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.decide_now(|limiter| limiter.hash(key), key, cost, plain)
    }

    /// [`RateLimiterIn::allow_verdict`] now.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn allow_verdict<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.decide_now(|limiter| limiter.hash(key), key, cost, Verdict::of)
    }

    /// [`RateLimiterIn::allow`] at a time that the caller has read from this clock before.
    ///
    /// A reading that is older than the latest one is late, not a clock that stepped back: the clock is read anew, so
    /// nothing is given back, and nobody else's quota is touched, however late it is. Where the clock itself shows a time
    /// that is up to a second older than the latest reading, that reading is the time.
    pub fn allow_at<Q>(&self, key: &Q, now: Instant) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.decide_at(|limiter| limiter.hash(key), key, now)
    }

    /// [`RateLimiterIn::check_n`] now.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn check_n<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.check_n(key, cost, now))
    }

    /// [`RateLimiterIn::check_verdict`] now.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn check_verdict<Q>(&self, key: &Q, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.check_verdict(key, cost, now))
    }

    /// [`RateLimiterIn::set_quota`] now. Those who wait notice within a second;
    /// [`set_quota_and_wake`](Self::set_quota_and_wake) tells them at once.
    pub fn set_quota(&self, quota: A) {
        self.with(|limiter, now| limiter.set_quota(quota, now));
    }

    /// [`RateLimiterIn::set_on_full`].
    pub fn set_on_full(&self, on_full: OnFull) {
        self.with_lock(|limiter| limiter.set_on_full(on_full));
    }

    /// [`RateLimiterIn::enforce`].
    pub fn enforce(&self) -> Enforce
    where
        S: Allocate,
    {
        self.with_lock(|limiter| limiter.enforce())
    }

    /// [`RateLimiterIn::set_enforce`]. Those who wait and are let through now notice within a second;
    /// [`WaitList::wake_all`](crate::WaitList::wake_all) tells them at once.
    pub fn set_enforce(&self, enforce: Enforce)
    where
        S: Allocate,
    {
        self.with_lock(|limiter| limiter.set_enforce(enforce));
    }

    /// [`RateLimiterIn::reset`] now; false if `key` has no entry of its own. Those who wait for it notice within a second;
    /// [`reset_and_wake`](Self::reset_and_wake) tells them at once.
    pub fn reset<Q>(&self, key: &Q) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        // Dropped here, outside the lock.
        let forgotten = self.with(|limiter, now| limiter.forget(key, now));
        forgotten.is_some()
    }

    /// [`RateLimiterIn::allow_with`] now.
    #[inline]
    pub fn allow_with<Q>(&self, hash: u64, key: &Q) -> Decision
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.allow_n_with(hash, key, ONE).unwrap_or(Decision::Deny { retry_at: Instant::MAX })
    }

    /// [`RateLimiterIn::allow_n_with`] now.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    #[inline]
    pub fn allow_n_with<Q>(&self, hash: u64, key: &Q, cost: NonZeroU32) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.decide_now(|_| hash, key, cost, plain)
    }

    /// [`allow_at`](Self::allow_at) for a key that was hashed already; see [`RateLimiterIn::allow_with`].
    #[inline]
    pub fn allow_at_with<Q>(&self, hash: u64, key: &Q, now: Instant) -> Decision
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.decide_at(|_| hash, key, now)
    }

    /// [`allow_verdict`](Self::allow_verdict) for a key that was hashed already; see [`RateLimiterIn::allow_with`].
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota.
    pub fn allow_verdict_with<Q>(&self, hash: u64, key: &Q, cost: NonZeroU32) -> Result<Verdict, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.decide_now(|_| hash, key, cost, Verdict::of)
    }

    /// [`allow_n_with`](Self::allow_n_with) for one who waits if it is denied: counted only when it is allowed.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the limit of the quota; that is not counted either.
    pub fn allow_n_waiting_with<Q>(&self, hash: u64, key: &Q, cost: NonZeroU32) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.decide_waiting(|_| hash, key, cost, None)
    }

    /// The same for one who has been waiting since `since`. The key is hashed anew: the limiter may have been reseeded.
    pub(super) fn allow_since<Q>(
        &self,
        key: &Q,
        cost: NonZeroU32,
        since: Option<Instant>,
    ) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.decide_waiting(|limiter| limiter.hash(key), key, cost, since)
    }

    /// Asks now, for a key whose hash `hash` finds.
    #[inline]
    fn decide_now<Q, R>(
        &self,
        hash: impl Fn(&RateLimiterIn<K, A, S, H, P>) -> u64,
        key: &Q,
        cost: NonZeroU32,
        told: impl Fn(Judged, &A, State<'_, A>, Instant) -> R,
    ) -> R
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.outside(key, |limiter, name| {
            let request = Request { hash: hash(limiter), key, cost, since: None };
            limiter.decide(request, name, || self.timer().now(), &told)
        })
    }

    /// Asks at a time that was read before.
    #[inline]
    fn decide_at<Q>(&self, hash: impl Fn(&RateLimiterIn<K, A, S, H, P>) -> u64, key: &Q, now: Instant) -> Decision
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        let decision = self.outside(key, |limiter, name| {
            let now = limiter.on_time(now, || self.timer().now());
            let request = Request { hash: hash(limiter), key, cost: ONE, since: None };
            limiter.decide(request, name, || now, plain)
        });
        decision.unwrap_or(Decision::Deny { retry_at: Instant::MAX })
    }

    /// Asks now for one who waits, perhaps since then.
    fn decide_waiting<Q>(
        &self,
        hash: impl Fn(&RateLimiterIn<K, A, S, H, P>) -> u64,
        key: &Q,
        cost: NonZeroU32,
        since: Option<Instant>,
    ) -> Result<Decision, CostExceedsBurst>
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        self.outside(key, |limiter, name| {
            limiter.waiting(|limiter| {
                let request = Request { hash: hash(limiter), key, cost, since };
                limiter.decide(request, name, || self.timer().now(), plain)
            })
        })
    }

    /// Asks in the lock. Where keys are kept, they are made and dropped outside: their `Clone` and `Drop` are the user's,
    /// and may come here.
    ///
    /// `ask` is asked again, with a name to take, if it had none and wanted one.
    #[inline]
    pub(super) fn outside<Q, R>(
        &self,
        key: &Q,
        ask: impl Fn(&mut RateLimiterIn<K, A, S, H, P>, &mut Option<P::Name>) -> Option<R>,
    ) -> R
    where
        P: Names<K, Q>,
        Q: ?Sized,
    {
        let mut name = P::ALL;
        loop {
            if let Some(told) = self.with_lock(|limiter| ask(limiter, &mut name)) {
                return told;
            }
            name = Some(P::name(key));
        }
    }
}
