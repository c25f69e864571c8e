//! Waiting without an async runtime.

use core::{
    cell::RefCell,
    future::{Future, IntoFuture},
    pin::pin,
    task::{Context, Poll, Waker},
};
use std::{
    sync::Arc,
    task::Wake,
    thread::{self, Thread},
    time::Instant,
};

thread_local! {
    /// The wake-up times of the sleeps that are being waited for on this thread, innermost `block_on` last.
    static ALARMS: RefCell<Vec<Option<Instant>>> = const { RefCell::new(Vec::new()) };
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
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
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        let level = Level::enter();
        let poll = future.as_mut().poll(&mut cx);
        let alarm = level.leave();
        if let Poll::Ready(output) = poll {
            return output;
        }
        match alarm {
            Some(at) => thread::park_timeout(at.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
    }
}

/// True inside a [`block_on`] of this thread.
pub(super) fn is_blocking() -> bool {
    ALARMS.with_borrow(|alarms| !alarms.is_empty())
}

/// Asks the innermost [`block_on`] of this thread to poll again at `at`, or earlier.
pub(super) fn wake_at(at: Instant) {
    ALARMS.with_borrow_mut(|alarms| {
        if let Some(alarm) = alarms.last_mut() {
            *alarm = Some(alarm.map_or(at, |earlier| earlier.min(at)));
        }
    });
}

/// One poll of one `block_on`; undone by a panic of the future too.
struct Level;

impl Level {
    fn enter() -> Self {
        ALARMS.with_borrow_mut(|alarms| alarms.push(None));
        Self
    }

    fn leave(self) -> Option<Instant> {
        core::mem::forget(self);
        ALARMS.with_borrow_mut(Vec::pop).flatten()
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        ALARMS.with_borrow_mut(Vec::pop);
    }
}
