//! Who waits for what, in the order of arrival.

use core::{mem, task::Waker};

/// Places for `W` waiting tasks, so that those who wait for the same thing are served in the order of their arrival.
///
/// It goes behind a [`Lock`](crate::Lock) of its own, beside the machine that is waited for; see
/// [`Shared::until_allowed`](crate::Shared::until_allowed). Every call is O(`W`).
#[derive(Debug)]
pub struct WaitList<const W: usize> {
    places: [Option<Place>; W],
    next_ticket: u64,
}

#[derive(Debug)]
struct Place {
    hash: u64,
    ticket: u64,
    waker: Option<Waker>,
}

impl<const W: usize> WaitList<W> {
    /// A list on which nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: [const { None }; W], next_ticket: 0 }
    }

    /// Takes a place at the end of the line for `hash`; `None` if all places are taken.
    pub(crate) fn join(&mut self, hash: u64) -> Option<u64> {
        let place = self.places.iter_mut().find(|place| place.is_none())?;
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        *place = Some(Place { hash, ticket, waker: None });
        Some(ticket)
    }

    /// True if `ticket` is the first in the line for `hash`; else `waker` is kept until it is, and is then the one before.
    pub(crate) fn is_first(&mut self, hash: u64, ticket: u64, waker: &mut Option<Waker>) -> bool {
        if self.first_of(hash) == Some(ticket) {
            return true;
        }
        if let Some(place) = self.places.iter_mut().flatten().find(|place| place.ticket == ticket) {
            mem::swap(&mut place.waker, waker);
        }
        false
    }

    /// Gives the place up; the waker of whoever is first now is to be woken. The place's own waker goes with `gone`, to be
    /// dropped outside the lock.
    pub(crate) fn leave(&mut self, hash: u64, ticket: u64, gone: &mut Option<Waker>) -> Option<Waker> {
        for place in &mut self.places {
            if place.as_ref().is_some_and(|place| place.ticket == ticket) {
                *gone = place.take().and_then(|place| place.waker);
            }
        }
        let first = self.first_of(hash)?;
        self.places.iter_mut().flatten().find(|place| place.ticket == first)?.waker.take()
    }

    fn first_of(&self, hash: u64) -> Option<u64> {
        let line = self.places.iter().flatten().filter(|place| place.hash == hash);
        line.map(|place| place.ticket).min()
    }
}

impl<const W: usize> Default for WaitList<W> {
    fn default() -> Self {
        Self::new()
    }
}
