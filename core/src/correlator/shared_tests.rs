//! Calls that wait, on virtual time.

use alloc::{rc::Rc, sync::Arc, task::Wake};
use core::{
    cell::{Cell, RefCell},
    future::{Future, pending, ready},
    pin::pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::boxed::Box;

use super::*;
use crate::{
    correlator::CallOn,
    foundation::{
        shared::{Clock, Shared, Timer},
        time::Instant,
    },
    test_util::{Simulator, VirtualTimer},
};

pub(super) type Slab<const N: usize> =
    Rc<Shared<Correlator<u8, u32, N>, RefCell<Correlator<u8, u32, N>>, VirtualTimer>>;
pub(super) type Keyed = Rc<Shared<KeyedCorrelator<u8, u32, 4>, RefCell<KeyedCorrelator<u8, u32, 4>>, VirtualTimer>>;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const DUE: Instant = Instant::from_secs(1);
pub(super) const SENT: Result<(), ()> = Ok(());

pub(super) fn slab<const N: usize>(simulator: &Simulator<'_>) -> Slab<N> {
    Rc::new(Shared::new(RefCell::new(Correlator::new(7)), simulator.timer()))
}

pub(super) fn keyed(simulator: &Simulator<'_>) -> Keyed {
    Rc::new(Shared::new(RefCell::new(KeyedCorrelator::new()), simulator.timer()))
}

/// Runs one task to its end and returns what it returned.
pub(super) fn run<T: 'static>(mut simulator: Simulator<'_>, task: impl Future<Output = T> + 'static) -> T {
    let result = Rc::new(RefCell::new(None));
    let place = result.clone();
    simulator.spawn(async move {
        let value = task.await;
        *place.borrow_mut() = Some(value);
    });
    simulator.run();
    result.take().unwrap()
}

#[track_caller]
pub(super) fn nothing_left<const N: usize>(slab: &Slab<N>) {
    let stats = slab.stats();
    assert_eq!(stats.begun, stats.resolved + stats.timed_out + stats.cancelled + stats.closed, "{stats:?}");
    assert_eq!((stats.pending, slab.with_lock(|calls| calls.len())), (0, 0), "a slot leaked");
}

#[test]
fn seed_1_4_a_cancelled_waiter_is_told() {
    let mut simulator = Simulator::new(1);
    let (calls, id) = (slab::<4>(&simulator), Rc::new(Cell::new(None)));
    let (waiting, place) = (calls.clone(), id.clone());
    simulator.spawn(async move {
        let reply = waiting.call(2, SECOND, |id| {
            place.set(Some(id));
            ready(SENT)
        });
        assert_eq!(reply.await, Err(CallError::Cancelled));
    });
    assert!(simulator.step());
    assert!(calls.cancel(id.get().unwrap()));
    assert!(!calls.resolve(id.get().unwrap(), 2, 7).is_matched());
    simulator.run();
    assert_eq!(simulator.timer().now(), Instant::ZERO, "at once");
    nothing_left(&calls);
}

#[test]
fn seed_1_6_the_first_of_two_equal_ids_is_served() {
    let simulator = Simulator::new(1);
    let calls = keyed(&simulator);
    run(simulator, async move {
        let mut first = pin!(calls.call(9, SECOND, || ready(SENT)));
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let second = calls.call(9, SECOND, || -> core::future::Ready<Result<(), ()>> { unreachable!() });
        assert_eq!(second.await, Err(CallError::Duplicate));
        assert!(calls.resolve(&9, 7).is_matched());
        assert_eq!(first.await, Ok(7));
        assert_eq!(calls.with_lock(|calls| calls.len()), 0);
    });
}

#[test]
fn seed_1_7_and_9_a_time_out_comes_at_its_deadline() {
    for timeout in [Duration::ZERO, Duration::from_millis(10), SECOND] {
        let simulator = Simulator::new(1);
        let (calls, timer) = (slab::<4>(&simulator), simulator.timer());
        let left = calls.clone();
        run(simulator, async move {
            assert_eq!(calls.call(2, timeout, |_| ready(SENT)).await, Err(CallError::TimedOut));
            assert_eq!(timer.now(), Instant::ZERO.saturating_add(timeout));
        });
        nothing_left(&left);
    }
}

#[test]
fn seed_1_14_a_send_error_is_passed_on_and_frees_the_slot() {
    let simulator = Simulator::new(1);
    let calls = slab::<4>(&simulator);
    let left = calls.clone();
    let error = run(simulator, async move { calls.call(2, SECOND, |_| ready(Err("no route"))).await });
    assert_eq!(error, Err(CallError::Send("no route")));
    nothing_left(&left);
}

#[test]
fn seed_1_15_a_slow_send_that_fails_late_gives_one_time_out() {
    let simulator = Simulator::new(1);
    let (calls, timer) = (slab::<4>(&simulator), simulator.timer());
    let left = calls.clone();
    run(simulator, async move {
        let sleeper = timer.clone();
        let reply = calls.call(2, SECOND / 10, |_| async move {
            sleeper.sleep_until(Instant::from_millis(2_500)).await;
            Err("no route")
        });
        assert_eq!(reply.await, Err(CallError::TimedOut));
        assert_eq!(timer.now(), Instant::from_millis(100), "the deadline counts from the beginning");
    });
    nothing_left(&left);
}

#[test]
fn seed_1_20_shutdown_tells_every_waiter() {
    let mut simulator = Simulator::new(0); // an even seed polls nobody unasked, so that steps can be counted
    let (calls, told) = (slab::<100>(&simulator), Rc::new(Cell::new(0)));
    let keyed = Rc::new(Shared::new(RefCell::new(KeyedCorrelator::<u8, u32, 100>::new()), simulator.timer()));
    for number in 0..100 {
        let (calls, keyed, told) = (calls.clone(), keyed.clone(), told.clone());
        simulator.spawn(async move {
            assert_eq!(calls.call(2, SECOND, |_| ready(SENT)).await, Err(CallError::Closed));
            assert_eq!(keyed.call(number, SECOND, || ready(SENT)).await, Err(CallError::Closed));
            told.set(told.get() + 1);
        });
    }
    (0..100).for_each(|_| assert!(simulator.step()));
    calls.close();
    (0..100).for_each(|_| assert!(simulator.step()));
    assert_eq!(keyed.stats().pending, 100);
    keyed.close();
    simulator.run();
    assert_eq!((told.get(), simulator.timer().now()), (100, Instant::ZERO));
    nothing_left(&calls);
    let late = calls.clone();
    assert_eq!(run(simulator, async move { late.call(2, SECOND, |_| ready(SENT)).await }), Err(CallError::Closed));
}

#[test]
fn seed_1_21_a_dropped_call_frees_its_slot_and_its_reply_is_late() {
    let mut simulator = Simulator::new(1);
    let (calls, id) = (slab::<1>(&simulator), Rc::new(Cell::new(None)));
    let (waiting, place) = (calls.clone(), id.clone());
    let task = simulator.spawn(async move {
        drop(waiting.call(2, SECOND, |_| ready(SENT)));
        let _ = waiting
            .call(2, SECOND, |id| {
                place.set(Some(id));
                pending::<Result<(), ()>>()
            })
            .await;
    });
    assert!(simulator.step());
    assert_eq!(calls.stats().begun, 1, "a future that was never polled has not begun");
    assert!(simulator.abort(task));
    assert_eq!(calls.resolve(id.get().unwrap(), 2, 7), Resolution::Late(7));
    nothing_left(&calls);
}

#[test]
fn seed_1_22_a_reply_inside_the_send_is_delivered() {
    let simulator = Simulator::new(1);
    let calls = slab::<4>(&simulator);
    let left = calls.clone();
    let replies = run(simulator, async move {
        // At once, with a send that then fails, and with one that never ends.
        let resolve = |id| assert!(calls.resolve(id, 2, 7).is_matched());
        let at_once = calls.call(2, SECOND, |id| {
            resolve(id);
            ready(SENT)
        });
        let failing = calls.call(2, SECOND, |id| {
            resolve(id);
            ready(Err(()))
        });
        let endless = calls.call(2, SECOND, |id| async move {
            resolve(id);
            pending::<Result<(), ()>>().await
        });
        [at_once.await, failing.await, endless.await]
    });
    assert_eq!(replies, [Ok(7); 3]);
    nothing_left(&left);
}

#[test]
fn seed_defect_a_slow_send_counts_against_the_deadline_of_its_call() {
    let simulator = Simulator::new(1);
    let (calls, timer) = (slab::<4>(&simulator), simulator.timer());
    run(simulator, async move {
        let sleeper = timer.clone();
        let reply = calls.call(2, SECOND, |_| async move {
            sleeper.sleep_until(Instant::from_millis(900)).await;
            SENT
        });
        assert_eq!(reply.await, Err(CallError::TimedOut));
        assert_eq!(timer.now(), DUE);
    });
}

#[test]
fn no_lock_is_held_while_sending() {
    // A `RefCell` panics if it is borrowed twice: the send uses every method.
    let simulator = Simulator::new(1);
    let calls = slab::<4>(&simulator);
    run(simulator, async move {
        let reply = calls.call(2, SECOND, |id| {
            let inner = calls.clone();
            async move {
                assert_eq!(inner.stats().pending, 1);
                let _ = (inner.next_deadline(), inner.on_timeout(), inner.round_trips(), inner.take(id));
                assert_eq!(inner.call(3, Duration::ZERO, |_| ready(SENT)).await, Err(CallError::TimedOut));
                assert!(inner.resolve(id, 2, 7).is_matched());
                SENT
            }
        });
        assert_eq!(reply.await, Ok(7));
        nothing_left(&calls);
    });
}

#[test]
fn a_reply_that_a_future_waits_for_cannot_be_taken_by_others() {
    let mut simulator = Simulator::new(1);
    let (calls, id) = (slab::<4>(&simulator), Rc::new(Cell::new(None)));
    let (waiting, place) = (calls.clone(), id.clone());
    simulator.spawn(async move {
        let reply = waiting.call(2, SECOND, |id| {
            place.set(Some(id));
            ready(SENT)
        });
        assert_eq!(reply.await, Ok(7));
    });
    assert!(simulator.step());
    let id = id.get().unwrap();
    assert!(calls.resolve(id, 2, 7).is_matched());
    assert_eq!((calls.take(id), calls.cancel(id)), (None, false));
    assert_eq!(calls.resolve(id, 2, 8), Resolution::Duplicate(8));
    simulator.run();
    assert_eq!(calls.resolve(id, 2, 8), Resolution::Duplicate(8));
    nothing_left(&calls);

    let keyed = keyed(&simulator);
    let waiting = keyed.clone();
    simulator.spawn(async move { assert_eq!(waiting.call(1, SECOND, || ready(SENT)).await, Ok(7)) });
    assert!(simulator.step());
    assert!(keyed.resolve(&1, 7).is_matched());
    assert_eq!((keyed.take(&1), keyed.cancel(&1)), (None, false));
    assert_eq!(keyed.begin(1, SECOND), Err(BeginError::Duplicate));
    simulator.run();
    assert!(keyed.begin(1, SECOND).is_ok());
}

#[test]
fn whoever_times_a_call_out_its_waiter_is_told_and_the_peer_is_named() {
    let mut simulator = Simulator::new(1);
    let (calls, keyed) = (slab::<4>(&simulator), keyed(&simulator));
    let (waiting, also_waiting) = (calls.clone(), keyed.clone());
    simulator.spawn(async move {
        assert_eq!(waiting.call(2, SECOND, |_| ready(SENT)).await, Err(CallError::TimedOut));
    });
    simulator.spawn(async move {
        assert_eq!(also_waiting.call(3, SECOND, || ready(SENT)).await, Err(CallError::TimedOut));
    });
    (0..2).for_each(|_| assert!(simulator.step()));
    // The clock moves on before the tasks' sleeps are polled.
    simulator.timer().advance(SECOND);
    assert_eq!(calls.on_timeout().map(|expired| expired.peer), Some(2));
    assert_eq!(keyed.on_timeout(), Some(3));
    assert_eq!((calls.stats().timed_out, calls.stats().pending), (1, 0));
    simulator.run();
    nothing_left(&calls);
    assert!(keyed.with_lock(|calls| calls.is_empty()));
}

#[test]
fn the_waker_is_the_one_of_the_last_poll() {
    struct Count(AtomicU32);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let simulator = Simulator::new(1);
    let (calls, id) = (slab::<4>(&simulator), Cell::new(None));
    let mut call = pin!(calls.call(2, SECOND, |made| {
        id.set(Some(made));
        ready(SENT)
    }));
    let counts = [0; 2].map(|_| Arc::new(Count(AtomicU32::new(0))));
    for count in [&counts[0], &counts[0], &counts[1]] {
        let waker = Waker::from(count.clone());
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(calls.resolve(id.get().unwrap(), 2, 7).is_matched());
    assert_eq!(counts.each_ref().map(|count| count.0.load(Ordering::Relaxed)), [0, 1]);
    assert_eq!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(Ok(7)));
    assert_eq!(Arc::strong_count(&counts[0]), 1, "the first waker is gone");
}

#[test]
fn replies_and_wakers_are_dropped_outside_the_lock() {
    /// Comes back for the lock when it is dropped.
    struct Nosy(Rc<dyn Fn()>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    type Calls = Correlator<u8, Nosy, 4>;
    let simulator = Simulator::new(1);
    let calls = Rc::new(Shared::new(RefCell::new(Calls::new(7)), simulator.timer()));
    let visits = Rc::new(Cell::new(0));
    let nosy = {
        let (calls, visits) = (Rc::downgrade(&calls), visits.clone());
        let visit: Rc<dyn Fn()> = Rc::new(move || {
            let _ = calls.upgrade().map(|calls| calls.stats());
            visits.set(visits.get() + 1);
        });
        move || Nosy(visit.clone())
    };
    let id = Cell::new(None);
    let mut call = Box::pin(calls.call(2, SECOND, |made| {
        id.set(Some(made));
        ready(SENT)
    }));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(calls.resolve(id.get().unwrap(), 3, nosy()));
    assert!(calls.resolve(id.get().unwrap(), 2, nosy()).is_matched());
    drop(calls.resolve(id.get().unwrap(), 2, nosy()));
    assert_eq!(visits.get(), 2);
    drop(call);
    assert_eq!(visits.get(), 3);

    // A waker may hold its task, and with it another call of the same correlator.
    struct Task(std::sync::Mutex<Option<Box<dyn FnOnce() + Send>>>);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Task {
        fn drop(&mut self) {
            self.0.lock().unwrap().take().unwrap()();
        }
    }
    static DROPPED: AtomicU32 = AtomicU32::new(0);
    let calls = Arc::new(Shared::new(StdLock(std::sync::Mutex::new(Slots::new(7))), Frozen));
    for ending in 0..2 {
        let mut call = Box::pin(calls.call(2, SECOND, |_| ready(SENT)));
        let inner = calls.clone();
        let task = Task(std::sync::Mutex::new(Some(Box::new(move || {
            let _ = inner.stats();
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }))));
        let waker = Waker::from(Arc::new(task));
        assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(waker);
        match ending {
            0 => drop(call),
            _ => assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()),
        }
        assert_eq!(DROPPED.load(Ordering::Relaxed), ending + 1);
    }
}

type Slots = Correlator<u8, u32, 4>;

struct StdLock<T>(std::sync::Mutex<T>);

impl<T> crate::foundation::shared::Lock for StdLock<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.try_lock().expect("taken again by whoever holds it"))
    }
}

/// A timer whose time does not come.
struct Frozen;

impl Clock for Frozen {
    fn now(&self) -> Instant {
        Instant::ZERO
    }
}

impl Timer for Frozen {
    type Sleep = core::future::Pending<()>;

    fn sleep_until(&self, _: Instant) -> Self::Sleep {
        pending()
    }
}

#[test]
fn futures_may_move_between_threads() {
    const fn is_send<T: Send>(_: &T) {}
    let calls = Shared::new(StdLock(std::sync::Mutex::new(Slots::new(7))), Frozen);
    is_send(&calls.call(2, SECOND, |_| ready(SENT)));
    is_send(&calls.gather::<3, _, _, ()>([1, 2], 1, SECOND, |_, _| ready(SENT)));
    let keyed = Shared::new(StdLock(std::sync::Mutex::new(KeyedCorrelator::<u8, u32, 4>::new())), Frozen);
    is_send(&keyed.call(2, SECOND, || ready(SENT)));
}

#[test]
fn an_error_of_sending_passes_another_on_and_a_match_has_no_reply_left() {
    let errors: [CallError<u8>; 6] = [
        CallError::Cancelled,
        CallError::Closed,
        CallError::Duplicate,
        CallError::Full,
        CallError::Send(7),
        CallError::TimedOut,
    ];
    let expected: [CallError<u16>; 6] = [
        CallError::Cancelled,
        CallError::Closed,
        CallError::Duplicate,
        CallError::Full,
        CallError::Send(7),
        CallError::TimedOut,
    ];
    assert_eq!(errors.map(|error| error.map_inner(u16::from)), expected);
    assert_eq!((Resolution::<u8>::Matched.into_unmatched(), Resolution::Late(7).into_unmatched()), (None, Some(7)));
}

#[test]
fn the_faces_tell_what_the_correlators_do() {
    let simulator = Simulator::new(1);
    let (slab, keyed) = (slab::<4>(&simulator), keyed(&simulator));
    assert!(slab.is_empty() && keyed.is_empty() && !slab.is_closed() && !keyed.is_closed());
    assert_eq!((slab.capacity(), keyed.capacity()), (4, 4));
    assert!(slab.begin(7, SECOND).is_ok() && keyed.begin(7, SECOND).is_ok());
    assert_eq!((slab.len(), keyed.len()), (1, 1));
    slab.close();
    keyed.close();
    assert!(slab.is_closed() && keyed.is_closed() && slab.is_empty() && keyed.is_empty());
    assert!(slab.begin(7, SECOND).is_err() && keyed.begin(8, SECOND).is_err());
    let call = slab.call(1, SECOND, |_| ready(SENT));
    assert_eq!(std::format!("{call:?}"), "PendingCall { .. }");
}

/// One who watches over all calls ends those that are waited for, whatever their own sleeps do.
#[test]
fn whoever_watches_times_out_what_is_due_and_waited_for_and_nothing_else() {
    let simulator = Simulator::new(1);
    let (timer, slab, keyed) = (simulator.timer(), slab::<4>(&simulator), keyed(&simulator));
    let unheld = slab.begin(7, SECOND).unwrap();
    keyed.begin(7, SECOND).unwrap();
    let (mut first, mut other) =
        (pin!(slab.call(1, SECOND, |_| ready(SENT))), pin!(slab.call(1, SECOND * 2, |_| ready(SENT))));
    let mut by_key = pin!(keyed.call(1, SECOND, || ready(SENT)));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut cx).is_pending() && other.as_mut().poll(&mut cx).is_pending());
    assert!(by_key.as_mut().poll(&mut cx).is_pending());
    assert_eq!((slab.time_out_due(), keyed.time_out_due()), (Some(DUE), Some(DUE)));
    timer.advance(SECOND);
    assert_eq!((slab.time_out_due(), keyed.time_out_due()), (Some(Instant::from_secs(2)), None));
    assert_eq!((slab.stats().timed_out, keyed.stats().timed_out), (1, 1));
    assert_eq!(first.as_mut().poll(&mut cx), Poll::Ready(Err(CallError::TimedOut)));
    assert!(first.poll(&mut cx).is_pending(), "it has ended");
    assert_eq!(by_key.poll(&mut cx), Poll::Ready(Err(CallError::TimedOut)));
    assert!(other.poll(&mut cx).is_pending());
    // What nobody waits for is still there for its owner.
    assert_eq!(slab.on_timeout().map(|expired| expired.id), Some(unheld.id()));
    assert_eq!(keyed.on_timeout(), Some(7));
}
