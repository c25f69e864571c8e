//! What circuit breakers tell of themselves.

use super::{BreakerState, BreakerStats, BreakersIn, CircuitBreaker, TripPolicy, WindowStats};
use crate::{
    foundation::{
        shared::{Clock, Lock, Shared},
        storage::Storage,
    },
    observe::{Observe, Visitor, instruments as on},
};

/// Every permit ends in one outcome at most; with those that were rejected, and the permits that are still out or were
/// lost, they are all that it was asked.
impl Observe for BreakerStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::CIRCUIT_BREAKER_CALLS, &[("outcome", "success")], self.successes);
        visitor.counter(&on::CIRCUIT_BREAKER_CALLS, &[("outcome", "failure")], self.failures);
        visitor.counter(&on::CIRCUIT_BREAKER_CALLS, &[("outcome", "ignored")], self.ignored);
        visitor.counter(&on::CIRCUIT_BREAKER_CALLS, &[("outcome", "stale")], self.stale);
        visitor.counter(&on::CIRCUIT_BREAKER_CALLS, &[("outcome", "rejected")], self.rejected);
        visitor.counter(&on::CIRCUIT_BREAKER_PERMITTED, &[], self.permitted);
        visitor.counter(&on::CIRCUIT_BREAKER_OVERRIDDEN, &[], self.overridden);
        visitor.counter(&on::CIRCUIT_BREAKER_TRANSITIONS, &[("to", "open")], self.opened);
    }
}

/// 1 for this state, 0 for the others.
impl Observe for BreakerState {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "closed")], u64::from(*self == Self::Closed));
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "half_open")], u64::from(*self == Self::HalfOpen));
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "open")], u64::from(*self == Self::Open));
    }
}

/// Gauges: what counts now.
impl Observe for WindowStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.gauge(&on::CIRCUIT_BREAKER_WINDOW_CALLS, &[], self.calls.into());
        visitor.gauge(&on::CIRCUIT_BREAKER_WINDOW_FAILURES, &[], self.failures.into());
        visitor.gauge(&on::CIRCUIT_BREAKER_WINDOW_SLOW_CALLS, &[], self.slow_calls.into());
    }
}

/// The counts, the state and the window.
impl<P, L, T> Observe for Shared<CircuitBreaker<P>, L, T>
where
    P: TripPolicy,
    L: Lock<Target = CircuitBreaker<P>>,
    T: Clock,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        let (stats, state, window) = self.with(|breaker, now| (breaker.stats(), breaker.state(), breaker.window(now)));
        stats.visit(visitor);
        state.visit(visitor);
        window.visit(visitor);
    }
}

/// The counts, how many keys are in each state, and how many there can be. O(capacity).
impl<K, P, S, H, L, T> Observe for Shared<BreakersIn<K, P, S, H>, L, T>
where
    P: TripPolicy,
    S: Storage,
    L: Lock<Target = BreakersIn<K, P, S, H>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        let (stats, untracked, [closed, half_open, open], room) = self.with_lock(|breakers| {
            (breakers.stats(), breakers.untracked(), breakers.states(), breakers.capacity() as u64)
        });
        stats.visit(visitor);
        visitor.counter(&on::CIRCUIT_BREAKER_UNTRACKED, &[], untracked);
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "closed")], closed);
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "half_open")], half_open);
        visitor.gauge(&on::CIRCUIT_BREAKER_STATE, &[("state", "open")], open);
        visitor.gauge(&on::CIRCUIT_BREAKER_CAPACITY, &[], room);
    }
}
