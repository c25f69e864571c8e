//! Retry with exponential backoff, jitter, limits and a budget.
//!
//! - [`RetryPolicy`] says how often, how far apart and for how long an operation is tried; [`RetryPolicy::call_with`]
//!   does it.
//! - [`RetryBudget`] limits the retries of many operations together, against retry storms.
//! - [`Retry`] is the decision alone, for callers that wait themselves.
//!
//! **Outcomes**: [`Step`] of a decision. **Errors**: [`RetryError`], with the last error and the [`Reason`] for giving
//! up. **Counts**: [`RetryBudgetStats`].
//!
//! Next: [`circuit_breaker`](crate::circuit_breaker), inside the retry. The order is retry (breaker (time limit
//! (call))).

mod budget;
#[cfg(test)]
mod deadline_tests;
mod error;
mod future;
mod jitter;
mod observe;
mod policy;
mod retrying;
#[cfg(test)]
mod retrying_tests;
mod rules;
mod seeded;
#[cfg(feature = "serde")]
mod settings;
#[cfg(test)]
mod tests;

use core::{fmt, time::Duration};

use rand_core::Rng;

use crate::foundation::time::{Instant, Span};

pub use budget::{RetryBudget, RetryBudgetStats};
pub use error::RetryError;
pub use future::RetryFuture;
pub use jitter::Jitter;
pub use policy::RetryPolicy;
pub use retrying::{Operation, Retrying};
pub use rules::{Classify, Hint, NoBudget, Notify, Plain, RetryIf};
pub use seeded::SeededRng;

/// The retry decision for one operation: after each failure it says when to try again, or why not to.
///
/// The caller makes the attempts and waits; [`RetryPolicy::call_with`] does both. The random generator is the caller's:
/// seed it on each device, or a whole fleet retries in step (thundering herd).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Instant, RetryPolicy, retry::{Failure, Jitter, Reason, Step}};
/// # struct Device(u32);
/// # impl rand_core::TryRng for Device {
/// #     type Error = core::convert::Infallible;
/// #     fn try_next_u32(&mut self) -> Result<u32, Self::Error> { Ok(self.0) }
/// #     fn try_next_u64(&mut self) -> Result<u64, Self::Error> { Ok(0) }
/// #     fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> { Ok(()) }
/// # }
/// # let mut rng = Device(1 << 31);
///
/// const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_secs(8)).max_retries(1);
///
/// let mut now = Instant::from_secs(100);
/// let mut retry = POLICY.start(now);
/// // The first attempt fails ...
/// match retry.next(Failure::Transient, now, &mut rng) {
///     Step::RetryAt(at) => now = at, // ... sleep until then, and try again
///     Step::GiveUp(reason) => unreachable!("{reason}"),
/// }
/// assert!(now <= Instant::from_secs(108));
/// assert_eq!(retry.next(Failure::Transient, now, &mut rng), Step::GiveUp(Reason::AttemptsExhausted));
/// ```
///
/// # Clock
///
/// If the clock steps back before the start, the operation counts as started then. So each such step prolongs
/// [`max_elapsed`](RetryPolicy::max_elapsed) by itself at most.
///
/// # Cost
///
/// Every call is O(1) and does not divide.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct Retry<'p> {
    policy: &'p RetryPolicy,
    progress: Progress,
}

/// A [`Retry`] without its policy.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
struct Progress {
    started_at: Instant,
    /// The longest next delay, before it is capped. It grows with each retry, so that no step needs a power or a
    /// product.
    longest: Span,
    retries: u32,
}

/// How an attempt failed: transient, permanent, or with a time to wait (`Retry-After`).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::retry::Failure;
///
/// /// What an HTTP status and its `Retry-After` say about another try.
/// fn failure(status: u16, retry_after: Option<Duration>) -> Failure {
///     match (status, retry_after) {
///         (429 | 503, Some(wait)) => Failure::RetryAfter(wait),
///         (429 | 500.., _) => Failure::Transient,
///         _ => Failure::Permanent,
///     }
/// }
/// assert_eq!(failure(404, None), Failure::Permanent);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// Worth another try after this time, instead of the delay that the policy would choose.
    ///
    /// Jitter does not change it, and it is cut to [`max_delay`](RetryPolicy::max_delay). This serves a list of delays,
    /// a Fibonacci sequence, and jitter of one's own.
    Delay(Duration),
    /// Trying again would fail again.
    Permanent,
    /// The attempt was not made: an open circuit breaker or a rate limiter refused it until then.
    ///
    /// Nobody was called, so it counts as no attempt: it uses up neither [`max_retries`](RetryPolicy::max_retries) nor
    /// the budget, and the next delay does not grow. Time alone bounds it: with neither
    /// [`max_elapsed`](RetryPolicy::max_elapsed) nor a [`deadline`](Retrying::deadline) it counts as any other failure.
    /// The next try comes at that instant, if it is neither sooner than the policy's own delay nor later than
    /// [`max_delay`](RetryPolicy::max_delay).
    RefusedUntil(Instant),
    /// Worth another try, but not before this time has passed: a server's `Retry-After`.
    ///
    /// It can make a delay longer, never shorter, and overrides none of the policy's limits: a longer one is cut to
    /// [`max_delay`](RetryPolicy::max_delay).
    RetryAfter(Duration),
    /// Worth another try.
    Transient,
}

/// What to do after a failed attempt: retry at an instant, or give up.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "the operation has failed for good unless this says to retry"]
pub enum Step {
    /// Report the last failure.
    GiveUp(Reason),
    /// Make the next attempt then, and not before.
    RetryAt(Instant),
}

impl Step {
    /// How long to wait from `now`; `None` if there is no other attempt.
    #[must_use]
    pub const fn retry_after(self, now: Instant) -> Option<Duration> {
        match self {
            Self::GiveUp(_) => None,
            Self::RetryAt(at) => Some(at.saturating_duration_since(now)),
        }
    }
}

/// Why a retry gave up.
#[doc(alias = "MaxRetriesExceeded")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Reason {
    /// [`max_retries`](RetryPolicy::max_retries) are used up, and the last attempt was cut off, at
    /// [`attempt_timeout`](RetryPolicy::attempt_timeout) or where all the time ends. Only [`RetryPolicy::call_with`]
    /// tells it, because it cuts off.
    AttemptTimedOut,
    /// [`max_retries`](RetryPolicy::max_retries) are used up.
    #[doc(alias = "max attempts")]
    AttemptsExhausted,
    /// The shared [`RetryBudget`] is used up.
    BudgetExhausted,
    /// The next attempt would begin at the end of [`max_elapsed`](RetryPolicy::max_elapsed), or at the
    /// [`deadline`](Retrying::deadline), or later.
    DeadlineExceeded,
    /// The failure was [`Failure::Permanent`].
    NotRetryable,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AttemptTimedOut => "the last of them timed out",
            Self::AttemptsExhausted => "no attempt is left",
            Self::BudgetExhausted => "the retry budget is used up",
            Self::DeadlineExceeded => "no time is left",
            Self::NotRetryable => "the error is not retried",
        })
    }
}

impl<'p> Retry<'p> {
    pub(super) const fn new(policy: &'p RetryPolicy, now: Instant) -> Self {
        Self { policy, progress: Progress { started_at: now, longest: policy.first(), retries: 0 } }
    }

    /// Decides what follows the failure of the attempt that was made last.
    ///
    /// The limits are asked in this order: permanence, attempts, time. A refused step counts as no retry.
    pub fn next<R: Rng + ?Sized>(&mut self, failure: Failure, now: Instant, rng: &mut R) -> Step {
        self.next_if(failure, now, rng, || true)
    }

    /// The same, and takes the retry out of a shared budget, which is asked last and so is charged for no other
    /// refusal.
    ///
    /// If the retry does not run after all, give it back with [`RetryBudget::refund`].
    pub fn next_within<R: Rng + ?Sized>(
        &mut self,
        budget: &mut RetryBudget,
        failure: Failure,
        now: Instant,
        rng: &mut R,
    ) -> Step {
        self.next_if(failure, now, rng, || budget.withdraw(now))
    }

    /// When an attempt that begins at `now` must be cut off; `None` for never.
    ///
    /// The earlier of [`attempt_timeout`](RetryPolicy::attempt_timeout) and the end of
    /// [`max_elapsed`](RetryPolicy::max_elapsed).
    #[must_use]
    pub fn attempt_deadline(&self, now: Instant) -> Option<Instant> {
        self.policy.attempt_deadline(self.progress.started_at, now)
    }

    /// How many attempts there are so far, the first and the next one included;
    /// [refused](Failure::RefusedUntil) ones are not.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.progress.retries.saturating_add(1)
    }

    /// True once no time is left.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.deadline(now)
    }

    /// True if this failure is bounded by time alone.
    pub(crate) fn is_refusal(&self, failure: Failure) -> bool {
        matches!(failure, Failure::RefusedUntil(_)) && self.policy.max_elapsed < Span::MAX
    }

    /// `admit` is asked last, and only if everything else allows the retry.
    pub(crate) fn next_if<R: Rng + ?Sized>(
        &mut self,
        failure: Failure,
        now: Instant,
        rng: &mut R,
        admit: impl FnOnce() -> bool,
    ) -> Step {
        if matches!(failure, Failure::Permanent) {
            return Step::GiveUp(Reason::NotRetryable);
        }
        let is_refusal = self.is_refusal(failure);
        if !is_refusal && self.progress.retries >= self.policy.max_retries {
            return Step::GiveUp(Reason::AttemptsExhausted);
        }
        let most = self.policy.capped(self.progress.longest);
        let drawn = self.policy.draw(most, rng);
        let at = now.after(match failure {
            Failure::Delay(delay) => self.policy.capped(Span::new(delay)),
            Failure::RefusedUntil(at) => drawn.max(self.policy.capped(at.since(now))),
            Failure::RetryAfter(hint) => drawn.max(self.policy.capped(Span::new(hint))),
            Failure::Permanent | Failure::Transient => drawn,
        });
        self.progress.started_at = self.progress.started_at.earlier(now);
        if at >= self.progress.started_at.after(self.policy.max_elapsed) {
            return Step::GiveUp(Reason::DeadlineExceeded);
        }
        if is_refusal {
            return Step::RetryAt(at);
        }
        if !admit() {
            return Step::GiveUp(Reason::BudgetExhausted);
        }
        self.progress.longest = self.policy.grown(most, drawn);
        self.progress.retries = self.progress.retries.saturating_add(1);
        Step::RetryAt(at)
    }

    /// The end of the whole operation, counted from `now` if the clock has stepped back before its start.
    const fn deadline(&self, now: Instant) -> Instant {
        self.policy.deadline(self.progress.started_at, now)
    }
}
