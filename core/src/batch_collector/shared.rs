//! The queue behind a lock: adding that waits for room, and the worker that flushes.

use core::task::{Context, Waker};

use super::{
    AddError, BatchAdd, BatchBuffer, BatchQueueIn, BatchQueueStats, BatchSettings, BatchStop, FlushOutcome,
    FlushReason, WorkerRuns,
    queue::Push,
    sleep::Queue,
    turns::{Waiter, Wake},
    worker::{BatchWorker, poll_flush},
};
use crate::foundation::{
    shared::{Clock, Lock, Timer},
    storage::Storage,
    time::Instant,
};

impl<B, W, L, T> Queue<B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    /// Adds an item of weight 1 if there is room behind those who wait.
    ///
    /// # Errors
    ///
    /// [`AddError`] with the item; nothing has changed.
    pub fn try_add(&self, item: B::Item) -> Result<(), AddError<B::Item>> {
        self.try_add_weighted(item, 1)
    }

    /// [`try_add`](Self::try_add) of an item of this weight.
    ///
    /// # Errors
    ///
    /// [`AddError`] with the item; nothing has changed.
    pub fn try_add_weighted(&self, item: B::Item, weight: u32) -> Result<(), AddError<B::Item>> {
        match self.offer(item, |queue, item, now| queue.push(item, weight, now, &mut Waiter::default())) {
            Push::Accepted(wake) => {
                self.wake(wake);
                Ok(())
            }
            Push::Refused(error) => Err(error),
            Push::Untimed(item) | Push::Waiting(item, _) => Err(AddError::Full(item)),
        }
    }

    /// Has what is pending flushed as soon as the worker has time, whether it is due or not.
    #[doc(alias = "Flush")]
    pub fn flush(&self) {
        self.wake(self.with_lock(BatchQueueIn::ask_for_flush));
    }

    /// Other settings from now on, for the batch being filled too; the worker is woken, and flushes it if it is due by
    /// them.
    ///
    /// A new idle gap is counted from now at the earliest.
    pub fn set_settings(&self, settings: BatchSettings) {
        self.wake(self.with(|queue, now| queue.change(settings, now)));
    }

    /// Takes no more items from now on, without waiting: [`stop`](Self::stop) waits.
    ///
    /// What is pending is still flushed; those who wait for room get their item back.
    pub fn close(&self) {
        self.wake(self.with_lock(BatchQueueIn::close));
    }

    /// Takes no more items from now on, and gives back those that are pending: for when no worker will run again.
    #[must_use = "these items have not been flushed"]
    pub fn abandon(&self) -> B {
        let mut items = B::with_capacity(0);
        self.wake(self.with_lock(|queue| queue.withdraw(&mut items)));
        items
    }

    /// Counts what the worker has in hand as given back: for a [`BatchWorker`] that lets go of it between two tries.
    pub fn abandon_in_flight(&self) {
        self.wake(self.with_lock(BatchQueueIn::withdraw_in_flight));
    }

    /// True inside the flush, where waiting for this queue would be waiting for oneself.
    ///
    /// [`BatchQueueIn`] says what is inside.
    pub fn is_inside_flush(&self, cx: &Context<'_>) -> bool {
        let context = self.lock().context();
        self.with_lock(|queue| queue.is_inside(cx.waker(), context))
    }

    /// [`BatchQueueIn::stats`].
    pub fn stats(&self) -> BatchQueueStats {
        self.with_lock(|queue| queue.stats())
    }

    /// [`BatchQueueIn::is_stopped`].
    pub fn is_stopped(&self) -> bool {
        self.with_lock(|queue| queue.is_stopped())
    }

    /// Offers an item, with the time only if that makes a difference: the clock can cost more than all the rest.
    pub(super) fn offer(
        &self,
        mut item: B::Item,
        mut push: impl FnMut(&mut BatchQueueIn<B, W>, B::Item, Option<Instant>) -> Push<B::Item>,
    ) -> Push<B::Item> {
        let mut now = None;
        loop {
            match self.with_lock(|queue| push(queue, item, now)) {
                Push::Untimed(back) => item = back,
                other => return other,
            }
            now = Some(self.timer().now());
        }
    }

    pub(super) fn wake(&self, wake: Wake) {
        let wake_one = |waker: Waker| self.lock().outside(|| waker.wake());
        wake.worker.into_iter().for_each(wake_one);
        let Some(first) = wake.in_line else { return };
        wake_one(first);
        // Locking for each one costs more than waking it.
        loop {
            let mut next = heapless::Vec::<Waker, 16>::new();
            self.with_lock(|queue| queue.more_in_line(&mut next));
            if next.is_empty() {
                return;
            }
            next.into_iter().for_each(wake_one);
        }
    }
}

impl<B, W, L, T> Queue<B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Timer,
{
    /// Adds an item of weight 1 as soon as there is room.
    ///
    /// Those who wait go in the order in which they came, as far as there is room for waiters; [`BatchQueueIn`] says
    /// what becomes of one that is not polled. A future that is dropped before it is ready has added nothing.
    ///
    /// # Errors
    ///
    /// [`AddError::Stopped`] with the item, once the queue is stopped. [`AddError::Full`] with the item, if there is no
    /// room, inside the flush itself, and anywhere once a flush has [stalled](BatchQueueIn::stall_timeout).
    #[doc(alias = "Add")]
    pub const fn add(&self, item: B::Item) -> BatchAdd<&Self> {
        self.add_weighted(item, 1)
    }

    /// [`add`](Self::add) of an item of this weight.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub const fn add_weighted(&self, item: B::Item, weight: u32) -> BatchAdd<&Self> {
        BatchAdd::new(self, item, weight)
    }

    /// Takes no more items from now on, and waits until what is pending has been flushed.
    ///
    /// Stopping again only waits. Without a worker it waits for one to come; inside the flush it does not wait. In a
    /// task or thread that the flush waits for, it would wait for itself.
    #[doc(alias = "Stop")]
    pub const fn stop(&self) -> BatchStop<&Self> {
        BatchStop::new(self)
    }

    /// Flushes batches, in order and one at a time, until the queue is stopped and empty.
    ///
    /// `flush` is given the items and why they were handed out. It may take them out of the list or leave them there:
    /// after it they are gone, unless it fails ([`FlushOutcome`]) and is to be [retried](BatchQueueIn::retry). Then it
    /// is called again with what it left in the list, so one that takes out what has arrived has only the rest retried;
    /// a failure does not end the worker. It may add to the queue. If this future is dropped during a flush, that batch
    /// is lost, and counts as failed; at any other time nothing is, and another worker may go on. After each try and
    /// each batch other tasks of the executor have their turn.
    ///
    /// # Errors
    ///
    /// [`WorkerRuns`] if another one runs.
    pub async fn run<R: Into<FlushOutcome>>(
        &self,
        mut flush: impl AsyncFnMut(&mut B, FlushReason) -> R,
    ) -> Result<(), WorkerRuns> {
        let mut worker = self.worker()?;
        while let Some(reason) = worker.next_batch().await {
            loop {
                // Called inside, too: a closure may do its work before it returns a future.
                let outcome = poll_flush(self, async { flush(worker.items(), reason).await }).await.into();
                if !worker.finish(outcome).await {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Becomes the worker of this queue: [`run`](Self::run) in single steps.
    ///
    /// # Errors
    ///
    /// [`WorkerRuns`] if there is another one.
    pub fn worker(&self) -> Result<BatchWorker<'_, B, W, L, T>, WorkerRuns> {
        let size = self.with_lock(|queue| queue.start_work().then(|| queue.batch_size())).ok_or(WorkerRuns)?;
        Ok(BatchWorker::new(self, size))
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
