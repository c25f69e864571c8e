//! Entries for those who have none, and what a clock that stepped back leaves ahead.

use core::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    num::NonZeroU32,
};

use super::{CostExceedsBurst, Decision, OnFull, Quota, RateLimiterIn};
use crate::foundation::{
    storage::Storage,
    time::{Instant, Span},
};

/// Where a request is decided.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// The entry that its key has.
    Known(usize),
    /// The entry that its key got just now.
    New(usize),
    /// Nowhere, since there is no entry to be had.
    Nowhere(Result<Decision, CostExceedsBurst>),
    /// The quota of all that have no entry; at the latest at this instant there is one.
    Shared(Instant),
}

/// At how many entries a newcomer to a full table looks to find an idle one: in a table of no more, at all of them.
const SEARCH: usize = 32;

/// At how many of them at its home, in a larger table.
const NEAR: usize = 8;

/// A reading of the clock that is older than the latest one by no more than this may be that of a thread that was late,
/// and ages nobody's state but that of its own key.
const LATE: Span = Span::from_nanos(1_000_000_000);

impl<K, A: Quota, S: Storage, H> RateLimiterIn<K, A, S, H> {
    /// Notes the time. When the clock has stepped back, every state that lies ahead of it is cut, whoever asks.
    #[inline]
    pub(super) fn observe(&mut self, now: Instant) {
        if now >= self.latest {
            self.latest = now;
        } else if self.latest.since(now) > LATE {
            self.mend(now);
        }
    }

    /// Cuts every state to what there can be at `now`. O(capacity).
    #[cold]
    #[inline(never)]
    pub(super) fn mend(&mut self, now: Instant) {
        self.latest = now;
        for slot in 0..self.table.slots() {
            if let Some(state) = self.table.get_mut(slot) {
                self.quota.mend(state, now);
            }
        }
        self.quota.mend(&mut self.overflow, now);
    }

    /// [`observe`](Self::observe) for a call that looks at every entry anyway.
    pub(super) fn observe_all(&mut self, now: Instant) {
        if now >= self.latest {
            self.latest = now;
        } else {
            self.mend(now);
        }
    }

    /// The time of a request whose caller has read the clock before: a reading that is older than the latest one is late,
    /// if another says so.
    pub(super) fn on_time(&self, reading: Instant, clock: impl FnOnce() -> Instant) -> Instant {
        if reading >= self.latest {
            return reading;
        }
        let now = reading.max(clock());
        if now < self.latest && self.latest.since(now) <= LATE { self.latest } else { now }
    }

    /// An idle entry for a newcomer to a full table, or an instant at which there is one.
    ///
    /// Where the hand is, which goes round: whoever came first goes first, so an idle entry is found as long as there are
    /// some. Else at the newcomer's home: those entries are the same each time, so it is true when one of them is idle.
    pub(super) fn find_idle(&mut self, hash: u64, now: Instant) -> Found {
        let is_small = self.table.capacity() <= SEARCH;
        let far = if is_small { SEARCH } else { SEARCH.saturating_sub(NEAR) };
        let (mut idle, hand) = self.idle_from(self.hand, far, now);
        if idle.is_err() && !is_small {
            (idle, _) = self.idle_from(self.table.home_of(hash), NEAR, now);
        }
        Found { idle, hand }
    }

    /// An idle entry among the first `most` from a slot on, going round, or when one of them is; and the slot behind.
    fn idle_from(&mut self, start: usize, most: usize, now: Instant) -> (Result<usize, Instant>, usize) {
        let slots = self.table.slots();
        let (mut slot, mut looked_at, mut idle_at) = (start, 0_usize, Instant::MAX);
        for _ in 0..slots {
            if let Some(state) = self.table.get_mut(slot) {
                if looked_at == most {
                    break;
                }
                if now < self.latest {
                    self.quota.mend(state, now);
                }
                if self.quota.is_idle(state, now) {
                    return (Ok(slot), after(slot, slots));
                }
                idle_at = idle_at.earlier(self.quota.reset_at(state, now));
                looked_at = looked_at.saturating_add(1);
            }
            slot = after(slot, slots);
        }
        (Err(idle_at), slot)
    }
}

/// What the search for an idle entry came to.
pub(super) struct Found {
    /// Its slot, or an instant at which there is one.
    pub(super) idle: Result<usize, Instant>,
    /// Where the hand is then.
    hand: usize,
}

/// The slot behind one, going round.
const fn after(slot: usize, slots: usize) -> usize {
    let next = slot.saturating_add(1);
    if next < slots { next } else { 0 }
}

impl<K: Eq + Hash, A: Quota, S: Storage, H: BuildHasher> RateLimiterIn<K, A, S, H> {
    /// An entry for a key that has none, or what decides instead; `None`, and nothing changed, if it takes an entry and
    /// `own` has no key. Whose entry is reused is `gone`. Not inlined: the hits are what has to be fast.
    #[inline(never)]
    pub(super) fn place_for_new<Q>(
        &mut self,
        hash: u64,
        key: &Q,
        own: impl FnOnce(&Q) -> Option<K>,
        gone: impl FnMut(K, A::State),
        cost: NonZeroU32,
        now: Instant,
    ) -> Option<Place>
    where
        K: Borrow<Q>,
        Q: ?Sized,
    {
        let limit = self.quota.limit();
        if cost.get() > limit {
            let never = Decision::Deny { retry_at: Instant::MAX };
            return Some(Place::Nowhere(if limit == 0 { Ok(never) } else { Err(CostExceedsBurst { limit }) }));
        }
        let found = if self.table.is_full() { Some(self.find_idle(hash, now)) } else { None };
        if let Some(Found { idle: Err(idle_at), hand }) = found {
            self.hand = hand;
            self.stats.overflowed = self.stats.overflowed.saturating_add(1);
            return Some(match self.on_full {
                OnFull::Deny => Place::Nowhere(Ok(Decision::Deny { retry_at: idle_at })),
                OnFull::Share => Place::Shared(idle_at),
            });
        }
        let owned = own(key)?;
        let mut freed = None;
        if let Some(Found { idle: Ok(slot), hand }) = found {
            self.forget(slot, gone);
            self.hand = hand;
            self.stats.reused = self.stats.reused.saturating_add(1);
            freed = Some(slot);
        }
        let inserted = self.table.insert_with(hash, freed, owned, || A::IDLE);
        // Full it cannot be.
        Some(inserted.map_or(Place::Shared(Instant::MAX), Place::New))
    }

    /// Takes an entry out. On its own, so that a large state is on the stack for no longer than that takes.
    #[inline(never)]
    pub(super) fn forget(&mut self, slot: usize, mut gone: impl FnMut(K, A::State)) {
        if let Some((key, state)) = self.table.remove(slot) {
            gone(key, state);
        }
    }
}
