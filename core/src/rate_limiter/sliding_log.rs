//! A sliding window log: at most so many in any window, exactly.

use core::{
    fmt,
    marker::PhantomData,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use super::{CostExceedsBurst, Decision, Quota};
use crate::foundation::{
    storage::{Allocate, Storage},
    time::{Halves, Instant, Span},
};

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
}

impl<const MAX: usize> Quota for SlidingLog<MAX> {
    type State = SlidingLogState<MAX>;

    const IDLE: SlidingLogState<MAX> = SlidingLogState(Log::new([Halves::ZERO; MAX]));

    fn limit(&self) -> u32 {
        MAX as u32
    }

    fn allow(
        &self,
        log: &mut SlidingLogState<MAX>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        log.0.allow(self.window, cost, now)
    }

    fn check(&self, log: &SlidingLogState<MAX>, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        log.0.check(self.window, cost, now)
    }

    fn ready_at(
        &self,
        log: &SlidingLogState<MAX>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        log.0.ready_at(self.window, ahead, cost, now)
    }

    /// The oldest that count go: whichever request was not made, those that were left the window no earlier.
    fn refund(&self, log: &mut SlidingLogState<MAX>, cost: NonZeroU32, now: Instant) {
        log.0.refund(self.window, cost, now);
    }

    fn refund_last(&self, log: &mut SlidingLogState<MAX>, cost: NonZeroU32, now: Instant) {
        log.0.refund_last(self.window, cost, now);
    }

    fn mend(&self, log: &mut SlidingLogState<MAX>, now: Instant) {
        log.0.forget_future(now);
    }

    /// Instants are kept, and count in any window that they are in. What has left the former window may be forgotten.
    fn carry_over(&self, former: &Self, log: &mut SlidingLogState<MAX>, now: Instant) {
        log.0.forget(former.window, now);
    }

    fn remaining(&self, log: &SlidingLogState<MAX>, now: Instant) -> u32 {
        MAX.saturating_sub(log.0.live(self.window, now)) as u32
    }

    fn reset_at(&self, log: &SlidingLogState<MAX>, now: Instant) -> Instant {
        log.0.reset_at(self.window, now)
    }
}

/// The instants that a [`SlidingLog`] keeps for one key.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct SlidingLogState<const MAX: usize>(Log<[Halves; MAX]>);

/// A [`SlidingLog`] whose size is known at run time only: what a server reads from a file.
///
/// The memory of a key comes from `S`, and is allocated for its first request. **Under another quota** the newest instants
/// that counted are kept, as many as the new size holds.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SlidingLogIn<S> {
    max: NonZeroU16,
    window: Span,
    storage: PhantomData<S>,
}

impl<S: Allocate> SlidingLogIn<S> {
    /// At most `max` in any `window`.
    #[must_use]
    pub const fn new(max: NonZeroU16, window: Duration) -> Self {
        Self { max, window: Span::new(window), storage: PhantomData }
    }

    /// The window.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window.to_duration()
    }

    fn max(&self) -> usize {
        self.max.get().into()
    }

    fn empty(&self) -> Log<S::Of<Halves>> {
        Log::new(S::allocate(self.max(), || Halves::ZERO))
    }
}

impl<S: Allocate> Quota for SlidingLogIn<S> {
    type State = SlidingLogStateIn<S>;

    const IDLE: SlidingLogStateIn<S> = SlidingLogStateIn(None);

    fn limit(&self) -> u32 {
        self.max.get().into()
    }

    fn allow(
        &self,
        log: &mut SlidingLogStateIn<S>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        fits(self.max(), cost)?;
        log.0.get_or_insert_with(|| self.empty()).allow(self.window, cost, now)
    }

    fn check(&self, log: &SlidingLogStateIn<S>, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        fits(self.max(), cost)?;
        log.0.as_ref().map_or(Ok(Decision::Allow), |log| log.check(self.window, cost, now))
    }

    fn ready_at(
        &self,
        log: &SlidingLogStateIn<S>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        match &log.0 {
            Some(log) => log.ready_at(self.window, ahead, cost, now),
            None => ready_at(self.max(), 0, |_| now, self.window, ahead, cost, now),
        }
    }

    fn refund(&self, log: &mut SlidingLogStateIn<S>, cost: NonZeroU32, now: Instant) {
        if let Some(log) = &mut log.0 {
            log.refund(self.window, cost, now);
        }
    }

    fn refund_last(&self, log: &mut SlidingLogStateIn<S>, cost: NonZeroU32, now: Instant) {
        if let Some(log) = &mut log.0 {
            log.refund_last(self.window, cost, now);
        }
    }

    fn mend(&self, log: &mut SlidingLogStateIn<S>, now: Instant) {
        if let Some(log) = &mut log.0 {
            log.forget_future(now);
        }
    }

    fn carry_over(&self, former: &Self, log: &mut SlidingLogStateIn<S>, now: Instant) {
        let Some(kept) = &mut log.0 else { return };
        kept.forget(former.window, now);
        if self.max == former.max {
            return;
        }
        let mut other = self.empty();
        let first = usize::from(kept.len).saturating_sub(self.max());
        kept.iter().skip(first).for_each(|at| other.push_back(at));
        log.0 = Some(other);
    }

    fn remaining(&self, log: &SlidingLogStateIn<S>, now: Instant) -> u32 {
        let live = log.0.as_ref().map_or(0, |log| log.live(self.window, now));
        self.max().saturating_sub(live) as u32
    }

    fn reset_at(&self, log: &SlidingLogStateIn<S>, now: Instant) -> Instant {
        log.0.as_ref().map_or(now, |log| log.reset_at(self.window, now))
    }
}

/// The instants that a [`SlidingLogIn`] keeps for one key; no memory before its first request.
pub struct SlidingLogStateIn<S: Storage>(Option<Log<S::Of<Halves>>>);

impl<S: Storage> fmt::Debug for SlidingLogStateIn<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().flat_map(Log::iter)).finish()
    }
}

const fn fits(max: usize, cost: NonZeroU32) -> Result<usize, CostExceedsBurst> {
    let cost = cost.get() as usize;
    if cost > max && max > 0 { Err(CostExceedsBurst { limit: max as u32 }) } else { Ok(cost) }
}

/// True if what was counted at `at` counts at `now`.
fn is_live(window: Span, at: Instant, now: Instant) -> bool {
    now.since(at) < window
}

/// When a request is allowed behind `ahead` others, of which `live` count already: that of rank `rank` was made at
/// `counted(rank)`.
fn ready_at(
    max: usize,
    live: usize,
    counted: impl Fn(usize) -> Instant,
    window: Span,
    ahead: u32,
    cost: NonZeroU32,
    now: Instant,
) -> Result<Instant, CostExceedsBurst> {
    let all = live.saturating_add(ahead as usize).saturating_add(fits(max, cost)?);
    let Some(last) = all.saturating_sub(max).checked_sub(1) else { return Ok(now) };
    // Those of the log leave the window one by one, and a window later those who came in their places, and so on.
    let (Some(rounds), Some(rank)) = (last.checked_div(max), last.checked_rem(max)) else {
        return Ok(Instant::MAX);
    };
    Ok(counted(rank).after(window.times((rounds as u64).saturating_add(1))))
}

/// The last instants of one key, oldest first, in a ring of as many as are allowed.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
struct Log<A> {
    at: A,
    first: u16,
    len: u16,
}

impl<A: AsRef<[Halves]> + AsMut<[Halves]>> Log<A> {
    const fn new(at: A) -> Self {
        Self { at, first: 0, len: 0 }
    }

    fn allow(&mut self, window: Span, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        let cost = fits(self.max(), cost)?;
        self.forget(window, now);
        let decision = self.decide(window, usize::from(self.len), cost, now);
        if decision.is_allowed() {
            (0..cost).for_each(|_| self.push_back(now));
        }
        Ok(decision)
    }

    fn check(&self, window: Span, cost: NonZeroU32, now: Instant) -> Result<Decision, CostExceedsBurst> {
        let cost = fits(self.max(), cost)?;
        Ok(self.decide(window, self.live(window, now), cost, now))
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

    fn ready_at(&self, window: Span, ahead: u32, cost: NonZeroU32, now: Instant) -> Result<Instant, CostExceedsBurst> {
        let live = self.live(window, now);
        let gone = usize::from(self.len).saturating_sub(live);
        let counted = |rank: usize| self.get(gone.saturating_add(rank)).map_or(now, |at| at.earlier(now));
        ready_at(self.max(), live, counted, window, ahead, cost, now)
    }

    fn refund(&mut self, window: Span, cost: NonZeroU32, now: Instant) {
        self.forget(window, now);
        let cost = cost.get().min(u32::from(self.len));
        (0..cost).for_each(|_| self.pop_front());
    }

    fn refund_last(&mut self, window: Span, cost: NonZeroU32, now: Instant) {
        self.forget(window, now);
        self.len = self.len.saturating_sub(u16::try_from(cost.get()).unwrap_or(u16::MAX));
    }

    fn reset_at(&self, window: Span, now: Instant) -> Instant {
        match self.newest() {
            Some(newest) if is_live(window, newest, now) => newest.earlier(now).after(window),
            _ => now,
        }
    }

    /// Forgets what no longer counts.
    fn forget(&mut self, window: Span, now: Instant) {
        self.forget_future(now);
        while self.get(0).is_some_and(|oldest| !is_live(window, oldest, now)) {
            self.pop_front();
        }
    }

    fn live(&self, window: Span, now: Instant) -> usize {
        // `count` would be checked for an overflow that cannot be.
        self.iter().fold(0, |live, at| live.saturating_add(usize::from(is_live(window, at, now))))
    }

    fn max(&self) -> usize {
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

    fn iter(&self) -> impl Iterator<Item = Instant> {
        (0..usize::from(self.len)).filter_map(|rank| self.get(rank))
    }

    fn push_back(&mut self, at: Instant) {
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
    fn forget_future(&mut self, now: Instant) {
        for rank in (0..usize::from(self.len)).rev() {
            let place = self.place(rank);
            match self.at.as_mut().get_mut(place) {
                Some(at) if at.get() > now => *at = Halves::new(now),
                _ => break,
            }
        }
    }
}
