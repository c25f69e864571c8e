//! Tasks that wait for a decision.

use core::{mem, task::Waker};

/// How many tasks are woken as soon as there is a decision; more of them look for it.
const PLACES: usize = 4;

/// Wakers on their way out of a lock.
pub(super) type Woken = heapless::Vec<Waker, PLACES>;

/// Places for tasks, each held by one future from its first poll to its end.
#[derive(Debug, Default)]
pub(super) struct Waiters([Place; PLACES]);

#[derive(Debug, Default)]
enum Place {
    #[default]
    Free,
    Held(Option<Waker>),
}

impl Waiters {
    pub(super) const fn new() -> Self {
        Self([const { Place::Free }; PLACES])
    }

    /// A place to wait in, if one is free.
    pub(super) fn join(&mut self) -> Option<usize> {
        let place = self.0.iter().position(|place| matches!(place, Place::Free))?;
        *self.0.get_mut(place)? = Place::Held(None);
        Some(place)
    }

    /// Leaves a waker in a place; returns the one before, to be dropped outside the lock.
    pub(super) fn wait(&mut self, place: usize, waker: Waker) -> Option<Waker> {
        match self.0.get_mut(place)? {
            Place::Held(before) => before.replace(waker),
            Place::Free => Some(waker),
        }
    }

    /// Gives up a place; returns its waker, to be dropped outside the lock.
    pub(super) fn leave(&mut self, place: usize) -> Option<Waker> {
        match mem::take(self.0.get_mut(place)?) {
            Place::Held(waker) => waker,
            Place::Free => None,
        }
    }

    /// All who wait, to be woken outside the lock.
    pub(super) fn wake(&mut self) -> Woken {
        let mut woken = Woken::new();
        for place in &mut self.0 {
            if let Place::Held(waker) = place
                && let Some(waker) = waker.take()
            {
                let _ = woken.push(waker); // as many as there are places
            }
        }
        woken
    }
}
