//! What a shared deduplication has counted.

use core::sync::atomic::{AtomicU64, Ordering};

use steadfast::observe::{Observe, Visitor, instruments as on};

use super::SharedDedup;

/// The counts of a [`SharedDedup`]: together all that it was asked in this process, but for calls that were dropped.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SharedDedupStats {
    /// Ids that were new.
    pub fresh: u64,
    /// Ids that were known.
    pub duplicates: u64,
    /// Claims of ids that another claim held.
    pub in_flight: u64,
    /// Ids of which the engine said nothing, with [`DedupWhenDown::Refuse`](super::DedupWhenDown::Refuse).
    pub refused: u64,
}

/// All that it was asked, by answer.
impl Observe for SharedDedupStats {
    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.counter(&on::DEDUP_IDS, &[("result", "fresh")], self.fresh);
        visitor.counter(&on::DEDUP_IDS, &[("result", "duplicate")], self.duplicates);
        visitor.counter(&on::DEDUP_IDS, &[("result", "in_flight")], self.in_flight);
        visitor.counter(&on::DEDUP_IDS, &[("result", "refused")], self.refused);
    }
}

/// The counts.
impl Observe for SharedDedup {
    fn visit(&self, visitor: &mut dyn Visitor) {
        self.stats().visit(visitor);
    }
}

#[derive(Default)]
pub(super) struct Counts([AtomicU64; 4]);

impl Counts {
    pub(super) fn fresh(&self) {
        self.add(0);
    }

    pub(super) fn duplicate(&self) {
        self.add(1);
    }

    pub(super) fn in_flight(&self) {
        self.add(2);
    }

    pub(super) fn refused(&self) {
        self.add(3);
    }

    fn add(&self, number: usize) {
        if let Some(count) = self.0.get(number) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> SharedDedupStats {
        let [fresh, duplicates, in_flight, refused] = self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        SharedDedupStats { fresh, duplicates, in_flight, refused }
    }
}
