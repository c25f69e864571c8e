//! Adders that wait for room, and the worker.

use std::sync::{Arc, Mutex as StdMutex};

use heapless::Vec as Items;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use steadfast_core::{BatchQueue, BatchSettings};

use super::support::{SECOND, Threads, Time, block_on, explore, poll_and_drop, spawn, threads};

type Queue = BatchQueue<u8, 1, 2>;

fn queue() -> Threads<Queue> {
    threads(Queue::new(BatchSettings::new(60 * SECOND)), &Time::new())
}

/// Runs the worker until the queue is stopped, and returns what it flushed.
fn flush_all(queue: &Threads<Queue>) -> Vec<u8> {
    let flushed = StdMutex::new(Vec::new());
    block_on(queue.run(async |items: &mut Items<u8, 1>, _| flushed.lock().unwrap().extend(items.iter().copied())))
        .unwrap();
    flushed.into_inner().unwrap()
}

/// Stops the queue once this was called `expected` times.
fn stop_after(queue: &Threads<Queue>, done: &AtomicUsize, expected: usize) {
    if done.fetch_add(1, SeqCst) + 1 == expected {
        queue.close();
    }
}

#[test]
fn each_item_is_flushed_once_and_every_adder_gets_in() {
    explore(|| {
        let (queue, done) = (queue(), Arc::new(AtomicUsize::new(0)));
        for item in [1, 2] {
            let (queue, done) = (queue.clone(), done.clone());
            spawn(move || {
                assert_eq!(block_on(queue.add(item)), Ok(()));
                stop_after(&queue, &done, 2);
            });
        }
        let mut flushed = flush_all(&queue);
        flushed.sort_unstable();
        assert_eq!(flushed, [1, 2]);
        let stats = queue.stats();
        assert_eq!((stats.accepted, stats.delivered, stats.pending, stats.in_flight), (2, 2, 0, 0));
    });
}

#[test]
fn an_adder_that_gives_up_passes_its_room_on() {
    explore(|| {
        let queue = queue();
        assert_eq!(queue.try_add(0), Ok(()));
        let (second, giving_up) = (queue.clone(), queue.clone());
        let impatient = spawn(move || poll_and_drop(giving_up.add(1)).is_ready());
        spawn(move || {
            assert_eq!(block_on(second.add(2)), Ok(()));
            second.close();
        });
        let mut flushed = flush_all(&queue);
        flushed.sort_unstable();
        let expected: &[u8] = if impatient.join().unwrap() && flushed.contains(&1) { &[0, 1, 2] } else { &[0, 2] };
        assert_eq!(flushed, expected);
    });
}

#[test]
fn stopping_waits_for_the_last_flush_and_tells_who_waits() {
    explore(|| {
        let queue = queue();
        let (adding, stopping) = (queue.clone(), queue.clone());
        let adder = spawn(move || block_on(adding.add(1)).is_ok());
        let stopper = spawn(move || {
            block_on(stopping.stop());
            let stats = stopping.stats();
            (stats.pending, stats.in_flight)
        });
        let flushed = flush_all(&queue);
        assert_eq!(stopper.join().unwrap(), (0, 0));
        assert_eq!(flushed.len(), usize::from(adder.join().unwrap()));
    });
}

#[test]
fn a_worker_that_is_dropped_leaves_the_rest_to_the_next() {
    explore(|| {
        let (queue, done) = (queue(), Arc::new(AtomicUsize::new(0)));
        for item in [1, 2] {
            let (queue, done) = (queue.clone(), done.clone());
            spawn(move || {
                assert_eq!(block_on(queue.add(item)), Ok(()));
                stop_after(&queue, &done, 2);
            });
        }
        let _ = poll_and_drop(queue.run(async |_: &mut Items<u8, 1>, _| std::future::pending::<()>().await));
        let flushed = flush_all(&queue);
        let stats = queue.stats();
        assert_eq!(stats.accepted, stats.delivered + stats.failed, "{stats:?}");
        assert_eq!(stats.delivered as usize, flushed.len());
        assert!(stats.failed <= 1);
    });
}
