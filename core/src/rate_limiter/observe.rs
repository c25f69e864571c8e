//! What a rate limiter tells of itself.

use super::{Naming, Quota, RateLimiterIn, RateLimiterStats};
use crate::{
    foundation::{
        shared::{Lock, Shared},
        storage::Storage,
    },
    observe::{Observe, Visitor, instruments as on},
};

/// The three decisions together are all that it was asked; the other counts are parts of them, each under a name of its own.
impl Observe for RateLimiterStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(
            &on::RATE_LIMITER_DECISIONS,
            &[("decision", "allowed")],
            self.allowed.saturating_sub(self.overridden),
        );
        visitor.counter(&on::RATE_LIMITER_DECISIONS, &[("decision", "denied")], self.denied);
        visitor.counter(&on::RATE_LIMITER_DECISIONS, &[("decision", "overridden")], self.overridden);
        visitor.counter(&on::RATE_LIMITER_OVERFLOWED, &[], self.overflowed);
        visitor.counter(&on::RATE_LIMITER_REFUSED, &[], self.refused);
        visitor.counter(&on::RATE_LIMITER_UNLIMITED, &[], self.unlimited);
        visitor.counter(&on::RATE_LIMITER_REFUNDED, &[], self.refunded);
        visitor.counter(&on::RATE_LIMITER_REUSED, &[], self.reused);
        visitor.counter(&on::RATE_LIMITER_EVICTED, &[], self.evicted);
    }
}

/// The counts, and how many keys there are and can be.
impl<K, A, S, H, P, L, T> Observe for Shared<RateLimiterIn<K, A, S, H, P>, L, T>
where
    A: Quota,
    S: Storage,
    P: Naming<K>,
    L: Lock<Target = RateLimiterIn<K, A, S, H, P>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        let (stats, keys, room) =
            self.with_lock(|limiter| (limiter.stats(), limiter.len() as u64, limiter.capacity() as u64));
        stats.visit(visitor);
        visitor.gauge(&on::RATE_LIMITER_KEYS, &[], keys);
        visitor.gauge(&on::RATE_LIMITER_CAPACITY, &[], room);
    }
}
