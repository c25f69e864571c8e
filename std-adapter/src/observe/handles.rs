//! What the types of this crate tell of themselves: their counts, and gauges beside them.

use core::hash::Hash;

use steadfast_core::{
    Clock,
    circuit_breaker::TripPolicy,
    observe::{Observe, Visitor, instruments as on},
    rate_limiter::{Naming, Quota},
};

use crate::{
    BatchCollector, Breakers, CachedRateLimiter, CircuitBreaker, Correlator, DedupCache, KeyedCorrelator, Logger,
    Quorum, RateLimiter, RetryBudget, dedup_cache::Kept,
};

/// The counts, and how many keys there are and can be. Each shard is locked for a moment.
impl<K, A: Quota, T: Clock, P: Naming<K>> Observe for RateLimiter<K, A, T, P> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
        visitor.gauge(&on::RATE_LIMITER_KEYS, &[], self.len() as u64);
        visitor.gauge(&on::RATE_LIMITER_CAPACITY, &[], self.capacity() as u64);
        visitor.gauge(&on::SETTINGS_GENERATION, &[], self.settings_generation());
    }
}

/// The counts, and how many keys there are and can be. Each shard is locked for a moment.
impl<K: Clone + Eq + Hash, V: Clone, A: Quota, T: Clock> Observe for CachedRateLimiter<K, V, A, T> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
        visitor.gauge(&on::CACHED_RATE_LIMITER_KEYS, &[], self.len() as u64);
        visitor.gauge(&on::CACHED_RATE_LIMITER_CAPACITY, &[], self.capacity() as u64);
        visitor.gauge(&on::SETTINGS_GENERATION, &[], self.settings_generation());
    }
}

/// The counts, the state and the window.
impl<P: TripPolicy, T: Clock> Observe for CircuitBreaker<P, T> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
        self.state().visit(visitor);
        self.window().visit(visitor);
        visitor.gauge(&on::SETTINGS_GENERATION, &[], self.settings_generation());
    }
}

/// The counts, how many keys are in each state, and how many there can be. Each shard is locked for O(its capacity).
impl<K: Eq + Hash, P: TripPolicy, T: Clock> Observe for Breakers<K, P, T> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
        visitor.counter(&on::CIRCUIT_BREAKER_UNTRACKED, &[], self.untracked());
        let [closed, half_open, open] = self.states();
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "closed")], closed);
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "half_open")], half_open);
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "open")], open);
        visitor.gauge(&on::CIRCUIT_BREAKER_CAPACITY, &[], self.capacity() as u64);
        visitor.gauge(&on::SETTINGS_GENERATION, &[], self.settings_generation());
    }
}

/// The counts, and how many retries there are now.
impl Observe for RetryBudget {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
        visitor.gauge(&on::RETRY_BUDGET_AVAILABLE, &[], self.available().into());
        visitor.gauge(&on::SETTINGS_GENERATION, &[], self.settings_generation());
    }
}

/// The counts, how many ids there can be, and the window that is really held. Each shard is locked for a moment.
impl<K: Eq + Hash, V: Kept, T: Clock> Observe for DedupCache<K, V, T> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
        visitor.gauge(&on::DEDUP_CAPACITY, &[], self.capacity() as u64);
        visitor.duration(&on::DEDUP_HORIZON, &[], self.horizon());
        visitor.gauge(&on::SETTINGS_GENERATION, &[], self.settings_generation());
    }
}

/// The counts.
impl<T> Observe for BatchCollector<T> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
        visitor.gauge(&on::SETTINGS_GENERATION, &[], self.settings_generation());
    }
}

/// As the [`Shared`](steadfast_core::Shared) that it derefs to.
impl<P: Copy + Eq, R, T> Observe for Correlator<P, R, T> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        (**self).visit(visitor);
    }
}

/// As the [`Shared`](steadfast_core::Shared) that it derefs to.
impl<Id, R, T> Observe for KeyedCorrelator<Id, R, T> {
    fn visit(&self, visitor: &mut dyn Visitor) {
        (**self).visit(visitor);
    }
}

/// The counts.
impl<V, T, C> Observe for Quorum<V, T, C>
where
    C: Clock,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
    }
}

/// The counts.
impl Observe for Logger {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
    }
}
