//! Waiting in line: for room, and for the end.

use core::{
    fmt,
    future::Future,
    mem,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::{
    AddError, BatchBuffer, BatchQueueIn,
    queue::Push,
    sleep::{Queue, poll_sleep},
    turns::Waiter,
    waiting::CROWDED,
};
use crate::foundation::{
    shared::{Clock, Lock, Timer},
    storage::Storage,
    time::Instant,
};

/// What items are added to: whatever derefs to a [`Shared`](crate::foundation::shared::Shared) queue, such as a reference
/// to one.
pub trait AddTo {
    /// The batches.
    type Buffer: BatchBuffer;
    /// Where those who wait are.
    type Waiters: Storage;
    /// The lock around the queue.
    type Lock: Lock<Target = BatchQueueIn<Self::Buffer, Self::Waiters>>;
    /// Its timer.
    type Timer: Timer;

    /// The queue.
    fn queue(&self) -> &Queue<Self::Buffer, Self::Waiters, Self::Lock, Self::Timer>;
}

impl<C, B, W, L, T> AddTo for C
where
    C: Deref<Target = Queue<B, W, L, T>>,
    B: BatchBuffer,
    W: Storage,
    L: Lock<Target = BatchQueueIn<B, W>>,
    T: Timer,
{
    type Buffer = B;
    type Waiters = W;
    type Lock = L;
    type Timer = T;

    #[inline]
    fn queue(&self) -> &Queue<B, W, L, T> {
        self
    }
}

type Item<C> = <<C as AddTo>::Buffer as BatchBuffer>::Item;

pin_project! {
    /// The future of `add`. It has a name so that it can be kept in a struct, and be the `Future` of a `tower` service; `C`
    /// is the queue, or a reference to it.
    ///
    /// # Cancellation
    ///
    /// Dropping it before it is ready adds nothing, and leaves the line.
    #[must_use = "nothing is added until it is awaited"]
    pub struct BatchAdd<C: AddTo> {
        in_line: InLine<C>,
        item: Option<Item<C>>,
        weight: u32,
        #[pin]
        sleep: LineSleep<<C::Timer as Timer>::Sleep>,
    }
}

impl<C: AddTo> BatchAdd<C> {
    /// Adds an item of this weight to `queue`; for adapters.
    pub const fn new(queue: C, item: Item<C>, weight: u32) -> Self {
        Self { in_line: InLine::new(queue), item: Some(item), weight, sleep: LineSleep::new() }
    }
}

impl<C: AddTo> Future for BatchAdd<C> {
    type Output = Result<(), AddError<Item<C>>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (item, weight) = (this.item, *this.weight);
        this.in_line.poll(this.sleep, cx, |in_line, cx| in_line.poll_add(item, weight, cx))
    }
}

impl<C: AddTo> fmt::Debug for BatchAdd<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchAdd").finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of `stop`. It has a name so that it can be kept in a struct; `C` is the queue, or a reference to it.
    ///
    /// The queue is stopped when it is first polled.
    ///
    /// # Cancellation
    ///
    /// Dropping it ends the wait; a queue that is stopped stays so.
    #[must_use = "nothing is stopped until it is awaited"]
    pub struct BatchStop<C: AddTo> {
        in_line: InLine<C>,
        is_closed: bool,
        #[pin]
        sleep: LineSleep<<C::Timer as Timer>::Sleep>,
    }
}

impl<C: AddTo> BatchStop<C> {
    /// Stops `queue`; for adapters.
    pub const fn new(queue: C) -> Self {
        Self { in_line: InLine::new(queue), is_closed: false, sleep: LineSleep::new() }
    }
}

impl<C: AddTo> Future for BatchStop<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if !mem::replace(this.is_closed, true) {
            this.in_line.on.queue().close();
        }
        let stopped = this.in_line.poll(this.sleep, cx, InLine::poll_stop);
        if stopped.is_ready() {
            this.in_line.leave();
        }
        stopped
    }
}

impl<C: AddTo> fmt::Debug for BatchStop<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStop").finish_non_exhaustive()
    }
}

pin_project! {
    /// Until when somebody in line sleeps.
    struct LineSleep<S> {
        #[pin]
        sleep: Option<S>,
        until: Option<Instant>,
    }
}

impl<S> LineSleep<S> {
    const fn new() -> Self {
        Self { sleep: None, until: None }
    }
}

/// Somebody in line, who leaves when this is dropped.
struct InLine<C: AddTo> {
    on: C,
    waiter: Waiter,
}

impl<C: AddTo> InLine<C> {
    const fn new(on: C) -> Self {
        Self { on, waiter: Waiter { ticket: None, former: None } }
    }

    /// Asks until there is an answer, instead of which `ask` may say when to ask again without being woken.
    fn poll<R>(
        &mut self,
        sleep: Pin<&mut LineSleep<<C::Timer as Timer>::Sleep>>,
        cx: &mut Context<'_>,
        mut ask: impl FnMut(&mut Self, &Context<'_>) -> Result<R, Option<Instant>>,
    ) -> Poll<R> {
        let mut sleep = sleep.project();
        let mut was_asleep = false;
        loop {
            let until = match ask(self, cx) {
                Ok(result) => return Poll::Ready(result),
                Err(until) => until,
            };
            let timer = self.on.queue().timer();
            if poll_sleep(timer, sleep.sleep.as_mut(), sleep.until, until, cx).is_pending() {
                return Poll::Pending;
            }
            if mem::replace(&mut was_asleep, true) {
                cx.waker().wake_by_ref(); // a timer that is always early must not keep the executor
                return Poll::Pending;
            }
        }
    }

    /// What became of the item; else when to ask again without being woken.
    fn poll_add(
        &mut self,
        item: &mut Option<Item<C>>,
        weight: u32,
        cx: &Context<'_>,
    ) -> Result<Result<(), AddError<Item<C>>>, Option<Instant>> {
        let (queue, waiter) = (self.on.queue(), &mut self.waiter);
        let Some(offered) = item.take() else { return Err(None) };
        let mut push = queue.offer(offered, |queue, item, now| queue.push(item, weight, now, waiter));
        if let Push::Refused(AddError::Full(back)) = push {
            let (now, context) = (queue.timer().now(), queue.lock().context());
            let mut waker = Some(cx.waker().clone());
            push = queue.offer(back, |queue, item, pushed_at| match queue.push(item, weight, pushed_at, waiter) {
                Push::Refused(AddError::Full(item)) if !queue.is_inside(cx.waker(), context) => {
                    queue.wait_for_room(item, now, waiter, &mut waker)
                }
                other => other,
            });
        }
        waiter.former = None;
        match push {
            Push::Accepted(wake) => {
                queue.wake(wake);
                Ok(Ok(()))
            }
            Push::Refused(error) => Ok(Err(error)),
            Push::Untimed(back) => {
                *item = Some(back);
                Err(None)
            }
            Push::Waiting(back, until) => {
                *item = Some(back);
                Err(until)
            }
        }
    }

    /// Whether there is nothing to wait for any more; else when to ask again without being woken.
    fn poll_stop(&mut self, cx: &Context<'_>) -> Result<(), Option<Instant>> {
        let queue = self.on.queue();
        let context = queue.lock().context();
        let mut waker = Some(cx.waker().clone());
        let waiter = &mut self.waiter;
        let waits = queue.with_lock(|queue| {
            let is_over = queue.is_over() || queue.is_inside(cx.waker(), context);
            (!is_over).then(|| queue.wait(waiter, &mut waker))
        });
        match waits {
            None => Ok(()),
            Some(true) => Err(None),
            Some(false) => Err(Some(queue.timer().now().after(CROWDED))),
        }
    }

    fn leave(&mut self) {
        if self.waiter.ticket.is_some() {
            let queue = self.on.queue();
            let wake = queue.with_lock(|queue| queue.leave(&mut self.waiter));
            queue.wake(wake);
        }
    }
}

impl<C: AddTo> Drop for InLine<C> {
    fn drop(&mut self) {
        self.leave();
    }
}
