//! Whoever writes what is due, and sleeps in between.

use core::task::Waker;

use super::Logger;
use crate::Instant;

/// Whoever writes what is due, and sleeps in between.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    pub(super) waker: Option<Waker>,
    /// When it wakes by itself; [`Instant::MAX`] if never.
    pub(super) sleeps_until: Instant,
    /// Something is due before that.
    pub(super) is_late: bool,
}

/// What the worker has to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    /// Write.
    Due,
    /// End: the logger is shut down and empty.
    Over,
    /// Sleep.
    Until(Option<Instant>),
}

impl<const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>
{
    /// What the worker has to do now.
    pub(super) fn wait(&self, now: Instant) -> Wait {
        match self.next_deadline() {
            Some(at) if now >= at => Wait::Due,
            None if self.is_stopped => Wait::Over,
            at => Wait::Until(at),
        }
    }

    /// Keeps `waker` for whatever is due before `until`: false if something is already. Also returns the waker that it
    /// replaces, to be dropped outside the lock.
    pub(super) fn sleep(&mut self, until: Option<Instant>, waker: &Waker) -> (bool, Option<Waker>) {
        let until = until.unwrap_or(Instant::MAX);
        if self.next_deadline().is_some_and(|at| at < until) || (self.is_stopped && self.slots.is_empty()) {
            return (false, None);
        }
        let replaced = match &self.worker.waker {
            Some(known) if known.will_wake(waker) => None,
            _ => self.worker.waker.replace(waker.clone()),
        };
        self.worker.sleeps_until = until;
        self.worker.is_late = false;
        (true, replaced)
    }

    /// The worker's waker, if it is to wake earlier than it will by itself.
    pub(super) const fn take_waker(&mut self) -> Option<Waker> {
        if self.worker.is_late { self.worker.waker.take() } else { None }
    }

    /// Forgets the worker.
    pub(super) const fn leave(&mut self) -> Option<Waker> {
        self.worker.waker.take()
    }
}
