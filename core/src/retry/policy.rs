//! What a retry may do: how often, how long, how far apart.

use core::time::Duration;

use rand_core::Rng;

use super::{
    Retry,
    jitter::{Jitter, below},
};
use crate::foundation::{
    deadline::Deadline,
    time::{Instant, Span},
};

/// A retry policy: exponential backoff (or constant, or linear), jitter, and limits of number and time.
///
/// Every setting has a default: three retries, [`Jitter::Full`], no delay above a minute (or the base, if that is
/// longer), no limit of time. All settings are valid together. No delay is ever longer than
/// [`max_delay`](Self::max_delay), whatever growth, jitter and the server say.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{RetryPolicy, retry::Jitter};
///
/// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_secs(1))
///     .max_delay(Duration::from_secs(30))
///     .max_retries(3)
///     .jitter(Jitter::Full);
///
/// assert_eq!(POLICY.delay_for(0), Duration::from_secs(1));
/// assert_eq!(POLICY.delay_for(4), Duration::from_secs(16));
/// assert_eq!(POLICY.delay_for(u32::MAX), Duration::from_secs(30));
/// ```
#[doc(alias(
    "BackoffType",
    "ConstantBuilder",
    "ExponentialBackoff",
    "ExponentialBuilder",
    "FixedInterval",
    "IntervalFunction",
    "UseJitter"
))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(from = "super::settings::Settings", into = "super::settings::Settings"))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryPolicy {
    pub(super) base: Span,
    pub(super) max_delay: Span,
    pub(super) max_elapsed: Span,
    pub(super) attempt_timeout: Span,
    pub(super) max_retries: u32,
    /// What a delay is multiplied by, in percent, if it grows so.
    pub(super) factor: u16,
    pub(super) growth: Growth,
    pub(super) jitter: Jitter,
}

/// The largest span, for a limit that is not set: everything later saturates there too.
pub(super) const NO_LIMIT: Duration = Span::MAX.to_duration();

/// The factor of an exponential policy, in percent, if nothing else is said.
const DOUBLE: u16 = 200;

#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Growth {
    Constant,
    Exponential,
    /// Exponential by another factor than 2.
    #[cfg_attr(feature = "serde", serde(skip))]
    Factor,
    Linear,
}

impl RetryPolicy {
    /// `base`, `base`, `base`, ...
    #[must_use]
    pub const fn constant(base: Duration) -> Self {
        Self::new(base, Growth::Constant)
    }

    /// `base`, twice `base`, four times `base`, ...; for another factor see [`factor_percent`](Self::factor_percent).
    #[doc(alias("with_factor", "with_min_delay"))]
    #[must_use]
    pub const fn exponential(base: Duration) -> Self {
        Self::new(base, Growth::Exponential)
    }

    /// `base`, twice `base`, three times `base`, ...
    #[must_use]
    pub const fn linear(base: Duration) -> Self {
        Self::new(base, Growth::Linear)
    }

    pub(super) const fn new(base: Duration, growth: Growth) -> Self {
        const MINUTE: Duration = Duration::from_secs(60);

        let base = Span::new(base);
        Self {
            base,
            max_delay: longer(base, Span::new(MINUTE)),
            max_elapsed: Span::new(NO_LIMIT),
            attempt_timeout: Span::new(NO_LIMIT),
            max_retries: 3,
            factor: DOUBLE,
            growth,
            jitter: Jitter::Full,
        }
    }

    /// Multiplies each delay of an [`exponential`](Self::exponential) policy by `percent` of a hundred: 150 is half as
    /// long again. 200 by default; anything below 100 is 100. It changes no other policy.
    ///
    /// Here a step divides by 100.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::RetryPolicy;
    ///
    /// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_secs(1)).factor_percent(150);
    /// assert_eq!(POLICY.delay_for(2), Duration::from_millis(2_250));
    /// ```
    #[doc(alias("multiplier", "base", "ratio"))]
    #[must_use]
    pub const fn factor_percent(mut self, percent: u16) -> Self {
        if matches!(self.growth, Growth::Exponential | Growth::Factor) {
            self.factor = if percent < 100 { 100 } else { percent };
            self.growth = if percent == DOUBLE { Growth::Exponential } else { Growth::Factor };
        }
        self
    }

    /// No delay is longer than `max_delay`, whatever growth, jitter and the server say.
    #[doc(alias = "with_max_delay")]
    #[must_use]
    pub const fn max_delay(mut self, max_delay: Duration) -> Self {
        self.max_delay = Span::new(max_delay);
        self
    }

    /// At most `max_retries` tries after the first one: 3 makes at most 4 calls, 0 makes one.
    #[doc(alias("MaxRetryAttempts", "maxAttempts", "with_max_times"))]
    #[must_use]
    pub const fn max_retries(mut self, max_retries: u32) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// How delays are spread.
    #[doc(alias = "with_jitter")]
    #[must_use]
    pub const fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The whole of it, attempts and delays, lasts no longer than `max_elapsed`.
    ///
    /// A retry that would begin at its end or later is given up at once rather than slept for. The first attempt is
    /// always made.
    #[doc(alias = "with_total_delay")]
    #[must_use]
    pub const fn max_elapsed(mut self, max_elapsed: Duration) -> Self {
        self.max_elapsed = Span::new(max_elapsed);
        self
    }

    /// This policy for one operation, which begins at `now` and ends by `deadline`:
    /// [`max_elapsed`](Self::max_elapsed) is no longer than what remains. So with a deadline
    /// [refusals](super::Failure::RefusedUntil) use up neither `max_retries` nor the budget.
    ///
    /// For a [`Retry`]: ask [`Deadline::is_over`] before the first attempt, which is the caller's.
    /// [`call_with`](Self::call_with) takes it as [`Retrying::deadline`](super::Retrying::deadline).
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Deadline, Instant, RetryPolicy};
    ///
    /// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_secs(1)).attempt_timeout(Duration::from_secs(10));
    ///
    /// let now = Instant::from_secs(100);
    /// let policy = POLICY.until(Deadline::at(Instant::from_secs(104)), now);
    /// assert_eq!(policy.start(now).attempt_deadline(now), Some(Instant::from_secs(104)));
    /// ```
    #[must_use]
    pub const fn until(mut self, deadline: Deadline, now: Instant) -> Self {
        self.max_elapsed = shorter(self.max_elapsed, Span::new(deadline.remaining(now)));
        self
    }

    /// Each attempt is cut off (dropped) after `attempt_timeout`, which counts as a transient failure.
    ///
    /// What is inside an attempt does not learn why it was dropped. With a circuit breaker inside, let
    /// [`Reset::call_timeout`](crate::circuit_breaker::Reset::call_timeout) be shorter, or leave this out: the order is
    /// retry (breaker (time limit (call))).
    ///
    /// The state machine only names the instant ([`Retry::attempt_deadline`]); [`call_with`](Self::call_with) cuts.
    #[must_use]
    pub const fn attempt_timeout(mut self, attempt_timeout: Duration) -> Self {
        self.attempt_timeout = Span::new(attempt_timeout);
        self
    }

    /// The delay that follows the failure of attempt `attempt`, counted from 0, before jitter; jitter makes none
    /// longer.
    ///
    /// Never more than [`max_delay`](Self::max_delay), and no attempt number overflows. O(1), but with a
    /// [`factor_percent`](Self::factor_percent) a step for each attempt until the delay no longer grows.
    #[doc(alias = "DelayFor")]
    #[must_use]
    pub const fn delay_for(&self, attempt: u32) -> Duration {
        let span = match self.jitter {
            Jitter::Decorrelated => self.base.times(3_u64.saturating_pow(attempt.saturating_add(1))),
            Jitter::Equal | Jitter::Full | Jitter::None => self.growth_after(attempt),
        };
        shorter(span, self.max_delay).to_duration()
    }

    /// Begins an operation: the first attempt is made now.
    ///
    /// A policy in a `const` or a `static` gives a [`Retry`] that can be kept anywhere.
    #[doc(alias = "Retrier")]
    #[must_use]
    pub const fn start(&self, now: Instant) -> Retry<'_> {
        Retry::new(self, now)
    }

    /// True if it matters when an operation or an attempt begins.
    pub(super) fn is_timed(&self) -> bool {
        self.max_elapsed.min(self.attempt_timeout) < Span::MAX
    }

    /// The end of an operation that began at `started_at`, or at `now` if the clock has stepped back before that.
    pub(super) const fn deadline(&self, started_at: Instant, now: Instant) -> Instant {
        started_at.earlier(now).after(self.max_elapsed)
    }

    /// When an attempt of that operation that begins at `now` must be cut off; `None` for never.
    pub(super) fn attempt_deadline(&self, started_at: Instant, now: Instant) -> Option<Instant> {
        let at = self.deadline(started_at, now).earlier(now.after(self.attempt_timeout));
        (at < Instant::MAX).then_some(at)
    }

    pub(super) const fn capped(&self, delay: Span) -> Span {
        shorter(delay, self.max_delay)
    }

    /// The longest first delay, before it is capped.
    pub(super) const fn first(&self) -> Span {
        match self.jitter {
            Jitter::Decorrelated => self.base.times(3),
            Jitter::Equal | Jitter::Full | Jitter::None => self.base,
        }
    }

    /// The longest delay after one of at most `most` that was drawn as `drawn`, before it is capped.
    pub(super) const fn grown(&self, most: Span, drawn: Span) -> Span {
        match (self.jitter, self.growth) {
            (Jitter::Decorrelated, _) => drawn.plus(drawn).plus(drawn),
            (_, Growth::Constant) => most,
            (_, Growth::Exponential) => most.plus(most),
            (_, Growth::Factor) => percent_of(self.factor, most),
            (_, Growth::Linear) => most.plus(self.base),
        }
    }

    /// A delay of at most `most`, spread.
    pub(super) fn draw<R: Rng + ?Sized>(&self, most: Span, rng: &mut R) -> Span {
        let least = match self.jitter {
            Jitter::Decorrelated => shorter(self.base, most),
            Jitter::Equal => most.half(),
            Jitter::Full => Span::ZERO,
            Jitter::None => return most,
        };
        // No sum or difference here can overflow: `least` is at most `most`. Saturating would cost a fifth of a step.
        let width = Span::from_nanos(most.as_nanos().wrapping_sub(least.as_nanos()));
        Span::from_nanos(least.as_nanos().wrapping_add(below(width, rng).as_nanos()))
    }

    const fn growth_after(&self, attempt: u32) -> Span {
        match self.growth {
            Growth::Constant => self.base,
            Growth::Exponential => self.base.doubled(attempt),
            Growth::Factor => {
                let (mut span, mut rest) = (self.base, attempt);
                while rest > 0 && span.as_nanos() < self.max_delay.as_nanos() {
                    let longer = percent_of(self.factor, span);
                    rest = if longer.as_nanos() == span.as_nanos() { 0 } else { rest.saturating_sub(1) };
                    span = longer;
                }
                span
            }
            Growth::Linear => self.base.times((attempt as u64).saturating_add(1)),
        }
    }
}

/// So many hundredths of a span.
///
/// In digits of 16 bits, as on paper: the division of 64 bits that a small processor has as a function takes 700 bytes.
const fn percent_of(percent: u16, span: Span) -> Span {
    let (mut hundredth, mut rest, mut shift) = (0_u64, 0_u32, u64::BITS);
    while shift > 0 {
        shift = shift.saturating_sub(16);
        let part = rest << 16 | (span.as_nanos() >> shift & 0xffff) as u32;
        hundredth = hundredth << 16 | (part / 100) as u64;
        rest = part % 100;
    }
    let rest = rest.saturating_mul(percent as u32) / 100;
    Span::from_nanos(hundredth.saturating_mul(percent as u64).saturating_add(rest as u64))
}

const fn shorter(one: Span, other: Span) -> Span {
    if one.as_nanos() <= other.as_nanos() { one } else { other }
}

const fn longer(one: Span, other: Span) -> Span {
    if one.as_nanos() >= other.as_nanos() { one } else { other }
}
