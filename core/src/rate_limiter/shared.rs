//! The limiter behind a lock: the same calls without `now`, and waiting.

use core::{
    borrow::Borrow,
    future::poll_fn,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
    task::Poll,
};

use super::{Decision, Quota, RateLimiterIn, RateLimiterStats};
use crate::{Clock, Instant, Lock, Shared, Storage, Timer, WaitList};

impl<K, A, S, H, L, T> Shared<RateLimiterIn<K, A, S, H>, L, T>
where
    K: Clone + Eq + Hash,
    A: Quota,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = RateLimiterIn<K, A, S, H>>,
    T: Clock,
{
    /// [`RateLimiterIn::check`] now.
    pub fn check<Q>(&self, key: &Q) -> Decision
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.check(key, now))
    }

    /// [`RateLimiterIn::remaining`] now.
    pub fn remaining<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.remaining(key, now))
    }

    /// [`RateLimiterIn::reset_at`] now.
    pub fn reset_at<Q>(&self, key: &Q) -> Instant
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.reset_at(key, now))
    }

    /// [`RateLimiterIn::refund`] now.
    pub fn refund<Q>(&self, key: &Q, cost: NonZeroU32) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.with(|limiter, now| limiter.refund(key, cost, now))
    }

    /// [`RateLimiterIn::stats`].
    pub fn stats(&self) -> RateLimiterStats {
        self.with_lock(|limiter| limiter.stats())
    }

    /// Waits until `key` is allowed, and counts it then.
    ///
    /// Those who wait for the same key are served in the order of their arrival; `queue` has the places where they wait,
    /// and belongs to this limiter. Beyond its `W` places that order is not kept, and [`allow`](Self::allow) never waits
    /// its turn. A future that is dropped has counted nothing and frees its place at once.
    ///
    /// ```
    /// use steadfast_core::{Gcra, Lock, RateLimiter, Shared, Timer, WaitList};
    ///
    /// type Limiter = RateLimiter<u32, Gcra, 32>;
    ///
    /// /// Sends what `peer` is to get, no faster than the limiter says; beside it lies a `WaitList::new()`.
    /// async fn send(
    ///     limiter: &Shared<Limiter, impl Lock<Target = Limiter>, impl Timer>,
    ///     queue: &impl Lock<Target = WaitList<8>>,
    ///     peer: u32,
    /// ) {
    ///     limiter.until_allowed(&peer, queue).await;
    ///     // ... send
    /// }
    /// ```
    pub async fn until_allowed<const W: usize>(&self, key: &K, queue: &impl Lock<Target = WaitList<W>>)
    where
        T: Timer,
    {
        let hash = self.with_lock(|limiter| limiter.hash(key));
        let place = queue.with(|queue| queue.join(hash)).map(|ticket| Place { queue, hash, ticket });
        if let Some(place) = &place {
            place.until_first().await;
        }
        while let Decision::Deny { retry_at } = self.allow_waiting(hash, key) {
            self.timer().sleep_until(retry_at).await;
        }
    }
}

/// A place in a line; dropping it leaves the line and wakes whoever is first now.
struct Place<'a, Q: Lock<Target = WaitList<W>>, const W: usize> {
    queue: &'a Q,
    hash: u64,
    ticket: u64,
}

impl<Q: Lock<Target = WaitList<W>>, const W: usize> Place<'_, Q, W> {
    fn until_first(&self) -> impl Future<Output = ()> {
        poll_fn(|cx| {
            // Cloned and dropped outside the lock: the last waker of a task may drop the task.
            let mut waker = Some(cx.waker().clone());
            if self.queue.with(|queue| queue.is_first(self.hash, self.ticket, &mut waker)) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }
}

impl<Q: Lock<Target = WaitList<W>>, const W: usize> Drop for Place<'_, Q, W> {
    fn drop(&mut self) {
        let mut gone = None;
        let first = self.queue.with(|queue| queue.leave(self.hash, self.ticket, &mut gone));
        if let Some(waker) = first {
            waker.wake();
        }
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
