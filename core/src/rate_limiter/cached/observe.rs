//! What a caching rate limiter tells of itself.

use super::{CachedRateLimiterIn, CachedRateLimiterStats};
use crate::{
    foundation::{
        shared::{Lock, Shared},
        storage::Storage,
    },
    observe::{Observe, Visitor, instruments as on},
    rate_limiter::{Naming, Quota},
};

/// All answers together are all that it was asked; those that are `allowed` begin an attempt.
impl Observe for CachedRateLimiterStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::CACHED_RATE_LIMITER_ANSWERS, &[("answer", "allowed")], self.allowed);
        visitor.counter(&on::CACHED_RATE_LIMITER_ANSWERS, &[("answer", "cached")], self.cached);
        visitor.counter(&on::CACHED_RATE_LIMITER_ANSWERS, &[("answer", "in_flight")], self.in_flight);
        visitor.counter(&on::CACHED_RATE_LIMITER_ANSWERS, &[("answer", "denied")], self.denied);
        visitor.counter(&on::CACHED_RATE_LIMITER_ATTEMPTS, &[("end", "completed")], self.completed);
        visitor.counter(&on::CACHED_RATE_LIMITER_ATTEMPTS, &[("end", "released")], self.released);
        visitor.counter(&on::CACHED_RATE_LIMITER_ATTEMPTS, &[("end", "refunded")], self.refunded);
    }
}

/// The counts, and how many keys there are and can be.
impl<K, V, A, S, H, P, L, T> Observe for Shared<CachedRateLimiterIn<K, V, A, S, H, P>, L, T>
where
    A: Quota,
    S: Storage,
    P: Naming<K>,
    L: Lock<Target = CachedRateLimiterIn<K, V, A, S, H, P>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        let (stats, keys, room) =
            self.with_lock(|limiter| (limiter.stats(), limiter.len() as u64, limiter.capacity() as u64));
        stats.visit(visitor);
        visitor.gauge(&on::CACHED_RATE_LIMITER_KEYS, &[], keys);
        visitor.gauge(&on::CACHED_RATE_LIMITER_CAPACITY, &[], room);
    }
}
