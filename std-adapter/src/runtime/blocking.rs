//! Waiting without an async runtime.

use core::{
    cell::RefCell,
    future::{Future, IntoFuture},
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
};
use std::{
    collections::BTreeMap,
    sync::Arc,
    task::Wake,
    thread::{self, Thread, ThreadId},
    time::Instant,
};

thread_local! {
    static ALARMS: RefCell<Alarms> = const { RefCell::new(Alarms { levels: Vec::new(), set: BTreeMap::new(), next: 0 }) };
}

/// What the sleeps of one thread wait for.
struct Alarms {
    /// Of each `block_on` that polls its future now, innermost last, whether it was called inside a runtime.
    levels: Vec<bool>,
    set: BTreeMap<(Instant, u64), Waker>,
    next: u64,
}

/// Wakes one `block_on`.
struct Signal {
    thread: Thread,
    /// What counts: the thread's own token may be taken by a nested `block_on`, or by anything else that parks in it.
    is_woken: AtomicBool,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// Waits on this thread until `future` is ready: every async call of this crate, for programs without a runtime.
///
/// The thread is parked in between. Inside, [`SystemTimer`](crate::SystemTimer) needs no runtime. Do not use it inside
/// async code: it would block the runtime's thread.
///
/// ```
/// use steadfast::block_on;
///
/// assert_eq!(block_on(async { 6 * 7 }), 42);
/// ```
pub fn block_on<F: IntoFuture>(future: F) -> F::Output {
    let mut future = pin!(future.into_future());
    let signal = Arc::new(Signal { thread: thread::current(), is_woken: AtomicBool::new(false) });
    let waker = Waker::from(signal.clone());
    let mut cx = Context::from_waker(&waker);
    let is_inside_runtime = is_inside_runtime();
    loop {
        let level = Level::enter(is_inside_runtime);
        let poll = future.as_mut().poll(&mut cx);
        drop(level);
        if let Poll::Ready(output) = poll {
            return output;
        }
        while !signal.is_woken.swap(false, Ordering::Acquire) {
            match next_alarm() {
                Some((_, Some(waker))) => waker.wake(),
                Some((at, None)) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
                None => thread::park(),
            }
        }
    }
}

/// True if a sleep that is polled now must be woken by the [`block_on`] of this thread.
///
/// Not in a runtime that was started inside it: that would not let it go on until the sleep is over.
pub(super) fn is_blocking() -> bool {
    let level = ALARMS.with_borrow(|alarms| alarms.levels.last().copied());
    level.is_some_and(|was_inside_runtime| was_inside_runtime || !is_inside_runtime())
}

/// A wake-up that a [`block_on`] of this thread sees to; dropping it calls it off.
#[derive(Debug)]
pub(super) struct Alarm {
    thread: ThreadId,
    key: (Instant, u64),
}

impl Alarm {
    /// Has `waker` woken at `at`.
    pub(super) fn set(at: Instant, waker: &Waker) -> Self {
        let waker = waker.clone();
        let key = ALARMS.with_borrow_mut(|alarms| {
            let key = (at, alarms.next);
            alarms.next = alarms.next.wrapping_add(1);
            alarms.set.insert(key, waker);
            key
        });
        Self { thread: thread::current().id(), key }
    }

    /// Has `waker` woken instead of the one before; false if that was woken already, or belongs to another thread.
    pub(super) fn renew(&self, waker: &Waker) -> bool {
        if self.thread != thread::current().id() {
            return false;
        }
        let mut waker = waker.clone();
        // What is replaced is dropped afterwards: that can run anything, the drop of another alarm too.
        ALARMS.with_borrow_mut(|alarms| {
            let known = alarms.set.get_mut(&self.key);
            known.map(|known| core::mem::swap(known, &mut waker)).is_some()
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if self.thread == thread::current().id() {
            let waker = ALARMS.try_with(|alarms| alarms.borrow_mut().set.remove(&self.key));
            drop(waker);
        }
    }
}

/// The first alarm of this thread, and whom to wake if it is due; it is off then.
fn next_alarm() -> Option<(Instant, Option<Waker>)> {
    ALARMS.with_borrow_mut(|alarms| {
        let first = alarms.set.first_entry()?;
        let (at, _) = *first.key();
        Some((at, (at <= Instant::now()).then(|| first.remove())))
    })
}

/// True where tokio's timer can be used.
#[cfg(feature = "tokio")]
fn is_inside_runtime() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

#[cfg(not(feature = "tokio"))]
const fn is_inside_runtime() -> bool {
    false
}

/// One poll of one `block_on`; undone by a panic of the future too.
struct Level;

impl Level {
    fn enter(is_inside_runtime: bool) -> Self {
        ALARMS.with_borrow_mut(|alarms| alarms.levels.push(is_inside_runtime));
        Self
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        ALARMS.with_borrow_mut(|alarms| alarms.levels.pop());
    }
}

#[cfg(test)]
mod tests {
    use core::{future::poll_fn, pin::Pin, time::Duration};
    use std::sync::mpsc;

    use steadfast_core::{Clock, Timer};

    use super::*;
    use crate::{SystemSleep, SystemTimer};

    fn sleep(duration: Duration) -> SystemSleep {
        SystemTimer.sleep_until(SystemTimer.now().saturating_add(duration))
    }

    /// Fails, rather than hangs, if `f` does not end.
    fn ends(f: impl FnOnce() + Send + 'static) {
        let (done, wait) = mpsc::channel();
        thread::spawn(move || {
            f();
            done.send(()).unwrap();
        });
        wait.recv_timeout(Duration::from_secs(60)).expect("it waits for ever");
    }

    /// Polls its part only when that has asked for it, as every set of futures does.
    struct Set<F>(Pin<Box<F>>, Arc<Part>);

    struct Part {
        is_woken: AtomicBool,
        whole: std::sync::Mutex<Option<Waker>>,
    }

    impl Wake for Part {
        fn wake(self: Arc<Self>) {
            self.is_woken.store(true, Ordering::SeqCst);
            self.whole.lock().unwrap().take().unwrap().wake();
        }
    }

    impl<F: Future> Future for Set<F> {
        type Output = F::Output;

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            *self.1.whole.lock().unwrap() = Some(cx.waker().clone());
            if !self.1.is_woken.swap(false, Ordering::SeqCst) {
                return Poll::Pending;
            }
            let waker = Waker::from(self.1.clone());
            self.0.as_mut().poll(&mut Context::from_waker(&waker))
        }
    }

    #[test]
    fn a_sleep_wakes_the_future_that_polled_it() {
        ends(|| {
            let part = Part { is_woken: AtomicBool::new(true), whole: std::sync::Mutex::default() };
            block_on(Set(Box::pin(sleep(Duration::from_millis(2))), Arc::new(part)));
        });
    }

    #[test]
    fn a_block_on_inside_another_takes_no_wake_up_from_it() {
        ends(|| {
            let mut polls = 0;
            block_on(poll_fn(|outer| {
                polls += 1;
                if polls == 2 {
                    return Poll::Ready(());
                }
                block_on(async {
                    outer.waker().wake_by_ref();
                    sleep(Duration::from_millis(2)).await;
                });
                Poll::Pending
            }));
        });
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_runtime_inside_it_has_its_own_timer() {
        ends(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            block_on(async { runtime.block_on(sleep(Duration::from_millis(2))) });
        });
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn inside_a_runtime_the_thread_is_parked() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async { block_on(sleep(Duration::from_millis(2))) });
    }

    #[test]
    fn sleeps_that_are_over_or_dropped_leave_nothing_behind() {
        block_on(async {
            let mut long = pin!(sleep(Duration::from_secs(3_600)));
            let mut short = pin!(sleep(Duration::from_millis(2)));
            poll_fn(|cx| {
                assert!(long.as_mut().poll(cx).is_pending() && long.as_mut().poll(cx).is_pending());
                short.as_mut().poll(cx)
            })
            .await;
            assert_eq!(ALARMS.with_borrow(|alarms| alarms.set.len()), 1);
        });
        assert!(ALARMS.with_borrow(|alarms| alarms.set.is_empty() && alarms.levels.is_empty()));
    }
}
