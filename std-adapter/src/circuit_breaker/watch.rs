//! Who hears of a breaker's changes.

use core::{
    sync::atomic::{AtomicUsize, Ordering},
    task::Waker,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use steadfast_core::circuit_breaker::Transition;

use crate::runtime::unless_it_panics;

/// What is called at each change of state: `H` is a `dyn Fn`.
pub(super) struct Hook<H: ?Sized>(Mutex<Option<Arc<H>>>);

/// The hook of a breaker for one key.
pub(super) type OnTransition = dyn Fn(&Transition) + Send + Sync;

impl<H: ?Sized> Default for Hook<H> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<H: ?Sized> Hook<H> {
    pub(super) fn set(&self, hook: Arc<H>) {
        let before = lock(&self.0).replace(hook);
        // What it held is dropped outside the lock.
        let _ = unless_it_panics(|| drop(before));
    }

    pub(super) fn is_set(&self) -> bool {
        lock(&self.0).is_some()
    }

    /// Calls the hook for each, outside every lock. Its panic ends only its own call.
    pub(super) fn tell(&self, transitions: [Option<Transition>; 2], call: impl Fn(&H, &Transition)) {
        if transitions == [None, None] {
            return;
        }
        let Some(hook) = lock(&self.0).clone() else { return };
        for transition in transitions.iter().flatten() {
            let _ = unless_it_panics(|| call(&hook, transition));
        }
        let _ = unless_it_panics(|| drop(hook));
    }
}

/// Those who wait until an open breaker lets them through. All are woken together: whoever asks first gets the permit.
#[derive(Default)]
pub(super) struct Waiters {
    count: AtomicUsize,
    wakers: Mutex<Vec<(u64, Option<Waker>)>>,
    last: Mutex<u64>,
}

impl Waiters {
    pub(super) fn enter(&self) -> Waiter<'_> {
        let id = {
            let mut last = lock(&self.last);
            *last = last.wrapping_add(1);
            *last
        };
        lock(&self.wakers).push((id, None));
        self.count.fetch_add(1, Ordering::Relaxed);
        Waiter { waiters: self, id }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        lock(&self.wakers).is_empty() && self.count.load(Ordering::Relaxed) == 0
    }

    /// The breaker may admit a call now. Whoever listened before it asked has been counted before: the breaker's lock is
    /// between.
    pub(super) fn wake(&self) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let woken: Vec<_> = lock(&self.wakers).iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        for waker in woken {
            let _ = unless_it_panics(|| waker.wake());
        }
    }
}

/// One who waits. Dropping it leaves.
pub(super) struct Waiter<'w> {
    waiters: &'w Waiters,
    id: u64,
}

impl Waiter<'_> {
    /// To be called before the breaker is asked.
    pub(super) fn listen(&self, waker: &Waker) {
        let waker = waker.clone(); // outside the lock
        let before =
            lock(&self.waiters.wakers).iter_mut().find(|(id, _)| *id == self.id).map(|(_, slot)| slot.replace(waker));
        drop(before);
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let mut wakers = lock(&self.waiters.wakers);
        let at = wakers.iter().position(|(id, _)| *id == self.id);
        let left = at.map(|at| wakers.swap_remove(at));
        drop(wakers);
        self.waiters.count.fetch_sub(1, Ordering::Relaxed);
        let _ = unless_it_panics(|| drop(left));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
