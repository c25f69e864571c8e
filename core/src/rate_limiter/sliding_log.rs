//! A sliding window log: at most so many in any window, exactly.

use core::{
    fmt,
    marker::PhantomData,
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use super::{
    CostExceedsBurst, Decision, Held, Quota,
    log::{Log, Rule, fits, live},
};
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

impl<const MAX: usize> SlidingLog<MAX> {
    const fn rule(&self) -> Rule {
        Rule { max: MAX, window: self.window }
    }
}

impl<const MAX: usize> Quota for SlidingLog<MAX> {
    type Beside = SlidingLogState<MAX>;
    type Count = u16;

    const IDLE: SlidingLogState<MAX> = SlidingLogState(Log::new([Halves::ZERO; MAX]));
    const NOTHING: u16 = 0;

    fn limit(&self) -> u32 {
        MAX as u32
    }

    fn latest(&self, now: Instant) -> Instant {
        now.after(self.window)
    }

    fn allow(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        _: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        match held {
            Held::Entry(log) => log.0.allow(self.rule(), idle_at, cost, now),
            Held::Cell(count) => self.rule().allow(idle_at, count, cost, now),
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
            Held::Entry(log) => log.0.check(self.rule(), cost, now),
            Held::Cell(count) => self.rule().check(idle_at, *count, cost, now),
        }
    }

    fn ready_at(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        match held {
            Held::Entry(log) => log.0.ready_at(self.rule(), ahead, cost, now),
            Held::Cell(count) => self.rule().ready_at(idle_at, *count, ahead, cost, now),
        }
    }

    /// The oldest that count go: whichever request was not made, those that were left the window no earlier.
    fn refund(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        match held {
            Held::Entry(log) => log.0.refund(self.rule(), cost, now),
            Held::Cell(_) => idle_at,
        }
    }

    fn refund_last(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        match held {
            Held::Entry(log) => log.0.refund_last(self.rule(), cost, now),
            Held::Cell(_) => idle_at,
        }
    }

    fn mend(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        if let Held::Entry(log) = held {
            log.0.forget_future(now);
        }
        idle_at.earlier(self.latest(now))
    }

    /// Instants are kept, and count in any window that they are in. What has left the former window may be forgotten.
    fn carry_over(&self, former: &Self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        match held {
            Held::Entry(log) => {
                log.0.forget(former.window, now);
                log.0.idle_at(self.window)
            }
            Held::Cell(count) => self.rule().carry_over(former.rule(), idle_at, count, now),
        }
    }

    fn remaining(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> u32 {
        let live = match held {
            Held::Entry(log) => log.0.live(self.window, now),
            Held::Cell(count) => live(idle_at, *count, now),
        };
        MAX.saturating_sub(live) as u32
    }

    fn settle(&self, _: Instant, log: &SlidingLogState<MAX>, count: &mut u16, now: Instant) {
        *count = log.0.live(self.window, now).max(usize::from(*count)) as u16;
    }

    fn resume(&self, idle_at: Instant, count: u16, log: &mut SlidingLogState<MAX>) {
        log.0.resume(self.rule(), idle_at, count);
    }

    fn all_but_one(&self, now: Instant) -> (Instant, u16) {
        self.rule().all_but_one(now)
    }

    fn own_use(&self, idle_at: Instant, log: &SlidingLogState<MAX>, debt: u32, now: Instant) -> Option<u64> {
        self.rule().own_use(idle_at, log.0.live(self.window, now), debt)
    }

    fn debt(&self, idle_at: Instant, count: u16, now: Instant) -> u32 {
        live(idle_at, count, now) as u32
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

    fn rule(&self) -> Rule {
        Rule { max: self.max(), window: self.window }
    }

    fn empty(&self) -> Log<S::Of<Halves>> {
        Log::new(S::allocate(self.max(), || Halves::ZERO))
    }
}

impl<S: Allocate> Quota for SlidingLogIn<S> {
    type Beside = SlidingLogStateIn<S>;
    type Count = u16;

    const IDLE: SlidingLogStateIn<S> = SlidingLogStateIn(None);
    const NOTHING: u16 = 0;

    fn limit(&self) -> u32 {
        self.max.get().into()
    }

    fn latest(&self, now: Instant) -> Instant {
        now.after(self.window)
    }

    fn allow(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        _: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        fits(self.max(), cost)?;
        match held {
            Held::Entry(log) => log.0.get_or_insert_with(|| self.empty()).allow(self.rule(), idle_at, cost, now),
            Held::Cell(count) => self.rule().allow(idle_at, count, cost, now),
        }
    }

    fn check(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        fits(self.max(), cost)?;
        match held {
            Held::Entry(log) => log.0.as_ref().map_or(Ok(Decision::Allow), |log| log.check(self.rule(), cost, now)),
            Held::Cell(count) => self.rule().check(idle_at, *count, cost, now),
        }
    }

    fn ready_at(
        &self,
        idle_at: Instant,
        held: Held<'_, Self>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        match held {
            Held::Entry(SlidingLogStateIn(Some(log))) => log.ready_at(self.rule(), ahead, cost, now),
            Held::Entry(SlidingLogStateIn(None)) => self.rule().ready_at(Instant::ZERO, 0, ahead, cost, now),
            Held::Cell(count) => self.rule().ready_at(idle_at, *count, ahead, cost, now),
        }
    }

    fn refund(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        match held {
            Held::Entry(SlidingLogStateIn(Some(log))) => log.refund(self.rule(), cost, now),
            Held::Entry(_) | Held::Cell(_) => idle_at,
        }
    }

    fn refund_last(&self, idle_at: Instant, held: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        match held {
            Held::Entry(SlidingLogStateIn(Some(log))) => log.refund_last(self.rule(), cost, now),
            Held::Entry(_) | Held::Cell(_) => idle_at,
        }
    }

    fn mend(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        if let Held::Entry(SlidingLogStateIn(Some(log))) = held {
            log.forget_future(now);
        }
        idle_at.earlier(self.latest(now))
    }

    fn carry_over(&self, former: &Self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> Instant {
        let kept = match held {
            Held::Entry(SlidingLogStateIn(Some(kept))) => kept,
            Held::Entry(_) => return idle_at,
            Held::Cell(count) => return self.rule().carry_over(former.rule(), idle_at, count, now),
        };
        kept.forget(former.window, now);
        if self.max != former.max {
            let mut other = self.empty();
            let first = usize::from(kept.len).saturating_sub(self.max());
            kept.iter().skip(first).for_each(|at| other.push_back(at));
            *kept = other;
        }
        kept.idle_at(self.window)
    }

    fn remaining(&self, idle_at: Instant, held: Held<'_, Self>, now: Instant) -> u32 {
        let live = match held {
            Held::Entry(log) => log.live(self.window, now),
            Held::Cell(count) => live(idle_at, *count, now),
        };
        self.max().saturating_sub(live) as u32
    }

    fn settle(&self, _: Instant, log: &SlidingLogStateIn<S>, count: &mut u16, now: Instant) {
        *count = log.live(self.window, now).max(usize::from(*count)) as u16;
    }

    fn resume(&self, idle_at: Instant, count: u16, log: &mut SlidingLogStateIn<S>) {
        // Memory that another key has left is used again, unless it is of another size.
        if log.0.as_ref().is_none_or(|log| log.max() != self.max()) {
            log.0 = Some(self.empty());
        }
        if let Some(log) = &mut log.0 {
            log.resume(self.rule(), idle_at, count);
        }
    }

    fn all_but_one(&self, now: Instant) -> (Instant, u16) {
        self.rule().all_but_one(now)
    }

    fn own_use(&self, idle_at: Instant, log: &SlidingLogStateIn<S>, debt: u32, now: Instant) -> Option<u64> {
        self.rule().own_use(idle_at, log.live(self.window, now), debt)
    }

    fn debt(&self, idle_at: Instant, count: u16, now: Instant) -> u32 {
        live(idle_at, count, now) as u32
    }
}

/// The instants that a [`SlidingLogIn`] keeps for one key; no memory before its first request.
pub struct SlidingLogStateIn<S: Storage>(Option<Log<S::Of<Halves>>>);

impl<S: Storage> SlidingLogStateIn<S> {
    fn live(&self, window: Span, now: Instant) -> usize {
        self.0.as_ref().map_or(0, |log| log.live(window, now))
    }
}

impl<S: Storage> fmt::Debug for SlidingLogStateIn<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().flat_map(Log::iter)).finish()
    }
}
