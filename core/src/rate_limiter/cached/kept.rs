//! What is kept for a key beside its quota: the attempt that is running.

use core::num::NonZeroU32;

use super::super::{CostExceedsBurst, Decision, Held, Quota};
use crate::foundation::time::{Halves, Instant, Span};

/// A quota whose entries also keep an attempt; an entry with an attempt in flight is not idle, and none goes for another
/// key before it is.
pub(super) struct Keeping<A> {
    pub(super) quota: A,
    pub(super) lease: Span,
}

pub(super) struct Kept<B> {
    /// From when on the quota owes nothing.
    idle_at: Halves,
    beside: B,
    /// The last attempt, if it was neither completed nor released.
    pub(super) attempt: Option<Attempt>,
}

#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub(super) number: u32,
    pub(super) ends_at: Instant,
}

impl Attempt {
    /// What lies further ahead of `now` than it can is moved to where it can: the clock has stepped back.
    pub(super) const fn clamp(&mut self, lease: Span, now: Instant) {
        self.ends_at = self.ends_at.earlier(now.after(lease));
    }
}

/// True if this attempt has not ended, and no other has begun.
pub(super) fn is_last(attempt: Option<Attempt>, number: u32) -> bool {
    attempt.is_some_and(|attempt| attempt.number == number)
}

pub(super) fn is_in_flight(attempt: Option<Attempt>, now: Instant) -> bool {
    attempt.is_some_and(|attempt| now < attempt.ends_at)
}

impl<B> Kept<B> {
    /// From when on the entry is idle.
    pub(super) fn idle_at(&self) -> Instant {
        self.attempt.map_or(Instant::ZERO, |attempt| attempt.ends_at).later(self.idle_at.get())
    }
}

impl<A: Quota> Keeping<A> {
    /// Gives back the last request.
    pub(super) fn refund_one(&self, kept: &mut Kept<A::Beside>, now: Instant) {
        let held = Held::Entry(&mut kept.beside);
        kept.idle_at = Halves::new(self.quota.refund_last(kept.idle_at.get(), held, NonZeroU32::MIN, now));
    }

    const fn clamp(&self, kept: &mut Kept<A::Beside>, now: Instant) {
        if let Some(attempt) = &mut kept.attempt {
            attempt.clamp(self.lease, now);
        }
    }
}

impl<A: Quota> Quota for Keeping<A> {
    type Beside = Kept<A::Beside>;
    type Count = A::Count;

    const IDLE: Self::Beside = Kept { idle_at: Halves::ZERO, beside: A::IDLE, attempt: None };
    const NOTHING: A::Count = A::NOTHING;

    fn limit(&self) -> u32 {
        self.quota.limit()
    }

    fn latest(&self, now: Instant) -> Instant {
        self.quota.latest(now).later(now.after(self.lease))
    }

    fn allow(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        match held {
            Held::Cell(count) => self.quota.allow(idle_at, Held::Cell(count), cost, since, now),
            Held::Entry(kept) => {
                let held = Held::Entry(&mut kept.beside);
                let (decision, idle_at) = self.quota.allow(kept.idle_at.get(), held, cost, since, now)?;
                kept.idle_at = Halves::new(idle_at);
                Ok((decision, kept.idle_at()))
            }
        }
    }

    fn check(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        match held {
            Held::Cell(count) => self.quota.check(idle_at, Held::Cell(count), cost, now),
            Held::Entry(kept) => self.quota.check(kept.idle_at.get(), Held::Entry(&mut kept.beside), cost, now),
        }
    }

    fn refund(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        let Held::Entry(kept) = held else { return idle_at };
        let given = self.quota.refund(kept.idle_at.get(), Held::Entry(&mut kept.beside), cost, now);
        kept.idle_at = Halves::new(given);
        kept.idle_at()
    }

    fn remaining(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> u32 {
        match held {
            Held::Cell(count) => self.quota.remaining(idle_at, Held::Cell(count), now),
            Held::Entry(kept) => self.quota.remaining(kept.idle_at.get(), Held::Entry(&mut kept.beside), now),
        }
    }

    fn mend(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        match held {
            Held::Cell(count) => self.quota.mend(idle_at, Held::Cell(count), now),
            Held::Entry(kept) => {
                let mended = self.quota.mend(kept.idle_at.get(), Held::Entry(&mut kept.beside), now);
                kept.idle_at = Halves::new(mended);
                self.clamp(kept, now);
                idle_at.earlier(kept.idle_at())
            }
        }
    }

    /// An attempt in flight ends when it would have, or after the new lease from now.
    fn carry_over(&self, former: &Self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        match held {
            Held::Cell(count) => self.quota.carry_over(&former.quota, idle_at, Held::Cell(count), now),
            Held::Entry(kept) => {
                let held = Held::Entry(&mut kept.beside);
                let idle_at = self.quota.carry_over(&former.quota, kept.idle_at.get(), held, now);
                kept.idle_at = Halves::new(idle_at);
                self.clamp(kept, now);
                kept.idle_at()
            }
        }
    }

    fn settle(&self, _: Instant, kept: &Self::Beside, count: &mut A::Count, now: Instant) {
        self.quota.settle(kept.idle_at.get(), &kept.beside, count, now);
    }

    fn resume(&self, idle_at: Instant, count: A::Count, kept: &mut Self::Beside) {
        kept.idle_at = Halves::new(idle_at);
        kept.attempt = None;
        self.quota.resume(idle_at, count, &mut kept.beside);
    }

    fn all_but_one(&self, now: Instant) -> (Instant, A::Count) {
        self.quota.all_but_one(now)
    }

    /// Its value would be lost.
    fn own_use(&self, _: Instant, _: &Self::Beside, _: u32, _: Instant) -> Option<u64> {
        None
    }

    fn debt(&self, _: Instant, _: A::Count, _: Instant) -> u32 {
        0
    }
}
