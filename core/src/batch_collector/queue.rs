//! A batch collector between tasks: adders that wait for room, and a worker that fetches what is due.

use core::{fmt, mem, num::NonZeroUsize, task::Waker, time::Duration};

use heapless::Vec;

use super::{
    AddError, BatchBuffer, BatchQueueStats, BatchSettings, FlushOutcome, FlushReason,
    line::{Line, Ticket},
    schedule::Schedule,
};
use crate::{Allocate, Inline, Instant, Storage, time::Span};

/// The state of a batch collector between tasks; used through [`Shared`](crate::Shared).
///
/// Unlike [`BatchCollector`](super::BatchCollector) it keeps a batch that is due until its worker has time, and makes
/// adders wait while that batch is full: at most two batches are in memory, the one being filled and the one being
/// flushed.
///
/// ```
/// # use core::{future::{Future, Pending, pending, poll_fn}, pin::pin, task::{Context, Poll, Waker}};
/// use core::{cell::RefCell, time::Duration};
/// use heapless::Vec;
/// use steadfast_core::{BatchQueue, BatchSettings, Clock, FlushReason, Instant, Shared, Timer};
///
/// struct Uptime; // an adapter's timer, in real life
/// impl Clock for Uptime {
///     fn now(&self) -> Instant {
///         Instant::ZERO
///     }
/// }
/// impl Timer for Uptime {
///     type Sleep = Pending<()>;
///     fn sleep_until(&self, _: Instant) -> Pending<()> {
///         pending()
///     }
/// }
///
/// let queue = BatchQueue::<u32, 3, 4>::new(BatchSettings::new(Duration::from_secs(10)));
/// let news = Shared::new(RefCell::new(queue), Uptime);
///
/// let mut sent = vec![];
/// let worker = news.run(async |items: &mut Vec<u32, 3>, reason| sent.push((items.to_vec(), reason)));
/// let adder = async {
///     for item in 0..4 {
///         news.add(item).await?;
///     }
///     news.stop().await;
///     news.add(4).await
/// };
/// // Each in a task of its own, or both in one:
/// # let (mut worker, mut adder) = (Box::pin(worker), pin!(adder));
/// # let mut cx = Context::from_waker(Waker::noop());
/// # while adder.as_mut().poll(&mut cx).is_pending() {
/// #     let _ = worker.as_mut().poll(&mut cx);
/// # }
/// # drop(worker);
/// assert_eq!(sent, [(vec![0, 1, 2], FlushReason::Size), (vec![3], FlushReason::Stop)]);
/// ```
pub type BatchQueue<T, const N: usize, const W: usize> = BatchQueueIn<Vec<T, N>, Inline<W>>;

/// A [`BatchQueue`] in any memory: `B` is where the items lie, `W` where the wakers of waiting adders do.
pub struct BatchQueueIn<B, W: Storage> {
    items: B,
    schedule: Schedule,
    retry_times: u32,
    retry_wait: Span,
    /// Adders that wait for room; once stopped, those who wait for the end.
    line: Line<W>,
    worker: Worker,
    /// Once stopped: where in line the adders end.
    stopped: Option<Ticket>,
    flush_asked: bool,
    in_flight: usize,
    failed: u64,
    returned: u64,
    delivered: u64,
    batches: u64,
    retries: u64,
}

/// What the worker is doing.
enum Worker {
    /// There is none.
    Absent,
    /// It is somewhere between two polls of what it waits for.
    Busy,
    /// It waits to be woken when something is due, or the time when it will be changes.
    Waiting(Waker),
    /// It polls the flush: whoever is polled with this waker just now is inside the flush.
    Flushing(Waker),
}

/// Where a task waits.
#[derive(Default)]
pub(super) struct Place {
    pub(super) ticket: Option<Ticket>,
    /// A former waker, to be dropped outside the lock.
    pub(super) former: Option<Waker>,
}

/// What became of an item that was offered.
pub(super) enum Push<T> {
    /// It was taken.
    Accepted(Wake),
    /// There is no place in line left to wait in.
    Crowded(T),
    /// It was not taken.
    Refused(AddError<T>),
    /// It would be taken, but its time is needed.
    Untimed(T),
    /// It waits in line.
    Waiting(T),
}

/// Whom to wake outside the lock.
pub(super) struct Wake {
    pub(super) worker: Option<Waker>,
    /// One of those in line; there may be more, see [`BatchQueueIn::next_in_line`].
    pub(super) in_line: Option<Waker>,
}

/// What follows a flush.
pub(super) enum Settled {
    /// The same batch again after this.
    Again(Span),
    /// The next batch.
    Done(Wake),
}

/// What the worker finds.
pub(super) enum Fetch {
    /// A batch, moved into the worker's list, and those in line who have room now.
    Batch(FlushReason, Wake),
    /// An item came at this instant, after `now`: read the clock again, it cannot be earlier.
    Behind(Instant),
    /// Nothing until then, or until woken.
    Nothing(Option<Instant>),
    /// Nothing ever again.
    Stopped,
}

impl<T, const N: usize, const W: usize> BatchQueue<T, N, W> {
    /// An empty queue with batches of `N`, inside this value. `N` of 0 does not compile.
    ///
    /// `W` is for how many adders at once a waker can be kept. Further ones look again every millisecond, in no order.
    #[must_use]
    pub const fn new(settings: BatchSettings) -> Self {
        const { assert!(N > 0, "a batch holds at least one item") };
        Self::with(Vec::new(), Line::new(), Schedule::new(N, settings))
    }
}

impl<B: BatchBuffer, W: Allocate> BatchQueueIn<B, W> {
    /// An empty queue with batches of `size`, in memory that grows with the number of adders that wait.
    #[must_use]
    pub fn allocate(size: NonZeroUsize, settings: BatchSettings) -> Self {
        Self::with(B::with_capacity(size.get()), Line::growing(), Schedule::new(size.get(), settings))
    }
}

impl<B, W: Storage> BatchQueueIn<B, W> {
    const fn with(items: B, line: Line<W>, schedule: Schedule) -> Self {
        Self {
            items,
            schedule,
            retry_times: 0,
            retry_wait: Span::ZERO,
            line,
            worker: Worker::Absent,
            stopped: None,
            flush_asked: false,
            in_flight: 0,
            failed: 0,
            returned: 0,
            delivered: 0,
            batches: 0,
            retries: 0,
        }
    }

    /// A failed flush is tried again up to `times` times, each time after `wait`. Without this, never.
    #[must_use]
    pub const fn retry(mut self, times: u32, wait: Duration) -> Self {
        self.retry_times = times;
        self.retry_wait = Span::new(wait);
        self
    }

    /// What has gone through so far.
    #[must_use]
    pub const fn stats(&self) -> BatchQueueStats {
        BatchQueueStats {
            accepted: self.schedule.pushed(),
            pending: self.schedule.len(),
            in_flight: self.in_flight,
            delivered: self.delivered,
            failed: self.failed,
            returned: self.returned,
            batches: self.batches,
            retries: self.retries,
        }
    }

    /// True once it takes no more items.
    #[must_use]
    pub const fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }
}

impl<B: BatchBuffer, W: Storage> BatchQueueIn<B, W> {
    /// Takes an item if there is room for it behind those who wait, those behind `place` excepted.
    pub(super) fn push(
        &mut self,
        item: B::Item,
        weight: u32,
        now: Option<Instant>,
        place: &mut Place,
    ) -> Push<B::Item> {
        if self.is_stopped() {
            return Push::Refused(AddError::Stopped(item));
        }
        let ahead = place.ticket.and_then(|ticket| self.line.ahead(ticket)).unwrap_or(self.line.len());
        if ahead >= self.schedule.room() {
            return Push::Refused(AddError::Full(item));
        }
        if now.is_none() && self.schedule.wants_time() {
            return Push::Untimed(item);
        }
        if let Err(item) = self.items.append(item) {
            return Push::Refused(AddError::Full(item));
        }
        let was_empty = self.schedule.len() == 0;
        match now {
            Some(now) => self.schedule.push(weight, now),
            None => self.schedule.push_untimed(weight),
        }
        let worker = if was_empty || self.schedule.closed().is_some() { self.wake_worker() } else { None };
        Push::Accepted(Wake { worker, in_line: self.leave(place) })
    }

    /// [`push`](Self::push), or else waiting in line.
    pub(super) fn push_or_wait(
        &mut self,
        item: B::Item,
        weight: u32,
        now: Option<Instant>,
        place: &mut Place,
        waker: &Waker,
    ) -> Push<B::Item> {
        match self.push(item, weight, now, place) {
            Push::Refused(AddError::Full(item)) if !self.is_inside_the_flush(waker) => {
                if self.wait(place, waker) {
                    Push::Waiting(item)
                } else {
                    Push::Crowded(item)
                }
            }
            other => other,
        }
    }

    /// True once it was stopped and nothing is left to be done.
    pub(super) const fn is_over(&self) -> bool {
        self.is_stopped() && self.schedule.len() == 0 && self.in_flight == 0
    }

    /// True once it is over, or if waiting for that inside the flush would be waiting for oneself.
    pub(super) fn is_over_for(&self, waker: &Waker) -> bool {
        self.is_over() || self.is_inside_the_flush(waker)
    }

    /// Waits in line; false if there is no place left.
    pub(super) fn wait(&mut self, place: &mut Place, waker: &Waker) -> bool {
        match place.ticket {
            Some(ticket) if self.line.ahead(ticket).is_some() => place.former = self.line.stay(ticket, waker),
            _ => place.ticket = self.line.join(waker),
        }
        place.ticket.is_some()
    }

    /// Leaves the line, if in it, so that others may go on; its waker is left in `place`.
    pub(super) fn leave(&mut self, place: &mut Place) -> Option<Waker> {
        place.former = self.line.leave(place.ticket.take()?);
        self.next_in_line()
    }

    /// One more of those in line who can go on: as many as there is room for; the adders, once it is stopped; those who
    /// wait for the end, once it is over.
    pub(super) fn next_in_line(&mut self) -> Option<Waker> {
        match self.stopped {
            None => self.line.next_within(self.schedule.room()),
            Some(_) if self.is_over() => self.line.dismiss(self.line.end()),
            Some(adders_end) => self.line.dismiss(adders_end),
        }
    }

    /// [`next_in_line`](Self::next_in_line) as often as there is room in `next`.
    pub(super) fn more_in_line<const M: usize>(&mut self, next: &mut Vec<Waker, M>) {
        while !next.is_full() {
            let Some(waker) = self.next_in_line() else { return };
            let _ = next.push(waker);
        }
    }

    /// Has the worker fetch what is pending, whether it is due or not.
    pub(super) fn ask_for_flush(&mut self) -> Wake {
        self.flush_asked = self.schedule.len() > 0;
        Wake { worker: if self.flush_asked { self.wake_worker() } else { None }, in_line: None }
    }

    /// Takes no more items.
    pub(super) fn close(&mut self) -> Wake {
        self.stopped.get_or_insert_with(|| self.line.end());
        Wake { worker: self.wake_worker(), in_line: self.next_in_line() }
    }

    /// Takes no more items, and moves those that are pending into `empty`.
    pub(super) fn withdraw(&mut self, empty: &mut B) -> Wake {
        self.items.move_into(empty);
        self.returned = self.returned.saturating_add(self.schedule.take() as u64);
        self.close()
    }

    /// Becomes the one worker; false if there is one.
    pub(super) fn start_work(&mut self) -> bool {
        let starts = matches!(self.worker, Worker::Absent);
        if starts {
            self.worker = Worker::Busy;
        }
        starts
    }

    /// Moves the batch that is due into `empty`, or waits with `waker`. `read_after` is what [`Fetch::Behind`] said.
    ///
    /// The former waker is left in `waker`, to be dropped outside the lock.
    pub(super) fn fetch(
        &mut self,
        empty: &mut B,
        now: Instant,
        read_after: Option<Instant>,
        waker: &mut Option<Waker>,
    ) -> Fetch {
        if read_after.is_some_and(|seen_at| now < seen_at) {
            self.schedule.step_back(now);
        } else if let Some(at) = self.schedule.latest_at().filter(|at| now < *at) {
            return Fetch::Behind(at);
        }
        let Some(reason) = self.due(now) else {
            if self.is_stopped() {
                return Fetch::Stopped;
            }
            if let Some(new) = waker.take() {
                *waker = mem::replace(&mut self.worker, Worker::Waiting(new)).into_waker();
            }
            return Fetch::Nothing(self.schedule.next_deadline());
        };
        *waker = mem::replace(&mut self.worker, Worker::Busy).into_waker();
        self.items.move_into(empty);
        self.in_flight = self.schedule.take();
        self.batches = self.batches.saturating_add(1);
        self.flush_asked = false;
        Fetch::Batch(reason, Wake { worker: None, in_line: self.next_in_line() })
    }

    /// Marks whom the worker polls: the flush, with this waker, or nothing. Returns the former waker.
    pub(super) fn polls_flush(&mut self, waker: Option<Waker>) -> Option<Waker> {
        mem::replace(&mut self.worker, waker.map_or(Worker::Busy, Worker::Flushing)).into_waker()
    }

    /// Counts a flush that ended with `left` items in the worker's list.
    pub(super) fn settle(&mut self, outcome: FlushOutcome, left: usize, tries: u32) -> Settled {
        let delivered = outcome == FlushOutcome::Delivered;
        let left = if delivered { 0 } else { left.min(self.in_flight) };
        let again = left > 0 && tries <= self.retry_times;
        let settled = self.in_flight.saturating_sub(left) as u64;
        self.in_flight = if again { left } else { 0 };
        // A list that was emptied does not tell what arrived; of one that was not, all but the rest has.
        if delivered || left > 0 {
            self.delivered = self.delivered.saturating_add(settled);
        } else {
            self.failed = self.failed.saturating_add(settled);
        }
        if !again {
            self.failed = self.failed.saturating_add(left as u64);
        }
        if again {
            self.retries = self.retries.saturating_add(1);
            return Settled::Again(self.retry_wait);
        }
        Settled::Done(Wake { worker: None, in_line: self.next_in_line() })
    }

    /// The worker ends, perhaps in the middle of a flush. Its waker is to be dropped outside the lock.
    pub(super) fn end_work(&mut self) -> (Option<Waker>, Wake) {
        self.failed = self.failed.saturating_add(self.in_flight as u64);
        self.in_flight = 0;
        let wake = Wake { worker: None, in_line: self.next_in_line() };
        (mem::replace(&mut self.worker, Worker::Absent).into_waker(), wake)
    }

    /// How many items make a batch full.
    pub(super) const fn batch_size(&self) -> usize {
        self.schedule.max_len()
    }

    fn due(&self, now: Instant) -> Option<FlushReason> {
        if self.schedule.len() == 0 {
            return None;
        }
        let asked = match (self.is_stopped(), self.flush_asked) {
            (true, _) => Some(FlushReason::Stop),
            (false, true) => Some(FlushReason::Manual),
            (false, false) => None,
        };
        self.schedule.due(now).or(asked)
    }

    /// The worker's waker, if it waits.
    fn wake_worker(&mut self) -> Option<Waker> {
        match mem::replace(&mut self.worker, Worker::Busy) {
            Worker::Waiting(waker) => Some(waker),
            other => {
                self.worker = other;
                None
            }
        }
    }

    /// True if this waker's task waits inside the flush: the worker polls that, with the same waker.
    fn is_inside_the_flush(&self, waker: &Waker) -> bool {
        matches!(&self.worker, Worker::Flushing(worker) if worker.will_wake(waker))
    }
}

impl<B, W: Storage> fmt::Debug for BatchQueueIn<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = &self.is_stopped();
        f.debug_struct("BatchQueue").field("stats", &self.stats()).field("stopped", stopped).finish_non_exhaustive()
    }
}

impl Worker {
    fn into_waker(self) -> Option<Waker> {
        match self {
            Self::Absent | Self::Busy => None,
            Self::Flushing(waker) | Self::Waiting(waker) => Some(waker),
        }
    }
}
