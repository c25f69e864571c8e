//! What becomes of a key that has no entry.

use core::num::NonZeroU32;

use super::{
    CostExceedsBurst, Decision, Held, Naming, ONE, OnFull, Quota, RateLimiterIn,
    lines::{Print, print_of},
};
use crate::foundation::{
    storage::Storage,
    time::{Instant, Span},
};

/// A reading of the clock that is older than the latest one by no more than this may be that of a thread that was late,
/// and ages nobody's state but that of its own key.
pub(super) const LATE: Span = Span::from_nanos(1_000_000_000);

/// By how much the hand goes on: the golden ratio, so that it comes everywhere alike often.
const ON: u32 = 0x9e37_79b9;

/// A request of a key without an entry.
#[derive(Clone, Copy)]
pub(super) struct Arrival {
    pub(super) print: Print,
    pub(super) cost: NonZeroU32,
    pub(super) since: Instant,
    pub(super) now: Instant,
}

/// What was decided for it and when, and what it owes then; nothing is known of that where there is no ledger.
pub(super) struct Answer<A: Quota> {
    pub(super) decision: Result<Decision, CostExceedsBurst>,
    pub(super) now: Instant,
    pub(super) state: Option<(Instant, A::Count)>,
}

/// Where there is an entry for it.
#[derive(Clone, Copy)]
enum Place {
    /// Nobody is in this slot, or somebody who is idle.
    Free(usize),
    /// Somebody is in this slot who goes.
    Taken(usize),
    /// Nowhere; the first of those looked at is idle then.
    Nowhere(Instant),
}

/// What is allowed of what the ledger denies.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Beyond {
    Nothing,
    One,
    All,
}

impl<K, A: Quota, S: Storage, H, P: Naming<K>> RateLimiterIn<K, A, S, H, P> {
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
        for (slot, beside) in self.lines.iter_mut().zip(self.beside.as_mut()) {
            slot.set_idle_at(self.quota.mend(slot.idle_at(), Held::Entry(beside), now));
        }
        self.ledger.mend(&self.quota, now);
    }

    /// The time of a request whose caller has read the clock before: a reading that is older than the latest one is late,
    /// if another says so.
    ///
    /// For adapters that decide at a reading of their own; [`Shared::allow_at`](crate::Shared::allow_at) does so.
    pub fn on_time(&self, reading: Instant, clock: impl FnOnce() -> Instant) -> Instant {
        if reading >= self.latest {
            return reading;
        }
        let now = reading.max(clock());
        if now < self.latest && self.latest.since(now) <= LATE { self.latest } else { now }
    }

    /// True if there is an entry for a newcomer of which nobody has to go.
    pub(super) fn has_room(&self, hash: u64, now: Instant) -> bool {
        self.lines.room(print_of(hash), now).is_ok()
    }

    fn place(&self, print: Print, now: Instant) -> Place {
        match self.lines.room(print, now) {
            Ok(slot) => Place::Free(slot),
            Err(idle_at) if !self.ledger.is_kept() => Place::Nowhere(idle_at),
            Err(idle_at) => self.least_used(print, now).map_or(Place::Nowhere(idle_at), Place::Taken),
        }
    }

    /// Of the entries looked at, the one that was used least since it came, unless that is used up.
    fn least_used(&self, print: Print, now: Instant) -> Option<usize> {
        self.lines.least(print, self.hand, |number, slot| {
            let debt = self.debts.as_ref().get(number).copied().unwrap_or(0);
            self.quota.own_use(slot.idle_at(), self.beside.as_ref().get(number)?, debt, now)
        })
    }

    /// Decides for a key without an entry, and gives it one if it is allowed and there is one; `None`, and nothing
    /// changed, if it takes one and there is no `name` to keep. The name of the key whose entry it was is left in its
    /// place. Not inlined: the hits are what has to be fast.
    #[inline(never)]
    pub(super) fn newcomer(&mut self, arrival: Arrival, name: &mut Option<P::Name>) -> Option<Answer<A>> {
        let Arrival { print, cost, mut since, mut now } = arrival;
        let limit = self.quota.limit();
        if cost.get() > limit {
            let never = Decision::Deny { retry_at: Instant::MAX };
            let decision = if limit == 0 { Ok(never) } else { Err(CostExceedsBurst { limit }) };
            return Some(Answer { decision, now, state: Some(self.ledger.owed(print, now)) });
        }
        let place = self.place(print, now);
        if let Place::Nowhere(retry_at) = place
            && !self.ledger.is_kept()
        {
            self.stats.overflowed = self.stats.overflowed.saturating_add(1);
            return Some(self.beyond(Ok(Decision::Deny { retry_at }), now, None));
        }
        let mut start = self.ledger.owed(print, now);
        let is_owing = now < start.0;
        if is_owing && now < self.latest {
            // Others may share the cell: a reading that is late must not take anything from them.
            since = if since < now { since } else { self.latest };
            now = self.latest;
        }
        let (mut decision, mut idle_at, mut count) = self.step(start, cost, since, now);
        let is_refused = is_owing && !decision.is_ok_and(Decision::is_allowed);
        if is_refused && cost == ONE && self.on_full == OnFull::Serve && !matches!(place, Place::Nowhere(_)) {
            start = self.quota.all_but_one(now);
            (decision, idle_at, count) = self.step(start, cost, now, now);
        }
        if !decision.is_ok_and(Decision::is_allowed) {
            let is_nowhere = matches!(place, Place::Nowhere(_));
            self.stats.overflowed = self.stats.overflowed.saturating_add(u64::from(is_nowhere));
            self.stats.refused = self.stats.refused.saturating_add(u64::from(is_refused));
            let state = Some((idle_at, count));
            return Some(if is_owing { self.beyond(decision, now, state) } else { Answer { decision, now, state } });
        }
        let (slot, is_evicted) = match place {
            Place::Free(slot) => (slot, false),
            Place::Taken(slot) => (slot, true),
            Place::Nowhere(_) => {
                self.ledger.put(print, idle_at, count);
                self.stats.overflowed = self.stats.overflowed.saturating_add(1);
                return Some(Answer { decision, now, state: Some((idle_at, count)) });
            }
        };
        let own = name.take()?;
        self.stats.refused = self.stats.refused.saturating_add(u64::from(is_refused));
        if is_evicted {
            self.evict(slot, now);
        }
        let debt = if now < start.0 { self.quota.debt(start.0, start.1, now) } else { 0 };
        self.enter(slot, print, idle_at, debt, is_evicted);
        if size_of::<A::Beside>() > 0
            && let Some(beside) = self.beside.as_mut().get_mut(slot)
        {
            self.quota.resume(start.0, start.1, beside);
            let _ = self.quota.allow(start.0, Held::Entry(beside), cost, since, now);
        }
        *name = self.names.as_mut().get_mut(slot).map(|name| core::mem::replace(name, own));
        Some(Answer { decision, now, state: Some((idle_at, count)) })
    }

    fn step(
        &self,
        (idle_at, mut count): (Instant, A::Count),
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> (Result<Decision, CostExceedsBurst>, Instant, A::Count) {
        match self.quota.allow(idle_at, Held::Cell(&mut count), cost, since, now) {
            Ok((decision, idle_at)) => (Ok(decision), idle_at, count),
            Err(error) => (Err(error), idle_at, count),
        }
    }

    /// What [`OnFull`] makes of what was denied.
    fn beyond(
        &mut self,
        denied: Result<Decision, CostExceedsBurst>,
        now: Instant,
        state: Option<(Instant, A::Count)>,
    ) -> Answer<A> {
        if self.on_full != OnFull::Allow {
            return Answer { decision: denied, now, state };
        }
        self.stats.unlimited = self.stats.unlimited.saturating_add(1);
        Answer { decision: Ok(Decision::Allow), now, state }
    }

    /// Puts down in the ledger what the key of this slot owes.
    fn evict(&mut self, slot: usize, now: Instant) {
        self.hand = self.hand.wrapping_add(ON);
        self.stats.evicted = self.stats.evicted.saturating_add(1);
        if let (Some(entry), Some(beside)) = (self.lines.get(slot), self.beside.as_ref().get(slot))
            && let Some(print) = entry.print()
        {
            self.ledger.settle(print, &self.quota, entry.idle_at(), beside, now);
        }
    }

    fn enter(&mut self, slot: usize, print: Print, idle_at: Instant, debt: u32, is_evicted: bool) {
        let had_key = self.lines.take(slot, print, idle_at);
        self.stats.reused = self.stats.reused.saturating_add(u64::from(had_key && !is_evicted));
        // Where nobody has come with a debt all are zero, and stay untouched.
        self.has_debts |= debt > 0;
        if self.has_debts
            && let Some(kept) = self.debts.as_mut().get_mut(slot)
        {
            *kept = debt;
        }
    }

    /// What a key without an entry is decided by: what it owes, if there is a ledger, or else when there is an entry for
    /// it; and what is allowed beyond that.
    pub(super) fn start(&self, print: Print, now: Instant) -> (Result<(Instant, A::Count), Instant>, Beyond) {
        let is_limited = self.quota.limit() > 0;
        let needs_place = is_limited && (!self.ledger.is_kept() || self.on_full == OnFull::Serve);
        let place = if needs_place { self.place(print, now) } else { Place::Nowhere(Instant::MAX) };
        let beyond = match self.on_full {
            OnFull::Allow if is_limited => Beyond::All,
            OnFull::Serve if !matches!(place, Place::Nowhere(_)) => Beyond::One,
            _ => Beyond::Nothing,
        };
        match place {
            Place::Nowhere(at) if needs_place && !self.ledger.is_kept() => (Err(at), beyond),
            _ => (Ok(self.ledger.owed(print, now)), beyond),
        }
    }

    /// Forgets what is kept of the key in this slot, and hands out its name.
    pub(super) fn vacate(&mut self, slot: usize) -> Option<P::Name> {
        self.lines.vacate(slot);
        self.names.as_mut().get_mut(slot).map(|name| core::mem::replace(name, P::NONE))
    }
}
