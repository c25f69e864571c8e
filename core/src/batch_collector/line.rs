//! Tasks that wait in line.

use core::{mem, task::Waker};

use crate::foundation::storage::{Allocate, Inline, Storage};

/// A line of waiting tasks: a ring of their wakers, in the order in which they came.
///
/// Whoever leaves from the middle leaves a gap that closes when the head reaches it. The caller says how many
/// from the head on may go ([`next_within`](Self::next_within)), so that several can be on their way at once and nobody
/// has to hand over to the next. Whoever does not come is [let go](Self::let_go). Wakers are cloned and dropped by the
/// caller, outside the lock.
pub(super) struct Line<S: Storage> {
    ring: S::Of<Slot>,
    /// Makes a ring of another length, where the memory allows it.
    allocate: Option<fn(usize) -> S::Of<Slot>>,
    /// The index in the ring of the first in line, and its ticket.
    head: usize,
    head_ticket: u64,
    /// Slots from the head on that are in use, gaps included.
    len: usize,
    /// Slots from the head on in which no waker waits.
    awake: usize,
    /// How many were woken and have not come back.
    woken: usize,
    round: u32,
}

pub(super) enum Slot {
    /// Left: a gap, or the unused part of the ring.
    Gone,
    /// To be woken.
    Waiting(Waker),
    /// Was woken, in this round, and has not come back yet.
    Woken(u32),
}

/// The number of one in line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(super) struct Ticket(u64);

impl<const W: usize> Line<Inline<W>> {
    pub(super) const fn new() -> Self {
        Self::with([const { Slot::Gone }; W], None)
    }
}

impl<S: Allocate> Line<S> {
    /// A line that grows with the number of those who wait.
    pub(super) fn growing() -> Self {
        let allocate = |len| S::allocate(len, || Slot::Gone);
        Self::with(allocate(0), Some(allocate))
    }
}

impl<S: Storage> Line<S> {
    const fn with(ring: S::Of<Slot>, allocate: Option<fn(usize) -> S::Of<Slot>>) -> Self {
        Self { ring, allocate, head: 0, head_ticket: 0, len: 0, awake: 0, woken: 0, round: 0 }
    }

    /// Slots in use; at least as many as there are tasks in line.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Joins the end of the line with a waker; `None`, and the waker stays where it is, if the ring is full.
    pub(super) fn join(&mut self, waker: &mut Option<Waker>) -> Option<Ticket> {
        if self.len >= self.ring.as_ref().len() {
            self.grow()?;
        }
        let index = self.index(self.len);
        *self.ring.as_mut().get_mut(index)? = Slot::Waiting(waker.take()?);
        let ticket = self.end();
        self.len = self.len.saturating_add(1);
        Some(ticket)
    }

    /// How many slots are ahead of this ticket; `None` if it is not in line any more.
    pub(super) fn ahead(&self, ticket: Ticket) -> Option<usize> {
        let ahead = usize::try_from(ticket.0.checked_sub(self.head_ticket)?).ok()?;
        (ahead < self.len).then_some(ahead)
    }

    /// Goes on waiting with another waker; the former one is left there, to be dropped outside the lock.
    pub(super) fn stay(&mut self, ticket: Ticket, waker: &mut Option<Waker>) {
        let Some(ahead) = self.ahead(ticket) else { return };
        let index = self.index(ahead);
        let (Some(slot), Some(new)) = (self.ring.as_mut().get_mut(index), waker.take()) else { return };
        self.awake = self.awake.min(ahead);
        *waker = mem::replace(slot, Slot::Waiting(new)).vacate(&mut self.woken);
    }

    /// Leaves the line; returns the waker, to be dropped outside the lock. O(gaps at the head).
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let index = self.index(self.ahead(ticket)?);
        let left = mem::replace(self.ring.as_mut().get_mut(index)?, Slot::Gone);
        self.close_gap();
        left.vacate(&mut self.woken)
    }

    /// The next to be woken among the first `may_go` in line. Amortised O(1).
    pub(super) fn next_within(&mut self, may_go: usize) -> Option<Waker> {
        while self.awake < self.len.min(may_go) {
            let index = self.index(self.awake);
            self.awake = self.awake.saturating_add(1);
            let slot = self.ring.as_mut().get_mut(index)?;
            if matches!(slot, Slot::Waiting(_))
                && let Slot::Waiting(waker) = mem::replace(slot, Slot::Woken(self.round))
            {
                self.woken = self.woken.saturating_add(1);
                return Some(waker);
            }
        }
        None
    }

    /// True if somebody was woken and has not come back yet.
    pub(super) const fn has_woken(&self) -> bool {
        self.woken > 0
    }

    /// Begins a round of wake-ups, and returns the number of the one before.
    pub(super) const fn begin_round(&mut self) -> u32 {
        let before = self.round;
        self.round = before.wrapping_add(1);
        before
    }

    /// Lets those go who were woken in this round or before and have not come back; true if there were any. O(len).
    pub(super) fn let_go(&mut self, round: u32) -> bool {
        let woken = self.woken;
        for ahead in 0..self.len {
            let index = self.index(ahead);
            if let Some(slot) = self.ring.as_mut().get_mut(index)
                && matches!(slot, Slot::Woken(woken_in) if round.wrapping_sub(*woken_in) <= u32::MAX / 2)
            {
                *slot = Slot::Gone;
                self.woken = self.woken.saturating_sub(1);
            }
        }
        self.close_gap();
        self.woken < woken
    }

    /// The ticket of whoever joins next.
    pub(super) const fn end(&self) -> Ticket {
        Ticket(self.head_ticket.saturating_add(self.len as u64))
    }

    /// Takes the first waker before `end` out of the line; `None` once all these tickets are void.
    pub(super) fn dismiss(&mut self, end: Ticket) -> Option<Waker> {
        while self.len > 0 && Ticket(self.head_ticket) < end {
            let slot = mem::replace(self.ring.as_mut().get_mut(self.head)?, Slot::Gone);
            self.advance();
            if let Some(waker) = slot.vacate(&mut self.woken) {
                return Some(waker);
            }
        }
        None
    }

    fn close_gap(&mut self) {
        while self.len > 0 && matches!(self.ring.as_ref().get(self.head), Some(Slot::Gone)) {
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.head = self.index(1);
        self.head_ticket = self.head_ticket.saturating_add(1);
        self.len = self.len.saturating_sub(1);
        self.awake = self.awake.saturating_sub(1);
    }

    /// The index of the slot that has `ahead` before it, at most the ring's length.
    fn index(&self, ahead: usize) -> usize {
        let index = self.head.saturating_add(ahead);
        index.checked_sub(self.ring.as_ref().len()).unwrap_or(index)
    }

    fn grow(&mut self) -> Option<()> {
        let mut ring = (self.allocate?)(self.len.saturating_mul(2).max(4));
        for (ahead, slot) in (0..self.len).zip(ring.as_mut()) {
            let index = self.index(ahead);
            *slot = mem::replace(self.ring.as_mut().get_mut(index)?, Slot::Gone);
        }
        self.ring = ring;
        self.head = 0;
        Some(())
    }
}

impl Slot {
    /// The waker in it; one that was woken is no longer among the `woken`.
    fn vacate(self, woken: &mut usize) -> Option<Waker> {
        match self {
            Self::Waiting(waker) => return Some(waker),
            Self::Woken(_) => *woken = woken.saturating_sub(1),
            Self::Gone => {}
        }
        None
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
