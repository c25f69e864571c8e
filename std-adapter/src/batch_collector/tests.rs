#[path = "failure_tests.rs"]
mod failure;
#[path = "inside_tests.rs"]
mod inside;
#[path = "stop_tests.rs"]
mod stop;

use core::{future::poll_fn, mem, pin::pin, task::Poll, time::Duration};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use steadfast_core::{Clock, Timer, batch_collector::FlushReason};

use super::*;

const WAIT: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::MAX;

type Seen<T> = Arc<Mutex<Vec<T>>>;

/// Takes `seen` once everything has been flushed.
fn stopped<T, U>(collector: &BatchCollector<T>, seen: &Seen<U>) -> Vec<U> {
    block_on(collector.stop());
    mem::take(&mut seen.lock().unwrap())
}

fn assert_conserved(stats: BatchQueueStats) {
    let inside = (stats.pending + stats.in_flight) as u64;
    assert_eq!(stats.accepted, inside + stats.delivered + stats.failed + stats.returned, "{stats:?}");
}

#[test]
fn handles_and_futures_may_go_to_any_thread() {
    fn is_send_and_sync<T: Send + Sync>() {}
    fn is_send(_: &impl Send) {}
    is_send_and_sync::<BatchCollector<core::cell::Cell<u8>>>();
    let collector = BatchCollector::builder(2, WAIT).build(|_: Batch<core::cell::Cell<u8>>| async {}).unwrap();
    is_send(&collector.add(core::cell::Cell::new(1)));
    is_send(&collector.stop());
    is_send(&collector.stop_within(WAIT));
    is_send(&collector.flush());
    is_send_and_sync::<WeakBatchCollector<core::cell::Cell<u8>>>();
}

/// One kind of worker, under eight threads.
fn eight_threads_lose_and_double_nothing(collector: &BatchCollector<(u32, u32)>, seen: &Seen<Vec<(u32, u32)>>) {
    thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || (0..1_000).for_each(|item| collector.add_blocking((thread, item)).unwrap()));
        }
    });
    let batches = stopped(collector, seen);
    assert!(batches.iter().all(|batch| (1..=64).contains(&batch.len())));
    let items: Vec<_> = batches.into_iter().flatten().collect();
    for thread in 0..8 {
        let of_thread = items.iter().filter(|item| item.0 == thread).map(|item| item.1);
        assert!(of_thread.eq(0..1_000), "each once, in order");
    }
    let stats = collector.stats();
    assert_eq!((stats.accepted, stats.delivered), (8_000, 8_000));
    assert_conserved(stats);
}

fn recording<T: Send + Clone + 'static>(size: usize, wait: Duration) -> (BatchCollector<T>, Seen<Vec<T>>) {
    let seen = Seen::default();
    let record = seen.clone();
    let collector = BatchCollector::builder(size, wait).build(move |items: Batch<T>| {
        record.lock().unwrap().push(items.to_vec());
        async {}
    });
    (collector.unwrap(), seen)
}

#[test]
fn vector_14_eight_threads_and_a_thread_that_flushes() {
    let (collector, seen) = recording(64, NEVER);
    eight_threads_lose_and_double_nothing(&collector, &seen);
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vector_14_eight_threads_and_a_task_that_flushes() {
    let (collector, seen) = recording(64, NEVER);
    tokio::task::spawn_blocking(move || eight_threads_lose_and_double_nothing(&collector, &seen)).await.unwrap();
}

#[cfg(feature = "tokio")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_wait_for_room_and_nobody_is_forgotten() {
    let seen = Seen::<u32>::default();
    let record = seen.clone();
    let flush = move |items: Batch<u32>| {
        let record = record.clone();
        async move {
            tokio::task::yield_now().await;
            record.lock().unwrap().extend(items);
        }
    };
    let collector = BatchCollector::builder(8, Duration::from_millis(1)).build(flush).unwrap();
    let mut tasks = Vec::new();
    for task in 0..500 {
        let collector = collector.clone();
        tasks.push(tokio::spawn(async move {
            for item in 0..20 {
                collector.add(task * 20 + item).await.unwrap();
            }
        }));
    }
    // Some are dropped wherever they stand.
    tasks.iter().step_by(7).for_each(|task| task.abort());
    for (index, task) in tasks.into_iter().enumerate() {
        let result = task.await;
        assert!(index % 7 == 0 || result.is_ok());
    }
    collector.stop().await;
    let seen = mem::take(&mut *seen.lock().unwrap());
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "none doubled");
    assert_eq!(collector.stats().delivered, seen.len() as u64);
    for task in (0..500).filter(|task| task % 7 != 0) {
        let items = seen.iter().filter(|item| **item / 20 == task).copied();
        assert!(items.eq(task * 20..task * 20 + 20), "each of task {task}, in order");
    }
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn vectors_2_and_3_on_a_paused_clock() {
    let start = tokio::time::Instant::now();
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let collector = BatchCollector::builder(3, WAIT).build(move |items: Batch<u32>| {
        let _ = sender.send((items.reason(), items.to_vec(), start.elapsed().as_secs()));
        async {}
    });
    let collector = collector.unwrap();
    collector.add(1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(9_990)).await;
    collector.add(2).await.unwrap();
    assert_eq!(receiver.recv().await, Some((FlushReason::Age, vec![1, 2], 10)));
    for item in 3..=6 {
        collector.add(item).await.unwrap();
    }
    assert_eq!(receiver.recv().await, Some((FlushReason::Size, vec![3, 4, 5], 10)));
    assert_eq!(receiver.recv().await, Some((FlushReason::Age, vec![6], 20)));
    collector.add(7).await.unwrap();
    collector.flush();
    assert_eq!(receiver.recv().await, Some((FlushReason::Manual, vec![7], 20)));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn an_idle_gap_and_a_weight_end_a_batch() {
    let seen = Seen::default();
    let record = seen.clone();
    let builder = BatchCollector::builder(100, Duration::from_secs(60)).idle_gap(Duration::from_secs(2));
    let weigh = |text: &&str| u32::try_from(text.len()).unwrap_or(u32::MAX);
    let collector = builder.max_weight(10.try_into().unwrap(), weigh).build(move |items: Batch<&str>| {
        record.lock().unwrap().push((items.reason(), items.to_vec()));
        async {}
    });
    let collector = collector.unwrap();
    for text in ["four", "five5", "y", "seven"] {
        collector.add(text).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let expected = [(FlushReason::Weight, vec!["four", "five5", "y"]), (FlushReason::Idle, vec!["seven"])];
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// D3: in tower-batch what is buffered when the last handle goes is lost.
#[test]
fn d3_dropping_the_last_handle_flushes() {
    let (sender, receiver) = mpsc::channel();
    let collector = BatchCollector::builder(64, NEVER).build(move |items: Batch<u32>| {
        sender.send((items.reason(), items.into_vec())).unwrap();
        async {}
    });
    let collector = collector.unwrap();
    let clone = collector.clone();
    clone.add_blocking(1).unwrap();
    drop(collector);
    assert!(!clone.is_stopped());
    drop(clone);
    assert_eq!(receiver.recv().unwrap(), (FlushReason::Stop, vec![1]));
    assert!(receiver.recv().is_err(), "the worker has ended");
}

/// D4: in tower-batch one failed flush ends the worker.
#[test]
fn vector_12_d4_a_failed_or_panicking_flush_does_not_end_the_collector() {
    let seen = Seen::default();
    let record = seen.clone();
    let collector = BatchCollector::builder(1, NEVER).build(move |items: Batch<u32>| {
        let item = items[0];
        assert!(item != 1, "before the future");
        let record = record.clone();
        async move {
            assert!(item != 2, "inside the future");
            if item == 3 {
                return Err("the sink is down");
            }
            record.lock().unwrap().push(item);
            Ok(())
        }
    });
    let collector = collector.unwrap();
    for item in 1..=5 {
        collector.add_blocking(item).unwrap();
    }
    assert_eq!(stopped(&collector, &seen), [4, 5]);
    let stats = collector.stats();
    assert_eq!((stats.failed, stats.delivered), (3, 2));
    assert_conserved(stats);
}

#[test]
fn what_a_flush_gives_back_is_tried_again() {
    let seen = Seen::default();
    let record = seen.clone();
    let builder = BatchCollector::builder(3, NEVER).retry(2, Duration::ZERO);
    let collector = builder.build(move |mut items: Batch<u32>| {
        record.lock().unwrap().push(items.to_vec());
        async move {
            items.retain(|item| *item > 2); // the others have arrived
            (!items.is_empty()).then_some(items)
        }
    });
    let collector = collector.unwrap();
    for item in 1..=5 {
        collector.add_blocking(item).unwrap();
    }
    let expected: [&[u32]; 6] = [&[1, 2, 3], &[3], &[3], &[4, 5], &[4, 5], &[4, 5]];
    assert_eq!(stopped(&collector, &seen), expected);
    let stats = collector.stats();
    assert_eq!((stats.delivered, stats.failed, stats.retries, stats.batches), (2, 3, 4, 2));
}

#[test]
fn vectors_9_to_11_stop_and_add_inside_the_flush() {
    let seen = Seen::default();
    let record = seen.clone();
    let (sender, receiver) = mpsc::channel::<BatchCollector<u32>>();
    let mut own = None;
    let collector = BatchCollector::builder(3, NEVER).build(move |items: Batch<u32>| {
        let own: BatchCollector<u32> = own.get_or_insert_with(|| receiver.recv().unwrap()).clone();
        record.lock().unwrap().push(items.to_vec());
        async move {
            if items.contains(&1) {
                own.add(11).await.unwrap();
            }
            if items.contains(&11) {
                own.stop().await; // does not wait for itself
                assert_eq!(own.add(12).await, Err(AddError::Stopped(12)));
            }
        }
    });
    let collector = collector.unwrap();
    sender.send(collector.clone()).unwrap();
    collector.add_blocking(1).unwrap();
    collector.flush();
    while collector.stats().accepted < 2 {
        thread::yield_now();
    }
    collector.add_blocking(2).unwrap();
    block_on(collector.stop());
    assert_eq!(stopped(&collector, &seen), [vec![1], vec![11, 2]]);
    assert_eq!(collector.try_add(3), Err(AddError::Stopped(3)));
    assert_eq!(collector.add_blocking(4), Err(AddError::Stopped(4)));
    assert_eq!(block_on(collector.add(5)), Err(AddError::Stopped(5)));
}

#[test]
fn a_full_collector_refuses_or_waits() {
    let (go, wait_for_go) = mpsc::channel::<()>();
    let collector = BatchCollector::builder(2, NEVER).build(move |_: Batch<u32>| {
        let _ = wait_for_go.recv();
        async {}
    });
    let collector = collector.unwrap();
    collector.add_blocking(0).unwrap();
    collector.add_blocking(1).unwrap();
    collector.add_blocking(2).unwrap(); // the first two are with the flush by now
    collector.add_blocking(3).unwrap();
    assert_eq!(collector.try_add(4), Err(AddError::Full(4)));
    let waiting = collector.clone();
    let waiter = thread::spawn(move || waiting.add_blocking(4));
    go.send(()).unwrap();
    assert_eq!(waiter.join().unwrap(), Ok(()));
    drop(go);
    block_on(collector.stop());
    assert_eq!(collector.stats().delivered, 5);
}

#[test]
fn no_memory_is_allocated_for_a_batch_unless_it_is_kept() {
    let seen = Seen::default();
    let record = seen.clone();
    let collector = BatchCollector::builder(4, NEVER).build(move |items: Batch<u32>| {
        record.lock().unwrap().push(items.as_ptr() as usize);
        async move { assert!(items.into_iter().all(|item| item < 100)) }
    });
    let collector = collector.unwrap();
    (0..100).for_each(|item| collector.add_blocking(item).unwrap());
    let places = stopped(&collector, &seen);
    assert_eq!(places.len(), 25);
    assert_eq!(places.into_iter().collect::<HashSet<_>>().len(), 2);

    let kept = Seen::default();
    let keep = kept.clone();
    let collector = BatchCollector::builder(4, NEVER).build(move |items: Batch<u32>| {
        keep.lock().unwrap().push(items);
        async {}
    });
    let collector = collector.unwrap();
    (0..12).for_each(|item| collector.add_blocking(item).unwrap());
    let kept = stopped(&collector, &kept);
    assert!(kept.iter().flatten().copied().eq(0..12));
    assert!(kept.iter().all(|batch| batch.capacity() == 4));
}

#[test]
fn a_batch_gives_its_items_in_order() {
    let (sender, receiver) = mpsc::channel();
    let collector = BatchCollector::builder(3, NEVER).build(move |items: Batch<String>| {
        sender.send(items).unwrap();
        async {}
    });
    let collector = collector.unwrap();
    ["a", "b", "c"].iter().for_each(|item| collector.add_blocking(item.to_string()).unwrap());
    let batch = receiver.recv().unwrap();
    assert_eq!(format!("{batch:?}"), r#"Batch { items: ["a", "b", "c"], reason: Size, attempt: 1 }"#);
    let mut items = batch.into_iter();
    assert_eq!((items.len(), items.next().as_deref()), (3, Some("a")));
    assert_eq!(items.size_hint(), (2, Some(2)));
    assert!(items.eq(["b", "c"]));
}

#[cfg(feature = "tokio")]
#[test]
fn when_the_runtime_ends_nobody_waits_for_ever() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let collector = {
        let _inside = runtime.enter();
        BatchCollector::builder(1, NEVER).build(|_: Batch<u32>| async {}).unwrap()
    };
    assert_eq!(collector.try_add(1), Ok(()));
    let waiting = collector.clone();
    let waiter = thread::spawn(move || waiting.add_blocking(2));
    drop(runtime);
    assert_eq!(waiter.join().unwrap(), Err(AddError::Stopped(2)));
    block_on(collector.stop());
    let stats = collector.stats();
    assert_eq!((stats.accepted, stats.failed, stats.returned), (1, 1, 0), "nobody was given it");
}

#[test]
fn a_size_of_nothing_is_one() {
    let (collector, seen) = recording(0, NEVER);
    collector.add_blocking(1).unwrap();
    collector.add_blocking(2).unwrap();
    assert_eq!(stopped(&collector, &seen), [[1], [2]]);
}
