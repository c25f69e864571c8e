//! The ledger: what keys without an entry owe.
//!
//! A cell is found by a key's fingerprint. It holds the larger debt of all the keys that share it, so each key owes at
//! most what its cell says: a key that starts with that never gets more than its quota.

use core::fmt;

use super::{
    Held, Quota,
    lines::{Print, scale},
};
use crate::foundation::{
    storage::{Allocate, Inline, Storage},
    time::{Halves, Instant},
};

/// What the keys of a cell owe at most.
pub(super) struct Cell<A: Quota> {
    idle_at: Halves,
    count: A::Count,
}

impl<A: Quota> Cell<A> {
    const CLEAN: Self = Self { idle_at: Halves::ZERO, count: A::NOTHING };
}

impl<A: Quota<Count: fmt::Debug>> fmt::Debug for Cell<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.idle_at, self.count).fmt(f)
    }
}

pub(super) struct Ledger<A: Quota, S: Storage> {
    cells: S::Of<Cell<A>>,
    /// From then on nobody owes anything.
    owed_until: Instant,
}

impl<A: Quota, const N: usize> Ledger<A, Inline<N>> {
    pub(super) const fn new() -> Self {
        Self { cells: [const { Cell::CLEAN }; N], owed_until: Instant::ZERO }
    }
}

impl<A: Quota, S: Allocate> Ledger<A, S> {
    pub(super) fn allocate(cells: usize) -> Self {
        Self { cells: S::allocate(cells, || Cell::CLEAN), owed_until: Instant::ZERO }
    }
}

impl<A: Quota, S: Storage> Ledger<A, S> {
    /// True if there is one.
    pub(super) fn is_kept(&self) -> bool {
        !self.cells.as_ref().is_empty()
    }

    /// What a key without an entry owes.
    pub(super) fn owed(&self, print: Print, now: Instant) -> (Instant, A::Count) {
        if now < self.owed_until {
            let cells = self.cells.as_ref();
            if let Some(cell) = cells.get(scale(print, cells.len()))
                && now < cell.idle_at.get()
            {
                return (cell.idle_at.get(), cell.count);
            }
        }
        (Instant::ZERO, A::NOTHING)
    }

    /// Puts down what a key without an entry owes now, which is no less than before.
    pub(super) fn put(&mut self, print: Print, idle_at: Instant, count: A::Count) {
        let cells = self.cells.as_mut();
        if let Some(cell) = cells.get_mut(scale(print, cells.len())) {
            *cell = Cell { idle_at: Halves::new(idle_at), count };
            self.owed_until = self.owed_until.later(idle_at);
        }
    }

    /// Puts down what a key owes that loses its entry.
    pub(super) fn settle(&mut self, print: Print, quota: &A, idle_at: Instant, beside: &A::Beside, now: Instant) {
        let (before, mut count) = self.owed(print, now);
        quota.settle(idle_at, beside, &mut count, now);
        self.put(print, before.later(idle_at), count);
    }

    /// Cuts what lies ahead of a clock that stepped back.
    pub(super) fn mend(&mut self, quota: &A, now: Instant) {
        // A count may lie ahead where the cell does not, and have been counted by a quota that takes longer.
        let latest = quota.latest(now);
        if latest < self.owed_until || size_of::<A::Count>() > 0 {
            for cell in self.cells.as_mut() {
                cell.idle_at = Halves::new(quota.mend(cell.idle_at.get(), Held::Cell(&mut cell.count), now));
            }
            if size_of::<A::Count>() == 0 {
                self.owed_until = self.owed_until.earlier(latest);
            }
        }
    }

    /// Keeps what was counted under another quota.
    pub(super) fn carry_over(&mut self, quota: &A, former: &A, now: Instant) {
        if self.owed_until <= now {
            return;
        }
        self.owed_until = Instant::ZERO;
        for cell in self.cells.as_mut() {
            let idle_at = cell.idle_at.get();
            if now < idle_at {
                let idle_at = quota.carry_over(former, idle_at, Held::Cell(&mut cell.count), now);
                cell.idle_at = Halves::new(idle_at);
                self.owed_until = self.owed_until.later(idle_at);
            }
        }
    }

    /// Forgets all debts.
    pub(super) fn clear(&mut self) {
        self.cells.as_mut().fill_with(|| Cell::CLEAN);
        self.owed_until = Instant::ZERO;
    }
}

/// Shows the cells that owe something.
impl<A: Quota<Count: fmt::Debug>, S: Storage> fmt::Debug for Ledger<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells = self.cells.as_ref().iter().enumerate();
        f.debug_map().entries(cells.filter(|(_, cell)| cell.idle_at.get() > Instant::ZERO)).finish()
    }
}
