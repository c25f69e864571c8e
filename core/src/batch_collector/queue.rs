//! A batch collector between tasks: adders that wait for room, and a worker that fetches what is due.

use core::{fmt, mem, num::NonZeroUsize, task::Waker, time::Duration};

use heapless::Vec;

use super::{
    AddError, BatchBuffer, BatchQueueStats, BatchSettings, FlushOutcome, FlushReason,
    line::Line,
    schedule::Schedule,
    turns::{Turns, Waiter, Wake, Worker},
};
use crate::foundation::{
    storage::{Allocate, Inline, Storage},
    time::{Instant, Span, earliest},
};

/// How long a flush may take before adders no longer wait for it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// A batch collector between tasks: many add, one worker flushes, with backpressure, retries and a stop (graceful
/// shutdown). Use it through [`Shared`](crate::foundation::shared::Shared).
///
/// `N` items make a batch. `W` tasks can wait in line for room, woken in turn; whoever finds the line full looks again
/// every millisecond.
///
/// Unlike [`BatchCollector`](super::BatchCollector) it keeps a batch that is due until its worker has time, and makes
/// adders wait while that batch is full (backpressure). At most two batches are in memory: the one being filled and the
/// one being flushed.
///
/// ```
/// # use core::{future::{Future, Pending, pending, poll_fn}, pin::pin, task::{Context, Poll, Waker}};
/// use core::{cell::RefCell, time::Duration};
/// use heapless::Vec;
/// use steadfast_core::{BatchQueue, BatchSettings, Clock, Instant, Shared, Timer, batch_collector::FlushReason};
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
///
/// # Waiting
///
/// Those who wait for room go in the order in which they came. One whose turn has come and who is not polled delays
/// those behind it by 10 ms at most, and any number of them in a row by 10 ms for each doubling; it then loses its
/// turn, and goes as soon as it is polled and there is room. The worker sees to it: a flush that blocks, instead of
/// being pending, adds as long as it blocks.
///
/// Nothing waits for itself. An [`add`](crate::foundation::shared::Shared::add) inside the flush, which would wait for
/// that flush to end, is refused with [`AddError::Full`]; a [`stop`](crate::foundation::shared::Shared::stop) inside it
/// does not wait. What is polled while the flush is polled, in the same
/// [context](crate::foundation::shared::Lock::context), is inside it, whatever wakes it. Where the lock cannot tell
/// contexts apart, it is inside it if it also has the worker's own waker. What else the flush waits for, a task that it
/// spawned or another thread, cannot be told from any other: there, `add` is refused once the flush has taken longer
/// than [`stall_timeout`](BatchQueueIn::stall_timeout).
pub type BatchQueue<T, const N: usize, const W: usize> = BatchQueueIn<Vec<T, N>, Inline<W>>;

/// A [`BatchQueue`] in any memory: `B` is where the items lie, `W` where the wakers of waiting adders do.
pub struct BatchQueueIn<B, W: Storage> {
    pub(super) items: B,
    pub(super) schedule: Schedule,
    retry_times: u32,
    retry_wait: Span,
    pub(super) stall_timeout: Span,
    /// Adders that wait for room; once stopped, those who wait for the end.
    pub(super) line: Line<W>,
    pub(super) turns: Turns,
    pub(super) worker: Worker,
    /// When the flush under way began.
    pub(super) flushes_since: Option<Instant>,
    flush_asked: bool,
    /// Items in batches that were full and were set aside.
    set_aside: usize,
    in_flight: usize,
    failed: u64,
    returned: u64,
    delivered: u64,
    batches: u64,
    retries: u64,
}

/// What became of an item that was offered.
pub(super) enum Push<T> {
    /// It was taken.
    Accepted(Wake),
    /// It was not taken.
    Refused(AddError<T>),
    /// It would be taken, but its time is needed.
    Untimed(T),
    /// It waits to be woken, or until then.
    Waiting(T, Option<Instant>),
}

/// What the worker finds.
pub(super) enum Fetch {
    /// A batch, moved into the worker's list, and those in line who have room now.
    Batch(FlushReason, Wake),
    /// There is one, but the worker has had its turn.
    LetOthersGo,
    /// An item came at this instant, after `now`: read the clock again, it cannot be earlier.
    Behind(Instant),
    /// Nothing until then, or until woken; and those in line whose turn has come.
    Nothing(Option<Instant>, Wake),
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
            stall_timeout: Span::new(STALL_TIMEOUT),
            line,
            turns: Turns::new(),
            worker: Worker::Absent,
            flushes_since: None,
            flush_asked: false,
            set_aside: 0,
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

    /// After how long a flush counts as stalled: from then on, and until it ends, adders are refused instead of
    /// waiting.
    ///
    /// 30 s unless set; [`Duration::MAX`] for never. Only a single call of the flush counts, so adders wait as long as
    /// flushes end at all, and retries begin. Without this limit, an adder that the flush itself waits for, in another
    /// task or thread, would wait for ever.
    #[must_use]
    pub const fn stall_timeout(mut self, stall_timeout: Duration) -> Self {
        self.stall_timeout = Span::new(stall_timeout);
        self
    }

    /// Gathers in `items`, an empty list, instead of one with room for a single batch.
    #[must_use]
    pub fn gather_in(mut self, items: B) -> Self {
        self.items = items;
        self
    }

    /// What has gone through so far.
    #[must_use]
    pub const fn stats(&self) -> BatchQueueStats {
        BatchQueueStats {
            accepted: self.schedule.pushed(),
            pending: self.pending(),
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
        self.turns.stopped.is_some()
    }

    /// True once it was stopped and nothing is left to be done.
    pub(super) const fn is_over(&self) -> bool {
        self.is_stopped() && self.pending() == 0 && self.in_flight == 0
    }

    /// How many times a failed flush is tried again, and how long after.
    pub(super) const fn retries(&self) -> (u32, Span) {
        (self.retry_times, self.retry_wait)
    }

    const fn pending(&self) -> usize {
        self.schedule.len().saturating_add(self.set_aside)
    }
}

impl<B: BatchBuffer, W: Storage> BatchQueueIn<B, W> {
    /// Takes an item if there is room for it behind those who wait, those behind `waiter` excepted.
    pub(super) fn push(
        &mut self,
        item: B::Item,
        weight: u32,
        now: Option<Instant>,
        waiter: &mut Waiter,
    ) -> Push<B::Item> {
        if self.is_stopped() {
            return Push::Refused(AddError::Stopped(item));
        }
        if self.ahead(waiter) >= self.may_go() {
            return Push::Refused(AddError::Full(item));
        }
        if now.is_none() && self.schedule.wants_time() {
            return Push::Untimed(item);
        }
        if let Err(item) = self.items.append(item) {
            return Push::Refused(AddError::Full(item));
        }
        let mut is_news = self.schedule.len() == 0 || now.is_some_and(|now| self.schedule.is_ahead_of(now));
        match now {
            Some(now) => self.schedule.push(weight, now),
            None => self.schedule.push_untimed(weight),
        }
        if self.schedule.closed().is_some() {
            is_news = true;
            self.close_batch();
        }
        let worker = if is_news { self.wake_worker() } else { None };
        Push::Accepted(self.leave(waiter).beside(worker))
    }

    /// Has the worker fetch what is pending, whether it is due or not.
    pub(super) fn ask_for_flush(&mut self) -> Wake {
        self.flush_asked = self.schedule.len() > 0;
        Wake { worker: if self.flush_asked { self.wake_worker() } else { None }, in_line: None }
    }

    /// Other settings from now on, for the batch being filled too. The worker looks anew.
    pub(super) fn change(&mut self, settings: BatchSettings, now: Instant) -> Wake {
        self.schedule.change(settings, now);
        if self.schedule.closed().is_some() {
            self.close_batch();
        }
        Wake { worker: self.wake_worker(), in_line: self.next_in_line() }
    }

    /// Takes no more items.
    pub(super) fn close(&mut self) -> Wake {
        self.turns.stopped.get_or_insert_with(|| self.line.end());
        Wake { worker: self.wake_worker(), in_line: self.next_in_line() }
    }

    /// Takes no more items, and exchanges the list of those that are pending for `empty`.
    pub(super) fn withdraw(&mut self, empty: &mut B) -> Wake {
        mem::swap(&mut self.items, empty);
        let pending = self.schedule.take().saturating_add(mem::take(&mut self.set_aside));
        self.returned = self.returned.saturating_add(pending as u64);
        self.close()
    }

    /// Counts what the worker has in hand as given back.
    pub(super) fn withdraw_in_flight(&mut self) -> Wake {
        self.returned = self.returned.saturating_add(mem::take(&mut self.in_flight) as u64);
        Wake { worker: None, in_line: self.next_in_line() }
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
        owes_turn: bool,
        waker: &mut Option<Waker>,
    ) -> Fetch {
        if read_after.is_some_and(|seen_at| now < seen_at) {
            self.schedule.step_back(now);
        } else if let Some(at) = self.schedule.latest_at().filter(|at| now < *at) {
            return Fetch::Behind(at);
        }
        let due = if self.set_aside > 0 { None } else { self.due(now) };
        if self.set_aside == 0 && due.is_none() {
            if self.is_stopped() {
                return Fetch::Stopped;
            }
            if let Some(new) = waker.take() {
                *waker = mem::replace(&mut self.worker, Worker::Waiting(new)).into_waker();
            }
            let (turn_at, wake) = self.take_turns(now);
            return Fetch::Nothing(earliest([turn_at, self.schedule.next_deadline()]), wake);
        }
        *waker = mem::replace(&mut self.worker, Worker::Busy).into_waker();
        if owes_turn {
            return Fetch::LetOthersGo;
        }
        self.items.move_into(empty);
        let reason = if let Some(reason) = due {
            self.in_flight = self.schedule.take();
            self.flush_asked = false;
            reason
        } else {
            self.in_flight = empty.count().min(self.set_aside);
            self.set_aside = self.set_aside.saturating_sub(self.in_flight);
            let is_full = self.in_flight >= self.schedule.max_len();
            if self.schedule.closed().is_some() {
                self.close_batch();
            }
            if is_full { FlushReason::Size } else { FlushReason::Weight }
        };
        self.batches = self.batches.saturating_add(1);
        self.turns.begin_batch();
        Fetch::Batch(reason, Wake { worker: None, in_line: self.next_in_line() })
    }

    /// Counts a flush that ended with `left` items in the worker's list. `None` if they are to be tried again, as
    /// `again` wants it; else whom to wake.
    pub(super) fn complete(&mut self, outcome: FlushOutcome, left: usize, again: bool) -> Option<Wake> {
        let delivered = outcome == FlushOutcome::Delivered;
        let left = if delivered { 0 } else { left.min(self.in_flight) };
        let again = left > 0 && again;
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
            return None;
        }
        Some(Wake { worker: None, in_line: self.next_in_line() })
    }

    /// The worker ends, perhaps in the middle of a flush. Its waker is to be dropped outside the lock.
    pub(super) fn end_work(&mut self) -> (Option<Waker>, Wake) {
        self.failed = self.failed.saturating_add(self.in_flight as u64);
        self.in_flight = 0;
        self.flushes_since = None;
        let wake = Wake { worker: None, in_line: self.next_in_line() };
        (mem::replace(&mut self.worker, Worker::Absent).into_waker(), wake)
    }

    /// How many items make a batch full.
    pub(super) const fn batch_size(&self) -> usize {
        self.schedule.max_len()
    }

    /// Sets the batch that is full aside, if there is room for another one beside it.
    fn close_batch(&mut self) {
        if self.items.set_aside() {
            self.set_aside = self.set_aside.saturating_add(self.schedule.take());
            self.flush_asked = false;
        }
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
}

impl<B, W: Storage> fmt::Debug for BatchQueueIn<B, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stopped = &self.is_stopped();
        f.debug_struct("BatchQueue").field("stats", &self.stats()).field("stopped", stopped).finish_non_exhaustive()
    }
}
