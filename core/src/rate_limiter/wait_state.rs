//! One who waits for a limiter, between two polls.

use core::{fmt, mem, num::NonZeroU32, pin::Pin, task::Waker, time::Duration};

use pin_project_lite::pin_project;

use super::{CostExceedsBurst, WaitError};
use crate::foundation::{
    shared::Lock,
    time::Instant,
    wait_list::{Turn, WaitList, WaitQueue},
};

/// For adapters: what somebody waits for.
#[derive(Debug)]
pub struct WaitRequest<'a, Q: ?Sized> {
    /// What the limiter's [`hash`](super::RateLimiterIn::hash) of `key` is; it says who waits for the same.
    pub hash: u64,
    /// Whose quota it is.
    pub key: &'a Q,
    /// How often it counts.
    pub cost: NonZeroU32,
    /// The longest wait; without it none is too long.
    pub longest: Option<Duration>,
}

pin_project! {
    /// For adapters: a wait of [`poll_until_allowed`](crate::Shared::poll_until_allowed), whose timer sleeps by `S`.
    pub struct WaitState<S> {
        #[pin]
        pub(super) sleep: Option<S>,
        pub(super) wakes_at: Option<Instant>,
        pub(super) stage: Stage,
    }
}

pub(super) enum Stage {
    New,
    Waiting(Waiter),
    Over,
}

impl<S> WaitState<S> {
    /// A wait that has not begun.
    #[must_use]
    pub const fn new() -> Self {
        Self { sleep: None, wakes_at: None, stage: Stage::New }
    }

    /// True until it is first polled.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        matches!(self.stage, Stage::New)
    }

    /// What it waits for, once it does.
    pub(super) const fn hash(&self) -> Option<u64> {
        match &self.stage {
            Stage::Waiting(waiter) => Some(waiter.hash),
            Stage::New | Stage::Over => None,
        }
    }

    /// Ends the wait: frees its place, and wakes whoever is first now.
    pub fn leave(self: Pin<&mut Self>, queue: &impl WaitQueue) {
        let mut this = self.project();
        if let Stage::Waiting(waiter) = mem::replace(this.stage, Stage::Over) {
            this.sleep.set(None);
            queue.leave(waiter.hash, waiter.ticket);
        }
    }
}

impl<S> Default for WaitState<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> fmt::Debug for WaitState<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitState").finish_non_exhaustive()
    }
}

/// What a wait ends with: nothing where it cannot fail, and else a `Result`.
pub trait WaitOutput {
    /// The end of a wait.
    fn of(end: Result<(), WaitError>) -> Self;
}

impl WaitOutput for () {
    fn of(_: Result<(), WaitError>) {}
}

impl WaitOutput for Result<(), CostExceedsBurst> {
    fn of(end: Result<(), WaitError>) -> Self {
        match end {
            Err(WaitError::CostExceedsBurst { limit }) => Err(CostExceedsBurst { limit }),
            _ => Ok(()),
        }
    }
}

impl WaitOutput for Result<(), WaitError> {
    fn of(end: Self) -> Self {
        end
    }
}

/// One who waits.
pub(super) struct Waiter {
    pub(super) hash: u64,
    pub(super) cost: NonZeroU32,
    pub(super) ticket: u64,
    pub(super) has_place: bool,
    pub(super) since: Instant,
    pub(super) looked_at: Instant,
    pub(super) deadline: Instant,
}

impl Waiter {
    /// Until when it waits; that goes along with a clock that steps back.
    pub(super) fn deadline(&mut self, now: Instant) -> Instant {
        if self.deadline < Instant::MAX {
            self.deadline = self.deadline.before(self.looked_at.since(now));
        }
        self.looked_at = now;
        self.deadline
    }

    pub(super) fn turn<const W: usize>(
        &mut self,
        queue: &impl Lock<Target = WaitList<W>>,
        now: Instant,
        waker: &Waker,
    ) -> Turn {
        // Cloned and dropped outside the lock: the last waker of a task may drop the task.
        let mut waker = Some(waker.clone());
        let mut claim = if self.has_place { None } else { waker.clone() };
        queue.with(|queue| {
            if !self.has_place {
                self.has_place = queue.enter((self.hash, self.cost, self.ticket), now, &mut claim);
            }
            match queue.turn(self.hash, self.ticket, now, &mut waker) {
                Turn::After(at) if !self.has_place => Turn::Beyond { ahead: queue.ahead(self.ticket), at },
                turn => turn,
            }
        })
    }
}
