//! The generic cell rate algorithm: a token bucket in eight bytes a key.

use core::{num::NonZeroU32, time::Duration};

use super::{CostExceedsBurst, Decision, Held, ONE, Quota};
use crate::foundation::time::{Instant, Span};

/// A token bucket by the generic cell rate algorithm (GCRA): a sustained rate and a burst, 8 bytes a key.
///
/// In any span of `t` at most `burst + t / interval` requests are allowed, exact to the nanosecond. It decides as a token
/// bucket (or leaky bucket as a meter) of size `burst` does that gets one token every `interval`.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::Gcra;
///
/// const API: Gcra = Gcra::per_second(100).burst(20);
/// assert_eq!(API.interval(), Duration::from_millis(10));
/// ```
///
/// A rate or a burst of zero denies everything. An interval of zero, as in `Gcra::every(Duration::ZERO)`, allows
/// everything: it is unlimited, and counts nothing.
///
/// All that is kept is the instant at which the quota is whole again. A request of size `n` moves it `n` intervals on, and is
/// allowed if it then lies at most `burst` intervals ahead. Source: ITU-T I.371, "virtual scheduling".
///
/// # Waiting
///
/// A request that waits ([`Shared::until_allowed`](crate::foundation::shared::Shared::until_allowed)) is counted from when
/// its turn came, at most 5 ms before it took it. So with waiters the bound is `burst + (t + 5 ms) / interval`.
///
/// # Another quota
///
/// After [`set_quota`](crate::rate_limiter::RateLimiterIn::set_quota) a key has as many requests counted as before, and
/// never waits longer than the new burst takes. What was owed is multiplied by the new interval, divided by the old one
/// and rounded up to a nanosecond, so changes in a row give nothing away, but for what exceeds the smallest burst among
/// them. A quota of zero keeps the counts for the one that follows, less one an hour; an unlimited one forgets them.
///
/// # Clock
///
/// If the clock steps back, a key can get one extra burst at most, and waits `burst` intervals at most.
///
/// # Cost
///
/// O(1), no division.
#[doc(alias("Quota::per_second", "Quota::with_period", "TokenBucketRateLimiter", "leaky bucket"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(from = "super::settings::GcraSettings", into = "super::settings::GcraSettings"))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gcra {
    interval: Span,
    /// The burst as a span: `burst` intervals.
    tolerance: Span,
    pub(super) burst: u32,
}

impl Gcra {
    /// One each `interval`, with a burst of one; an `interval` of zero is unlimited.
    #[must_use]
    pub const fn every(interval: Duration) -> Self {
        Self::new(Span::new(interval), 1)
    }

    /// `limit` a second, all of them at once if need be. See [`burst`](Self::burst).
    #[must_use]
    pub const fn per_second(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(1))
    }

    /// `limit` a minute, all of them at once if need be. See [`burst`](Self::burst).
    #[must_use]
    pub const fn per_minute(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(60))
    }

    /// `limit` an hour, all of them at once if need be. See [`burst`](Self::burst).
    #[must_use]
    pub const fn per_hour(limit: u32) -> Self {
        Self::per(limit, Duration::from_secs(3_600))
    }

    /// `limit` each `period`, all of them at once if need be. See [`burst`](Self::burst).
    ///
    /// The interval is rounded up to a nanosecond, so the rate is never above `limit`.
    #[must_use]
    pub const fn per(limit: u32, period: Duration) -> Self {
        let interval = match Span::new(period).as_nanos().checked_div(limit as u64) {
            None => Span::MAX,
            Some(whole) if whole.saturating_mul(limit as u64) < Span::new(period).as_nanos() => {
                Span::from_nanos(whole.saturating_add(1))
            }
            Some(whole) => Span::from_nanos(whole),
        };
        Self::new(interval, limit)
    }

    /// The same rate with at most `burst` at once.
    #[doc(alias = "allow_burst")]
    #[must_use]
    pub const fn burst(self, burst: u32) -> Self {
        Self::new(self.interval, burst)
    }

    /// The time that one request takes from the quota.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval.to_duration()
    }

    pub(super) const fn span(&self) -> Span {
        self.interval
    }

    pub(super) const fn new(interval: Span, burst: u32) -> Self {
        // What a burst of zero keeps from another quota is never due: it says nothing about how long.
        let tolerance = if burst == 0 { Span::MAX } else { interval.times(burst as u64) };
        Self { interval, tolerance, burst }
    }

    /// The time for which a request is kept in a state: the interval, or an hour if no request is ever allowed, so that
    /// what another quota has counted is still there when it returns.
    const fn unit(&self) -> Span {
        const HOUR: Span = Span::new(Duration::from_secs(3_600));
        if self.burst == 0 || self.interval.as_nanos() == u64::MAX { HOUR } else { self.interval }
    }

    /// When the quota is whole again, never further ahead than a whole burst: what bounds a clock that stepped back.
    const fn whole_at(&self, state: Instant, now: Instant) -> Instant {
        if state.as_nanos() < now.as_nanos() { now } else { state.earlier(now.after(self.tolerance)) }
    }

    /// One step: the decision on a request that has been waiting since `since`, and when the quota is whole then.
    // On a microcontroller once: it is called where a key is known, and where it is not.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(super) const fn step(
        &self,
        state: Instant,
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        if cost.get() > self.burst {
            return if self.burst == 0 {
                Ok((Decision::Deny { retry_at: Instant::MAX }, state))
            } else {
                Err(CostExceedsBurst { limit: self.burst })
            };
        }
        let last = now.after(self.tolerance);
        let whole_at = if state.as_nanos() < since.as_nanos() { since } else { state.earlier(last) };
        let moved = whole_at.after(self.interval.times(cost.get() as u64));
        // At the end of time sums saturate, and what saturated must not pass.
        if moved.as_nanos() <= last.as_nanos()
            && (moved.as_nanos() < Instant::MAX.as_nanos() || self.interval.is_zero())
        {
            Ok((Decision::Allow, moved))
        } else {
            let retry_at =
                if moved.as_nanos() == Instant::MAX.as_nanos() { moved } else { moved.before(self.tolerance) };
            // Denials count nothing, but the bound on a clock that stepped back must stay.
            Ok((Decision::Deny { retry_at }, whole_at))
        }
    }

    /// The debt without what an entry owed when it came.
    const fn own(state: Instant, debt: u32) -> Instant {
        state.before(Span::from_nanos((debt as u64) << TICK))
    }
}

/// Debts that entries came with are kept in units of two to the power of this many nanoseconds: a millisecond.
const TICK: u32 = 20;

impl Quota for Gcra {
    type Beside = ();
    type Count = ();

    const IDLE: () = ();
    const NOTHING: () = ();

    fn limit(&self) -> u32 {
        self.burst
    }

    fn latest(&self, now: Instant) -> Instant {
        now.after(self.tolerance)
    }

    fn allow(
        &self,
        state: Instant,
        _: Held<'_, Self>,
        cost: NonZeroU32,
        since: Instant,
        now: Instant,
    ) -> Result<(Decision, Instant), CostExceedsBurst> {
        self.step(state, cost, since, now)
    }

    fn check(
        &self,
        state: Instant,
        _: Held<'_, Self>,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Decision, CostExceedsBurst> {
        self.step(state, cost, now, now).map(|(decision, _)| decision)
    }

    fn ready_at(
        &self,
        state: Instant,
        held: Held<'_, Self>,
        ahead: u32,
        cost: NonZeroU32,
        now: Instant,
    ) -> Result<Instant, CostExceedsBurst> {
        let Decision::Deny { retry_at } = self.check(state, held, cost, now)? else {
            let before = self.whole_at(state, now).after(self.interval.times(u64::from(ahead)));
            let moved = before.after(self.interval.times(u64::from(cost.get())));
            return Ok(moved.before(self.tolerance).max(now));
        };
        Ok(retry_at.after(self.interval.times(u64::from(ahead))))
    }

    fn refund(&self, state: Instant, _: Held<'_, Self>, cost: NonZeroU32, now: Instant) -> Instant {
        self.whole_at(state, now).before(self.interval.times(u64::from(cost.get())))
    }

    /// What has to be paid back, in requests of the new interval, rounded up to a nanosecond and cut to the new burst.
    fn carry_over(&self, former: &Self, state: Instant, _: Held<'_, Self>, now: Instant) -> Instant {
        let owed = former.whole_at(state, now).since(now);
        now.after(owed.scaled_up(former.unit(), self.unit()).shorter(self.tolerance))
    }

    fn remaining(&self, state: Instant, _: Held<'_, Self>, now: Instant) -> u32 {
        // The end of time is out of reach, as in `step`.
        let latest = now.after(self.tolerance).earlier(Instant::MAX.before(Span::from_nanos(1)));
        let room = latest.since(self.whole_at(state, now)).as_nanos();
        // Rounded down: a request that is partly given back cannot be made again yet. An interval of zero costs nothing.
        let left = room.checked_div(self.interval.as_nanos()).and_then(|left| u32::try_from(left).ok());
        left.unwrap_or(self.burst).min(self.burst)
    }

    fn settle(&self, _: Instant, (): &(), (): &mut (), _: Instant) {}

    fn resume(&self, _: Instant, (): (), (): &mut ()) {}

    fn all_but_one(&self, now: Instant) -> (Instant, ()) {
        (now.after(self.tolerance).before(self.interval), ())
    }

    fn own_use(&self, state: Instant, (): &(), debt: u32, now: Instant) -> Option<u64> {
        let own = Self::own(state, debt);
        let is_used_up = self.step(own, ONE, now, now).is_ok_and(|(decision, _)| !decision.is_allowed());
        if is_used_up { None } else { Some(own.as_nanos()) }
    }

    fn debt(&self, state: Instant, (): (), now: Instant) -> u32 {
        u32::try_from(state.since(now).as_nanos() >> TICK).unwrap_or(u32::MAX)
    }
}
