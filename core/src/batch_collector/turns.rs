//! Those who wait: the worker, and whoever is in line.

use core::task::Waker;

use super::line::Ticket;
use crate::foundation::time::Instant;

/// What the worker is doing.
pub(super) enum Worker {
    /// There is none.
    Absent,
    /// It is somewhere between two polls of what it waits for.
    Busy,
    /// It waits to be woken when something is due, or the time when it will be changes.
    Waiting(Waker),
    /// It waits for the flush, or until the next try.
    Watching(Waker),
    /// It polls the flush, with this waker and in this context: whoever is polled there just now is inside the flush.
    Flushing(Option<Waker>, Option<usize>),
}

/// Where a task waits.
#[derive(Default)]
pub(super) struct Waiter {
    pub(super) ticket: Option<Ticket>,
    /// A former waker, to be dropped outside the lock.
    pub(super) former: Option<Waker>,
}

/// Whom to wake outside the lock.
#[derive(Default)]
pub(super) struct Wake {
    pub(super) worker: Option<Waker>,
    /// One of those in line; there may be more, see `BatchQueueIn::next_in_line`.
    pub(super) in_line: Option<Waker>,
}

/// How far those in line are.
pub(super) struct Turns {
    /// Once stopped: where in line the adders end.
    pub(super) stopped: Option<Ticket>,
    /// Who was woken in this round or before and has not come by then is let go.
    pub(super) end: Option<(u32, Instant)>,
    /// How many times in a row nobody came; each time twice as many are woken.
    pub(super) missed: u32,
}

impl Turns {
    pub(super) const fn new() -> Self {
        Self { stopped: None, end: None, missed: 0 }
    }

    /// There is room for a whole batch.
    pub(super) const fn begin_batch(&mut self) {
        self.missed = 0;
    }
}
