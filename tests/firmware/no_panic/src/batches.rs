use core::num::NonZeroU64;

use steadfast_core::{BatchCollector, BatchSettings};

use crate::{any, look_at, now, see, see_all, span};

#[inline(never)]
pub fn probe() {
    let settings = BatchSettings::new(span()).idle_gap(span());
    let weight = NonZeroU64::new(any()).unwrap_or(NonZeroU64::MIN);
    for settings in [settings, settings.max_weight(weight)] {
        let mut batch: BatchCollector<u32, 16> = BatchCollector::new(settings);
        for _ in 0..any::<u32>() {
            see(batch.push(any(), now()).map(|batch| batch.len()));
            see(batch.push_weighted(any(), any(), now()).map(|batch| batch.len()));
            see(batch.set_settings(settings, now()).map(|batch| batch.len()));
            see(batch.on_timeout(now()).map(|batch| batch.reason()));
            if let Some(batch) = batch.flush() {
                see_all(batch.into_iter());
            }
            see((batch.pending(), batch.len(), batch.is_empty()));
            see((batch.next_deadline(), batch.stats()));
            look_at(&batch.stats());
        }
    }
}
