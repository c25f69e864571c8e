//! A sliding window log: at most so many in any window, exactly.

use core::{num::NonZeroU32, time::Duration};

use super::{CostExceedsBurst, Decision, Quota};
use crate::foundation::time::{Halves, Instant, Span};

/// A sliding window log: at most `MAX` requests in any window, exactly. It keeps the instants of the last `MAX`, 8
/// bytes each.
///
/// Unlike a fixed window, it never lets twice its limit through at an edge. What is exactly as old as the window no longer
/// counts. A window of zero allows everything, a `MAX` of zero nothing.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::SlidingLog;
///
/// const RECOVERIES: SlidingLog<5> = SlidingLog::per_minute();
/// assert_eq!(RECOVERIES.window(), Duration::from_secs(60));
/// ```
///
/// A refund erases the oldest that count: whichever request was given back, no more than `MAX` that were made are in
/// any window. After [`set_quota`](crate::rate_limiter::RateLimiterIn::set_quota) every instant that counted at the
/// change counts in the new window; what had left the old one may be forgotten.
///
/// # Clock
///
/// If the clock steps back, what was counted later counts as counted now: nothing is granted twice, and a key waits one
/// window at most. A leap ahead and back costs one extra quota.
///
/// # Cost
///
/// O(`MAX`) a decision; in practice the few that left the window since the last one. A key takes 8 bytes for each of `MAX`,
/// and an unoptimized build has a few copies of a new state on its stack: 20,000 fit a thread of 2 MiB. For larger numbers
/// take [`Gcra`](crate::rate_limiter::Gcra).
#[doc(alias("FixedWindowRateLimiter", "SlidingWindowRateLimiter", "limitForPeriod", "limitRefreshPeriod"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "super::settings::SlidingLogSettings", into = "super::settings::SlidingLogSettings")
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SlidingLog<const MAX: usize> {
    window: Span,
}

impl<const MAX: usize> SlidingLog<MAX> {
    /// At most `MAX` in any `window`.
    #[must_use]
    pub const fn new(window: Duration) -> Self {
        const { assert!(MAX <= u16::MAX as usize, "a sliding log keeps at most 65,535 instants") };
        Self { window: Span::new(window) }
    }

    /// At most `MAX` in any second.
    #[must_use]
    pub const fn per_second() -> Self {
        Self::new(Duration::from_secs(1))
    }

    /// At most `MAX` in any minute.
    #[must_use]
    pub const fn per_minute() -> Self {
        Self::new(Duration::from_secs(60))
    }

    /// At most `MAX` in any hour.
    #[must_use]
    pub const fn per_hour() -> Self {
        Self::new(Duration::from_secs(3_600))
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window.to_duration()
    }

    /// True if what was counted at `at` counts at `now`.
    fn is_live(&self, at: Instant, now: Instant) -> bool {
        now.since(at) < self.window
    }

    /// Forgets what no longer counts.
    fn forget(&self, log: &mut SlidingLogState<MAX>, now: Instant) {
        log.forget_future(now);
        while log.get(0).is_some_and(|oldest| !self.is_live(oldest, now)) {
            log.pop_front();
        }
    }

    fn live(&self, log: &SlidingLogState<MAX>, now: Instant) -> usize {
        // `count` would be checked for an overflow that cannot be.
        log.iter().fold(0, |live, at| live.saturating_add(usize::from(self.is_live(at, now))))
    }

    const fn fits(cost: NonZeroU32) -> Result<usize, CostExceedsBurst> {
        let cost = cost.get() as usize;
        if cost > MAX && MAX > 0 { Err(CostExceedsBurst { limit: MAX as u32 }) } else { Ok(cost) }
    }

    /// The decision when `live` of the log count.
    fn decide(&self, log: &SlidingLogState<MAX>, live: usize, cost: usize, now: Instant) -> Decision {
        let excess = live.saturating_add(cost).saturating_sub(MAX);
        if excess == 0 {
            return Decision::Allow;
        }
        // The quota is there once the oldest `excess` have left the window.
        let blocking = usize::from(log.len).saturating_sub(live).saturating_add(excess).saturating_sub(1);
        let retry_at = log.get(blocking).map_or(Instant::MAX, |at| at.earlier(now).after(self.window));
        Decision::Deny { retry_at }
    }
}

impl<const MAX: usize> Quota for SlidingLog<MAX> {
    type State = SlidingLogState<MAX>;

    const IDLE: SlidingLogState<MAX> = SlidingLogState { at: [Halves::ZERO; MAX], first: 0, len: 0 };

    fn limit(&self) -> u32 {
        MAX as u32
    }

    fn allow(
        &self,
        log: &mut SlidingLogState<MAX>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        let cost = Self::fits(cost)?;
        self.forget(log, now);
        let decision = self.decide(log, usize::from(log.len), cost, now);
        if decision.is_allowed() {
            (0..cost).for_each(|_| log.push_back(now));
        }
        Ok(decision)
    }

    fn check(&self, log: &SlidingLogState<MAX>, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        let cost = Self::fits(cost)?;
        Ok(self.decide(log, self.live(log, now), cost, now))
    }

    fn ready_at(
        &self,
        log: &SlidingLogState<MAX>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let (cost, live) = (Self::fits(cost)?, self.live(log, now));
        let all = live.saturating_add(ahead as usize).saturating_add(cost);
        let Some(last) = all.saturating_sub(MAX).checked_sub(1) else { return Ok(now) };
        // Those of the log leave the window one by one, and a window later those who came in their places, and so on.
        let (Some(rounds), Some(rank)) = (last.checked_div(MAX), last.checked_rem(MAX)) else {
            return Ok(Instant::MAX);
        };
        let rank = usize::from(log.len).saturating_sub(live).saturating_add(rank);
        let counted = log.get(rank).map_or(now, |at| at.earlier(now));
        Ok(counted.after(self.window.times((rounds as u64).saturating_add(1))))
    }

    /// The oldest that count go: whichever request was not made, those that were left the window no earlier.
    fn refund(&self, log: &mut SlidingLogState<MAX>, cost: NonZeroU32, now: Instant) {
        self.forget(log, now);
        let cost = cost.get().min(u32::from(log.len));
        (0..cost).for_each(|_| log.pop_front());
    }

    fn refund_last(&self, log: &mut SlidingLogState<MAX>, cost: NonZeroU32, now: Instant) {
        self.forget(log, now);
        log.len = log.len.saturating_sub(u16::try_from(cost.get()).unwrap_or(u16::MAX));
    }

    fn mend(&self, log: &mut SlidingLogState<MAX>, now: Instant) {
        log.forget_future(now);
    }

    /// Instants are kept, and count in any window that they are in. What has left the former window may be forgotten.
    fn carry_over(&self, former: &Self, log: &mut SlidingLogState<MAX>, now: Instant) {
        former.forget(log, now);
    }

    fn remaining(&self, log: &SlidingLogState<MAX>, now: Instant) -> u32 {
        MAX.saturating_sub(self.live(log, now)) as u32
    }

    fn reset_at(&self, log: &SlidingLogState<MAX>, now: Instant) -> Instant {
        match log.newest() {
            Some(newest) if self.is_live(newest, now) => newest.earlier(now).after(self.window),
            _ => now,
        }
    }
}

/// The instants that a [`SlidingLog`] keeps for one key, oldest first, in a ring.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct SlidingLogState<const MAX: usize> {
    at: [Halves; MAX],
    first: u16,
    len: u16,
}

impl<const MAX: usize> SlidingLogState<MAX> {
    /// Where the entry of age rank `rank` lies; the oldest has rank 0.
    fn place(&self, rank: usize) -> usize {
        let place = usize::from(self.first).saturating_add(rank);
        place.checked_sub(MAX).unwrap_or(place)
    }

    fn get(&self, rank: usize) -> Option<Instant> {
        if rank < usize::from(self.len) { self.at.get(self.place(rank)).map(|at| at.get()) } else { None }
    }

    fn newest(&self) -> Option<Instant> {
        usize::from(self.len).checked_sub(1).and_then(|rank| self.get(rank))
    }

    fn iter(&self) -> impl Iterator<Item = Instant> {
        (0..usize::from(self.len)).filter_map(|rank| self.get(rank))
    }

    fn push_back(&mut self, at: Instant) {
        let place = self.place(usize::from(self.len));
        if usize::from(self.len) < MAX
            && let Some(slot) = self.at.get_mut(place)
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
    fn forget_future(&mut self, now: Instant) {
        for rank in (0..usize::from(self.len)).rev() {
            let place = self.place(rank);
            match self.at.get_mut(place) {
                Some(at) if at.get() > now => *at = Halves::new(now),
                _ => break,
            }
        }
    }
}
