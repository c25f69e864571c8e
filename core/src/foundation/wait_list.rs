//! Who waits for what, in the order of arrival.

use core::{mem, num::NonZeroU32, task::Waker};

use crate::foundation::{
    shared::Lock,
    time::{Instant, Span},
};

/// A fair queue with room for `W` waiters (first come, first served).
///
/// It goes behind a [`Lock`] of its own, beside the state machine that is waited for; see
/// [`Shared::until_allowed`](crate::foundation::shared::Shared::until_allowed). Every call is O(`W`). Keys are told
/// apart by their hash, of 64 bits where the hasher has as many: two keys of one hash would wait for each other.
#[derive(Debug)]
pub struct WaitList<const W: usize> {
    places: [Option<Place>; W],
    next_ticket: u64,
    /// How many wait.
    len: u32,
    /// How many of them wait without a place.
    beyond: u32,
    /// The one of them that gets the next place, as far as they have shown themselves.
    claim: Option<Claim>,
}

#[derive(Debug)]
struct Place {
    hash: u64,
    ticket: u64,
    cost: NonZeroU32,
    /// When whoever is first asks again, if that is known: from then on it keeps others waiting for [`GRACE`] only.
    asks_at: Option<Instant>,
    /// It was not polled when it had to be. It keeps nobody waiting until it is.
    is_asleep: bool,
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Claim {
    ticket: u64,
    ends_at: Instant,
    waker: Option<Waker>,
}

/// What one who waits is to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Turn {
    /// It is first: it may ask.
    Mine,
    /// Others are before it. If it is still so at that time, they were not polled, and it is its turn.
    After(Instant),
    /// There is no place, and about so many are before it; the time is as for [`After`](Self::After).
    Beyond { ahead: u32, at: Instant },
}

/// For how long each of those before a waiter keeps it waiting without being polled, from when it should have been.
pub(crate) const GRACE: Span = Span::from_nanos(5_000_000);

/// The longest sleep of one who waits, whatever it has been told: so nothing that happens unseen can keep it longer.
pub(crate) const LOOK_AGAIN: Span = Span::from_nanos(1_000_000_000);

/// For how long a waiter without a place keeps the next one free for itself: until it has surely looked again.
const CLAIM: Span = LOOK_AGAIN.times(2);

/// The lock of a [`WaitList`], however many places that has.
pub trait WaitQueue: Lock {
    /// For adapters: one who waits leaves, and whoever is first now is woken.
    fn leave(&self, hash: u64, ticket: u64);
}

impl<L: Lock<Target = WaitList<W>>, const W: usize> WaitQueue for L {
    fn leave(&self, hash: u64, ticket: u64) {
        let [gone, first, heir] = self.with(|queue| queue.leave(hash, ticket));
        first.into_iter().chain(heir).for_each(|waker| self.outside(|| waker.wake()));
        drop(gone);
    }
}

impl<const W: usize> WaitList<W> {
    /// A list on which nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self { places: [const { None }; W], next_ticket: 0, len: 0, beyond: 0, claim: None }
    }

    /// Wakes all who wait, so that they ask again.
    ///
    /// To be called after a change that lets something be allowed earlier, where it was made on the state machine
    /// itself ([`Shared::with`](crate::foundation::shared::Shared::with)): another quota, a refund, a cleanup. Without
    /// it those who wait notice within a second. A waker is woken outside the lock.
    ///
    /// ```
    /// use core::cell::RefCell;
    /// use steadfast_core::foundation::wait_list::WaitList;
    ///
    /// let queue = RefCell::new(WaitList::<4>::new());
    /// // ... limiter.with(|limiter, now| ...);
    /// WaitList::wake_all(&queue);
    /// ```
    pub fn wake_all(queue: &impl Lock<Target = Self>) {
        Self::wake_where(queue, |_| true);
    }

    /// [`wake_all`](Self::wake_all) of those who wait for `hash`.
    pub(crate) fn wake(queue: &impl Lock<Target = Self>, hash: u64) {
        Self::wake_where(queue, |other| other == hash);
    }

    fn wake_where(queue: &impl Lock<Target = Self>, is_meant: impl Fn(u64) -> bool) {
        let wakers = queue.with(|queue| {
            queue.places.each_mut().map(|place| {
                let place = place.as_mut().filter(|place| is_meant(place.hash))?;
                place.asks_at = None;
                place.waker.take()
            })
        });
        wakers.into_iter().flatten().for_each(|waker| queue.outside(|| waker.wake()));
    }

    /// True if nobody who may be expected to ask waits for `hash`.
    pub(crate) fn is_clear(&self, hash: u64) -> bool {
        self.len == 0 || !self.places.iter().flatten().any(|place| place.hash == hash && !place.is_asleep)
    }

    /// How many wait, in a place or without one.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// True if nobody waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How much those ask for who wait for `hash`.
    pub(crate) fn cost(&self, hash: u64) -> u32 {
        let line = self.places.iter().flatten().filter(|place| place.hash == hash && !place.is_asleep);
        line.fold(0, |cost, place| cost.saturating_add(place.cost.get()))
    }

    /// Takes a place at the end of the line for `hash`, if there is one and nobody waits for it; with a ticket in any case.
    pub(crate) fn join(&mut self, hash: u64, cost: NonZeroU32) -> (u64, bool) {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        self.len = self.len.saturating_add(1);
        let has_place = self.beyond == 0 && self.take(hash, cost, ticket);
        if !has_place {
            self.beyond = self.beyond.saturating_add(1);
        }
        (ticket, has_place)
    }

    fn take(&mut self, hash: u64, cost: NonZeroU32, ticket: u64) -> bool {
        let Some(place) = self.places.iter_mut().find(|place| place.is_none()) else { return false };
        *place = Some(Place { hash, ticket, cost, asks_at: None, is_asleep: false, waker: None });
        true
    }

    /// Takes a place for one who had none, unless an older one waits for it; `waker` is kept to be woken when one is free.
    pub(crate) fn enter(
        &mut self,
        (hash, cost, ticket): (u64, NonZeroU32, u64),
        now: Instant,
        waker: &mut Option<Waker>,
    ) -> bool {
        let longest = now.after(CLAIM);
        let is_older = |claim: &Claim| claim.ticket < ticket && now < claim.ends_at && claim.ends_at <= longest;
        if self.claim.as_ref().is_some_and(is_older) {
            return false;
        }
        if self.take(hash, cost, ticket) {
            self.beyond = self.beyond.saturating_sub(1);
            *waker = self.claim.take_if(|claim| claim.ticket == ticket).and_then(|claim| claim.waker);
            return true;
        }
        let before = self.claim.replace(Claim { ticket, ends_at: longest, waker: waker.take() });
        *waker = before.and_then(|claim| claim.waker);
        false
    }

    /// Whether it is the turn of `ticket`, who is polled now; `waker` is kept if it has a place, and is then the one
    /// before.
    pub(crate) fn turn(&mut self, hash: u64, ticket: u64, now: Instant, waker: &mut Option<Waker>) -> Turn {
        let mut ahead = 0_u64;
        let mut first: Option<&mut Place> = None;
        for place in self.places.iter_mut().flatten().filter(|place| place.hash == hash) {
            if place.ticket == ticket {
                place.is_asleep = false;
                mem::swap(&mut place.waker, waker);
            } else if place.ticket < ticket && !place.is_asleep {
                ahead = ahead.saturating_add(1);
                if first.as_ref().is_none_or(|first| place.ticket < first.ticket) {
                    first = Some(place);
                }
            }
        }
        let Some(first) = first else { return Turn::Mine };
        // Further ahead than anybody sleeps it was put down before the clock stepped back.
        let asks_at = first.asks_at.unwrap_or(now).earlier(now.after(LOOK_AGAIN));
        first.asks_at = Some(asks_at);
        let after = asks_at.after(GRACE.times(ahead));
        if now < after {
            return Turn::After(after);
        }
        for place in self.places.iter_mut().flatten() {
            place.is_asleep |= place.hash == hash && place.ticket < ticket;
        }
        Turn::Mine
    }

    /// About how many are before `ticket`, who has no place.
    pub(crate) fn ahead(&self, ticket: u64) -> u32 {
        let first = self.places.iter().flatten().map(|place| place.ticket).min().unwrap_or(ticket);
        u32::try_from(ticket.saturating_sub(first)).unwrap_or(u32::MAX)
    }

    /// Puts down when `ticket`, who is first, asks again.
    pub(crate) fn asks_at(&mut self, ticket: u64, at: Instant) {
        if let Some(place) = self.places.iter_mut().flatten().find(|place| place.ticket == ticket) {
            place.asks_at = Some(at);
        }
    }

    /// Gives up the place, or the wish for one. The first waker of those returned is to be dropped, and the others are
    /// to be woken: of whoever is first now, and of whoever gets the place.
    pub(crate) fn leave(&mut self, hash: u64, ticket: u64) -> [Option<Waker>; 3] {
        self.len = self.len.saturating_sub(1);
        let is_mine = |place: &Option<Place>| place.as_ref().is_some_and(|place| place.ticket == ticket);
        let Some(place) = self.places.iter_mut().find(|place| is_mine(place)).and_then(Option::take) else {
            self.beyond = self.beyond.saturating_sub(1);
            return [self.claim.take_if(|claim| claim.ticket == ticket).and_then(|claim| claim.waker), None, None];
        };
        let line = self.places.iter_mut().flatten().filter(|place| place.hash == hash && !place.is_asleep);
        let next = line.min_by_key(|place| place.ticket).and_then(|next| {
            if !place.is_asleep && place.ticket < next.ticket {
                // From the same time on as for this one: it was woken then, or will be now.
                next.asks_at = place.asks_at;
                next.waker.take()
            } else {
                None
            }
        });
        [place.waker, next, self.claim.as_mut().and_then(|claim| claim.waker.take())]
    }
}

impl<const W: usize> Default for WaitList<W> {
    fn default() -> Self {
        Self::new()
    }
}
