//! Every item leaves once, in order, and none waits longer than was promised.

use core::{num::NonZeroU64, time::Duration};

use steadfast_core::{BatchCollector, BatchSettings, Instant, Lock, batch_collector::FlushReason};

use crate::{
    deadline::{Timed, deadline_contract},
    locks::{Locks, at, before},
};

const SETTINGS: BatchSettings = BatchSettings::new(Duration::from_secs(10))
    .idle_gap(Duration::from_secs(4))
    .max_weight(NonZeroU64::new(100).unwrap());

/// [`BatchCollector`]: size, weight, age and idle gap.
pub fn batch_collector_contract<L: Locks>() {
    let news = L::lock(BatchCollector::<u32, 3>::new(SETTINGS));
    let push = |item: u32, weight: u32, now: Instant, expected: Option<(FlushReason, &[u32])>| {
        news.with(|news| {
            let batch = news.push_weighted(item, weight, now);
            assert_eq!(batch.as_ref().map(|batch| (batch.reason(), &batch[..])), expected);
        });
    };
    let wait = |now: Instant, expected: Option<(FlushReason, &[u32])>| {
        news.with(|news| {
            let batch = news.on_timeout(now);
            assert_eq!(batch.as_ref().map(|batch| (batch.reason(), &batch[..])), expected);
        });
    };
    push(1, 1, at(100), None);
    push(2, 1, at(100), None);
    push(3, 1, at(100), Some((FlushReason::Size, &[1, 2, 3])));

    push(4, 60, at(101), None);
    push(5, 40, at(101), Some((FlushReason::Weight, &[4, 5])));

    push(6, 1, at(102), None);
    wait(before(106), None);
    wait(at(106), Some((FlushReason::Idle, &[6])));

    push(7, 1, at(110), None);
    push(8, 1, at(113), None);
    assert_eq!(news.with(|news| news.next_deadline()), Some(at(117)));
    wait(at(120), Some((FlushReason::Idle, &[7, 8])));
    wait(Instant::MAX, None);

    push(9, 1, at(130), None);
    assert!(news.with(|news| news.flush().is_some_and(|rest| rest.reason() == FlushReason::Manual)));
    let stats = news.with(|news| news.stats());
    assert_eq!((stats.pushed, stats.flushed, stats.pending, stats.batches), (9, 9, 0, 5));
}

#[derive(Clone)]
struct Waiting(BatchCollector<u32, 4>);

impl Timed for Waiting {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.0.on_timeout(now).is_some()
    }

    fn digest(&self) -> u64 {
        self.0.stats().flushed << 32 | self.0.pending().len() as u64
    }
}

/// [`deadline_contract`] of a collector that is empty, and of one that waits.
pub fn batch_deadline_contract() {
    let mut waiting = Waiting(BatchCollector::new(SETTINGS));
    deadline_contract(&waiting);
    for item in 0..3 {
        assert!(waiting.0.push(item, at(10 + u64::from(item))).is_none());
        deadline_contract(&waiting);
    }
}
