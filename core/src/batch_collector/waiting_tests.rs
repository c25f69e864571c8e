//! Who waits for room, or for the end.

use super::*;
use crate::foundation::shared::Shared;

/// The seed's sketch grows without bound while the flush is slow.
#[test]
fn seed_10_3_adders_wait_in_order_while_the_flush_is_slow() {
    for seed in seeds(200) {
        let timer = VirtualTimer::default();
        let queue = Shared::new(RefCell::new(BatchQueue::<u32, 3, 10>::new(BatchSettings::new(WAIT))), timer.clone());
        let (seen, arrivals) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                sleep(&timer, 1_000).await;
                let stats = queue.stats();
                assert!(stats.pending <= 3 && stats.in_flight <= 3);
                assert_conserved(stats);
                seen.borrow_mut().extend(items.iter().copied());
            });
            worker.await.unwrap();
        });
        for task in 0..10 {
            let (queue, arrivals) = (&queue, &arrivals);
            simulator.spawn(async move {
                arrivals.borrow_mut().push(task);
                queue.add(task).await.unwrap();
            });
        }
        simulator.spawn(async {
            timer.sleep_until(Instant::from_millis(1)).await;
            // 3 in the flush, 3 that fill the next batch, 4 in line.
            assert_eq!(queue.stats().accepted, 6);
            timer.sleep_until(Instant::from_secs(20)).await;
            queue.stop().await;
        });
        simulator.run();
        drop(simulator);
        // Who has room goes at once: the order holds from batch to batch.
        let sorted = |items: Vec<u32>| -> Vec<Vec<u32>> {
            items.chunks(3).map(|batch| BTreeSet::from_iter(batch).into_iter().copied().collect()).collect()
        };
        assert_eq!(sorted(seen.into_inner()), sorted(arrivals.into_inner()), "seed {seed}");
    }
}

#[test]
fn those_for_whom_there_is_no_place_in_line_get_in_too() {
    for seed in seeds(50) {
        let timer = VirtualTimer::default();
        let machine = BatchQueue::<u32, 3, 0>::new(BatchSettings::new(Duration::from_millis(5)));
        let queue = Shared::new(RefCell::new(machine), timer.clone());
        let seen = RefCell::new(Vec::new());
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                sleep(&timer, 7).await;
                seen.borrow_mut().extend(items.iter().copied());
            });
            worker.await.unwrap();
        });
        for task in 0..20 {
            let queue = &queue;
            simulator.spawn(async move { queue.add(task).await.unwrap() });
        }
        simulator.spawn(async {
            timer.sleep_until(Instant::from_secs(1)).await;
            queue.stop().await;
        });
        simulator.run();
        drop(simulator);
        let mut seen = seen.into_inner();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..20), "seed {seed}");
    }
}

#[test]
fn a_weight_closes_the_batch_for_those_in_line() {
    let timer = VirtualTimer::default();
    let settings = BatchSettings::new(WAIT).max_weight(NonZeroU64::new(10).unwrap());
    let (queue, seen) = (with_settings(&timer, settings), RefCell::new(Vec::new()));
    let mut simulator = Simulator::with_timer(1, timer.clone());
    for (millis, item, weight) in [(1, 1, 4), (2, 2, 7), (3, 3, 20), (4, 4, 20), (5, 5, 1)] {
        let (queue, timer) = (&queue, &timer);
        simulator.spawn(async move {
            timer.sleep_until(Instant::from_millis(millis)).await;
            queue.add_weighted(item, weight).await.unwrap();
        });
    }
    simulator.spawn(async {
        timer.sleep_until(Instant::from_millis(6)).await;
        assert_eq!(queue.stats().accepted, 2, "the second closed it");
        let worker =
            queue.run(async |items: &mut Items<u32, 3>, reason| seen.borrow_mut().push((reason, items.to_vec())));
        worker.await.unwrap();
    });
    simulator.spawn(async {
        timer.sleep_until(Instant::from_secs(1)).await;
        queue.stop().await;
    });
    simulator.run();
    drop(simulator);
    let batches = seen.into_inner();
    assert_eq!(batches[0], (FlushReason::Weight, vec![1, 2]));
    assert!(batches[1..].iter().all(|(_, items)| !(items.contains(&3) && items.contains(&4))), "{batches:?}");
    assert_eq!(queue.stats().delivered, 5);
}

#[test]
fn stop_gives_waiting_adders_their_items_back() {
    let timer = VirtualTimer::default();
    let (queue, back) = (queue(&timer), RefCell::new(Vec::new()));
    let mut simulator = Simulator::with_timer(5, timer.clone());
    for task in 0..8 {
        let (queue, back) = (&queue, &back);
        simulator.spawn(async move {
            if let Err(error) = queue.add(task).await {
                assert_eq!(error, AddError::Stopped(task));
                back.borrow_mut().push(error.into_item());
            }
        });
    }
    (0..100).for_each(|_| _ = simulator.step());
    let items = queue.abandon();
    assert_eq!(items.len(), 3);
    simulator.spawn(queue.stop());
    simulator.run();
    drop(simulator);
    let mut all = [back.into_inner(), items.to_vec()].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..8));
    let stats = queue.stats();
    assert_eq!((stats.accepted, stats.returned), (3, 3));
    assert_conserved(stats);
}

#[test]
fn room_for_three_wakes_three() {
    let queue = queue(&VirtualTimer::default());
    for item in 0..3 {
        ready(queue.add(item)).unwrap();
    }
    let adders = [3, 4, 5, 6].map(|item| polled(queue.add(item)));
    let mut worker = queue.worker().unwrap();
    assert_eq!(ready(worker.next_batch()), Some(FlushReason::Size));
    assert_eq!(adders.each_ref().map(|(_, woken)| woken.get()), [1, 1, 1, 0]);
}

#[test]
fn those_who_wait_for_the_end_are_not_woken_before_it() {
    let queue = queue(&VirtualTimer::default());
    ready(queue.add(1)).unwrap();
    assert!(!queue.is_stopped());
    let (_stop, woken) = polled(queue.stop());
    assert!(queue.is_stopped());
    queue.close();
    assert_eq!(woken.get(), 0);
    assert_eq!(queue.abandon().as_slice(), [1]);
    assert_eq!(woken.get(), 1);
}
