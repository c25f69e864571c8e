//! The limiter behind a lock: the same calls without `now`.

use core::{
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{Decision, Names, Naming, Quota, RateLimiterIn, RateLimiterStats};
use crate::foundation::{
    shared::{Clock, Lock, Shared},
    storage::Storage,
    time::Instant,
    wait_list::WaitList,
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
    /// [`RateLimiterIn::check`] now.
    pub fn check<Q>(&self, key: &Q) -> Decision
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.check(key, now))
    }

    /// [`RateLimiterIn::remaining`] now.
    pub fn remaining<Q>(&self, key: &Q) -> u32
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.remaining(key, now))
    }

    /// [`RateLimiterIn::reset_at`] now.
    pub fn reset_at<Q>(&self, key: &Q) -> Instant
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.reset_at(key, now))
    }

    /// [`RateLimiterIn::refund`] now. Those who wait for `key` notice within a second;
    /// [`refund_and_wake`](Self::refund_and_wake) tells them at once.
    pub fn refund<Q>(&self, key: &Q, cost: NonZeroU32) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.refund(key, cost, now))
    }

    /// [`RateLimiterIn::refund`] now, for a limiter whose waiters are in `queue`: whoever the quota suffices for goes on.
    pub fn refund_and_wake<Q, const W: usize>(
        &self,
        key: &Q,
        cost: NonZeroU32,
        queue: &impl Lock<Target = WaitList<W>>,
    ) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let (hash, is_given) = self.with(|limiter, now| (limiter.hash(key), limiter.refund(key, cost, now)));
        if is_given {
            WaitList::wake(queue, hash);
        }
        is_given
    }

    /// [`set_quota`](Self::set_quota), for a limiter whose waiters are in `queue`: they wait by the new quota from now on.
    pub fn set_quota_and_wake<const W: usize>(&self, quota: A, queue: &impl Lock<Target = WaitList<W>>) {
        self.set_quota(quota);
        WaitList::wake_all(queue);
    }

    /// [`reset`](Self::reset), for a limiter whose waiters are in `queue`: those who wait for `key` go on.
    pub fn reset_and_wake<Q, const W: usize>(&self, key: &Q, queue: &impl Lock<Target = WaitList<W>>) -> bool
    where
        P: Names<K, Q>,
        Q: Hash + ?Sized,
    {
        let is_reset = self.reset(key);
        if is_reset {
            WaitList::wake(queue, self.with_lock(|limiter| limiter.hash(key)));
        }
        is_reset
    }

    /// [`RateLimiterIn::stats`].
    pub fn stats(&self) -> RateLimiterStats {
        self.with_lock(|limiter| limiter.stats())
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
