//! The time between two tries, in which the items can be had back.

use core::{
    future::{Future, poll_fn},
    mem,
    pin::pin,
    task::{Poll, Waker},
};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The items of a batch between two tries.
pub(super) struct Pause<T>(Mutex<State<T>>);

struct State<T> {
    items: Items<T>,
    /// The worker's.
    waker: Option<Waker>,
    /// No more tries.
    gave_up: bool,
}

enum Items<T> {
    /// They are with the flush, or there are none.
    Elsewhere,
    /// Between two tries.
    Here(Vec<T>),
    /// Somebody has them, and is about to count them as given back.
    Taken,
    /// They were given back.
    Returned,
}

impl<T> Pause<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State { items: Items::Elsewhere, waker: None, gave_up: false }))
    }

    /// True once there are to be no more tries.
    pub(super) fn gave_up(&self) -> bool {
        self.lock().gave_up
    }

    /// Keeps the items until `sleep` is over, or there are to be no more tries; `None` if they were given back
    /// meanwhile.
    pub(super) async fn keep(&self, items: Vec<T>, sleep: impl Future<Output = ()>) -> Option<Vec<T>> {
        self.lock().items = Items::Here(items);
        let mut sleep = pin!(sleep);
        poll_fn(|cx| {
            let mut waker = Some(cx.waker().clone());
            let is_over = sleep.as_mut().poll(cx).is_ready();
            let mut state = self.lock();
            let items = match mem::replace(&mut state.items, Items::Elsewhere) {
                Items::Here(items) if is_over || state.gave_up => Poll::Ready(Some(items)),
                Items::Returned | Items::Elsewhere => Poll::Ready(None),
                others => {
                    state.items = others;
                    mem::swap(&mut state.waker, &mut waker);
                    Poll::Pending
                }
            };
            drop(state);
            drop(waker); // outside the lock
            items
        })
        .await
    }

    /// No more tries. Returns the items that wait for one, once `count` was told so.
    pub(super) fn give_up(&self, count: impl FnOnce()) -> Option<Vec<T>> {
        let items = {
            let mut state = self.lock();
            state.gave_up = true;
            match mem::replace(&mut state.items, Items::Taken) {
                Items::Here(items) => items,
                others => {
                    state.items = others;
                    return None;
                }
            }
        };
        count();
        let waker = {
            let mut state = self.lock();
            state.items = Items::Returned;
            state.waker.take()
        };
        waker.into_iter().for_each(Waker::wake);
        Some(items)
    }

    /// The items that wait for a try that will never be made.
    pub(super) fn take(&self) -> Option<Vec<T>> {
        match mem::replace(&mut self.lock().items, Items::Elsewhere) {
            Items::Here(items) => Some(items),
            Items::Elsewhere | Items::Taken | Items::Returned => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
