//! A token bucket of which each key can have its own.

use core::num::NonZeroU32;

use super::{CostExceedsBurst, Decision, Gcra, Held, Quota, newcomer::LATE};
use crate::foundation::time::{Halves, Instant, Span};

/// A quota that is kept beside each state, so that keys can have their own, or another one with each call: by
/// [`allow_with_quota`](crate::rate_limiter::RateLimiterIn::allow_with_quota).
///
/// Of its methods only what a call decides may depend on `self`: what states owe and how they pay it back, they must know
/// themselves.
#[doc(alias("tiers", "plans"))]
pub trait PerKey: Quota + Copy {}

/// A [`Gcra`] of which each key can have its own, as customers with plans do; made by [`Gcra::per_key`].
///
/// Calls that name no quota mean the limiter's own, which decides as the `Gcra` that it was made of. The calls that do are
/// [`allow_with_quota`](crate::rate_limiter::RateLimiterIn::allow_with_quota) and
/// [`check_with_quota`](crate::rate_limiter::RateLimiterIn::check_with_quota).
///
/// What was counted stays counted, in requests, and exactly: who has used 7 of 10 has used 7 of whatever is asked for next.
/// It is paid back at the pace of the quota that it was counted by, until a request is allowed by another one; a denial
/// changes nothing. So nobody is denied for longer than the slower of both takes to be whole. An unlimited quota counts
/// nothing and forgets nothing.
///
/// No key ever gets more than the quotas that it was asked with, whatever is evicted, and however they differ: a cell of
/// the ledger owes at every instant what those that share it owe. Where they have quotas of different pace, it owes for
/// as long as the slowest, and a key without an entry may be denied for so long.
///
/// An entry takes 28 bytes more than with a `Gcra`, and so does a cell of the ledger.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GcraPerKey(Gcra);

impl Gcra {
    /// This one for keys that have none of their own, where others have.
    #[must_use]
    pub const fn per_key(self) -> GcraPerKey {
        GcraPerKey(self)
    }
}

impl PerKey for GcraPerKey {}
impl<A: PerKey, B: PerKey> PerKey for (A, B) {}
impl<A: PerKey, B: PerKey, C: PerKey> PerKey for (A, B, C) {}

/// What a [`GcraPerKey`] keeps: what a key owes, or at least each of those that share a cell. A line that falls by a request
/// each `interval`.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct GcraPerKeyState {
    whole_at: Halves,
    /// When it was last drawn: it holds from then on.
    drawn_at: Halves,
    interval: Halves,
    /// What is all of it.
    burst: u32,
}

impl GcraPerKeyState {
    const NONE: Self = Self { whole_at: Halves::ZERO, drawn_at: Halves::ZERO, interval: Halves::ZERO, burst: 0 };

    const fn new(whole_at: Instant, quota: &Gcra, now: Instant) -> Self {
        let interval = Halves::new(Instant::from_nanos(quota.span().as_nanos()));
        Self { whole_at: Halves::new(whole_at), drawn_at: Halves::new(now), interval, burst: quota.burst }
    }

    const fn interval(self) -> Span {
        Span::from_nanos(self.interval.get().as_nanos())
    }

    const fn owed(self, now: Instant) -> Span {
        self.whole_at.get().since(now)
    }

    /// The same after a step of the clock: as much is owed as when the line was drawn.
    fn mended(self, now: Instant) -> Self {
        let drawn_at = self.drawn_at.get();
        if drawn_at.since(now) <= LATE {
            return self;
        }
        let whole_at = now.after(self.owed(drawn_at));
        Self { whole_at: Halves::new(whole_at), drawn_at: Halves::new(now), ..self }
    }

    /// When it is paid back at the pace of this quota: as many requests, rounded up to a nanosecond.
    fn under(self, quota: &Gcra, now: Instant) -> Instant {
        let (whole_at, interval) = (self.whole_at.get(), quota.span());
        if whole_at <= now || interval.as_nanos() == self.interval().as_nanos() {
            return whole_at;
        }
        now.after(self.owed(now).scaled_up(self.interval(), interval))
    }

    /// When so much has been paid back that a request of this quota is allowed.
    fn retry_at(self, quota: &Gcra, cost: NonZeroU32) -> Instant {
        self.whole_at.get().before(self.interval().times(quota.burst.saturating_sub(cost.get()).into()))
    }

    /// The lowest line that is nowhere below both.
    fn or(self, other: Self, now: Instant) -> Self {
        let (own, others) = (self.owed(now), other.owed(now));
        if others.is_zero() {
            return self;
        }
        if own.is_zero() {
            return other;
        }
        let requests = |owed: Span, of_other: Self| u128::from(owed.as_nanos()).saturating_mul(of_other.pace());
        let heavier = if requests(own, other) >= requests(others, self) { self } else { other };
        let whole_at = self.whole_at.get().later(other.whole_at.get());
        // Rounded down, so that more is owed.
        let interval = u128::from(whole_at.since(now).as_nanos()).saturating_mul(heavier.pace());
        let interval = interval.checked_div(heavier.owed(now).as_nanos().into()).unwrap_or(0);
        Self {
            whole_at: Halves::new(whole_at),
            drawn_at: Halves::new(now),
            interval: Halves::new(Instant::from_nanos(u64::try_from(interval).unwrap_or(u64::MAX))),
            burst: self.burst.max(other.burst),
        }
    }

    fn pace(self) -> u128 {
        self.interval().as_nanos().into()
    }
}

const fn debt<'a>(held: Held<'a, GcraPerKey>) -> &'a mut GcraPerKeyState {
    let (Held::Entry(debt) | Held::Cell(debt)) = held;
    debt
}

impl GcraPerKey {
    /// What the bucket says of a debt.
    fn decide(
        &self,
        debt: GcraPerKeyState,
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        let (decision, moved) = self.0.step(debt.under(&self.0, now), cost, since, now)?;
        Ok(match decision {
            Decision::Deny { retry_at } if retry_at < Instant::MAX => {
                (Decision::Deny { retry_at: debt.retry_at(&self.0, cost) }, moved)
            }
            decision => (decision, moved),
        })
    }
}

impl Quota for GcraPerKey {
    type Beside = GcraPerKeyState;
    type Count = GcraPerKeyState;

    const IDLE: GcraPerKeyState = GcraPerKeyState::NONE;
    const NOTHING: GcraPerKeyState = GcraPerKeyState::NONE;

    fn limit(&self) -> u32 {
        self.0.limit()
    }

    fn latest(&self, now: Instant) -> Instant {
        self.0.latest(now)
    }

    fn allow(
        &self,
        _: Instant,
        mut held: Held<'_, Self>,
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        let before = debt(held.again()).mended(now);
        let (decision, moved) = self.decide(before, cost, since, now)?;
        let after = if !decision.is_allowed() || self.0.span().is_zero() {
            before
        } else {
            let own = GcraPerKeyState::new(moved, &self.0, now);
            // A cell is that of others too.
            if matches!(held, Held::Cell(_)) { own.or(before, now) } else { own }
        };
        *debt(held) = after;
        Ok((decision, after.whole_at.get()))
    }

    fn check(
        &self,
        _: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        self.decide(debt(held).mended(now), cost, now, now).map(|(decision, _)| decision)
    }

    fn ready_at(
        &self,
        _: Instant,
        held: Held<'_, Self>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let debt = debt(held).mended(now);
        Ok(match self.decide(debt, cost, now, now)?.0 {
            Decision::Allow => self.0.ready_at(debt.under(&self.0, now), Held::Cell(&mut ()), ahead, cost, now)?,
            Decision::Deny { retry_at } => retry_at.after(self.0.span().times(ahead.into())),
        })
    }

    fn refund(&self, _: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        let debt = debt(held);
        *debt = debt.mended(now);
        let whole_at = debt.whole_at.get().before(debt.interval().times(cost.get().into()));
        debt.whole_at = Halves::new(whole_at);
        whole_at
    }

    fn remaining(&self, _: Instant, held: Held<'_, Self>, now: Instant) -> u32 {
        self.0.remaining(debt(held).mended(now).under(&self.0, now), Held::Cell(&mut ()), now)
    }

    fn whole_at(&self, _: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        debt(held).mended(now).whole_at.get().later(now)
    }

    fn mend(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        let debt = debt(held);
        *debt = debt.mended(now);
        // A slot that is free stays so, whatever was left beside it.
        idle_at.earlier(debt.whole_at.get())
    }

    /// Nothing to do: states keep the quota that they were counted by.
    fn carry_over(&self, _: &Self, idle_at: Instant, _: Held<'_, Self>, _: Instant) -> Instant {
        idle_at
    }

    fn settle(&self, _: Instant, beside: &GcraPerKeyState, count: &mut GcraPerKeyState, now: Instant) {
        *count = beside.mended(now).or(count.mended(now), now);
    }

    fn resume(&self, _: Instant, count: GcraPerKeyState, beside: &mut GcraPerKeyState) {
        *beside = count;
    }

    fn all_but_one(&self, now: Instant) -> (Instant, GcraPerKeyState) {
        let (whole_at, ()) = self.0.all_but_one(now);
        (whole_at, GcraPerKeyState::new(whole_at, &self.0, now))
    }

    fn own_use(&self, _: Instant, beside: &GcraPerKeyState, debt: u32, now: Instant) -> Option<u64> {
        let beside = beside.mended(now);
        Gcra::new(beside.interval(), beside.burst).own_use(beside.whole_at.get(), &(), debt, now)
    }

    fn debt(&self, _: Instant, count: GcraPerKeyState, now: Instant) -> u32 {
        self.0.debt(count.mended(now).under(&self.0, now), (), now)
    }
}
