//! The one who flushes a queue.

use core::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::pin,
    task::Poll,
};

use super::{
    BatchBuffer, BatchQueueIn, FlushOutcome, FlushReason,
    queue::{Fetch, Settled},
    shared::Queue,
};
use crate::{Clock, Lock, Storage, Timer};

/// The worker of a queue, for a loop of one's own.
///
/// [`run`](crate::Shared::run) is this:
///
/// ```
/// # use core::{cell::RefCell, future::{Pending, pending}, time::Duration};
/// # use steadfast_core::{BatchQueue, BatchSettings, Clock, Instant, Shared, Timer, WorkerRuns};
/// # type Machine = BatchQueue<u32, 3, 4>;
/// # async fn send(_: &[u32]) -> Result<(), ()> { Ok(()) }
/// # async fn work(queue: &Shared<Machine, RefCell<Machine>, impl Timer>) -> Result<(), WorkerRuns> {
/// let mut worker = queue.worker()?;
/// while let Some(_reason) = worker.next_batch().await {
///     loop {
///         let outcome = send(worker.items()).await;
///         if !worker.settle(outcome.into()).await {
///             break;
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Dropping it lets another one begin; what it has not settled then counts as failed.
pub struct BatchWorker<'a, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    queue: &'a Queue<B, W, L, T>,
    items: B,
    tries: u32,
}

impl<'a, B, W, L, T> BatchWorker<'a, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Timer,
{
    /// The worker of a queue in which the role was taken.
    pub(super) fn new(queue: &'a Queue<B, W, L, T>, size: usize) -> Self {
        Self { queue, items: B::with_capacity(size), tries: 0 }
    }

    /// Waits for a batch to be due; `None` once the queue is stopped and empty.
    ///
    /// Dropping the future loses nothing. A batch that was not settled counts as failed.
    pub async fn next_batch(&mut self) -> Option<FlushReason> {
        if self.tries > 0 {
            self.items.remove_all(); // so that nothing is tried again
            self.settle(FlushOutcome::Failed).await;
        }
        let timer = self.queue.timer();
        let mut sleep = pin!(None::<T::Sleep>);
        let mut sleeps_until = None;
        let reason = poll_fn(|cx| {
            let mut read_after = None;
            loop {
                let now = timer.now();
                let mut waker = Some(cx.waker().clone());
                let items = &mut self.items;
                let until = match self.queue.with_lock(|queue| queue.fetch(items, now, read_after, &mut waker)) {
                    Fetch::Batch(reason, wake) => {
                        self.queue.wake(wake);
                        return Poll::Ready(Some(reason));
                    }
                    Fetch::Behind(at) => {
                        read_after = Some(at);
                        continue;
                    }
                    Fetch::Nothing(until) => until,
                    Fetch::Stopped => return Poll::Ready(None),
                };
                if mem::replace(&mut sleeps_until, until) != until {
                    sleep.set(until.map(|at| timer.sleep_until(at)));
                }
                match sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
                    None | Some(Poll::Pending) => return Poll::Pending,
                    Some(Poll::Ready(())) => sleeps_until = None,
                }
                sleep.set(None);
            }
        })
        .await;
        self.tries = u32::from(reason.is_some());
        reason
    }

    /// The items of the batch. What is left here after a flush that failed can be tried again.
    pub const fn items(&mut self) -> &mut B {
        &mut self.items
    }

    /// Awaits a flush. An [`add`](crate::Shared::add) inside it is then refused instead of waiting for itself.
    pub fn flushing<F: Future>(&self, flush: F) -> impl Future<Output = F::Output> + use<'a, B, W, L, T, F> {
        poll_flush(self.queue, flush)
    }

    /// Counts what became of the batch. True if it is to be flushed again: then the wait before that is over.
    pub async fn settle(&mut self, outcome: FlushOutcome) -> bool {
        let (left, tries) = (self.items.count(), self.tries);
        match self.queue.with_lock(|queue| queue.settle(outcome, left, tries)) {
            Settled::Again(wait) => {
                self.tries = tries.saturating_add(1);
                if !wait.is_zero() {
                    self.queue.timer().sleep_until(self.queue.timer().now().after(wait)).await;
                }
                true
            }
            Settled::Done(wake) => {
                self.tries = 0;
                self.items.remove_all();
                self.queue.wake(wake);
                false
            }
        }
    }
}

impl<B, W, L, T> Drop for BatchWorker<'_, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    fn drop(&mut self) {
        let (waker, wake) = self.queue.with_lock(BatchQueueIn::end_work);
        drop(waker);
        self.queue.wake(wake);
    }
}

impl<B, W, L, T> fmt::Debug for BatchWorker<'_, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchWorker").field("tries", &self.tries).finish_non_exhaustive()
    }
}

/// Polls the flush so that whoever is polled in it can be told from all others.
pub(super) async fn poll_flush<B, W, L, T, F>(queue: &Queue<B, W, L, T>, flush: F) -> F::Output
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    F: Future,
{
    let mut flush = pin!(flush);
    poll_fn(|cx| {
        let waker = Some(cx.waker().clone());
        drop(queue.with_lock(|queue| queue.polls_flush(waker)));
        let poll = flush.as_mut().poll(cx);
        drop(queue.with_lock(|queue| queue.polls_flush(None)));
        poll
    })
    .await
}
