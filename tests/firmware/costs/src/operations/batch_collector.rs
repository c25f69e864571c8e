//! Batches of 16 items of 4 bytes.

use core::time::Duration;

use steadfast_core::{BatchCollector, BatchSettings, Instant};

pub type Batches = BatchCollector<u32, 16>;

pub const NEW: Batches = BatchCollector::new(BatchSettings::new(Duration::from_secs(5)));

operations! {
    /// How many items there are in the batch that it fills.
    fn push(batches: &mut Batches, item: u32, now: Instant) -> usize {
        batches.push(item, now).map_or(0, |batch| batch.len())
    }
    fn on_timeout(batches: &mut Batches, now: Instant) -> usize {
        batches.on_timeout(now).map_or(0, |batch| batch.len())
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn flush(batches: &mut Batches) -> usize {
            batches.flush().map_or(0, |batch| batch.len())
        }
        fn next_deadline(batches: &Batches) -> Option<Instant> {
            batches.next_deadline()
        }
    }
}
