//! What correlators tell of themselves.

use super::{CorrelatorIn, CorrelatorStats, KeyedCorrelatorIn, RoundTrips};
use crate::{
    foundation::{
        shared::{Lock, Shared},
        storage::Storage,
    },
    observe::{Observe, Visitor, instruments as on},
};

/// What began has ended in one of four ways, or is pending. Every reply resolved a call, or is one of those that matched
/// none.
impl Observe for CorrelatorStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::CORRELATOR_BEGUN, &[], self.begun);
        visitor.counter(&on::CORRELATOR_CALLS, &[("end", "resolved")], self.resolved);
        visitor.counter(&on::CORRELATOR_CALLS, &[("end", "timed_out")], self.timed_out);
        visitor.counter(&on::CORRELATOR_CALLS, &[("end", "cancelled")], self.cancelled);
        visitor.counter(&on::CORRELATOR_CALLS, &[("end", "closed")], self.closed);
        visitor.counter(&on::CORRELATOR_CALLS, &[("end", "refused")], self.refused);
        visitor.counter(&on::CORRELATOR_UNMATCHED, &[("reason", "late")], self.late);
        visitor.counter(&on::CORRELATOR_UNMATCHED, &[("reason", "duplicate")], self.duplicates);
        visitor.counter(&on::CORRELATOR_UNMATCHED, &[("reason", "unknown")], self.unknown);
        visitor.counter(&on::CORRELATOR_UNMATCHED, &[("reason", "wrong_peer")], self.wrong_peer);
        visitor.gauge(&on::CORRELATOR_PENDING, &[], self.pending);
    }
}

/// Gauges: the smoothed figures.
impl Observe for RoundTrips {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.duration(&on::CORRELATOR_ROUND_TRIP, &[], self.smoothed);
        visitor.duration(&on::CORRELATOR_ROUND_TRIP_VARIATION, &[], self.variation);
    }
}

/// The counts, how many calls there can be, and how long the matched replies took, once there was one.
impl<P, R, S, L, T> Observe for Shared<CorrelatorIn<P, R, S>, L, T>
where
    P: Copy + Eq,
    S: Storage,
    L: Lock<Target = CorrelatorIn<P, R, S>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        visit(self.with_lock(|calls| (calls.stats(), calls.capacity(), calls.round_trips())), visitor);
    }
}

/// The counts, how many calls there can be, and how long the matched replies took, once there was one.
impl<Id, R, S, H, L, T> Observe for Shared<KeyedCorrelatorIn<Id, R, S, H>, L, T>
where
    S: Storage,
    L: Lock<Target = KeyedCorrelatorIn<Id, R, S, H>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        visit(self.with_lock(|calls| (calls.stats(), calls.capacity(), calls.round_trips())), visitor);
    }
}

fn visit(read: (CorrelatorStats, usize, Option<RoundTrips>), visitor: &mut dyn Visitor) {
    let (stats, capacity, round_trips) = read;
    stats.visit(visitor);
    visitor.gauge(&on::CORRELATOR_CAPACITY, &[], capacity as u64);
    if let Some(round_trips) = round_trips {
        round_trips.visit(visitor);
    }
}
