//! Tasks that wait in line.

use core::{mem, task::Waker};

use crate::{Allocate, Inline, Storage};

/// A line of waiting tasks: a ring of their wakers, in the order in which they came.
///
/// Whoever leaves from the middle leaves a gap that closes when the head reaches it. The caller says how many places
/// from the head on may go ([`next_within`](Self::next_within)), so that several can be on their way at once and nobody
/// has to hand over to the next.
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
}

pub(super) enum Slot {
    /// Left: a gap, or the unused part of the ring.
    Gone,
    /// To be woken.
    Waiting(Waker),
    /// Was woken and has not come back yet.
    Woken,
}

/// A place in line.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(super) struct Ticket(u64);

impl<const W: usize> Line<Inline<W>> {
    pub(super) const fn new() -> Self {
        Self { ring: [const { Slot::Gone }; W], allocate: None, head: 0, head_ticket: 0, len: 0, awake: 0 }
    }
}

impl<S: Allocate> Line<S> {
    /// A line that grows with the number of those who wait.
    pub(super) fn growing() -> Self {
        let allocate = |len| S::allocate(len, || Slot::Gone);
        Self { ring: allocate(0), allocate: Some(allocate), head: 0, head_ticket: 0, len: 0, awake: 0 }
    }
}

impl<S: Storage> Line<S> {
    /// Slots in use; at least as many as there are tasks in line.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Joins the end of the line; `None` if the ring is full.
    pub(super) fn join(&mut self, waker: &Waker) -> Option<Ticket> {
        if self.len >= self.ring.as_ref().len() {
            self.grow()?;
        }
        let index = self.index(self.len);
        *self.ring.as_mut().get_mut(index)? = Slot::Waiting(waker.clone());
        let ticket = self.end();
        self.len = self.len.saturating_add(1);
        Some(ticket)
    }

    /// How many slots are ahead of this ticket; `None` if it is not in line any more.
    pub(super) fn ahead(&self, ticket: Ticket) -> Option<usize> {
        let ahead = usize::try_from(ticket.0.checked_sub(self.head_ticket)?).ok()?;
        (ahead < self.len).then_some(ahead)
    }

    /// Goes on waiting; returns the former waker, to be dropped outside the lock.
    pub(super) fn stay(&mut self, ticket: Ticket, waker: &Waker) -> Option<Waker> {
        let ahead = self.ahead(ticket)?;
        let index = self.index(ahead);
        let slot = self.ring.as_mut().get_mut(index)?;
        if matches!(slot, Slot::Waiting(known) if known.will_wake(waker)) {
            return None;
        }
        self.awake = self.awake.min(ahead);
        match mem::replace(slot, Slot::Waiting(waker.clone())) {
            Slot::Waiting(former) => Some(former),
            Slot::Gone | Slot::Woken => None,
        }
    }

    /// Leaves the line; returns the waker, to be dropped outside the lock. O(gaps at the head).
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let index = self.index(self.ahead(ticket)?);
        let left = mem::replace(self.ring.as_mut().get_mut(index)?, Slot::Gone);
        while self.len > 0 && matches!(self.ring.as_ref().get(self.head), Some(Slot::Gone)) {
            self.advance();
        }
        match left {
            Slot::Waiting(waker) => Some(waker),
            Slot::Gone | Slot::Woken => None,
        }
    }

    /// The next to be woken among the first `places` in line. Amortised O(1).
    pub(super) fn next_within(&mut self, places: usize) -> Option<Waker> {
        while self.awake < self.len.min(places) {
            let index = self.index(self.awake);
            self.awake = self.awake.saturating_add(1);
            let slot = self.ring.as_mut().get_mut(index)?;
            if matches!(slot, Slot::Waiting(_))
                && let Slot::Waiting(waker) = mem::replace(slot, Slot::Woken)
            {
                return Some(waker);
            }
        }
        None
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
            if let Slot::Waiting(waker) = slot {
                return Some(waker);
            }
        }
        None
    }

    fn advance(&mut self) {
        self.head = self.index(1);
        self.head_ticket = self.head_ticket.saturating_add(1);
        self.len = self.len.saturating_sub(1);
        self.awake = self.awake.saturating_sub(1);
    }

    /// The index of the slot `ahead` places behind the head, at most the ring's length.
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

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
