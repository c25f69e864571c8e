//! Nothing waits for itself, however it is polled; and who does not come holds up nobody.

use core::future::poll_fn;

use super::*;
use crate::foundation::shared::Shared;

/// Polls each part with a waker of its own, as sets of futures do.
struct Each<F>(Vec<(Pin<Box<F>>, Arc<Part>)>);

struct Part {
    is_woken: AtomicU32,
    whole: Mutex<Option<Waker>>,
}

impl Wake for Part {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(1, Ordering::SeqCst);
        if let Some(whole) = self.whole.lock().unwrap().take() {
            whole.wake();
        }
    }
}

fn each<F: Future>(futures: impl IntoIterator<Item = F>) -> Each<F> {
    let part = || Arc::new(Part { is_woken: AtomicU32::new(1), whole: Mutex::default() });
    Each(futures.into_iter().map(|future| (Box::pin(future), part())).collect())
}

impl<F: Future> Future for Each<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.retain_mut(|(future, part)| {
            *part.whole.lock().unwrap() = Some(cx.waker().clone());
            if part.is_woken.swap(0, Ordering::SeqCst) == 0 {
                return true;
            }
            future.as_mut().poll(&mut Context::from_waker(&Waker::from(part.clone()))).is_pending()
        });
        if self.0.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

#[test]
fn found_b1_adds_of_a_set_of_futures_inside_the_flush_do_not_wait_for_themselves() {
    for seed in seeds(50) {
        for adds in [1, 3, 4, 31, 100] {
            let timer = VirtualTimer::default();
            let queue = queue(&timer);
            let (taken, full) = (Cell::new(0), Cell::new(0));
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            simulator.spawn(async {
                let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                    if items.contains(&0) {
                        sleep(&timer, 1).await;
                        each((0..adds).map(async |item| match queue.add(100 + item).await {
                            Ok(()) => taken.set(taken.get() + 1),
                            Err(error) => {
                                assert_eq!(error, AddError::Full(100 + item));
                                full.set(full.get() + 1);
                            }
                        }))
                        .await;
                        each((0..adds).map(async |_| queue.stop().await)).await;
                    }
                });
                worker.await.unwrap();
            });
            simulator.spawn(async { queue.add(0).await.unwrap() });
            simulator.spawn(async {
                sleep(&timer, 20_000).await;
                queue.stop().await;
            });
            simulator.run();
            drop(simulator);
            assert_eq!((taken.get(), full.get()), (adds.min(3), adds - adds.min(3)), "seed {seed}");
            assert!(timer.now() <= Instant::from_secs(20));
            assert_conserved(queue.stats());
        }
    }
}

#[test]
fn found_b1_what_the_drop_of_a_flush_adds_does_not_wait_for_itself() {
    struct AddsWhenDropped<'a>(&'a Queue3, &'a RefCell<Vec<AddError<u32>>>);
    impl Drop for AddsWhenDropped<'_> {
        fn drop(&mut self) {
            for item in 10..15 {
                if let Err(error) = ready(self.0.add(item)) {
                    self.1.borrow_mut().push(error);
                }
            }
            ready(self.0.stop());
        }
    }
    for cut_off in [false, true] {
        let timer = VirtualTimer::default();
        let (queue, refused) = (queue(&timer), RefCell::new(Vec::new()));
        (0..3).for_each(|item| queue.try_add(item).unwrap());
        let worker = queue.run(async |_: &mut Items<u32, 3>, _| {
            let _adds = AddsWhenDropped(&queue, &refused);
            if cut_off {
                core::future::pending::<()>().await;
            }
        });
        if cut_off {
            drop(polled(worker));
        } else {
            let (worker, _) = polled(worker);
            ready(worker).unwrap();
        }
        refused.borrow_mut().retain(|error| matches!(error, AddError::Full(_)));
        assert_eq!(*refused.borrow(), [AddError::Full(13), AddError::Full(14)]);
        assert_conserved(queue.stats());
    }
}

/// A task that the flush waits for is like any other: it is refused once the flush has stalled.
#[test]
fn found_b1_an_add_of_a_task_that_the_flush_waits_for_is_refused_in_the_end() {
    for (step_back, seed) in seeds(20).flat_map(|seed| [(false, seed), (true, seed)]) {
        let timer = VirtualTimer::default();
        timer.set(Instant::from_secs(7_200));
        let (queue, refused, waits) = (queue(&timer), Cell::new(0), Cell::new(None::<Waker>));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                let waits_for_it = items.contains(&0);
                poll_fn(|cx| {
                    waits.set(Some(cx.waker().clone()));
                    if waits_for_it && refused.get() < 2 { Poll::Pending } else { Poll::Ready(()) }
                })
                .await;
            });
            worker.await.unwrap();
        });
        simulator.spawn(async {
            queue.add(0).await.unwrap();
            queue.flush();
            sleep(&timer, 1).await;
            if step_back {
                timer.set(Instant::from_secs(5));
            }
            each((1..6).map(async |item| {
                if let Err(error) = queue.add(item).await {
                    assert!(matches!(error, AddError::Full(_)), "{error:?}");
                    refused.set(refused.get() + 1);
                    waits.take().into_iter().for_each(Waker::wake);
                }
            }))
            .await;
            queue.stop().await;
        });
        simulator.run();
        drop(simulator);
        assert_eq!(refused.get(), 2);
        let started = Instant::from_secs(if step_back { 5 } else { 7_200 });
        let took = timer.now().saturating_duration_since(started);
        assert!(took >= Duration::from_secs(29) && took < Duration::from_secs(31), "seed {seed}: {took:?}");
    }
}

/// Where the lock cannot tell who calls, whoever has the worker's waker is inside, and all others are refused later.
#[test]
fn found_b1_a_lock_that_knows_no_context_goes_by_the_waker_and_the_time() {
    let timer = VirtualTimer::default();
    let machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT)).stall_timeout(Duration::from_secs(2));
    let queue: Shared<BatchQueue<u32, 3, 4>, _, _> = Shared::new(OnlyLock(Mutex::new(machine)), timer.clone());
    let mut simulator = Simulator::with_timer(2, timer.clone());
    simulator.spawn(async {
        let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
            if items.contains(&0) {
                while queue.try_add(9).is_ok() {}
                assert_eq!(queue.add(10).await, Err(AddError::Full(10)));
                assert_eq!(timer.now(), Instant::ZERO);
                each([async { assert_eq!(queue.add(11).await, Err(AddError::Full(11))) }]).await;
                assert_eq!(timer.now(), Instant::from_secs(2));
            }
        });
        worker.await.unwrap();
    });
    simulator.spawn(async {
        queue.add(0).await.unwrap();
        queue.flush();
        sleep(&timer, 60_000).await;
        queue.stop().await;
    });
    simulator.run();
}

#[test]
fn found_a1_an_adder_that_nobody_polls_delays_the_others_by_its_turn_only() {
    for (held, most) in [(1, 10), (2, 10), (3, 10), (30, 50), (200, 80)] {
        for seed in seeds(5) {
            let timer = VirtualTimer::default();
            let machine = BatchQueue::<u32, 3, 400>::new(BatchSettings::new(Duration::ZERO));
            let queue = Shared::new(RefCell::new(machine), timer.clone());
            (0..3).for_each(|item| queue.try_add(item).unwrap());
            let held: Vec<_> = (0..held).map(|item| polled(queue.add(1_000 + item))).collect();
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            simulator.spawn(async { queue.run(async |_, _| ()).await.unwrap() });
            let adder = simulator.spawn(async {
                queue.add(5).await.unwrap();
                queue.add(6).await.unwrap();
                while queue.try_add(7).is_err() {
                    sleep(&timer, 1).await;
                }
            });
            while !simulator.is_over(adder) {
                assert!(simulator.step(), "seed {seed}: it hangs");
            }
            let most = Instant::from_millis(most + 2); // it looks again each millisecond
            assert!(timer.now() <= most, "{} held: {:?}", held.len(), timer.now());
            // They are polled after all, and get in.
            for (add, _) in held {
                simulator.spawn(async { add.await.unwrap() });
            }
            simulator.spawn(async {
                sleep(&timer, 1_000).await;
                queue.stop().await;
            });
            simulator.run();
            drop(simulator);
            assert_eq!((queue.stats().pending, queue.stats().returned), (0, 0));
            assert_conserved(queue.stats());
        }
    }
}

/// Every mix of adders that are polled, held or dropped, flushes of any length that fail or not, and steps back.
#[test]
fn whoever_is_polled_gets_in_whatever_the_others_do() {
    for seed in seeds(300) {
        let timer = VirtualTimer::default();
        timer.set(Instant::from_secs(1_000));
        let machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(Duration::from_millis(300)));
        let queue = Shared::new(RefCell::new(machine.retry(2, Duration::from_millis(40))), timer.clone());
        let accepted_at = RefCell::new(BTreeMap::new());
        let mut random = Simulator::new(seed);
        let mut held = Vec::new();
        let failures = RefCell::new(Simulator::new(!seed));
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            let worker = queue.run(async |items: &mut Items<u32, 3>, _| {
                // Due after its wait at the latest, and then one flush may be under way, of three tries.
                let longest = if seed % 2 == 1 { WAIT } else { Duration::from_millis(300 + 3 * 90 + 2 * 40) };
                let waited = |item| timer.now().saturating_duration_since(accepted_at.borrow()[item]);
                assert!(items.iter().all(|item| waited(item) <= longest), "seed {seed}");
                let random = failures.borrow_mut().next_random();
                sleep(&timer, random % 90).await;
                items.truncate((random >> 20) as usize % 4);
                if random >> 61 == 0 { Err(()) } else { Ok(()) }
            });
            worker.await.unwrap();
        });
        let add = |item| {
            let (queue, timer, accepted_at) = (&queue, &timer, &accepted_at);
            async move {
                accepted_at.borrow_mut().insert(item, Instant::MAX);
                queue.add(item).await.unwrap();
                accepted_at.borrow_mut().insert(item, timer.now());
            }
        };
        let mut adders = Vec::new();
        for item in 0..40 {
            match random.next_random() % 4 {
                0 => {
                    let mut add = Box::pin(add(item));
                    if add.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                        held.push(add);
                    }
                }
                1 => {
                    let adder = simulator.spawn(add(item));
                    (0..random.next_random() % 5).for_each(|_| _ = simulator.step());
                    simulator.abort(adder);
                }
                _ => adders.push(simulator.spawn(add(item))),
            }
            (0..random.next_random() % 3).for_each(|_| _ = simulator.step());
            if seed % 2 == 1 && random.next_random().is_multiple_of(16) {
                let step = Duration::from_millis(random.next_random() % 400);
                timer.set(timer.now().saturating_sub(step)); // sleeps take longer by as much
            }
        }
        let from = timer.now();
        while adders.iter().any(|adder| !simulator.is_over(*adder)) {
            assert!(simulator.step(), "seed {seed}: a live adder hangs");
        }
        // The longest flush with its retries, and the wait, for each batch, and the turns of those who are held.
        let took = timer.now().saturating_duration_since(from);
        assert!(took < Duration::from_secs(20), "seed {seed}: {took:?}");
        drop(held);
        simulator.spawn(queue.stop());
        simulator.run();
        drop(simulator);
        let stats = queue.stats();
        assert_eq!((stats.pending, stats.in_flight), (0, 0), "seed {seed}");
        assert_conserved(stats);
    }
}

/// A flush that is ready at once, on whatever grounds, lets the executor's other tasks have their turn.
#[test]
fn found_b5_the_worker_gives_up_the_executor_after_each_try_and_each_batch() {
    for wait in [Duration::ZERO, Duration::from_nanos(1)] {
        let timer = VirtualTimer::default();
        let machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(WAIT)).retry(u32::MAX, wait);
        let queue = Shared::new(RefCell::new(machine), timer.clone());
        queue.try_add(1).unwrap();
        queue.flush();
        let tries = Cell::new(0);
        let mut worker = Box::pin(queue.run(async |_: &mut Items<u32, 3>, _| {
            tries.set(tries.get() + 1);
            Err::<(), _>(())
        }));
        let mut cx = Context::from_waker(Waker::noop());
        for round in 1..5 {
            assert!(worker.as_mut().poll(&mut cx).is_pending());
            assert!(tries.get() <= round, "one try for each poll");
            timer.advance(wait);
        }
    }

    let timer = VirtualTimer::default();
    let queue = with_settings(&timer, BatchSettings::new(Duration::ZERO));
    queue.try_add(1).unwrap();
    let batches = Cell::new(0);
    let mut worker = Box::pin(queue.run(async |items: &mut Items<u32, 3>, _| {
        batches.set(batches.get() + 1);
        queue.try_add(items[0]).unwrap(); // there is always another one
    }));
    for round in 1..5 {
        let woken = Arc::new(Count::default());
        assert!(worker.as_mut().poll(&mut Context::from_waker(&Waker::from(woken.clone()))).is_pending());
        assert_eq!((batches.get(), woken.get()), (round, 1));
    }
}

/// A timer whose sleeps are over at once, on a clock that stands still.
#[test]
fn found_b5_a_timer_that_is_always_early_does_not_keep_the_executor() {
    let queue: Shared<Static, _, _> = Shared::new(RefCell::new(BatchQueue::new(BatchSettings::new(WAIT))), NoTime);
    queue.try_add(1).unwrap();
    let (worker, woken) = polled(queue.run(async |_, _| ()));
    assert_eq!(woken.get(), 1, "it is to be polled again");
    drop(worker);
    (0..2).for_each(|item| queue.try_add(item).unwrap());
    let (_adder, woken) = polled(queue.add(3));
    assert!(woken.get() > 0, "it is to be polled again");
}

/// The clock steps back, an item comes: it is due earlier than what the worker sleeps until.
#[test]
fn found_a2_an_item_that_is_due_earlier_wakes_the_worker() {
    let timer = VirtualTimer::default();
    timer.set(Instant::from_secs(3_600));
    let queue = queue(&timer);
    queue.try_add(1).unwrap();
    let mut worker = queue.worker().unwrap();
    let (_batch, woken) = polled(worker.next_batch());
    queue.try_add(2).unwrap();
    assert_eq!(woken.get(), 0);
    timer.set(Instant::from_secs(5));
    queue.with(|machine, now| {
        let Push::Accepted(wake) = machine.push(3, 1, Some(now), &mut Waiter::default()) else { panic!("room") };
        assert!(wake.worker.is_some());
    });
}

#[test]
fn what_is_left_after_the_last_try_can_be_had() {
    let timer = VirtualTimer::default();
    let queue: Queue3 = Shared::new(RefCell::new(BatchQueue::new(BatchSettings::new(WAIT)).retry(1, WAIT)), timer);
    let mut worker = queue.worker().unwrap();
    (0..3).for_each(|item| queue.try_add(item).unwrap());
    assert_eq!((ready(worker.next_batch()), worker.attempt()), (Some(FlushReason::Size), 1));
    worker.items().swap_remove(1);
    assert!(worker.complete(FlushOutcome::Failed, 2, true));
    assert_eq!(worker.attempt(), 2);
    assert!(!worker.complete(FlushOutcome::Failed, 2, false));
    assert_eq!((worker.attempt(), worker.items().as_slice()), (0, [0, 2].as_slice()));
    let stats = queue.stats();
    assert_eq!((stats.delivered, stats.failed, stats.retries), (1, 2, 1));
    drop(polled(worker.next_batch()));
    assert!(worker.items().is_empty());
    assert_eq!(queue.stats(), stats);
}

#[test]
fn what_is_let_go_of_between_two_tries_counts_as_returned() {
    let timer = VirtualTimer::default();
    let queue: Queue3 = Shared::new(RefCell::new(BatchQueue::new(BatchSettings::new(WAIT)).retry(1, WAIT)), timer);
    let mut worker = queue.worker().unwrap();
    (0..3).for_each(|item| queue.try_add(item).unwrap());
    assert_eq!(ready(worker.next_batch()), Some(FlushReason::Size));
    assert!(worker.complete(FlushOutcome::Failed, 3, true));
    let (stop, woken) = polled(queue.stop());
    queue.abandon_in_flight();
    assert_eq!(woken.get(), 1);
    ready(stop);
    assert!(!worker.complete(FlushOutcome::Failed, 3, false));
    let stats = queue.stats();
    assert_eq!((stats.accepted, stats.returned, stats.failed, stats.in_flight), (3, 3, 0, 0));
}
