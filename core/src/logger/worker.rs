//! Whoever writes what is due, and sleeps in between.

use core::{task::Waker, time::Duration};

use super::Logger;
use crate::foundation::time::{Instant, Span};

/// Whoever writes what is due, and sleeps in between.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    waker: Option<Waker>,
    /// Whose waker that is.
    number: u32,
    /// When it wakes by itself; [`Instant::MAX`] if never.
    pub(super) sleeps_until: Instant,
    /// Something is due before that.
    pub(super) is_late: bool,
}

impl Worker {
    pub(super) const fn new() -> Self {
        Self { waker: None, number: 0, sleeps_until: Instant::ZERO, is_late: false }
    }
}

/// One that waits: by its number it is known again, whatever waker it comes with.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Waiter(Option<u32>);

/// There is one waker; who comes while another waits looks again this often.
const LOOK_AGAIN: Span = Span::new(Duration::from_millis(100));

/// What one that waits has to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Write.
    Due,
    /// Sleep until then, with nobody to wake it, because another waits to be woken.
    LookAgain(Instant),
    /// End: the logger is shut down and empty.
    Over,
    /// Sleep, with a waker left behind.
    Until(Option<Instant>),
}

/// Whether one that waits may sleep.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Sleep {
    /// Something is due before it would wake, or another waits to be woken.
    No,
    /// It will be woken for whatever is due earlier.
    Yes,
    /// It needs a waker of its own first, which is made outside the lock.
    WithWaker,
}

impl<const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>
{
    /// What one that waits has to do now.
    pub(super) fn wait(&mut self, waiter: Waiter, now: Instant) -> Wait {
        self.observe(now);
        match self.next_deadline() {
            Some(at) if now >= at => Wait::Due,
            None if self.is_stopped => Wait::Over,
            at if self.has_other_than(waiter) => {
                let soon = now.after(LOOK_AGAIN);
                Wait::LookAgain(at.map_or(soon, |at| at.earlier(soon)))
            }
            at => Wait::Until(at),
        }
    }

    /// Keeps a waker for whatever is due before `until`: the one that is kept already, if it wakes the same, or `own`,
    /// which gets the one that it replaces, to be dropped outside the lock.
    pub(super) fn sleep(
        &mut self,
        waiter: &mut Waiter,
        until: Option<Instant>,
        waker: &Waker,
        own: &mut Option<Waker>,
    ) -> Sleep {
        let until = until.unwrap_or(Instant::MAX);
        let is_due = self.next_deadline().is_some_and(|at| at < until) || (self.is_stopped && self.slots.is_empty());
        if is_due || self.has_other_than(*waiter) {
            return Sleep::No;
        }
        if !self.worker.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            if own.is_none() {
                return Sleep::WithWaker;
            }
            core::mem::swap(&mut self.worker.waker, own);
        }
        self.worker.number = self.worker.number.wrapping_add(1);
        *waiter = Waiter(Some(self.worker.number));
        self.worker.sleeps_until = until;
        self.worker.is_late = false;
        Sleep::Yes
    }

    /// True if another has left its waker and was not woken since.
    fn has_other_than(&self, waiter: Waiter) -> bool {
        self.worker.waker.is_some() && waiter != Waiter(Some(self.worker.number))
    }

    /// The waker that is kept, if it is to wake earlier than it will by itself.
    pub(super) const fn take_waker(&mut self) -> Option<Waker> {
        if self.worker.is_late { self.worker.waker.take() } else { None }
    }

    /// Forgets one that waited, if its waker is the one that is kept.
    pub(super) fn leave(&mut self, waiter: Waiter) -> Option<Waker> {
        if self.has_other_than(waiter) { None } else { self.worker.waker.take() }
    }
}
