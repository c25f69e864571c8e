//! What a quorum tells of itself.

use super::{ListStorage, QuorumIn, QuorumStats};
use crate::{
    foundation::shared::{Lock, Shared},
    observe::{Observe, Visitor, instruments as on},
};

/// All results together are all votes that came.
impl Observe for QuorumStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::QUORUM_VOTES, &[("result", "counted")], self.counted);
        visitor.counter(&on::QUORUM_VOTES, &[("result", "conflicting")], self.conflicting);
        visitor.counter(&on::QUORUM_VOTES, &[("result", "full")], self.full);
        visitor.counter(&on::QUORUM_VOTES, &[("result", "late")], self.late);
        visitor.counter(&on::QUORUM_VOTES, &[("result", "other_ballot")], self.other_ballots);
        visitor.counter(&on::QUORUM_VOTES, &[("result", "repeated")], self.repeated);
        visitor.counter(&on::QUORUM_VOTES, &[("result", "stranger")], self.strangers);
    }
}

/// The counts.
impl<V, T, S, L, C> Observe for Shared<QuorumIn<V, T, S>, L, C>
where
    S: ListStorage,
    L: Lock<Target = QuorumIn<V, T, S>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.with_lock(|quorum| quorum.stats()).visit(visitor);
    }
}
