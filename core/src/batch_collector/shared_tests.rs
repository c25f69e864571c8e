use alloc::{boxed::Box, collections::BTreeSet, rc::Rc, sync::Arc, task::Wake, vec, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    future::Future,
    num::NonZeroU64,
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::sync::Mutex;

use heapless::Vec as Items;

use super::super::queue::Fetch;
use super::*;
use crate::{
    BatchQueue, BatchSettings, Instant,
    test_util::{ManualClock, Simulator, VirtualTimer, seeds},
};

const WAIT: Duration = Duration::from_secs(10);

type Queue3 = Shared<BatchQueue<u32, 3, 4>, RefCell<BatchQueue<u32, 3, 4>>, VirtualTimer>;

struct OnlyLock<T>(Mutex<T>);

impl<T> Lock for OnlyLock<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

#[derive(Clone, Copy)]
struct NoTime;

impl Clock for NoTime {
    fn now(&self) -> Instant {
        Instant::ZERO
    }
}

impl Timer for NoTime {
    type Sleep = core::future::Ready<()>;

    fn sleep_until(&self, _: Instant) -> Self::Sleep {
        core::future::ready(())
    }
}

type Static = BatchQueue<u32, 3, 4>;
static IN_A_STATIC: Shared<Static, OnlyLock<Static>, NoTime> =
    Shared::new(OnlyLock(Mutex::new(BatchQueue::new(BatchSettings::new(WAIT)).retry(1, WAIT))), NoTime);

fn queue(timer: &VirtualTimer) -> Queue3 {
    with_settings(timer, BatchSettings::new(WAIT))
}

fn with_settings(timer: &VirtualTimer, settings: BatchSettings) -> Queue3 {
    Shared::new(RefCell::new(BatchQueue::new(settings)), timer.clone())
}

fn assert_conserved(stats: BatchQueueStats) {
    let inside = (stats.pending + stats.in_flight) as u64;
    assert_eq!(stats.accepted, inside + stats.delivered + stats.failed + stats.returned, "{stats:?}");
}

async fn sleep(timer: &VirtualTimer, millis: u64) {
    timer.sleep_until(timer.now().saturating_add(Duration::from_millis(millis))).await;
}

#[test]
fn a_queue_may_be_a_static_and_its_futures_are_send() {
    fn is_send(_: &impl Send) {}
    let run = IN_A_STATIC.run(async |items, _| assert!(!items.is_empty()));
    is_send(&run);
    let add = IN_A_STATIC.add(1);
    is_send(&add);
    let stop = IN_A_STATIC.stop();
    is_send(&stop);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(add).as_mut().poll(&mut cx).is_ready());
    let mut stop = pin!(stop);
    assert!(stop.as_mut().poll(&mut cx).is_pending());
    assert!(pin!(run).as_mut().poll(&mut cx).is_ready());
    assert!(stop.as_mut().poll(&mut cx).is_ready());
}

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
fn a_second_worker_is_refused_until_the_first_has_gone() {
    let timer = VirtualTimer::default();
    let queue = queue(&timer);
    let mut cx = Context::from_waker(Waker::noop());
    {
        let mut first = pin!(queue.run(async |_, _| ()));
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let Poll::Ready(refused) = pin!(queue.run(async |_, _| ())).as_mut().poll(&mut cx) else { panic!("waits") };
        assert_eq!(refused, Err(WorkerRuns));
    }
    queue.try_add(1).unwrap();
    queue.close();
    assert!(pin!(queue.run(async |_, _| ())).as_mut().poll(&mut cx).is_ready());
    assert_eq!(queue.stats().delivered, 1);
}

#[test]
fn a_clock_that_steps_back_stalls_at_most_one_wait() {
    let timer = VirtualTimer::default();
    timer.set(Instant::from_secs(3_600));
    let (queue, seen) = (queue(&timer), RefCell::new(Vec::new()));
    queue.try_add(1).unwrap();
    timer.set(Instant::from_secs(5));
    let mut simulator = Simulator::with_timer(0, timer.clone());
    simulator.spawn(async {
        let worker = queue.run(async |_: &mut Items<u32, 3>, reason| {
            seen.borrow_mut().push((timer.now(), reason));
            queue.close();
        });
        worker.await.unwrap();
    });
    simulator.run();
    drop(simulator);
    assert_eq!(seen.into_inner(), [(Instant::from_secs(15), FlushReason::Age)]);
}

/// A clock that lags behind another processor's is no step back: nothing is flushed early for it.
#[test]
fn an_item_that_came_after_the_clock_was_read_is_not_flushed_early() {
    let mut machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT));
    let clock = ManualClock::default();
    let read = clock.now();
    clock.advance(Duration::from_secs(2));
    let Push::Accepted(_) = machine.push(1, 1, Some(clock.now()), &mut Place::default()) else { panic!("room") };
    let (mut items, mut waker) = (Items::new(), None);
    let Fetch::Behind(at) = machine.fetch(&mut items, read, None, &mut waker) else { panic!("read again") };
    assert_eq!(at, clock.now());
    let Fetch::Nothing(until) = machine.fetch(&mut items, clock.now(), Some(at), &mut waker) else { panic!("not due") };
    assert_eq!(until, Some(Instant::from_secs(12)));
}

#[test]
fn no_item_is_added_by_a_dropped_future_and_the_others_move_up() {
    for seed in seeds(1_000) {
        let timer = VirtualTimer::default();
        let queue = queue(&timer);
        let (seen, added) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let mut tasks = Vec::new();
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        for task in 0..12 {
            let (queue, added) = (&queue, &added);
            tasks.push(simulator.spawn(async move {
                queue.add(task).await.unwrap();
                added.borrow_mut().push(task);
            }));
        }
        let worker = async |items: &mut Items<u32, 3>, _: FlushReason| {
            seen.borrow_mut().extend(items.iter().copied());
            sleep(&timer, 300).await;
        };
        simulator.spawn(async { queue.run(worker).await.unwrap() });
        for _ in 0..=simulator.next_random() % 6 {
            (0..simulator.next_random() % 12).for_each(|_| _ = simulator.step());
            let victim = (simulator.next_random() % 12) as usize;
            simulator.abort(tasks[victim]);
        }
        simulator.spawn(async {
            timer.sleep_until(Instant::from_secs(60)).await;
            assert_eq!(queue.stats().pending, 0);
            queue.stop().await;
        });
        simulator.run();
        drop(simulator);
        let (mut seen, mut added) = (seen.into_inner(), added.into_inner());
        seen.sort_unstable();
        added.sort_unstable();
        assert_eq!(seen, added, "seed {seed}");
        assert_eq!(queue.stats().delivered, seen.len() as u64);
        assert_conserved(queue.stats());
    }
}

#[test]
fn a_worker_dropped_anywhere_loses_at_most_the_batch_in_its_hands() {
    for seed in seeds(1_000) {
        let timer = VirtualTimer::default();
        let (queue, delivered) = (queue(&timer), RefCell::new(0));
        let flush = async |items: &mut Items<u32, 3>, _: FlushReason| {
            sleep(&timer, 50).await;
            *delivered.borrow_mut() += items.len() as u64;
        };
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            for item in 0..20 {
                queue.add(item).await.unwrap();
                if item % 4 == 0 {
                    sleep(&timer, 20).await;
                }
            }
            queue.stop().await;
            assert!(queue.stats().in_flight == 0 && queue.stats().pending == 0);
        });
        for _ in 0..3 {
            let worker = simulator.spawn(async { queue.run(&flush).await.unwrap() });
            (0..simulator.next_random() % 30).for_each(|_| _ = simulator.step());
            simulator.abort(worker);
            assert_conserved(queue.stats());
            assert_eq!(queue.stats().in_flight, 0);
        }
        simulator.spawn(async { queue.run(&flush).await.unwrap() });
        simulator.run();
        drop(simulator);
        let stats = queue.stats();
        assert_eq!((stats.accepted, stats.delivered), (20, delivered.into_inner()), "seed {seed}");
        assert!(stats.failed <= 9);
        assert_conserved(stats);
    }
}

#[test]
fn items_are_dropped_once_and_outside_the_lock() {
    type Machine = BatchQueue<Nosy, 2, 1>;
    type Queue = Shared<Machine, RefCell<Machine>, NoTime>;
    #[derive(Clone)]
    struct Nosy {
        queue: Rc<RefCell<Option<Rc<Queue>>>>,
        drops: Rc<RefCell<u32>>,
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            *self.drops.borrow_mut() += 1;
            if let Some(queue) = &*self.queue.borrow() {
                assert_conserved(queue.stats()); // would panic inside the lock
            }
        }
    }
    let queue = Rc::new(Queue::new(RefCell::new(Machine::new(BatchSettings::new(WAIT))), NoTime));
    let drops = Rc::new(RefCell::new(0));
    let nosy = Nosy { queue: Rc::new(RefCell::new(Some(queue.clone()))), drops: drops.clone() };
    let item = || nosy.clone();
    assert!(queue.try_add(item()).is_ok() && queue.try_add(item()).is_ok());
    assert!(matches!(queue.try_add(item()), Err(AddError::Full(_))));
    queue.close();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(pin!(queue.run(async |_, _| ())).as_mut().poll(&mut cx).is_ready());
    assert_eq!(*drops.borrow(), 3);
    nosy.queue.borrow_mut().take();
}

#[derive(Default)]
struct Count(AtomicU32);

impl Count {
    fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future with the waker that it was polled with once.
fn polled<F: Future>(future: F) -> (Pin<Box<F>>, Arc<Count>) {
    let (mut future, count) = (Box::pin(future), Arc::new(Count::default()));
    assert!(future.as_mut().poll(&mut Context::from_waker(&Waker::from(count.clone()))).is_pending());
    (future, count)
}

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
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
    assert_eq!(ready(worker.next_batch()), Some(FlushReason::Manual));
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

/// A clock that tells how often it was read.
#[derive(Clone, Default)]
struct Read {
    timer: VirtualTimer,
    times: Rc<Cell<u32>>,
}

impl Clock for Read {
    fn now(&self) -> Instant {
        self.times.set(self.times.get() + 1);
        self.timer.now()
    }
}

#[test]
fn only_an_item_whose_time_matters_reads_the_clock() {
    for (settings, readings) in
        [(BatchSettings::new(WAIT), 1), (BatchSettings::new(WAIT).idle_gap(Duration::from_secs(1)), 2)]
    {
        let clock = Read::default();
        let lock = RefCell::new(BatchQueue::<u32, 3, 4>::new(settings));
        let queue: Shared<BatchQueue<u32, 3, 4>, _, _> = Shared::new(lock, clock.clone());
        queue.try_add(1).unwrap();
        queue.try_add(2).unwrap();
        assert_eq!(clock.times.get(), readings);
    }
}

#[test]
fn an_item_that_came_while_the_clock_was_read_again_is_no_step_back() {
    let mut machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT));
    let (mut items, mut waker) = (Items::new(), None);
    for secs in [2, 3] {
        let at = Some(Instant::from_secs(secs));
        let Push::Accepted(_) = machine.push(1, 1, at, &mut Place::default()) else { panic!("room") };
    }
    let seen = Instant::from_secs(2);
    let Fetch::Behind(at) = machine.fetch(&mut items, seen, Some(seen), &mut waker) else { panic!("read again") };
    assert_eq!(at, Instant::from_secs(3));
}

#[test]
fn a_buffer_is_made_for_a_whole_batch() {
    assert_eq!(BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT)).batch_size(), 3);
}

/// A waker that notes whether the queue was locked when it was dropped.
struct Last;

static HELD: OnlyLock<Static> = OnlyLock(Mutex::new(BatchQueue::new(BatchSettings::new(WAIT))));
static DROPPED_UNLOCKED: AtomicU32 = AtomicU32::new(0);

impl Wake for Last {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Last {
    fn drop(&mut self) {
        DROPPED_UNLOCKED.fetch_add(u32::from(HELD.0.try_lock().is_ok()), Ordering::Relaxed);
    }
}

struct Borrowed(&'static OnlyLock<Static>);

impl Lock for Borrowed {
    type Target = Static;

    fn with<R>(&self, f: impl FnOnce(&mut Static) -> R) -> R {
        self.0.with(f)
    }
}

#[test]
fn a_former_waker_is_dropped_outside_the_lock() {
    let queue: Shared<Static, _, _> = Shared::new(Borrowed(&HELD), VirtualTimer::default());
    let mut worker = queue.worker().unwrap();
    let mut batch = pin!(worker.next_batch());
    for dropped in 0..3 {
        let waker = Waker::from(Arc::new(Last));
        assert!(batch.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert_eq!(DROPPED_UNLOCKED.load(Ordering::Relaxed), dropped);
    }
}
