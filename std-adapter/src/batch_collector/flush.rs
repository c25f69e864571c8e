//! Waiting for what is pending to be flushed.

use core::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, Waker},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use steadfast_core::batch_collector::BatchQueueStats;

use super::Inner;
use crate::runtime::unless_it_panics;

/// What became of the batches that a flush waited for, in items.
///
/// Items that were added later, and went in the same batches, are in it too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FlushReport {
    /// Items that were flushed.
    pub delivered: u64,
    /// Items whose flush failed for good.
    pub failed: u64,
    /// Items that were given back unflushed, by [`stop_within`](super::BatchCollector::stop_within).
    pub returned: u64,
}

impl FlushReport {
    /// True if all items were flushed.
    #[must_use]
    pub const fn is_delivered(&self) -> bool {
        self.failed == 0 && self.returned == 0
    }
}

/// The future that [`flush`](super::BatchCollector::flush) returns: the flush is asked for already, and this waits for
/// it.
///
/// Ready once every item that was pending then, or in a flush under way, has been flushed, has failed for good, or was
/// given back. Dropping it changes nothing. Inside the flush it is ready at once, with what had become of the items
/// until then; in a task or thread that the flush waits for, it would wait for itself. It borrows nothing, and does not
/// keep the collector from being stopped by the drop of its last handle.
pub struct BatchFlush<T> {
    inner: Arc<Inner<T>>,
    since: BatchQueueStats,
    waits: Option<Arc<Waits>>,
}

/// All who wait.
#[derive(Default)]
pub(super) struct Flushes(Mutex<Vec<Arc<Waits>>>);

/// One who waits.
struct Waits {
    since: BatchQueueStats,
    state: Mutex<State>,
}

enum State {
    Waiting(Option<Waker>),
    Done(FlushReport),
}

impl<T> BatchFlush<T> {
    pub(super) fn new(inner: &Arc<Inner<T>>) -> Self {
        let since = inner.queue.stats();
        inner.queue.flush();
        Self { inner: inner.clone(), since, waits: None }
    }
}

impl<T> Future for BatchFlush<T> {
    type Output = FlushReport;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<FlushReport> {
        let this = &mut *self;
        let Inner { queue, flushes, .. } = &*this.inner;
        if this.waits.is_none() {
            let since = this.since;
            // Under the lock of the queue, so that nothing can be settled unseen.
            this.waits = queue.with_lock(|queue| {
                let unsettled = !since.is_settled_by(&queue.stats());
                unsettled.then(|| flushes.join(since))
            });
        }
        let Some(waits) = &this.waits else { return Poll::Ready(this.since.report(&queue.stats())) };
        if queue.is_inside_flush(cx) {
            return Poll::Ready(waits.since.report(&queue.stats()));
        }
        waits.poll(cx)
    }
}

impl<T> Drop for BatchFlush<T> {
    fn drop(&mut self) {
        if let Some(waits) = &self.waits {
            self.inner.flushes.leave(waits);
        }
    }
}

impl<T> fmt::Debug for BatchFlush<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchFlush").field("since", &self.since).finish_non_exhaustive()
    }
}

impl Flushes {
    /// Tells those whose items are settled by now.
    pub(super) fn complete(&self, stats: impl FnOnce() -> BatchQueueStats) {
        if self.lock().is_empty() {
            return;
        }
        let stats = stats();
        let mut settled = Vec::new();
        self.lock().retain(|waits| {
            let is_settled = waits.since.is_settled_by(&stats);
            if is_settled {
                settled.push(waits.clone());
            }
            !is_settled
        });
        for waits in settled {
            let report = waits.since.report(&stats);
            let former = mem::replace(&mut *lock(&waits.state), State::Done(report));
            if let State::Waiting(Some(waker)) = former {
                let _ = unless_it_panics(|| waker.wake());
            }
        }
    }

    fn join(&self, since: BatchQueueStats) -> Arc<Waits> {
        let waits = Arc::new(Waits { since, state: Mutex::new(State::Waiting(None)) });
        self.lock().push(waits.clone());
        waits
    }

    fn leave(&self, waits: &Arc<Waits>) {
        self.lock().retain(|one| !Arc::ptr_eq(one, waits));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Waits>>> {
        lock(&self.0)
    }
}

impl Waits {
    fn poll(&self, cx: &Context<'_>) -> Poll<FlushReport> {
        let mut waker = Some(cx.waker().clone());
        let mut state = lock(&self.state);
        let poll = match &mut *state {
            State::Done(report) => Poll::Ready(*report),
            State::Waiting(known) => {
                mem::swap(known, &mut waker);
                Poll::Pending
            }
        };
        drop(state);
        drop(waker); // outside the lock
        poll
    }
}

/// What became of the items that were accepted by then.
trait Settled {
    fn is_settled_by(&self, now: &Self) -> bool;
    fn report(&self, now: &Self) -> FlushReport;
}

impl Settled for BatchQueueStats {
    /// Items are flushed in the order in which they were accepted; those that are given back came last.
    fn is_settled_by(&self, now: &Self) -> bool {
        let flushed = now.delivered.saturating_add(now.failed);
        let settled = if now.in_flight == 0 { flushed.saturating_add(now.returned) } else { flushed };
        settled >= self.accepted
    }

    fn report(&self, now: &Self) -> FlushReport {
        FlushReport {
            delivered: now.delivered.saturating_sub(self.delivered),
            failed: now.failed.saturating_sub(self.failed),
            returned: now.returned.saturating_sub(self.returned),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
