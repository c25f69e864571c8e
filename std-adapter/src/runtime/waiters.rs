//! Those who wait without a place in a line.

use core::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll, Waker},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pin_project_lite::pin_project;
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
    /// One more; it has to [leave](Self::leave).
    pub(crate) fn enter(&self, tag: u64) -> usize {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        lock(&self.wakers).push(Listener { id, tag, waker: None });
        self.count.fetch_add(1, Ordering::Relaxed);
        id
    }

    /// To be called before one asks.
    pub(crate) fn listen(&self, id: usize, waker: &Waker) {
        let waker = waker.clone(); // outside the lock
        let mut listeners = lock(&self.wakers);
        let mine = listeners.iter_mut().find(|listener| listener.id == id);
        let before = mine.and_then(|listener| listener.waker.replace(waker));
        drop(listeners);
        drop(before);
    }

    pub(crate) fn leave(&self, id: usize) {
        let mut wakers = lock(&self.wakers);
        let at = wakers.iter().position(|listener| listener.id == id);
        let left = at.map(|at| wakers.swap_remove(at));
        drop(wakers);
        self.count.fetch_sub(1, Ordering::Relaxed);
        let _ = unless_it_panics(|| drop(left));
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

/// Who asks for something that may be refused until an instant, or until its tag is woken.
pub(crate) trait Asks {
    type Answer;
    type Timer: Timer;

    fn timer(&self) -> &Self::Timer;
    fn waiters(&self) -> &Waiters;
    fn tag(&self) -> u64;

    /// The answer, or when to ask again.
    fn ask(&self) -> Result<Self::Answer, Instant>;
}

pin_project! {
    /// Where somebody stands who asks until there is an answer; `S` is the sleep of its timer.
    pub(crate) struct Asking<S> {
        // Among the waiters, from the first refusal on.
        id: Option<usize>,
        until: Option<Instant>,
        #[pin]
        sleep: Option<S>,
    }
}

impl<S> Asking<S> {
    pub(crate) const fn new() -> Self {
        Self { id: None, until: None, sleep: None }
    }

    /// Asks; it asks again when the tag is woken, and at the instant that a refusal names.
    pub(crate) fn poll<A: Asks<Timer: Timer<Sleep = S>>>(
        self: Pin<&mut Self>,
        who: &A,
        cx: &mut Context<'_>,
    ) -> Poll<A::Answer>
    where
        S: Future<Output = ()>,
    {
        let mut this = self.project();
        let id = match *this.id {
            Some(id) => id,
            None => match who.ask() {
                Ok(answer) => return Poll::Ready(answer),
                Err(_) => *this.id.insert(who.waiters().enter(who.tag())),
            },
        };
        who.waiters().listen(id, cx.waker()); // before it asks, so that no change falls between
        let at = match who.ask() {
            Ok(answer) => return Poll::Ready(answer),
            Err(at) => at,
        };
        if this.until.replace(at) != Some(at) {
            this.sleep.set(Some(who.timer().sleep_until(at)));
        }
        if this.sleep.as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_ready()) {
            *this.until = None;
            cx.waker().wake_by_ref(); // it is time to ask again
        }
        Poll::Pending
    }

    /// To be called when it is dropped.
    pub(crate) fn leave(self: Pin<&mut Self>, waiters: &Waiters) {
        if let Some(id) = self.project().id.take() {
            waiters.leave(id);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
