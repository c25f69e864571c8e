//! The state of one quota as numbers, which can leave the process.

use core::{num::NonZeroU32, time::Duration};

use super::{CostExceedsBurst, Decision, Gcra, Held, Verdict};
use crate::foundation::time::{Instant, Span};

/// What one key has used of a [`Gcra`], as three numbers: to keep over a restart, to send to another process, or to have in
/// a store that many processes share.
///
/// - [`debt`](Self::debt): how long the quota takes to be whole again;
/// - [`at`](Self::at): when that was so;
/// - [`interval`](Self::interval): what one request took then.
///
/// `debt / interval` is what counts, in requests: it stays counted when the quota is another one, however often and by
/// whom it is changed.
///
/// ```
/// use core::{num::NonZeroU32, time::Duration};
/// use steadfast_core::{
///     Gcra, Instant,
///     rate_limiter::{CostExceedsBurst, GcraState},
/// };
///
/// const API: Gcra = Gcra::per_second(10);
/// let (mut state, now) = (GcraState::default(), Instant::from_secs(100));
/// assert!(state.allow(&API, NonZeroU32::new(7).unwrap(), now)?.is_allowed());
///
/// // To a file, and back by another process with another clock, which says how long it was away.
/// let (debt, interval) = (state.debt(), state.interval());
/// let (begin, away) = (Instant::from_secs(3), Duration::from_millis(100));
/// let mut state = GcraState::new(debt, begin.saturating_sub(away), interval);
/// assert_eq!(state.check(&API, NonZeroU32::MIN, begin)?.remaining, 4);
/// # Ok::<(), CostExceedsBurst>(())
/// ```
///
/// # Contract
///
/// With one quota and a clock that does not step back, it decides as [`Gcra`] does, bit for bit. In any span of `t` at
/// most `burst + t / interval` requests are allowed; where several quotas ask, the largest burst and the smallest
/// interval of them.
///
/// # Another quota
///
/// What is owed is multiplied by the new interval, divided by the old one and rounded up to a nanosecond, when a request is
/// allowed. Unlike [`set_quota`](crate::rate_limiter::RateLimiterIn::set_quota), which puts one quota in the place of
/// another for good, it is not cut to the new burst: where two quotas take turns, as in a rolling deploy, the smaller one
/// would give away what the larger one has counted.
///
/// # Clock
///
/// If the clock steps back, what is owed stays owed: nothing is allowed for it, and nobody waits longer. If it steps
/// ahead, as much is paid back as by waiting: one burst at most.
///
/// # Cost
///
/// O(1). No division, unless the quota is another one, but for what the [`Verdict`] tells.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct GcraState {
    debt: Span,
    at: Instant,
    interval: Span,
}

impl GcraState {
    /// A state from its numbers. What owes nothing is as if it had never asked: so is the default.
    #[must_use]
    pub const fn new(debt: Duration, at: Instant, interval: Duration) -> Self {
        Self { debt: Span::new(debt), at, interval: Span::new(interval) }
    }

    /// How long the quota took to be whole again, at [`at`](Self::at).
    #[must_use]
    pub const fn debt(&self) -> Duration {
        self.debt.to_duration()
    }

    /// The instant that the debt is of.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// The interval of the quota by which it was counted.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval.to_duration()
    }

    /// Decides a request of size `cost` by `quota`, and counts it if it is allowed.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the burst, and that is not zero; nothing is changed.
    pub fn allow(&mut self, quota: &Gcra, cost: NonZeroU32, now: Instant) -> Result<Verdict, CostExceedsBurst> {
        let (verdict, next) = self.step(quota, cost, now)?;
        *self = next;
        Ok(verdict)
    }

    /// Decides a request as [`allow`](Self::allow) would, and counts nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the burst, and that is not zero.
    pub fn check(&self, quota: &Gcra, cost: NonZeroU32, now: Instant) -> Result<Verdict, CostExceedsBurst> {
        let (decision, owed, _) = self.decide(quota, cost, now)?;
        Ok(Self::verdict(decision, owed, quota, now))
    }

    fn step(&self, quota: &Gcra, cost: NonZeroU32, now: Instant) -> Result<(Verdict, Self), CostExceedsBurst> {
        let (decision, owed, moved) = self.decide(quota, cost, now)?;
        Ok(match decision {
            Decision::Allow => {
                let next = Self { debt: moved, at: now, interval: quota.unit() };
                (Self::verdict(decision, moved, quota, now), next)
            }
            // In its old unit: else the quota that denies would set the pace at which it is paid back.
            Decision::Deny { .. } => {
                let next = Self { debt: self.debt_at(now), at: now, interval: self.interval };
                (Self::verdict(decision, owed, quota, now), next)
            }
        })
    }

    /// The decision, and what is owed before and after it.
    fn decide(&self, quota: &Gcra, cost: NonZeroU32, now: Instant) -> Result<(Decision, Span, Span), CostExceedsBurst> {
        let debt = self.debt_at(now);
        let unit = quota.unit();
        let owed = if self.interval == unit { debt } else { debt.scaled_up(self.interval, unit) };
        if cost.get() > quota.burst {
            return match quota.burst {
                0 => Ok((Decision::Deny { retry_at: Instant::MAX }, owed, owed)),
                limit => Err(CostExceedsBurst { limit }),
            };
        }
        let (interval, tolerance) = (Span::new(quota.interval()), quota.tolerance());
        let moved = owed.plus(interval.times(cost.get().into()));
        // What saturated must not pass.
        if moved <= tolerance && (moved < Span::MAX || interval.is_zero()) {
            return Ok((Decision::Allow, owed, moved));
        }
        let retry_at = if moved == Span::MAX { Instant::MAX } else { now.after(moved).before(tolerance) };
        Ok((Decision::Deny { retry_at }, owed, moved))
    }

    const fn debt_at(&self, now: Instant) -> Span {
        self.at.after(self.debt).since(self.at.later(now))
    }

    fn verdict(decision: Decision, owed: Span, quota: &Gcra, now: Instant) -> Verdict {
        let mut verdict = Verdict::at(decision, quota, (now.after(owed), Held::Entry(&mut ())), now);
        if owed > quota.tolerance() {
            // Counted by a quota with a larger burst.
            verdict.reset_at = now.after(owed);
            verdict.more_at = now.after(owed.plus(Span::new(quota.interval()))).before(quota.tolerance());
        }
        verdict
    }
}
