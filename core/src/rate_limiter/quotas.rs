//! Several quotas of one key, decided as one.

use core::num::NonZeroU32;

use super::{CostExceedsBurst, Decision, Held, Quota};
use crate::foundation::time::Instant;

/// The decision of two quotas: the later one.
const fn both(one: Decision, other: Decision) -> Decision {
    match (one, other) {
        (Decision::Allow, decision) | (decision, Decision::Allow) => decision,
        (Decision::Deny { retry_at: one }, Decision::Deny { retry_at: other }) => {
            Decision::Deny { retry_at: one.later(other) }
        }
    }
}

/// Whether a request fits a quota with this limit; false if nothing does.
const fn fits(cost: NonZeroU32, limit: u32) -> Result<bool, CostExceedsBurst> {
    if cost.get() > limit && limit > 0 { Err(CostExceedsBurst { limit }) } else { Ok(limit > 0) }
}

/// Of a state of several quotas, when one of them is idle, and what it keeps beside.
macro_rules! part {
    ($held:ident.$n:tt: $part:ident) => {
        match &mut $held {
            Held::Entry(parts) => (&mut parts.$n.0, Held::<$part>::Entry(&mut parts.$n.1)),
            Held::Cell(parts) => (&mut parts.$n.0, Held::<$part>::Cell(&mut parts.$n.1)),
        }
    };
}

macro_rules! quotas {
    ($($part:ident $n:tt),+) => {
        /// Several quotas of one key as one decision: a request counts in all of them or in none. Each keeps its own
        /// instant beside; the key is idle when all are.
        impl<$($part: Quota),+> Quota for ($($part,)+) {
            type Beside = ($((Instant, $part::Beside),)+);
            type Count = ($((Instant, $part::Count),)+);

            const IDLE: Self::Beside = ($((Instant::ZERO, $part::IDLE),)+);
            const NOTHING: Self::Count = ($((Instant::ZERO, $part::NOTHING),)+);

            fn limit(&self) -> u32 {
                u32::MAX$(.min(self.$n.limit()))+
            }

            fn latest(&self, now: Instant) -> Instant {
                Instant::ZERO$(.later(self.$n.latest(now)))+
            }

            fn latest_of_all(&self, now: Instant) -> Instant {
                Instant::ZERO$(.later(self.$n.latest_of_all(now)))+
            }

            fn allow(
                &self,
                idle_at: Instant,
                mut held: Held<'_, Self>,
                cost: NonZeroU32,
                since: Instant,
                now: Instant,
            ) -> Result<(Decision, Instant), CostExceedsBurst> {
                let mut decision = self.check(idle_at, held.again(), cost, now)?;
                if !decision.is_allowed() {
                    return Ok((decision, self.mend(idle_at, held, now)));
                }
                let mut all_idle_at = Instant::ZERO;
                $(
                    let (at, own) = part!(held.$n: $part);
                    let (told, moved) = self.$n.allow(*at, own, cost, since, now)?;
                    *at = moved;
                    all_idle_at = all_idle_at.later(moved);
                    decision = both(decision, told);
                )+
                Ok((decision, all_idle_at))
            }

            fn check(
                &self,
                _: Instant,
                mut held: Held<'_, Self>,
                cost: NonZeroU32,
                now: Instant,
            ) -> Result<Decision, CostExceedsBurst> {
                if !fits(cost, self.limit())? {
                    return Ok(Decision::Deny { retry_at: Instant::MAX });
                }
                let mut decision = Decision::Allow;
                $(
                    let (at, own) = part!(held.$n: $part);
                    decision = both(decision, self.$n.check(*at, own, cost, now)?);
                )+
                Ok(decision)
            }

            /// When the last of them could be; no later than all are, since each goes by its own pace.
            fn ready_at(
                &self,
                _: Instant,
                mut held: Held<'_, Self>,
                ahead: u32,
                cost: NonZeroU32,
                now: Instant,
            ) -> Result<Instant, CostExceedsBurst> {
                if !fits(cost, self.limit())? {
                    return Ok(Instant::MAX);
                }
                let mut ready_at = now;
                $(
                    let (at, own) = part!(held.$n: $part);
                    ready_at = ready_at.later(self.$n.ready_at(*at, own, ahead, cost, now)?);
                )+
                Ok(ready_at)
            }

            fn refund(&self, _: Instant, mut held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
                let mut idle_at = Instant::ZERO;
                $(
                    let (at, own) = part!(held.$n: $part);
                    *at = self.$n.refund(*at, own, cost, now);
                    idle_at = idle_at.later(*at);
                )+
                idle_at
            }

            fn refund_last(&self, _: Instant, mut held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
                let mut idle_at = Instant::ZERO;
                $(
                    let (at, own) = part!(held.$n: $part);
                    *at = self.$n.refund_last(*at, own, cost, now);
                    idle_at = idle_at.later(*at);
                )+
                idle_at
            }

            fn remaining(&self, _: Instant, mut held: Held<'_, Self>, now: Instant) -> u32 {
                let mut least = u32::MAX;
                $(
                    let (at, own) = part!(held.$n: $part);
                    least = least.min(self.$n.remaining(*at, own, now));
                )+
                least
            }

            fn mend(&self, idle_at: Instant, mut held: Held<'_, Self>, now: Instant) -> Instant {
                let mut all_idle_at = Instant::ZERO;
                $(
                    let (at, own) = part!(held.$n: $part);
                    *at = self.$n.mend(*at, own, now);
                    all_idle_at = all_idle_at.later(*at);
                )+
                // Nobody's slot stays free, whatever was left beside it.
                idle_at.earlier(all_idle_at)
            }

            fn carry_over(&self, former: &Self, _: Instant, mut held: Held<'_, Self>, now: Instant) -> Instant {
                let mut idle_at = Instant::ZERO;
                $(
                    let (at, own) = part!(held.$n: $part);
                    *at = self.$n.carry_over(&former.$n, *at, own, now);
                    idle_at = idle_at.later(*at);
                )+
                idle_at
            }

            fn settle(&self, _: Instant, beside: &Self::Beside, count: &mut Self::Count, now: Instant) {
                $(
                    let ((at, own), (owed_until, counted)) = (&beside.$n, &mut count.$n);
                    if *owed_until <= now {
                        // One quota may have got back what it counted before another has.
                        (*owed_until, *counted) = (Instant::ZERO, $part::NOTHING);
                    }
                    self.$n.settle(*at, own, counted, now);
                    *owed_until = (*owed_until).later(*at);
                )+
            }

            fn resume(&self, _: Instant, count: Self::Count, beside: &mut Self::Beside) {
                $(
                    let (owed_until, counted) = count.$n;
                    beside.$n.0 = owed_until;
                    self.$n.resume(owed_until, counted, &mut beside.$n.1);
                )+
            }

            fn all_but_one(&self, now: Instant) -> (Instant, Self::Count) {
                let parts = ($(self.$n.all_but_one(now),)+);
                (Instant::ZERO$(.later(parts.$n.0))+, parts)
            }

            /// By the quota that remembers the longest. Who has used up another stays as well, unless it came with a debt:
            /// it may be that, and not its own.
            fn own_use(&self, _: Instant, beside: &Self::Beside, debt: u32, now: Instant) -> Option<u64> {
                let mut own_use = None;
                $(
                    let (at, own) = &beside.$n;
                    if own_use.is_none() && self.$n.latest(now) == self.latest(now) {
                        own_use = Some(self.$n.own_use(*at, own, debt, now)?);
                    } else if debt == 0 {
                        self.$n.own_use(*at, own, 0, now)?;
                    }
                )+
                own_use
            }

            /// That of the quota that remembers the longest, and at least 1 if another has one.
            fn debt(&self, _: Instant, count: Self::Count, now: Instant) -> u32 {
                let (mut measure, mut others) = (None, 0);
                $(
                    let (owed_until, counted) = count.$n;
                    let debt = self.$n.debt(owed_until, counted, now);
                    if measure.is_none() && self.$n.latest(now) == self.latest(now) {
                        measure = Some(debt);
                    } else {
                        others = debt.min(1).max(others);
                    }
                )+
                measure.unwrap_or(0).max(others)
            }
        }
    };
}

quotas!(A 0, B 1);
quotas!(A 0, B 1, C 2);
