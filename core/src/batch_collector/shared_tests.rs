#[path = "flush_tests.rs"]
mod flush;
#[path = "inside_tests.rs"]
mod inside;
#[path = "waiting_tests.rs"]
mod waiting;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
    task::Wake,
    vec,
    vec::Vec,
};
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
use crate::foundation::shared::Shared;
use crate::{
    batch_collector::{BatchQueue, BatchSettings},
    foundation::time::Instant,
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
    let Push::Accepted(_) = machine.push(1, 1, Some(clock.now()), &mut Waiter::default()) else { panic!("room") };
    let (mut items, mut waker) = (Items::new(), None);
    let Fetch::Behind(at) = machine.fetch(&mut items, read, None, false, &mut waker) else { panic!("read again") };
    assert_eq!(at, clock.now());
    let Fetch::Nothing(until, _) = machine.fetch(&mut items, clock.now(), Some(at), false, &mut waker) else {
        panic!("not due")
    };
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
        let Push::Accepted(_) = machine.push(1, 1, at, &mut Waiter::default()) else { panic!("room") };
    }
    let seen = Instant::from_secs(2);
    let Fetch::Behind(at) = machine.fetch(&mut items, seen, Some(seen), false, &mut waker) else {
        panic!("read again")
    };
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

#[test]
fn the_worker_is_woken_where_other_settings_bring_the_deadline_nearer() {
    let timer = VirtualTimer::default();
    let machine = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(Duration::from_secs(3_600)));
    let queue: Queue3 = Shared::new(RefCell::new(machine), timer.clone());
    let flushed = RefCell::new(Vec::new());
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async {
        let worker = queue.run(async |items: &mut Items<u32, 3>, reason| {
            flushed.borrow_mut().push((timer.now(), reason, items.to_vec()));
        });
        worker.await.unwrap();
    });
    simulator.spawn(async {
        queue.add(7).await.unwrap();
        timer.sleep_until(Instant::from_secs(5)).await;
        queue.set_settings(BatchSettings::new(WAIT));
        timer.sleep_until(Instant::from_secs(20)).await;
        queue.add_weighted(8, 6).await.unwrap();
        queue.set_settings(BatchSettings::new(WAIT).max_weight(NonZeroU64::new(5).unwrap()));
        timer.sleep_until(Instant::from_secs(21)).await;
        queue.stop().await;
    });
    simulator.run();
    drop(simulator);
    let expected = [(10, FlushReason::Age, vec![7]), (20, FlushReason::Weight, vec![8])];
    assert_eq!(flushed.into_inner(), expected.map(|(secs, reason, items)| (Instant::from_secs(secs), reason, items)));
}
