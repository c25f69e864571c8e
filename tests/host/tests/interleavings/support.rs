//! The lock, the timer and the executor whose every step loom may interrupt.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use loom::sync::{Condvar, atomic::AtomicU64};
use steadfast_core::{Clock, Instant, Lock, Shared, Timer};

pub use loom::thread::spawn;

/// A machine behind loom's mutex and beside [`Time`], for several threads.
pub type Threads<M> = Arc<Shared<M, Mutex<M>, Time>>;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn threads<M>(machine: M, time: &Time) -> Threads<M> {
    Arc::new(Shared::new(Mutex::new(machine), time.clone()))
}

/// Runs `model` under every interleaving, and tells how many there were.
pub fn explore(model: impl Fn() + Send + Sync + 'static) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.max_branches = builder.max_branches.max(10_000);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let runs = runs.load(Ordering::Relaxed);
    println!("{runs} interleavings");
    assert!(runs > 4, "the threads do not meet");
}

/// loom's mutex as the lock of a machine.
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(content: T) -> Self {
        Self(loom::sync::Mutex::new(content))
    }
}

impl<T> Lock for Mutex<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

/// A clock that stands still until a thread moves it.
#[derive(Clone)]
pub struct Time(Arc<State>);

struct State {
    now: AtomicU64,
    sleepers: Mutex<Vec<(Instant, Waker)>>,
}

impl Time {
    pub fn new() -> Self {
        Self(Arc::new(State { now: AtomicU64::new(0), sleepers: Mutex::new(Vec::new()) }))
    }

    /// Moves on to `at`, and wakes who is due.
    pub fn set(&self, at: Instant) {
        let due = self.0.sleepers.with(|sleepers| {
            self.0.now.store(at.as_nanos(), loom::sync::atomic::Ordering::Release);
            sleepers.extract_if(.., |(due_at, _)| *due_at <= at).collect::<Vec<_>>()
        });
        due.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

impl Clock for Time {
    fn now(&self) -> Instant {
        Instant::from_nanos(self.0.now.load(loom::sync::atomic::Ordering::Acquire))
    }
}

impl Timer for Time {
    type Sleep = Sleep;

    fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep { time: self.clone(), at }
    }
}

pub struct Sleep {
    time: Time,
    at: Instant,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.time.0.sleepers.with(|sleepers| {
            if self.time.now() >= self.at {
                return Poll::Ready(());
            }
            sleepers.push((self.at, cx.waker().clone()));
            Poll::Pending
        })
    }
}

/// What a thread waits at; not `park`, whose token loom's mutex takes away.
struct Parker {
    is_woken: loom::sync::Mutex<bool>,
    woken: Condvar,
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock().unwrap() = true;
        self.woken.notify_one();
    }
}

/// Polls `future` only when it was woken.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let parker = Arc::new(Parker { is_woken: loom::sync::Mutex::new(false), woken: Condvar::new() });
    let waker = Waker::from(parker.clone());
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        let mut is_woken = parker.is_woken.lock().unwrap();
        while !*is_woken {
            is_woken = parker.woken.wait(is_woken).unwrap();
        }
        *is_woken = false;
    }
}

/// Polls `future` once, and drops it where it stands.
pub fn poll_and_drop<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}
