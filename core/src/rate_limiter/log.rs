//! The instants of one key in a ring, and the rule that they are counted by.

use core::num::NonZeroU32;

use super::{CostExceedsBurst, Decision};
use crate::foundation::time::{Halves, Instant, Span};

pub(super) const fn fits(max: usize, cost: NonZeroU32) -> Result<usize, CostExceedsBurst> {
    let cost = cost.get() as usize;
    if cost > max && max > 0 { Err(CostExceedsBurst { limit: max as u32 }) } else { Ok(cost) }
}

/// True if what was counted at `at` counts at `now`.
fn is_live(window: Span, at: Instant, now: Instant) -> bool {
    now.since(at) < window
}

/// What a cell of the ledger counts of a key that is idle at `idle_at`.
pub(super) fn live(idle_at: Instant, count: u16, now: Instant) -> usize {
    if idle_at > now { count.into() } else { 0 }
}

/// At most `max` in any `window`; and what that means for a key of which a cell knows the latest instant and a count only:
/// as if all were counted then.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) max: usize,
    pub(super) window: Span,
}

impl Rule {
    pub(super) fn allow(
        self,
        idle_at: Instant,
        count: &mut u16,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        let decision = self.check(idle_at, *count, cost, now)?;
        if decision.is_allowed() {
            *count = live(idle_at, *count, now).saturating_add(cost.get() as usize) as u16;
            return Ok((decision, now.after(self.window)));
        }
        Ok((decision, idle_at))
    }

    pub(super) fn check(
        self,
        idle_at: Instant,
        count: u16,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        let all = live(idle_at, count, now).saturating_add(fits(self.max, cost)?);
        if all <= self.max {
            return Ok(Decision::Allow);
        }
        Ok(Decision::Deny { retry_at: if self.max == 0 { Instant::MAX } else { idle_at } })
    }

    pub(super) fn ready_at(
        self,
        idle_at: Instant,
        count: u16,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let live = live(idle_at, count, now);
        let counted = |rank| if rank < live { idle_at.before(self.window) } else { now };
        self.behind(live, counted, ahead, cost, now)
    }

    /// When a request is allowed behind `ahead` others, of which `live` count already: that of rank `rank` was made at
    /// `counted(rank)`.
    fn behind(
        self,
        live: usize,
        counted: impl Fn(usize) -> Instant,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let all = live.saturating_add(ahead as usize).saturating_add(fits(self.max, cost)?);
        let Some(last) = all.saturating_sub(self.max).checked_sub(1) else { return Ok(now) };
        // Those of the log leave the window one by one, and a window later those who came in their places, and so on.
        let (Some(rounds), Some(rank)) = (last.checked_div(self.max), last.checked_rem(self.max)) else {
            return Ok(Instant::MAX);
        };
        Ok(counted(rank).after(self.window.times((rounds as u64).saturating_add(1))))
    }

    pub(super) fn carry_over(self, former: Self, idle_at: Instant, count: &mut u16, now: Instant) -> Instant {
        *count = live(idle_at, *count, now).min(self.max) as u16;
        if *count == 0 { Instant::ZERO } else { idle_at.before(former.window).after(self.window) }
    }

    pub(super) const fn all_but_one(self, now: Instant) -> (Instant, u16) {
        (now.after(self.window), self.max.saturating_sub(1) as u16)
    }

    /// By how many requests, and among equals by age.
    pub(super) const fn own_use(self, idle_at: Instant, live: usize, debt: u32) -> Option<u64> {
        let own = live.saturating_sub(debt as usize);
        let rank = (own as u64).wrapping_shl(48) | idle_at.as_nanos().wrapping_shr(16);
        if own < self.max { Some(rank) } else { None }
    }
}

/// The last instants of one key, oldest first, in a ring of as many as are allowed.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Log<A> {
    at: A,
    first: u16,
    pub(super) len: u16,
}

impl<A: AsRef<[Halves]> + AsMut<[Halves]>> Log<A> {
    pub(super) const fn new(at: A) -> Self {
        Self { at, first: 0, len: 0 }
    }

    pub(super) fn allow(
        &mut self,
        rule: Rule,
        idle_at: Instant,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        let cost = fits(rule.max, cost)?;
        self.forget(rule.window, now);
        let decision = self.decide(rule.window, usize::from(self.len), cost, now);
        let latest = now.after(rule.window);
        if decision.is_allowed() {
            (0..cost).for_each(|_| self.push_back(now));
            return Ok((decision, latest));
        }
        Ok((decision, idle_at.earlier(latest)))
    }

    pub(super) fn check(&self, rule: Rule, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        let cost = fits(rule.max, cost)?;
        Ok(self.decide(rule.window, self.live(rule.window, now), cost, now))
    }

    /// The decision when `live` of the log count.
    fn decide(&self, window: Span, live: usize, cost: usize, now: Instant) -> Decision {
        let excess = live.saturating_add(cost).saturating_sub(self.max());
        if excess == 0 {
            return Decision::Allow;
        }
        // The quota is there once the oldest `excess` have left the window.
        let blocking = usize::from(self.len).saturating_sub(live).saturating_add(excess).saturating_sub(1);
        let retry_at = self.get(blocking).map_or(Instant::MAX, |at| at.earlier(now).after(window));
        Decision::Deny { retry_at }
    }

    pub(super) fn ready_at(
        &self,
        rule: Rule,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let live = self.live(rule.window, now);
        let gone = usize::from(self.len).saturating_sub(live);
        let counted = |rank: usize| self.get(gone.saturating_add(rank)).map_or(now, |at| at.earlier(now));
        rule.behind(live, counted, ahead, cost, now)
    }

    pub(super) fn refund(&mut self, rule: Rule, cost: NonZeroU32, now: Instant) -> Instant {
        self.forget(rule.window, now);
        let cost = cost.get().min(u32::from(self.len));
        (0..cost).for_each(|_| self.pop_front());
        self.idle_at(rule.window)
    }

    pub(super) fn refund_last(&mut self, rule: Rule, cost: NonZeroU32, now: Instant) -> Instant {
        self.forget(rule.window, now);
        self.len = self.len.saturating_sub(u16::try_from(cost.get()).unwrap_or(u16::MAX));
        self.idle_at(rule.window)
    }

    /// When the last of them has left the window.
    pub(super) fn idle_at(&self, window: Span) -> Instant {
        self.newest().map_or(Instant::ZERO, |newest| newest.after(window))
    }

    /// Makes it the log of a key of which so many are counted, all of them as late as can be.
    pub(super) fn resume(&mut self, rule: Rule, idle_at: Instant, count: u16) {
        (self.first, self.len) = (0, 0);
        (0..count).for_each(|_| self.push_back(idle_at.before(rule.window)));
    }

    /// Forgets what no longer counts.
    pub(super) fn forget(&mut self, window: Span, now: Instant) {
        self.forget_future(now);
        while self.get(0).is_some_and(|oldest| !is_live(window, oldest, now)) {
            self.pop_front();
        }
    }

    pub(super) fn live(&self, window: Span, now: Instant) -> usize {
        // `count` would be checked for an overflow that cannot be.
        self.iter().fold(0, |live, at| live.saturating_add(usize::from(is_live(window, at, now))))
    }

    pub(super) fn max(&self) -> usize {
        self.at.as_ref().len()
    }

    /// Where the entry of age rank `rank` lies; the oldest has rank 0.
    fn place(&self, rank: usize) -> usize {
        let place = usize::from(self.first).saturating_add(rank);
        place.checked_sub(self.max()).unwrap_or(place)
    }

    fn get(&self, rank: usize) -> Option<Instant> {
        if rank < usize::from(self.len) { self.at.as_ref().get(self.place(rank)).map(|at| at.get()) } else { None }
    }

    fn newest(&self) -> Option<Instant> {
        usize::from(self.len).checked_sub(1).and_then(|rank| self.get(rank))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Instant> {
        (0..usize::from(self.len)).filter_map(|rank| self.get(rank))
    }

    pub(super) fn push_back(&mut self, at: Instant) {
        let place = self.place(usize::from(self.len));
        if usize::from(self.len) < self.max()
            && let Some(slot) = self.at.as_mut().get_mut(place)
        {
            *slot = Halves::new(at);
            self.len = self.len.saturating_add(1);
        }
    }

    fn pop_front(&mut self) {
        self.first = self.place(1) as u16;
        self.len = self.len.saturating_sub(1);
    }

    /// After a step back, what was counted later counts as counted now; the order stays.
    pub(super) fn forget_future(&mut self, now: Instant) {
        for rank in (0..usize::from(self.len)).rev() {
            let place = self.place(rank);
            match self.at.as_mut().get_mut(place) {
                Some(at) if at.get() > now => *at = Halves::new(now),
                _ => break,
            }
        }
    }
}
