//! What batches tell of themselves.

use super::{BatchBuffer, BatchQueueIn, BatchQueueStats, BatchStats};
use crate::{
    foundation::{
        shared::{Lock, Shared},
        storage::Storage,
    },
    observe::{Observe, Visitor, instruments as on},
};

/// What was accepted was handed out, or is pending.
impl Observe for BatchStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::BATCH_ACCEPTED, &[], self.pushed);
        visitor.counter(&on::BATCH_ITEMS, &[("end", "handed_out")], self.flushed);
        visitor.counter(&on::BATCH_FLUSHES, &[], self.batches);
        visitor.gauge(&on::BATCH_PENDING, &[], self.pending as u64);
    }
}

/// What was accepted left in one of three ways, is in flight, or is pending.
impl Observe for BatchQueueStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::BATCH_ACCEPTED, &[], self.accepted);
        visitor.counter(&on::BATCH_ITEMS, &[("end", "delivered")], self.delivered);
        visitor.counter(&on::BATCH_ITEMS, &[("end", "failed")], self.failed);
        visitor.counter(&on::BATCH_ITEMS, &[("end", "returned")], self.returned);
        visitor.counter(&on::BATCH_FLUSHES, &[], self.batches);
        visitor.counter(&on::BATCH_RETRIES, &[], self.retries);
        visitor.gauge(&on::BATCH_PENDING, &[], self.pending as u64);
        visitor.gauge(&on::BATCH_IN_FLIGHT, &[], self.in_flight as u64);
    }
}

/// The counts.
impl<B, W, L, T> Observe for Shared<BatchQueueIn<B, W>, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
{
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.with_lock(|queue| queue.stats()).visit(visitor);
    }
}
