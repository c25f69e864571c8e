//! The one who flushes a queue.

use core::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use super::{
    BatchBuffer, BatchQueueIn, FlushOutcome, FlushReason,
    queue::Fetch,
    sleep::{Queue, poll_sleep},
};
use crate::foundation::{
    shared::{Clock, Lock, Timer},
    storage::Storage,
    time::Instant,
};

/// The worker of a [`BatchQueue`](super::BatchQueue), for a flush loop of your own.
///
/// [`run`](crate::foundation::shared::Shared::run) is this:
///
/// ```
/// # use core::{cell::RefCell, future::{Pending, pending}, time::Duration};
/// # use steadfast_core::{BatchQueue, BatchSettings, Clock, Instant, Shared, Timer, batch_collector::WorkerRuns};
/// # type Machine = BatchQueue<u32, 3, 4>;
/// # async fn send(_: &[u32]) -> Result<(), ()> { Ok(()) }
/// # async fn work(queue: &Shared<Machine, RefCell<Machine>, impl Timer>) -> Result<(), WorkerRuns> {
/// let mut worker = queue.worker()?;
/// while let Some(_reason) = worker.next_batch().await {
///     loop {
///         let outcome = send(worker.items()).await;
///         if !worker.finish(outcome.into()).await {
///             break; // what is left in `items` now has failed for good: here it goes to a dead letter queue
///         }
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Dropping it lets another one begin; what it has not finished then counts as failed.
pub struct BatchWorker<'a, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    queue: &'a Queue<B, W, L, T>,
    items: B,
    /// How many times the batch was handed out; 0 once it is settled.
    attempt: u32,
    /// A batch was handed out, and no other task has had its turn since.
    owes_turn: bool,
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
        Self { queue, items: B::with_capacity(size), attempt: 0, owes_turn: false }
    }

    /// Waits for a batch to be due; `None` once the queue is stopped and empty.
    ///
    /// Between two batches it lets other tasks have their turn. Dropping the future loses nothing. A batch that was
    /// not settled counts as failed; what is still in [`items`](Self::items) is dropped.
    pub async fn next_batch(&mut self) -> Option<FlushReason> {
        self.items.remove_all();
        if self.attempt > 0 {
            self.complete(FlushOutcome::Failed, 0, false);
        }
        let (queue, timer) = (self.queue, self.queue.timer());
        let (mut sleep, mut sleeps_until) = (pin!(None), None);
        poll_fn(|cx| {
            let (mut read_after, mut was_asleep) = (None, false);
            loop {
                let now = timer.now();
                let mut waker = Some(cx.waker().clone());
                let (items, owes_turn) = (&mut self.items, self.owes_turn);
                let fetch = queue.with_lock(|queue| queue.fetch(items, now, read_after, owes_turn, &mut waker));
                drop(waker);
                let until = match fetch {
                    Fetch::Batch(reason, wake) => {
                        self.attempt = 1;
                        self.owes_turn = true;
                        queue.wake(wake);
                        return Poll::Ready(Some(reason));
                    }
                    Fetch::LetOthersGo => {
                        self.owes_turn = false;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    Fetch::Behind(at) => {
                        read_after = Some(at);
                        continue;
                    }
                    Fetch::Nothing(until, wake) => {
                        let somebody_goes = wake.in_line.is_some();
                        queue.wake(wake);
                        if somebody_goes {
                            continue;
                        }
                        until
                    }
                    Fetch::Stopped => return Poll::Ready(None),
                };
                if poll_sleep(timer, sleep.as_mut(), &mut sleeps_until, until, cx).is_pending() {
                    self.owes_turn = false;
                    return Poll::Pending;
                }
                if mem::replace(&mut was_asleep, true) {
                    cx.waker().wake_by_ref(); // a timer that is always early must not keep the executor
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// The items of the batch. What is left here after a flush that failed can be tried again.
    pub const fn items(&mut self) -> &mut B {
        &mut self.items
    }

    /// The number of the attempt to flush this batch, from 1 on; 0 when there is no batch.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Awaits a flush. An [`add`](crate::foundation::shared::Shared::add) inside it is then refused instead of waiting
    /// for itself; so is one in the drop of the future.
    pub fn flushing<F: Future>(&self, flush: F) -> impl Future<Output = F::Output> + use<'a, B, W, L, T, F> {
        poll_flush(self.queue, flush)
    }

    /// Awaits something else before the next try, such as a sleep, while adders in line have their turns. Then other
    /// tasks of the executor have theirs, however soon that was.
    pub fn pausing<F: Future>(&self, pause: F) -> impl Future<Output = F::Output> + use<'a, B, W, L, T, F> {
        poll_pause(self.queue, pause)
    }

    /// Counts what became of the batch. True if it is to be flushed again, as the queue's
    /// [`retry`](BatchQueueIn::retry) says: then the wait before that is over, and other tasks have had their turn.
    ///
    /// After false, what is still in [`items`](Self::items) has failed for good.
    pub async fn finish(&mut self, outcome: FlushOutcome) -> bool {
        let (times, wait) = self.queue.with_lock(|queue| queue.retries());
        let again = self.complete(outcome, self.items.count(), self.attempt <= times);
        if again {
            let timer = self.queue.timer();
            if wait.is_zero() {
                self.pausing(async {}).await;
            } else {
                self.pausing(timer.sleep_until(timer.now().after(wait))).await;
            }
        }
        again
    }

    /// Counts what became of the batch, without waiting. True if it is to be flushed again, because it failed, some are
    /// `left`, and you want it `again`.
    ///
    /// Of a batch that failed all but those that are left have arrived, or none if none is left. After false, what is
    /// still in [`items`](Self::items) has failed for good; what was delivered is dropped.
    pub fn complete(&mut self, outcome: FlushOutcome, left: usize, again: bool) -> bool {
        let done = self.queue.with_lock(|queue| queue.complete(outcome, left, again));
        self.attempt = if done.is_some() { 0 } else { self.attempt.saturating_add(1) };
        if outcome == FlushOutcome::Delivered {
            self.items.remove_all();
        }
        match done {
            None => true,
            Some(wake) => {
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
        f.debug_struct("BatchWorker").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

/// Polls the flush so that whoever is polled in it can be told from all others, be it while the flush is dropped.
pub(super) async fn poll_flush<B, W, L, T, F>(queue: &Queue<B, W, L, T>, flush: F) -> F::Output
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Timer,
    F: Future,
{
    // Dropped from below: first all that is dropped then is inside, then the flush goes, then nobody is inside.
    let _over = Over(queue);
    let mut flush = pin!(flush);
    let _dropping = Dropping(queue);
    let (mut sleep, mut sleeps_until) = (pin!(None), None);
    poll_fn(|cx| {
        let mut somebody_waits = false;
        let inside = Inside::enter(queue, cx.waker(), &mut somebody_waits);
        let poll = flush.as_mut().poll(cx);
        drop(inside);
        if poll.is_pending() && somebody_waits {
            see_to_line(queue, sleep.as_mut(), &mut sleeps_until, cx);
        }
        poll
    })
    .await
}

/// Polls something else than the flush that the worker waits for.
async fn poll_pause<B, W, L, T, F>(queue: &Queue<B, W, L, T>, pause: F) -> F::Output
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Timer,
    F: Future,
{
    let _over = Over(queue);
    let mut pause = pin!(pause);
    let (mut sleep, mut sleeps_until) = (pin!(None), None);
    let output = poll_fn(|cx| {
        let poll = pause.as_mut().poll(cx);
        if poll.is_pending() {
            let waker = cx.waker().clone();
            let (former, somebody_waits) = queue.with_lock(|queue| queue.watch(waker));
            drop(former);
            if somebody_waits {
                see_to_line(queue, sleep.as_mut(), &mut sleeps_until, cx);
            }
        }
        poll
    })
    .await;
    give_turn().await;
    output
}

/// Lets those in line have their turns, now and, by a sleep, when the next one ends.
fn see_to_line<B, W, L, T>(
    queue: &Queue<B, W, L, T>,
    mut sleep: Pin<&mut Option<T::Sleep>>,
    sleeps_until: &mut Option<Instant>,
    cx: &mut Context<'_>,
) where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Timer,
{
    // Twice at most: once somebody's turn has ended, and once to see when the next one does.
    for _ in 0..2 {
        let now = queue.timer().now();
        let (mut until, wake) = queue.with_lock(|queue| queue.take_turns(now));
        if wake.in_line.is_some() {
            queue.wake(wake);
            until = queue.with_lock(|queue| queue.take_turns(now)).0;
        }
        if poll_sleep(queue.timer(), sleep.as_mut(), sleeps_until, until, cx).is_pending() {
            return;
        }
    }
    cx.waker().wake_by_ref(); // a timer that is always early must not keep the executor
}

/// Lets all other tasks of the executor have their turn.
async fn give_turn() {
    let mut was_given = false;
    poll_fn(|cx| {
        if mem::replace(&mut was_given, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// While it lives, whoever is polled is inside the flush.
struct Inside<'a, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
{
    queue: &'a Queue<B, W, L, T>,
    /// Whether those in line are to be seen to, once it does not live any more.
    somebody_waits: &'a mut bool,
}

impl<'a, B, W, L, T> Inside<'a, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Clock,
{
    fn enter(queue: &'a Queue<B, W, L, T>, waker: &Waker, somebody_waits: &'a mut bool) -> Self {
        let (waker, context) = (waker.clone(), queue.lock().context());
        drop(queue.with_lock(|machine| machine.enter_flush(waker, context, || queue.timer().now())));
        Self { queue, somebody_waits }
    }
}

/// However the poll of the flush ends.
impl<B, W, L, T> Drop for Inside<'_, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
{
    fn drop(&mut self) {
        *self.somebody_waits = self.queue.with_lock(BatchQueueIn::leave_flush);
    }
}

/// Marks, when dropped, that what is dropped next is inside the flush.
struct Dropping<'a, B, W, L, T>(&'a Queue<B, W, L, T>)
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>;

impl<B, W, L, T> Drop for Dropping<'_, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
{
    fn drop(&mut self) {
        let context = self.0.lock().context();
        drop(self.0.with_lock(|queue| queue.drop_flush(context)));
    }
}

/// Marks, when dropped, that the worker waits for nothing any more.
struct Over<'a, B, W, L, T>(&'a Queue<B, W, L, T>)
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>;

impl<B, W, L, T> Drop for Over<'_, B, W, L, T>
where
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
{
    fn drop(&mut self) {
        drop(self.0.with_lock(BatchQueueIn::end_flush));
    }
}
