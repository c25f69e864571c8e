//! Stopping in time, waiting for a flush, trying again later, and more than one batch that waits.

#[cfg(feature = "tokio")]
use core::future::{Future, pending};

#[cfg(feature = "tokio")]
use steadfast_core::{RetryPolicy, retry::Jitter};

use super::*;

/// How many milliseconds of tokio's clock it takes.
#[cfg(feature = "tokio")]
async fn timed<R>(future: impl Future<Output = R>) -> (R, u64) {
    let start = tokio::time::Instant::now();
    let output = future.await;
    (output, start.elapsed().as_millis() as u64)
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_stop_with_a_deadline_gives_back_what_a_sink_that_hangs_leaves() {
    let collector = BatchCollector::builder(2, NEVER).capacity(4).build(|_: Batch<u32>| pending::<()>()).unwrap();
    for item in 0..6 {
        collector.add(item).await.unwrap();
    }
    let waiting = collector.clone();
    let waiter = tokio::spawn(async move { waiting.add(6).await });
    tokio::task::yield_now().await;
    let flush = collector.flush();
    let (items, millis) = timed(collector.stop_within(Duration::from_secs(3))).await;
    assert_eq!((items, millis / 10), (vec![2, 3, 4, 5], 300));
    assert_eq!(waiter.await.unwrap(), Err(AddError::Stopped(6)));
    let stats = collector.stats();
    assert_eq!((stats.in_flight, stats.returned, stats.pending), (2, 4, 0));
    assert_conserved(stats);
    assert!(tokio::time::timeout(WAIT, flush).await.is_err(), "two of its items are still on their way");
    assert_eq!(collector.stop_within(Duration::ZERO).await, [0; 0]);
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_stop_with_a_deadline_gives_back_what_waits_for_another_try() {
    let letters = Seen::<u32>::default();
    let dead = letters.clone();
    let builder = BatchCollector::builder(2, NEVER).retry(9, Duration::from_secs(3_600));
    let builder = builder.on_failed(move |batch: Batch<u32>| dead.lock().unwrap().extend(batch.iter()));
    let collector = builder.build(|items: Batch<u32>| async move { Some(items) }).unwrap();
    for item in 0..3 {
        collector.add(item).await.unwrap();
    }
    let flush = collector.flush();
    let both = async { tokio::join!(flush, collector.stop_within(Duration::from_secs(1))) };
    let ((report, items), millis) = timed(both).await;
    assert_eq!((items, millis / 10), (vec![0, 1, 2], 100));
    assert_eq!((report.returned, report.is_delivered()), (3, false));
    let stats = collector.stats();
    assert_eq!((stats.returned, stats.failed, stats.in_flight, stats.pending), (3, 0, 0, 0));
    collector.stop().await; // the worker has ended
    assert!(letters.lock().unwrap().is_empty());
    assert_eq!(collector.stats(), stats);
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_stop_in_time_gives_nothing_back_and_a_late_flush_is_not_tried_again() {
    for (wait, left) in [(1_000, 0), (10, 2)] {
        let builder = BatchCollector::builder(2, NEVER).retry(9, Duration::ZERO);
        let collector = builder.build(|items: Batch<u32>| async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            (items.attempt() < 3).then_some(items)
        });
        let collector = collector.unwrap();
        for item in 0..4 {
            collector.add(item).await.unwrap();
        }
        let items = collector.stop_within(Duration::from_millis(wait)).await;
        assert_eq!(items.len(), left);
        collector.stop().await;
        let stats = collector.stats();
        let expected = if left == 0 { (4, 0, 0) } else { (0, 2, 2) };
        assert_eq!((stats.delivered, stats.failed, stats.returned), expected);
        assert_conserved(stats);
    }
}

#[test]
fn a_thread_that_waits_for_another_try_ends_with_a_stop_in_time() {
    let builder = BatchCollector::builder(1, NEVER).retry(9, Duration::from_secs(3_600));
    let (ended, has_ended) = mpsc::channel::<()>();
    let collector = builder.build(move |items: Batch<u32>| {
        let _ended = &ended;
        async move { Some(items) }
    });
    let collector = collector.unwrap();
    collector.add_blocking(1).unwrap();
    while collector.stats().retries == 0 {
        thread::yield_now();
    }
    assert_eq!(block_on(collector.stop_within(Duration::from_millis(1))), [1]);
    assert!(
        has_ended
            .recv_timeout(Duration::from_secs(60))
            .is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected)
    );
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn an_awaited_flush_tells_when_and_how() {
    let collector = BatchCollector::builder(2, WAIT).build(|items: Batch<u32>| async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if items.contains(&4) { Err(()) } else { Ok(()) }
    });
    let collector = collector.unwrap();
    assert_eq!(timed(collector.flush()).await, (FlushReport::default(), 0), "there is nothing to flush");
    for item in 0..4 {
        collector.add(item).await.unwrap();
    }
    tokio::task::yield_now().await;
    collector.try_add(9).unwrap_err();
    let first = collector.flush();
    let (report, millis) = timed(first).await;
    assert_eq!((report.delivered, report.failed, millis / 100), (4, 0, 20), "what was under way is waited for");
    for item in 4..7 {
        collector.add(item).await.unwrap();
    }
    let (report, millis) = timed(collector.flush()).await;
    assert_eq!((report.delivered, report.failed, millis / 100), (1, 2, 20));
    assert!(!report.is_delivered());
    // One that is dropped, and many.
    collector.add(7).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(1), collector.flush()).await.is_err());
    let (one, other) = tokio::join!(collector.flush(), collector.flush());
    assert_eq!((one.delivered, other), (1, one));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn tries_are_numbered_and_spaced_as_the_policy_says() {
    let seen = Seen::default();
    let (record, start) = (seen.clone(), tokio::time::Instant::now());
    let policy = RetryPolicy::exponential(Duration::from_secs(1)).max_retries(3).jitter(Jitter::None);
    let collector = BatchCollector::builder(1, NEVER).backoff(policy).build(move |items: Batch<u32>| {
        record.lock().unwrap().push((items.attempt(), start.elapsed().as_secs()));
        async move { Some(items) }
    });
    let collector = collector.unwrap();
    collector.add(1).await.unwrap();
    collector.stop().await;
    assert_eq!(*seen.lock().unwrap(), [(1, 0), (2, 1), (3, 3), (4, 7)]);
    assert_eq!((collector.stats().failed, collector.stats().retries), (1, 3));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_flush_that_takes_too_long_is_cut_off_and_tried_again() {
    let seen = Seen::default();
    let record = seen.clone();
    let policy = RetryPolicy::constant(Duration::ZERO).attempt_timeout(Duration::from_secs(1)).max_retries(2);
    let collector = BatchCollector::builder(3, NEVER).backoff(policy).build(move |mut items: Batch<u32>| {
        record.lock().unwrap().push(items.to_vec());
        async move {
            items.remove(0);
            let _held = items;
            pending::<()>().await;
        }
    });
    let collector = collector.unwrap();
    for item in 0..3 {
        collector.add(item).await.unwrap();
    }
    let ((), millis) = timed(collector.stop()).await;
    assert_eq!(*seen.lock().unwrap(), [vec![0, 1, 2], vec![1, 2], vec![2]]);
    assert_eq!(millis / 100, 30);
    let stats = collector.stats();
    assert_eq!((stats.delivered, stats.failed, stats.retries), (2, 1, 2));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn as_many_items_wait_as_the_capacity_says_in_batches_of_their_own() {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let weigh = |item: &u32| *item;
    let builder =
        BatchCollector::builder(3, Duration::from_secs(60)).capacity(8).max_weight(100.try_into().unwrap(), weigh);
    let collector = builder.build(move |items: Batch<u32>| {
        let sender = sender.clone();
        async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sender.send((items.reason(), items.to_vec())).unwrap();
        }
    });
    let collector = collector.unwrap();
    for item in [1, 2, 3] {
        collector.add(item).await.unwrap();
    }
    tokio::task::yield_now().await;
    for item in [4, 5, 6, 70, 30, 7] {
        collector.try_add(item).unwrap();
    }
    assert_eq!((collector.stats().in_flight, collector.stats().pending), (3, 6));
    for item in [8, 9] {
        collector.try_add(item).unwrap();
    }
    assert_eq!(collector.try_add(10), Err(AddError::Full(10)));
    let ((), millis) = timed(async { collector.add(10).await.unwrap() }).await;
    assert_eq!(millis / 100, 10);
    drop(collector.flush());
    let expected: [(_, &[u32]); 5] = [
        (FlushReason::Size, &[1, 2, 3]),
        (FlushReason::Size, &[4, 5, 6]),
        (FlushReason::Weight, &[70, 30]),
        (FlushReason::Size, &[7, 8, 9]),
        (FlushReason::Manual, &[10]),
    ];
    for (reason, items) in expected {
        assert_eq!(receiver.recv().await, Some((reason, items.to_vec())));
    }
    collector.stop().await;
    assert_conserved(collector.stats());
}

#[test]
fn no_memory_is_allocated_for_a_batch_that_waits_behind_others() {
    let seen = Seen::default();
    let record = seen.clone();
    let collector = BatchCollector::builder(4, NEVER).capacity(12).build(move |items: Batch<u32>| {
        record.lock().unwrap().push(items.as_ptr() as usize);
        async move { drop(items) }
    });
    let collector = collector.unwrap();
    (0..400).for_each(|item| collector.add_blocking(item).unwrap());
    let places = stopped(&collector, &seen);
    assert_eq!(places.len(), 100);
    assert!(places.into_iter().collect::<HashSet<_>>().len() <= 5);
}

#[test]
fn a_weak_handle_keeps_no_collector_going() {
    let (collector, _) = recording::<u32>(2, NEVER);
    let weak = collector.downgrade();
    let upgraded = weak.clone().upgrade().unwrap();
    drop(collector);
    assert!(!upgraded.is_stopped());
    upgraded.add_blocking(1).unwrap();
    drop(upgraded);
    assert!(weak.upgrade().is_none());
}

/// Whoever works, adds or waits in a runtime that has no timer has its time all the same.
#[cfg(feature = "tokio")]
#[test]
fn found_b6_a_runtime_without_a_timer_serves_worker_and_adders() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let collector = runtime.block_on(async {
        let builder = BatchCollector::builder(2, Duration::from_millis(2)).retry(1, Duration::from_millis(1));
        let collector = builder.build(|items: Batch<u32>| async move { (items.attempt() == 1).then_some(items) });
        let collector = collector.unwrap();
        for item in 0..9 {
            collector.add(item).await.unwrap();
        }
        while collector.stats().pending + collector.stats().in_flight > 0 {
            tokio::task::yield_now().await;
        }
        assert!(collector.stop_within(WAIT).await.is_empty());
        collector
    });
    drop(runtime);
    let stats = collector.stats();
    assert_eq!((stats.delivered, stats.failed, stats.returned), (9, 0, 0));
}
