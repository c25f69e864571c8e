//! Who waits for the worker, and whom the worker waits for.

use core::{mem, task::Waker};

use heapless::Vec;

use super::{
    AddError, BatchBuffer, BatchQueueIn,
    queue::Push,
    turns::{Waiter, Wake, Worker},
};
use crate::foundation::{
    storage::Storage,
    time::{Instant, Span},
};

/// How long the turn of one that was woken lasts.
const TURN: Span = Span::from_nanos(10_000_000);

/// How often those look again for whom there is no room in line.
pub(super) const CROWDED: Span = Span::from_nanos(1_000_000);

impl<B, W: Storage> BatchQueueIn<B, W> {
    /// How many of those in line may go.
    pub(super) fn may_go(&self) -> usize {
        self.schedule.room().saturating_mul(1_usize.checked_shl(self.turns.missed).unwrap_or(usize::MAX))
    }

    /// How many are in line before this one. Whoever is not in line any more, because it did not come, is before all
    /// others.
    pub(super) fn ahead(&self, waiter: &Waiter) -> usize {
        waiter.ticket.map_or(self.line.len(), |ticket| self.line.ahead(ticket).unwrap_or(0))
    }

    /// True if waiting would be waiting for oneself: this is called inside the flush.
    pub(super) fn is_inside(&self, waker: &Waker, context: Option<usize>) -> bool {
        match &self.worker {
            Worker::Flushing(_, Some(polled_in)) if context.is_some() => context == Some(*polled_in),
            Worker::Flushing(Some(worker), _) => worker.will_wake(waker),
            _ => false,
        }
    }

    /// Waits in line; false if there is no room left. The former waker, or one that was not needed, stays in `waker`.
    pub(super) fn wait(&mut self, waiter: &mut Waiter, waker: &mut Option<Waker>) -> bool {
        match waiter.ticket {
            Some(ticket) if self.line.ahead(ticket).is_some() => self.line.stay(ticket, waker),
            _ => waiter.ticket = self.line.join(waker),
        }
        waiter.ticket.is_some()
    }

    /// Marks that the worker polls the flush from now on, in this context. Returns the former waker.
    pub(super) fn enter_flush(
        &mut self,
        waker: Waker,
        context: Option<usize>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Waker> {
        self.flushes_since.get_or_insert_with(now);
        mem::replace(&mut self.worker, Worker::Flushing(Some(waker), context)).into_waker()
    }

    /// Marks that the flush is dropped from now on, in this context. Returns the former waker.
    pub(super) fn drop_flush(&mut self, context: Option<usize>) -> Option<Waker> {
        mem::replace(&mut self.worker, Worker::Flushing(None, context)).into_waker()
    }

    /// Marks that the worker waits for the flush, and whether somebody in line is to be seen to.
    pub(super) fn leave_flush(&mut self) -> bool {
        self.worker = match mem::replace(&mut self.worker, Worker::Busy) {
            Worker::Flushing(Some(waker), _) => Worker::Watching(waker),
            other => other,
        };
        self.line.has_woken()
    }

    /// Marks that the worker waits for something else than the flush. Returns the former waker.
    pub(super) fn watch(&mut self, waker: Waker) -> (Option<Waker>, bool) {
        (mem::replace(&mut self.worker, Worker::Watching(waker)).into_waker(), self.line.has_woken())
    }

    /// Marks that the flush, or whatever else the worker waited for, is over. Returns the former waker.
    pub(super) fn end_flush(&mut self) -> Option<Waker> {
        self.flushes_since = None;
        mem::replace(&mut self.worker, Worker::Busy).into_waker()
    }

    /// The worker's waker, if it waits for something to be due.
    pub(super) fn wake_worker(&mut self) -> Option<Waker> {
        match mem::replace(&mut self.worker, Worker::Busy) {
            Worker::Waiting(waker) => Some(waker),
            other => {
                self.worker = other;
                None
            }
        }
    }
}

impl<B: BatchBuffer, W: Storage> BatchQueueIn<B, W> {
    /// Waits in line for room, unless the flush has stalled.
    pub(super) fn wait_for_room(
        &mut self,
        item: B::Item,
        now: Instant,
        waiter: &mut Waiter,
        waker: &mut Option<Waker>,
    ) -> Push<B::Item> {
        // A flush cannot have begun later than now: the clock has stepped back.
        self.flushes_since = self.flushes_since.map(|since| since.earlier(now));
        let stalls_at = self.flushes_since.unwrap_or(now).after(self.stall_timeout);
        if self.flushes_since.is_some() && now >= stalls_at {
            return Push::Refused(AddError::Full(item));
        }
        // Between two flushes, when one stalls cannot be said: then nobody looks again and again, however soon that is.
        let look_at = if self.flushes_since.is_some() { stalls_at } else { stalls_at.later(now.after(TURN)) };
        let until = if self.wait(waiter, waker) { look_at } else { look_at.earlier(now.after(CROWDED)) };
        Push::Waiting(item, (until < Instant::MAX).then_some(until))
    }

    /// Leaves the line, if in it, so that others may go on; its waker is left in `waiter`.
    pub(super) fn leave(&mut self, waiter: &mut Waiter) -> Wake {
        let Some(ticket) = waiter.ticket.take() else { return Wake::default() };
        waiter.former = self.line.leave(ticket);
        let in_line = self.next_in_line();
        // Somebody's turn begins that the worker knows nothing of.
        let worker = if in_line.is_some() && self.turns.end.is_none() { self.rouse_worker() } else { None };
        Wake { worker, in_line }
    }

    /// One more of those in line who can go on: as many as there is room for; the adders, once it is stopped; those who
    /// wait for the end, once it is over.
    pub(super) fn next_in_line(&mut self) -> Option<Waker> {
        match self.turns.stopped {
            None => self.line.next_within(self.may_go()),
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

    /// Lets those go who were woken a turn ago and have not come, so that others may. Says when to look again: at once,
    /// if there is somebody to be woken.
    pub(super) fn take_turns(&mut self, now: Instant) -> (Option<Instant>, Wake) {
        let mut wake = Wake::default();
        // A turn that ends later than one from now was begun before the clock stepped back.
        if let Some((round, at)) = self.turns.end
            && (now >= at || at > now.after(TURN))
        {
            self.turns.end = None;
            if self.line.let_go(round) {
                self.turns.missed = self.turns.missed.saturating_add(1);
                wake.in_line = self.next_in_line();
            }
        }
        if self.turns.stopped.is_some() || !self.line.has_woken() {
            self.turns.end = None;
        } else if self.turns.end.is_none() {
            self.turns.end = Some((self.line.begin_round(), now.after(TURN)));
        }
        (self.turns.end.map(|(_, at)| at), wake)
    }

    /// The worker's waker, whatever it waits for.
    fn rouse_worker(&mut self) -> Option<Waker> {
        match mem::replace(&mut self.worker, Worker::Busy) {
            Worker::Waiting(waker) | Worker::Watching(waker) => Some(waker),
            other => {
                self.worker = other;
                None
            }
        }
    }
}

impl Worker {
    pub(super) fn into_waker(self) -> Option<Waker> {
        match self {
            Self::Absent | Self::Busy | Self::Flushing(None, _) => None,
            Self::Flushing(Some(waker), _) | Self::Waiting(waker) | Self::Watching(waker) => Some(waker),
        }
    }
}

impl Wake {
    /// Wakes the worker too.
    pub(super) fn beside(self, worker: Option<Waker>) -> Self {
        Self { worker: self.worker.or(worker), ..self }
    }
}
