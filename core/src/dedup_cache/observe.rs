//! What a deduplication cache tells of itself.

use super::{DedupCacheIn, DedupStats};
use crate::{
    foundation::{
        shared::{Clock, Lock, Shared},
        storage::Storage,
    },
    observe::{Observe, Visitor, instruments as on},
};

/// All results together are all that it was asked. `fresh` is the ids that are held, those that ended, and those whose
/// claim was aborted or given up; the claims are those that are pending and those that ended.
impl Observe for DedupStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::DEDUP_IDS, &[("result", "fresh")], self.fresh);
        visitor.counter(&on::DEDUP_IDS, &[("result", "duplicate")], self.duplicates);
        visitor.counter(&on::DEDUP_IDS, &[("result", "in_flight")], self.in_flight);
        visitor.counter(&on::DEDUP_IDS, &[("result", "refused")], self.refused);
        visitor.counter(&on::DEDUP_IDS_ENDED, &[("end", "expired")], self.expired);
        visitor.counter(&on::DEDUP_IDS_ENDED, &[("end", "forgotten")], self.forgotten);
        visitor.counter(&on::DEDUP_IDS_ENDED, &[("end", "removed")], self.removed);
        visitor.counter(&on::DEDUP_CLAIMS, &[], self.claimed);
        visitor.counter(&on::DEDUP_CLAIMS_ENDED, &[("end", "committed")], self.committed);
        visitor.counter(&on::DEDUP_CLAIMS_ENDED, &[("end", "aborted")], self.aborted);
        visitor.counter(&on::DEDUP_CLAIMS_ENDED, &[("end", "given_up")], self.given_up);
        visitor.gauge(&on::DEDUP_HELD, &[], self.held);
        visitor.gauge(&on::DEDUP_PENDING, &[], self.pending);
    }
}

/// The counts, how many ids there can be, and the window that is really held.
impl<K, V, S, H, L, T> Observe for Shared<DedupCacheIn<K, S, H, V>, L, T>
where
    S: Storage,
    L: Lock<Target = DedupCacheIn<K, S, H, V>>,
    T: Clock,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        let (stats, room, horizon) =
            self.with(|cache, now| (cache.stats(), cache.capacity() as u64, cache.horizon(now)));
        stats.visit(visitor);
        visitor.gauge(&on::DEDUP_CAPACITY, &[], room);
        visitor.duration(&on::DEDUP_HORIZON, &[], horizon);
    }
}
