//! Those who wait without a place in a line.

use core::{
    future::{Future, poll_fn},
    pin::pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::Poll,
    task::Waker,
};
use std::sync::{Mutex, MutexGuard, PoisonError};

use steadfast_core::{Instant, Timer};

use super::panics::unless_it_panics;

/// Those who wait for something to change, each for what has its tag. All of a tag are woken together, and ask again.
#[derive(Default)]
pub(crate) struct Waiters {
    count: AtomicUsize,
    wakers: Mutex<Vec<Listener>>,
    next_id: AtomicUsize,
}

impl Waiters {
    pub(crate) fn enter(&self, tag: u64) -> Waiter<'_> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        lock(&self.wakers).push(Listener { id, tag, waker: None });
        self.count.fetch_add(1, Ordering::Relaxed);
        Waiter { waiters: self, id }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.wakers).is_empty() && self.count.load(Ordering::Relaxed) == 0
    }

    /// What has this tag may have changed. Call it after the change, outside its lock: whoever listened before it asked has
    /// been counted before, because that lock is between.
    pub(crate) fn wake(&self, tag: u64) {
        self.wake_those(|of| of == tag);
    }

    /// The same for every tag.
    pub(crate) fn wake_all(&self) {
        self.wake_those(|_| true);
    }

    fn wake_those(&self, is_meant: impl Fn(u64) -> bool) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let woken: Vec<_> = {
            let mut listeners = lock(&self.wakers);
            let meant = listeners.iter_mut().filter(|listener| is_meant(listener.tag));
            meant.filter_map(|listener| listener.waker.take()).collect()
        };
        for waker in woken {
            let _ = unless_it_panics(|| waker.wake());
        }
    }
}

struct Listener {
    id: usize,
    tag: u64,
    waker: Option<Waker>,
}

/// One who waits. Dropping it leaves.
pub(crate) struct Waiter<'w> {
    waiters: &'w Waiters,
    id: usize,
}

impl Waiter<'_> {
    /// To be called before one asks.
    pub(crate) fn listen(&self, waker: &Waker) {
        let waker = waker.clone(); // outside the lock
        let mut listeners = lock(&self.waiters.wakers);
        let mine = listeners.iter_mut().find(|listener| listener.id == self.id);
        let before = mine.and_then(|listener| listener.waker.replace(waker));
        drop(listeners);
        drop(before);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut wakers = lock(&self.waiters.wakers);
        let at = wakers.iter().position(|listener| listener.id == self.id);
        let left = at.map(|at| wakers.swap_remove(at));
        drop(wakers);
        self.waiters.count.fetch_sub(1, Ordering::Relaxed);
        let _ = unless_it_panics(|| drop(left));
    }
}

/// Asks until the answer is there: when the tag is woken, and at the instant that a refusal names.
pub(crate) async fn ask_until<T: Timer, A>(
    timer: &T,
    waiters: &Waiters,
    tag: u64,
    ask: impl Fn() -> Result<A, Instant>,
) -> A {
    let waiter = waiters.enter(tag);
    let (mut sleep, mut until) = (pin!(None), None);
    poll_fn(|cx| {
        waiter.listen(cx.waker()); // before it asks, so that no change falls between
        let at = match ask() {
            Ok(answer) => return Poll::Ready(answer),
            Err(at) => at,
        };
        if until.replace(at) != Some(at) {
            sleep.set(Some(timer.sleep_until(at)));
        }
        if sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            until = None;
            cx.waker().wake_by_ref(); // it is time to ask again
        }
        Poll::Pending
    })
    .await
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
