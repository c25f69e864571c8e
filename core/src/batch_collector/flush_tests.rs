//! What the worker is given, and what becomes of it.

use super::*;
use crate::foundation::shared::Shared;

/// The vectors of the plain collector again, through adders and a worker: events and callbacks in milliseconds.
#[test]
fn vectors_1_to_9_and_13_through_the_worker() {
    #[derive(Clone)]
    enum Event {
        Add(u64, Vec<u32>),
        Flush(u64),
    }
    use Event::{Add, Flush};
    type Batches = &'static [(u64, &'static [u32])];
    let vectors: [(&[Event], Batches); 8] = [
        (&[Add(0, vec![1, 2, 3])], &[(0, &[1, 2, 3])]),
        (&[Add(0, vec![1])], &[(10_000, &[1])]),
        (&[Add(0, vec![1]), Add(9_999, vec![2])], &[(10_000, &[1, 2])]),
        (&[Add(0, vec![1, 2, 3, 4, 5, 6, 7])], &[(0, &[1, 2, 3]), (0, &[4, 5, 6]), (10_000, &[7])]),
        (&[Add(5_000, vec![1, 2, 3]), Add(6_000, vec![4])], &[(5_000, &[1, 2, 3]), (16_000, &[4])]),
        (&[Flush(0)], &[]),
        (&[Add(0, vec![1]), Flush(0)], &[(0, &[1])]),
        (&[Add(0, vec![1]), Flush(2_000), Flush(2_000), Add(3_000, vec![2])], &[(2_000, &[1]), (13_000, &[2])]),
    ];
    for (events, batches) in vectors {
        for seed in seeds(20) {
            let timer = VirtualTimer::default();
            let (queue, seen) = (queue(&timer), RefCell::new(Vec::new()));
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            simulator.spawn(async {
                let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                    seen.borrow_mut().push((timer.now().as_nanos() / 1_000_000, items.to_vec()));
                });
                worker.await.unwrap();
            });
            simulator.spawn(async {
                for event in events.iter().cloned() {
                    match event {
                        Add(millis, items) => {
                            timer.sleep_until(Instant::from_millis(millis)).await;
                            for item in items {
                                queue.add(item).await.unwrap();
                            }
                        }
                        Flush(millis) => {
                            timer.sleep_until(Instant::from_millis(millis)).await;
                            queue.flush();
                        }
                    }
                }
                timer.sleep_until(Instant::from_millis(100_000)).await;
                queue.stop().await;
            });
            simulator.run();
            drop(simulator);
            let expected: Vec<_> = batches.iter().map(|(at, items)| (*at, items.to_vec())).collect();
            assert_eq!(seen.into_inner(), expected, "seed {seed}");
        }
    }
}

/// D3: tower-batch drops what is buffered when it ends.
#[test]
fn vector_9_d3_stop_flushes_what_is_left() {
    let timer = VirtualTimer::default();
    let (queue, seen) = (queue(&timer), RefCell::new(Vec::new()));
    let mut simulator = Simulator::with_timer(3, timer.clone());
    simulator.spawn(async {
        let worker =
            queue.run(async |items: &mut Items<u32, 3>, reason| seen.borrow_mut().push((reason, items.to_vec())));
        worker.await.unwrap();
    });
    simulator.spawn(async {
        queue.add(1).await.unwrap();
        queue.add(2).await.unwrap();
        queue.stop().await;
        assert_eq!(*seen.borrow(), [(FlushReason::Stop, vec![1, 2])]);
        assert_eq!(queue.add(3).await, Err(AddError::Stopped(3)));
        assert_eq!(queue.try_add(4), Err(AddError::Stopped(4)));
    });
    simulator.run();
    drop(simulator);
    assert_eq!(timer.now(), Instant::ZERO, "nobody waited for the age");
    assert_eq!(queue.stats().delivered, 2);
    assert_conserved(queue.stats());
}

/// The seed's race of a stop with a flush: each stop waits for the flush that is under way.
#[test]
fn vector_10_seed_10_3_each_stop_waits_for_the_flush_under_way() {
    for seed in seeds(50) {
        let timer = VirtualTimer::default();
        let (queue, flushed_at) = (queue(&timer), RefCell::new(Vec::new()));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            let worker = queue.run(async |_: &mut Items<u32, 3>, _| {
                sleep(&timer, 500).await;
                flushed_at.borrow_mut().push(timer.now());
            });
            worker.await.unwrap();
        });
        simulator.spawn(async {
            for item in 0..4 {
                queue.add(item).await.unwrap();
            }
            queue.stop().await;
            queue.stop().await;
            assert!(timer.now() >= Instant::from_secs(1));
        });
        for stopper in 0..9 {
            let (queue, timer, flushed_at) = (&queue, &timer, &flushed_at);
            simulator.spawn(async move {
                sleep(timer, 100 + stopper).await;
                queue.stop().await;
                assert_eq!(flushed_at.borrow().len(), 2, "the item that was pending, too");
                assert!(timer.now() < Instant::from_millis(1_002));
            });
        }
        simulator.run();
        drop(simulator);
        assert_eq!(queue.stats().delivered, 4);
    }
}

/// The seed's flush under the mutex, which an add inside the flush never gets.
#[test]
fn vector_11_seed_10_3_an_add_inside_the_flush_goes_into_a_later_batch() {
    let timer = VirtualTimer::default();
    let (queue, seen) = (queue(&timer), RefCell::new(Vec::new()));
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async {
        let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
            seen.borrow_mut().push(items.to_vec());
            for item in items.iter().filter(|item| **item < 10) {
                queue.add(item + 10).await.unwrap();
            }
        });
        worker.await.unwrap();
    });
    simulator.spawn(async {
        for item in 1..=3 {
            queue.add(item).await.unwrap();
        }
        sleep(&timer, 1).await;
        queue.stop().await;
    });
    simulator.run();
    drop(simulator);
    assert_eq!(seen.into_inner(), [[1, 2, 3], [11, 12, 13]]);
}

#[test]
fn an_add_inside_the_flush_that_would_wait_for_itself_is_refused_and_others_wait() {
    for seed in seeds(50) {
        let timer = VirtualTimer::default();
        let (queue, refused) = (queue(&timer), RefCell::new(Vec::new()));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                sleep(&timer, 100).await; // meanwhile the others fill the next batch
                if items.contains(&0) {
                    let error = queue.add(99).await.unwrap_err();
                    assert_eq!(error, AddError::Full(99));
                    refused.borrow_mut().push(error.into_item());
                }
                if items.contains(&7) {
                    queue.stop().await; // does not wait for the flush that it is in
                }
            });
            worker.await.unwrap();
        });
        simulator.spawn(async {
            for item in 0..8 {
                queue.add(item).await.unwrap();
            }
        });
        simulator.run();
        drop(simulator);
        assert_eq!(refused.into_inner(), [99]);
        assert_eq!(queue.stats().delivered, 8);
    }
}

/// D4: in tower-batch one failed flush ends the worker; and the seed's callback cannot fail at all.
#[test]
fn d4_seed_10_3_a_failed_flush_does_not_end_the_worker() {
    let timer = VirtualTimer::default();
    let (queue, seen) = (queue(&timer), RefCell::new(Vec::new()));
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async {
        let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
            seen.borrow_mut().push(items.to_vec());
            if items.contains(&1) { Err("the sink is down") } else { Ok(()) }
        });
        worker.await.unwrap();
    });
    simulator.spawn(async {
        for item in 1..=6 {
            queue.add(item).await.unwrap();
        }
        queue.stop().await;
    });
    simulator.run();
    drop(simulator);
    assert_eq!(seen.into_inner(), [[1, 2, 3], [4, 5, 6]]);
    let stats = queue.stats();
    assert_eq!((stats.failed, stats.delivered, stats.batches, stats.retries), (3, 3, 2, 0));
}

#[test]
fn a_failed_batch_is_retried_with_what_the_flush_left() {
    let timer = VirtualTimer::default();
    let machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT)).retry(2, Duration::from_secs(5));
    let queue = Shared::new(RefCell::new(machine), timer.clone());
    let seen = RefCell::new(Vec::new());
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async {
        let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
            seen.borrow_mut().push((timer.now().as_nanos() / 1_000_000_000, items.to_vec()));
            if items.contains(&4) {
                return Err(()); // never arrives
            }
            items.swap_remove(0); // one arrives each time
            if items.is_empty() { Ok(()) } else { Err(()) }
        });
        worker.await.unwrap();
    });
    simulator.spawn(async {
        for item in 1..=7 {
            queue.add(item).await.unwrap();
        }
        queue.stop().await;
    });
    simulator.run();
    drop(simulator);
    let batches = seen.into_inner();
    let first = [(0, vec![1, 2, 3]), (5, vec![3, 2]), (10, vec![2])];
    let second = [(10, vec![4, 5, 6]), (15, vec![4, 5, 6]), (20, vec![4, 5, 6])];
    assert_eq!(batches, [first.as_slice(), &second, &[(20, vec![7])]].concat());
    let stats = queue.stats();
    assert_eq!((stats.delivered, stats.failed, stats.retries, stats.batches), (4, 3, 4, 3));
    assert_conserved(stats);
}

#[test]
fn a_failed_flush_that_left_nothing_is_not_retried() {
    let timer = VirtualTimer::default();
    let machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT)).retry(9, Duration::ZERO);
    let queue = Shared::new(RefCell::new(machine), timer.clone());
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async {
        let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
            items.clear();
            Err::<(), _>(())
        });
        worker.await.unwrap();
    });
    simulator.spawn(async {
        queue.add(1).await.unwrap();
        queue.stop().await;
    });
    simulator.run();
    drop(simulator);
    let stats = queue.stats();
    assert_eq!((stats.failed, stats.retries), (1, 0));
}

#[test]
fn what_arrived_in_the_last_try_is_delivered_and_only_the_rest_has_failed() {
    for retries in 0..3 {
        let timer = VirtualTimer::default();
        let machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT)).retry(retries, Duration::ZERO);
        let queue = Shared::new(RefCell::new(machine), timer.clone());
        let mut simulator = Simulator::with_timer(1, timer.clone());
        simulator.spawn(async {
            let mut tries = 0;
            let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                tries += 1;
                if tries > retries {
                    items.truncate(1);
                }
                Err::<(), _>(())
            });
            worker.await.unwrap();
        });
        simulator.spawn(async {
            for item in 1..=3 {
                queue.add(item).await.unwrap();
            }
            queue.stop().await;
        });
        simulator.run();
        drop(simulator);
        let stats = queue.stats();
        assert_eq!((stats.delivered, stats.failed), (2, 1), "after {retries} retries");
        assert_conserved(stats);
    }
}

#[test]
fn a_batch_that_nobody_settled_has_failed_and_is_not_tried_again() {
    let timer = VirtualTimer::default();
    let queue: Queue3 = Shared::new(RefCell::new(BatchQueue::new(BatchSettings::new(WAIT)).retry(3, WAIT)), timer);
    let mut worker = queue.worker().unwrap();
    for item in 0..3 {
        ready(queue.add(item)).unwrap();
    }
    assert_eq!(ready(worker.next_batch()), Some(FlushReason::Size));
    ready(queue.add(3)).unwrap();
    queue.flush();
    let (next, _) = polled(worker.next_batch());
    assert_eq!(ready(next), Some(FlushReason::Manual));
    assert_eq!(worker.items().as_slice(), [3]);
    let stats = queue.stats();
    assert_eq!((stats.failed, stats.in_flight, stats.retries, stats.batches), (3, 1, 0, 2));
    assert_conserved(stats);
}

#[test]
fn a_flush_of_nothing_does_not_flush_what_comes_later() {
    let queue = queue(&VirtualTimer::default());
    let mut worker = queue.worker().unwrap();
    queue.flush();
    ready(queue.add(1)).unwrap();
    let (_waiting, _) = polled(worker.next_batch());
}
