use core::{num::NonZeroU64, time::Duration};
use std::{rc::Rc, vec, vec::Vec};

use super::*;

const WAIT: Duration = Duration::from_secs(10);

static IN_A_STATIC: std::sync::Mutex<BatchCollector<u32, 8>> =
    std::sync::Mutex::new(BatchCollector::new(BatchSettings::new(WAIT).idle_gap(WAIT).max_weight(NonZeroU64::MIN)));

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn collector() -> BatchCollector<u32, 3> {
    BatchCollector::new(BatchSettings::new(WAIT))
}

fn taken(batch: Option<Batch<'_, u32>>) -> Option<(FlushReason, Vec<u32>)> {
    batch.map(|batch| (batch.reason(), batch.into_iter().collect()))
}

/// Time in milliseconds; each batch with the time of its callback.
#[derive(Default)]
struct Script {
    collector: Option<BatchCollector<u32, 3>>,
    now: u64,
    batches: Vec<(u64, Vec<u32>)>,
}

impl Script {
    fn new() -> Self {
        Self { collector: Some(collector()), ..Self::default() }
    }

    /// Lets time pass, timers on time.
    fn wait_until(&mut self, millis: u64) {
        let collector = self.collector.as_mut().expect("running");
        while let Some(due) = collector.next_deadline().filter(|due| *due <= Instant::from_millis(millis)) {
            let (_, batch) = taken(collector.on_timeout(due)).expect("due");
            self.batches.push((due.as_nanos() / 1_000_000, batch));
        }
        self.now = millis;
    }

    fn add(&mut self, millis: u64, items: impl IntoIterator<Item = u32>) {
        self.wait_until(millis);
        for item in items {
            let batch = self.collector.as_mut().expect("running").push(item, Instant::from_millis(millis));
            if let Some((_, batch)) = taken(batch) {
                self.batches.push((millis, batch));
            }
        }
    }

    fn flush(&mut self) {
        if let Some((_, batch)) = taken(self.collector.as_mut().expect("running").flush()) {
            self.batches.push((self.now, batch));
        }
    }

    fn ends_with(mut self, batches: impl IntoIterator<Item = (u64, Vec<u32>)>) {
        self.wait_until(1_000_000);
        assert_eq!(self.batches, Vec::from_iter(batches));
    }
}

#[test]
fn vector_1_a_full_batch_leaves_at_once() {
    let mut script = Script::new();
    script.add(0, [1, 2, 3]);
    script.ends_with([(0, vec![1, 2, 3])]);
}

#[test]
fn vector_2_one_item_waits_its_time() {
    let mut script = Script::new();
    script.add(0, [1]);
    script.ends_with([(10_000, vec![1])]);
}

#[test]
fn vector_3_a_later_item_does_not_restart_the_wait() {
    let mut script = Script::new();
    script.add(0, [1]);
    script.add(9_999, [2]);
    script.ends_with([(10_000, vec![1, 2])]);
}

#[test]
fn vector_4_seven_items_make_three_batches() {
    let mut script = Script::new();
    script.add(0, 1..=7);
    script.ends_with([(0, vec![1, 2, 3]), (0, vec![4, 5, 6]), (10_000, vec![7])]);
}

#[test]
fn vector_5_a_stale_timer_flushes_nothing() {
    let mut script = Script::new();
    script.add(0, [1, 2, 3]);
    let collector = script.collector.as_mut().unwrap();
    assert_eq!(collector.next_deadline(), None);
    assert!(collector.on_timeout(at(10)).is_none());
    script.ends_with([(0, vec![1, 2, 3])]);
}

/// The timer race of the seed's sketch: a timer of an earlier batch must not flush the next one early.
#[test]
fn vector_6_seed_10_3_a_stale_timer_does_not_flush_the_next_batch_early() {
    let mut script = Script::new();
    script.add(5_000, [1, 2, 3]);
    script.add(6_000, [4]);
    assert!(script.collector.as_mut().unwrap().on_timeout(at(15)).is_none(), "the timer of the first batch");
    script.ends_with([(5_000, vec![1, 2, 3]), (16_000, vec![4])]);
}

#[test]
fn vector_7_a_flush_of_nothing_is_nothing() {
    let mut script = Script::new();
    script.flush();
    script.ends_with([]);
}

#[test]
fn vector_8_a_flushed_item_does_not_come_again() {
    let mut script = Script::new();
    script.add(0, [1]);
    script.flush();
    script.ends_with([(0, vec![1])]);
}

#[test]
fn vector_13_size_one_never_waits() {
    let mut collector = BatchCollector::<_, 1>::new(BatchSettings::new(WAIT));
    for item in 0..5 {
        assert_eq!(taken(collector.push(item, at(7))), Some((FlushReason::Size, vec![item])));
        assert_eq!(collector.next_deadline(), None);
    }
}

/// The seed's sketch hands out the slice that it goes on filling. Here a push while a batch is alive does not compile
/// (the example of [`Batch`]), and nothing of it comes again afterwards.
#[test]
fn seed_10_3_a_batch_is_not_overwritten_by_the_next() {
    let mut collector = collector();
    for round in 0..10 {
        assert!(collector.push(round, at(0)).is_none());
        assert!(collector.push(round + 1, at(0)).is_none());
        let batch = collector.push(round + 2, at(0)).expect("full");
        assert_eq!(*batch, [round, round + 1, round + 2]);
    }
}

#[test]
fn seed_10_3_memory_is_bounded_however_slow_the_flush_is() {
    let mut collector = collector();
    for item in 0..1_000 {
        drop(collector.push(item, at(0)));
        assert!(collector.len() < 3, "a full batch never stays inside");
    }
    assert_eq!(collector.stats(), BatchStats { pushed: 1_000, flushed: 999, pending: 1, batches: 333 });
}

#[test]
fn the_age_is_reached_exactly_at_the_deadline() {
    let mut collector = collector();
    assert!(collector.push(1, at(0)).is_none());
    assert_eq!(collector.next_deadline(), Some(at(10)));
    assert!(collector.on_timeout(Instant::from_nanos(at(10).as_nanos() - 1)).is_none());
    assert_eq!(taken(collector.on_timeout(at(10))), Some((FlushReason::Age, vec![1])));
}

#[test]
fn a_push_after_the_deadline_hands_out_what_a_late_timer_has_not() {
    let mut collector = collector();
    assert!(collector.push(1, at(0)).is_none());
    assert!(collector.push(2, Instant::from_millis(9_999)).is_none());
    assert_eq!(taken(collector.push(3, at(10))), Some((FlushReason::Size, vec![1, 2, 3])), "full comes first");
    assert!(collector.push(4, at(10)).is_none());
    assert_eq!(taken(collector.push(5, at(20))), Some((FlushReason::Age, vec![4, 5])));
    assert!(collector.is_empty());
}

#[test]
fn no_wait_makes_each_item_a_batch() {
    let mut collector = BatchCollector::<_, 3>::new(BatchSettings::new(Duration::ZERO));
    assert_eq!(taken(collector.push(1, at(5))), Some((FlushReason::Age, vec![1])));
    assert_eq!(taken(collector.push(2, at(1))), Some((FlushReason::Age, vec![2])), "after a step back, too");
    let mut collector = BatchCollector::<_, 3>::new(BatchSettings::new(WAIT).idle_gap(Duration::ZERO));
    assert_eq!(taken(collector.push(1, at(5))), Some((FlushReason::Idle, vec![1])));
}

#[test]
fn an_endless_wait_has_no_deadline() {
    let mut collector = BatchCollector::<_, 3>::new(BatchSettings::new(Duration::MAX));
    assert!(collector.push(1, at(5)).is_none());
    assert_eq!(collector.next_deadline(), None);
    assert!(collector.on_timeout(Instant::MAX).is_none());
    assert_eq!(taken(collector.flush()), Some((FlushReason::Manual, vec![1])));
}

#[test]
fn an_idle_gap_ends_a_batch_and_each_item_puts_it_off() {
    let settings = BatchSettings::new(WAIT).idle_gap(Duration::from_secs(4));
    let mut collector = BatchCollector::<_, 9>::new(settings);
    assert!(collector.push(1, at(0)).is_none());
    assert_eq!(collector.next_deadline(), Some(at(4)));
    assert!(collector.push(2, at(3)).is_none());
    assert_eq!(collector.next_deadline(), Some(at(7)));
    assert!(collector.on_timeout(Instant::from_millis(6_999)).is_none());
    assert_eq!(taken(collector.on_timeout(at(7))), Some((FlushReason::Idle, vec![1, 2])));
    for (item, secs) in [(3, 20), (4, 23), (5, 26), (6, 29)] {
        assert!(collector.push(item, at(secs)).is_none());
    }
    assert_eq!(collector.next_deadline(), Some(at(30)), "the age of the first item bounds it");
    assert_eq!(taken(collector.on_timeout(at(30))), Some((FlushReason::Age, vec![3, 4, 5, 6])));
}

#[test]
fn an_item_after_an_unseen_gap_joins_the_batch() {
    let mut collector =
        BatchCollector::<_, 9>::new(BatchSettings::new(Duration::from_secs(60)).idle_gap(Duration::from_secs(4)));
    assert!(collector.push(1, at(0)).is_none());
    assert!(collector.push(2, at(5)).is_none());
    assert_eq!(taken(collector.on_timeout(at(9))), Some((FlushReason::Idle, vec![1, 2])));
}

#[test]
fn the_item_that_reaches_the_weight_is_the_last_one() {
    let settings = BatchSettings::new(WAIT).max_weight(NonZeroU64::new(100).unwrap());
    let mut collector = BatchCollector::<_, 9>::new(settings);
    assert!(collector.push_weighted(1, 60, at(0)).is_none());
    assert!(collector.push_weighted(2, 39, at(0)).is_none());
    assert_eq!(taken(collector.push(3, at(0))), Some((FlushReason::Weight, vec![1, 2, 3])));
    assert!(collector.push_weighted(4, 99, at(0)).is_none(), "the next batch starts from nothing");
    assert_eq!(taken(collector.push_weighted(5, u32::MAX, at(0))), Some((FlushReason::Weight, vec![4, 5])));
    for _ in 0..8 {
        assert!(collector.push_weighted(6, 0, at(0)).is_none());
    }
    assert_eq!(taken(collector.push_weighted(7, 0, at(0))).unwrap().0, FlushReason::Size);
}

#[test]
fn a_clock_that_steps_back_stalls_at_most_one_wait() {
    let mut collector = collector();
    assert!(collector.push(1, at(3_600)).is_none());
    assert!(collector.push(2, at(5)).is_none());
    assert_eq!(collector.next_deadline(), Some(at(15)));
    assert_eq!(taken(collector.on_timeout(at(15))), Some((FlushReason::Age, vec![1, 2])));

    assert!(collector.push(3, Instant::MAX).is_none(), "one reading from the end of time");
    assert_eq!(collector.next_deadline(), None);
    assert!(collector.push(4, at(20)).is_none());
    assert_eq!(collector.next_deadline(), Some(at(30)));
}

/// Nothing comes any more, and nobody calls anything but `on_timeout`.
#[test]
fn found_e1_on_timeout_alone_notices_a_step_back() {
    for settings in [BatchSettings::new(WAIT), BatchSettings::new(Duration::from_secs(60)).idle_gap(WAIT)] {
        let mut collector = BatchCollector::<_, 3>::new(settings);
        assert!(collector.push(1, at(86_400)).is_none());
        assert!(collector.on_timeout(at(5)).is_none());
        assert_eq!(collector.next_deadline(), Some(at(15)));
        assert!(collector.on_timeout(at(14)).is_none());
        assert_eq!(collector.next_deadline(), Some(at(15)), "that was no step back");
        assert!(collector.on_timeout(at(15)).is_some());
        assert!(collector.on_timeout(at(1)).is_none());
        assert_eq!(collector.next_deadline(), None);
    }
}

#[test]
fn what_is_not_taken_out_of_a_batch_is_dropped_with_it() {
    let item = Rc::new(());
    let mut collector = BatchCollector::<_, 3>::new(BatchSettings::new(WAIT));
    assert!(collector.push(item.clone(), at(0)).is_none());
    assert!(collector.push(item.clone(), at(0)).is_none());
    let mut items = collector.push(item.clone(), at(0)).expect("full").into_iter();
    assert_eq!((items.len(), Rc::strong_count(&item)), (3, 4));
    drop(items.next());
    assert_eq!((items.len(), Rc::strong_count(&item)), (2, 3));
    drop(items);
    assert_eq!((collector.len(), Rc::strong_count(&item)), (0, 1));
    assert_eq!(collector.stats(), BatchStats { pushed: 3, flushed: 3, pending: 0, batches: 1 });
}

#[test]
fn a_batch_can_be_changed_in_place() {
    let mut collector = collector();
    assert!(collector.push(3, at(0)).is_none());
    assert!(collector.push(1, at(0)).is_none());
    let mut batch = collector.push(2, at(0)).expect("full");
    batch.sort_unstable();
    assert_eq!(*batch, [1, 2, 3]);
    let mut items = batch.into_iter();
    assert_eq!((items.next(), items.size_hint()), (Some(1), (2, Some(2))));
}

#[test]
fn a_leaked_batch_costs_its_items_and_nothing_else() {
    let mut collector = collector();
    for item in 1..3 {
        assert!(collector.push(item, at(0)).is_none());
    }
    core::mem::forget(collector.push(3, at(0)));
    assert!(collector.is_empty() && collector.pending().is_empty());
    assert!(collector.flush().is_none() && collector.on_timeout(at(99)).is_none());
    assert!(collector.push(4, at(0)).is_none());
    assert_eq!(collector.pending(), [4]);
    assert_eq!(taken(collector.flush()), Some((FlushReason::Manual, vec![4])));
}

#[test]
fn a_collector_may_be_a_static() {
    let batch = taken(IN_A_STATIC.lock().unwrap().push(1, at(0)));
    assert_eq!(batch, Some((FlushReason::Weight, vec![1])));
}

#[test]
fn its_size_is_the_items_and_a_little() {
    // Three of its numbers are words, and i686 aligns a `u64` to four bytes.
    let little = match (size_of::<usize>(), align_of::<u64>()) {
        (8, _) => 88,
        (_, 8) => 80,
        _ => 76,
    };
    assert_eq!(size_of::<BatchCollector<u64, 16>>(), 16 * 8 + little);
}

#[test]
fn other_settings_hold_for_the_batch_being_filled() {
    let mut collector = collector();
    assert!(collector.push(1, at(0)).is_none());
    assert!(collector.set_settings(BatchSettings::new(WAIT / 2), at(1)).is_none());
    assert_eq!(collector.next_deadline(), Some(at(5)));
    assert_eq!(taken(collector.set_settings(BatchSettings::new(WAIT / 5), at(2))), Some((FlushReason::Age, vec![1])));

    let heavy = BatchSettings::new(WAIT).max_weight(NonZeroU64::new(5).unwrap());
    assert!(collector.push_weighted(2, 7, at(3)).is_none());
    assert_eq!(taken(collector.set_settings(heavy, at(3))), Some((FlushReason::Weight, vec![2])));

    assert!(collector.push(3, at(4)).is_none());
    let gap = BatchSettings::new(Duration::MAX).idle_gap(WAIT / 10);
    assert!(collector.set_settings(gap, at(9)).is_none());
    assert_eq!(collector.next_deadline(), Some(at(10)), "a new gap is counted from the change");
    assert!(collector.set_settings(BatchSettings::new(Duration::MAX), at(9)).is_none());
    assert_eq!(collector.next_deadline(), None);
}
