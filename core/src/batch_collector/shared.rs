//! The queue behind a lock: adding that waits for room, and the worker that flushes.

use core::{
    future::poll_fn,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    AddError, BatchBuffer, BatchQueueIn, BatchQueueStats, FlushOutcome, FlushReason, WorkerRuns,
    queue::{Place, Push, Wake},
    worker::{BatchWorker, poll_flush},
};
use crate::{Clock, Instant, Lock, Shared, Storage, Timer};

/// How often those look again for whom there is no place in line.
const CROWDED: Duration = Duration::from_millis(1);

pub(super) type Queue<B, W, L, T> = Shared<BatchQueueIn<B, W>, L, T>;

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
        match self.offer(item, |queue, item, now| queue.push(item, weight, now, &mut Place::default())) {
            Push::Accepted(wake) => {
                self.wake(wake);
                Ok(())
            }
            Push::Refused(error) => Err(error),
            Push::Crowded(item) | Push::Untimed(item) | Push::Waiting(item) => Err(AddError::Full(item)),
        }
    }

    /// Has what is pending flushed as soon as the worker has time, whether it is due or not.
    #[doc(alias = "Flush")]
    pub fn flush(&self) {
        self.wake(self.with_lock(BatchQueueIn::ask_for_flush));
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
        let mut items = B::with_capacity(self.with_lock(|queue| queue.batch_size()));
        self.wake(self.with_lock(|queue| queue.withdraw(&mut items)));
        items
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
    fn offer(
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
        wake.worker.into_iter().for_each(Waker::wake);
        let Some(first) = wake.in_line else { return };
        first.wake();
        // Locking for each one costs more than waking it.
        loop {
            let mut next = heapless::Vec::<Waker, 16>::new();
            self.with_lock(|queue| queue.more_in_line(&mut next));
            if next.is_empty() {
                return;
            }
            next.into_iter().for_each(Waker::wake);
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
    /// Those who wait go in the order in which they came, as far as there are places in line. A future that is dropped
    /// before it is ready has added nothing.
    ///
    /// # Errors
    ///
    /// [`AddError::Stopped`] with the item, once the queue is stopped; [`AddError::Full`] with the item, inside the flush
    /// itself, if there is no room.
    #[doc(alias = "Add")]
    pub async fn add(&self, item: B::Item) -> Result<(), AddError<B::Item>> {
        self.add_weighted(item, 1).await
    }

    /// [`add`](Self::add) of an item of this weight.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub async fn add_weighted(&self, item: B::Item, weight: u32) -> Result<(), AddError<B::Item>> {
        let mut item = Some(item);
        let mut in_line = InLine { queue: self, place: Place::default() };
        loop {
            if let Some(result) = poll_fn(|cx| in_line.poll_add(&mut item, weight, cx)).await {
                return result;
            }
            self.look_again_later().await;
        }
    }

    /// Takes no more items from now on, and waits until what is pending has been flushed.
    ///
    /// Stopping again only waits. Without a worker it waits for one to come; inside the flush it does not wait.
    #[doc(alias = "Stop")]
    pub async fn stop(&self) {
        self.close();
        let mut in_line = InLine { queue: self, place: Place::default() };
        while !poll_fn(|cx| in_line.poll_stop(cx)).await {
            self.look_again_later().await;
        }
    }

    /// Flushes batches, in order and one at a time, until the queue is stopped and empty.
    ///
    /// `flush` is given the items and why they were handed out. It may take them out of the list or leave them there:
    /// after it they are gone, unless it fails ([`FlushOutcome`]) and is to be [retried](BatchQueueIn::retry). Then it is
    /// called again with what it left in the list, so one that takes out what has arrived has only the rest retried; a
    /// failure does not end the worker. It may add to the queue. If this future is dropped during a flush, that batch is
    /// lost, and counts as failed; at any other time nothing is, and another worker may go on.
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
                let outcome = poll_flush(self, flush(worker.items(), reason)).await.into();
                if !worker.settle(outcome).await {
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

    fn look_again_later(&self) -> T::Sleep {
        self.timer().sleep_until(self.timer().now().saturating_add(CROWDED))
    }
}

/// A place in line, left when dropped.
struct InLine<'a, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    queue: &'a Queue<B, W, L, T>,
    place: Place,
}

impl<B, W, L, T> InLine<'_, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    /// Ready with `None` if there is no place in line.
    fn poll_add(
        &mut self,
        item: &mut Option<B::Item>,
        weight: u32,
        cx: &Context<'_>,
    ) -> Poll<Option<Result<(), AddError<B::Item>>>> {
        let Some(offered) = item.take() else { return Poll::Pending };
        let place = &mut self.place;
        let push =
            self.queue.offer(offered, |queue, item, now| queue.push_or_wait(item, weight, now, place, cx.waker()));
        self.place.former = None;
        match push {
            Push::Accepted(wake) => {
                self.queue.wake(wake);
                Poll::Ready(Some(Ok(())))
            }
            Push::Refused(error) => Poll::Ready(Some(Err(error))),
            Push::Crowded(back) => {
                *item = Some(back);
                Poll::Ready(None)
            }
            Push::Untimed(back) | Push::Waiting(back) => {
                *item = Some(back);
                Poll::Pending
            }
        }
    }

    /// Ready with `false` if there is no place in line.
    fn poll_stop(&mut self, cx: &Context<'_>) -> Poll<bool> {
        let poll = self.queue.with_lock(|queue| {
            if queue.is_over_for(cx.waker()) {
                Poll::Ready(true)
            } else if queue.wait(&mut self.place, cx.waker()) {
                Poll::Pending
            } else {
                Poll::Ready(false)
            }
        });
        self.place.former = None;
        poll
    }
}

impl<B, W, L, T> Drop for InLine<'_, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    fn drop(&mut self) {
        if self.place.ticket.is_some() {
            let in_line = self.queue.with_lock(|queue| queue.leave(&mut self.place));
            self.queue.wake(Wake { worker: None, in_line });
        }
    }
}

#[cfg(test)]
#[path = "shared_tests.rs"]
mod tests;
