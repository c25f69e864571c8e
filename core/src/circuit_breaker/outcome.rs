//! What goes into a breaker and what comes out of it.

use core::{error::Error, fmt, time::Duration};

use super::cell::{Generation, UNTRACKED};
use crate::foundation::time::Instant;

/// How a call ended, as a circuit breaker counts it: success, failure, ignored.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::circuit_breaker::Outcome;
///
/// /// What the status of a response says about the other side.
/// fn outcome(status: u16, retry_after: Option<Duration>) -> Outcome {
///     match (status, retry_after) {
///         (500.., Some(wait)) => Outcome::RetryAfter(wait),
///         (500.., None) => Outcome::Failure,
///         (429, _) => Outcome::Ignored, // it is up, and the caller sends too much
///         _ => Outcome::Success,
///     }
/// }
/// assert_eq!(outcome(404, None), Outcome::Success);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// It was dropped before it ended, as a future is that loses a `select`: counts as
    /// [`Reset::on_drop`](super::Reset::on_drop) says, and as slow if it lasted so long. Guards report it.
    Dropped,
    /// It failed in a way that speaks against the other side.
    Failure,
    /// It says nothing about the other side: cancelled, or the caller's own mistake. A probe gives its slot back.
    Ignored,
    /// It panicked: counts as [`Reset::on_panic`](super::Reset::on_panic) says. Guards report it.
    Panicked,
    /// It failed, and the other side asked to be left alone for this long (`Retry-After`).
    ///
    /// If this failure opens the breaker, it stays open at least that long, within
    /// [`Reset::up_to`](super::Reset::up_to).
    RetryAfter(Duration),
    /// It succeeded.
    Success,
}

impl Outcome {
    /// `Ok` is a success, `Err` a failure.
    #[must_use]
    pub const fn of<V, E>(result: &Result<V, E>) -> Self {
        if result.is_ok() { Self::Success } else { Self::Failure }
    }
}

/// A permit for one call through a circuit breaker. Give it back with the call's outcome.
///
/// It remembers in which state it was given, so a result that arrives after the breaker has moved on changes nothing.
/// A permit that is lost costs nothing while the breaker is closed; while it is half-open its probe slot is free again
/// after [`Reset::lease`](super::Reset::lease).
#[must_use = "give the permit back with `record`, or a half-open breaker waits for its lease to end"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug, Eq, PartialEq)]
pub struct Permit {
    pub(super) generation: Generation,
    pub(super) started_at: Instant,
}

impl Permit {
    /// For adapters: a permit of a breaker that is [calm](super::CircuitBreaker::calm_generation), for a call that
    /// begins now. Where there is no [`call_timeout`](super::Reset::call_timeout), pass [`Instant::MAX`]: such a call
    /// is never slow, and never too long, whatever the settings are when it ends.
    pub const fn calm(generation: u32, now: Instant) -> Self {
        let generation = match Generation::new(generation) {
            Some(generation) => generation,
            None => UNTRACKED,
        };
        Self { generation, started_at: now }
    }

    /// Another one, for a result that is told in two steps.
    pub(super) const fn copy(&self) -> Self {
        Self { generation: self.generation, started_at: self.started_at }
    }

    /// For adapters: what tells the states of a breaker apart.
    #[must_use]
    pub const fn generation(&self) -> u32 {
        self.generation.get()
    }
}

/// The circuit breaker is open and refuses the call (fail fast).
#[must_use = "the call must not be made"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Open {
    /// The first instant at which a call is admitted if nothing else happens; [`Instant::MAX`] while forced open.
    ///
    /// A half-open breaker may admit one sooner, when a probe reports.
    pub retry_at: Instant,
}

impl Open {
    /// The time from `now` until [`retry_at`](Self::retry_at), zero if it has passed.
    #[must_use]
    pub const fn retry_after(&self, now: Instant) -> Duration {
        self.retry_at.saturating_duration_since(now)
    }
}

impl fmt::Display for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the circuit breaker is open")
    }
}

impl Error for Open {}

/// Why a call through a circuit breaker failed: its own error, a timeout, or the breaker was open.
#[doc(alias("BrokenCircuitException", "CallError", "CallNotPermittedException"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum BreakerError<E> {
    /// The call was made and failed.
    Inner(E),
    /// The call was not made: the breaker is open.
    Open {
        /// As in [`Open::retry_at`].
        retry_at: Instant,
    },
    /// The call was cut off at [`Reset::call_timeout`](super::Reset::call_timeout), which counts as a failure. What it
    /// did at the other side is unknown.
    TimedOut,
}

impl<E> BreakerError<E> {
    /// The call's own error, if the call was made and ended.
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Open { .. } | Self::TimedOut => None,
        }
    }

    /// The same with another error of the call.
    pub fn map_inner<F>(self, map: impl FnOnce(E) -> F) -> BreakerError<F> {
        match self {
            Self::Inner(error) => BreakerError::Inner(map(error)),
            Self::Open { retry_at } => BreakerError::Open { retry_at },
            Self::TimedOut => BreakerError::TimedOut,
        }
    }

    /// True if the call was not made.
    pub const fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// How long to wait from `now` before a call is admitted, `None` if this one was made.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Instant, circuit_breaker::BreakerError};
    ///
    /// let open: BreakerError<&str> = BreakerError::Open { retry_at: Instant::from_secs(30) };
    /// assert_eq!(open.retry_after(Instant::from_secs(10)), Some(Duration::from_secs(20)));
    /// assert_eq!(BreakerError::Inner("connection refused").retry_after(Instant::ZERO), None);
    /// ```
    #[must_use]
    pub const fn retry_after(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Inner(_) | Self::TimedOut => None,
            Self::Open { retry_at } => Some(retry_at.saturating_duration_since(now)),
        }
    }
}

impl<E> From<Open> for BreakerError<E> {
    fn from(open: Open) -> Self {
        Self::Open { retry_at: open.retry_at }
    }
}

impl<E: fmt::Display> fmt::Display for BreakerError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inner(error) => error.fmt(f),
            Self::Open { retry_at } => Open { retry_at: *retry_at }.fmt(f),
            Self::TimedOut => f.write_str("the call timed out"),
        }
    }
}

impl<E: Error> Error for BreakerError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Inner(error) => error.source(),
            Self::Open { .. } | Self::TimedOut => None,
        }
    }
}

/// The state of a circuit breaker: closed, open or half-open.
#[doc(alias = "State")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum BreakerState {
    /// Calls pass and are counted.
    #[default]
    Closed,
    /// A fixed number of probes pass.
    HalfOpen,
    /// No call passes. It stays so after `retry_at` until somebody asks for a permit.
    Open,
}

/// A change of a breaker's state.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{CircuitBreaker, Instant, Reset, Trip, circuit_breaker::BreakerState};
///
/// let mut breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(Duration::from_secs(30)));
/// assert_eq!(breaker.last_transition(), None);
/// breaker.record_failure(Instant::ZERO);
/// let transition = breaker.last_transition().unwrap();
/// assert_eq!((transition.from, transition.to), (BreakerState::Closed, BreakerState::Open));
/// ```
#[doc(alias("event", "on_state_change", "listener"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Transition {
    /// The state before.
    pub from: BreakerState,
    /// The state since.
    pub to: BreakerState,
    /// How many there were with this one, over all keys that share a table; after 4,294,967,295 it begins again at 1.
    /// Of two that are told on two threads it says which came first.
    pub number: u32,
}

impl Transition {
    /// Those since the one of this number (0 for none), if one call of the breaker lies between; first that which came
    /// first.
    pub(super) fn since(self, number: u32) -> [Option<Self>; 2] {
        // Silent probes have failed, and the open time after them is over: the call that notices makes two.
        let before = self.number.saturating_sub(1);
        let is_second = self.from == BreakerState::Open && before != number && self.number != number;
        let first = Self { from: BreakerState::HalfOpen, to: BreakerState::Open, number: before };
        [is_second.then_some(first), (self.number != number).then_some(self)]
    }
}

/// What counts in a closed breaker's window: the numbers that decide whether it opens.
///
/// For [`Consecutive`](super::Consecutive) it is the run of failures. A breaker that is not closed counts nothing.
#[doc(alias("Counts", "metrics", "failure rate"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct WindowStats {
    /// Calls that ended.
    pub calls: u32,
    /// Those of them that failed.
    pub failures: u32,
    /// Those of them that were slow, whether they failed or not.
    pub slow_calls: u32,
}

/// Manual control of a circuit breaker: automatic, forced open, forced closed, or observe only (metrics only, dark
/// launch).
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{CircuitBreaker, Instant, Reset, Trip, circuit_breaker::BreakerMode};
///
/// let mut breaker = CircuitBreaker::new(Trip::consecutive(3), Reset::after(Duration::from_secs(30)));
/// breaker.set_mode(BreakerMode::ForcedOpen); // the other side is being repaired
/// assert!(breaker.try_acquire(Instant::ZERO).is_err());
/// breaker.set_mode(BreakerMode::Automatic);
/// assert!(breaker.try_acquire(Instant::ZERO).is_ok());
/// ```
#[doc(alias("CircuitBreakerManualControl", "DISABLED", "FORCED_OPEN", "IsolateAsync", "METRICS_ONLY"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum BreakerMode {
    /// The breaker decides.
    #[default]
    Automatic,
    /// Every call passes, and no result is judged, those of calls that began before included. The state beneath stays
    /// as it is.
    ForcedClosed,
    /// No call passes, and no result is judged. The state beneath stays as it is.
    ForcedOpen,
    /// The breaker goes through its states as if it decided, but every call passes; those that it would have refused
    /// count as [`BreakerStats::overridden`].
    ObserveOnly,
}

/// The counts of a circuit breaker since it was made.
///
/// asked = `permitted` + `rejected`, and each permit ends in at most one of `successes`, `failures`, `ignored` and
/// `stale`; the rest of `permitted` is still out or was lost.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct BreakerStats {
    /// Calls that got a permit.
    pub permitted: u64,
    /// Calls that were refused.
    pub rejected: u64,
    /// Calls that succeeded.
    pub successes: u64,
    /// Calls that failed, took their [`call_timeout`](super::Reset::call_timeout) or longer, or were slow when dropped.
    pub failures: u64,
    /// Calls that said nothing about the other side.
    pub ignored: u64,
    /// Results that came after the state in which the call was admitted.
    pub stale: u64,
    /// Times that a breaker opened, re-opening included.
    pub opened: u64,
    /// Permits that [`BreakerMode::ObserveOnly`] gave though the breaker was open; part of `permitted`.
    pub overridden: u64,
}

impl BreakerStats {
    pub(super) const NONE: Self =
        Self { permitted: 0, rejected: 0, successes: 0, failures: 0, ignored: 0, stale: 0, opened: 0, overridden: 0 };

    /// The counts of both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            permitted: self.permitted.saturating_add(other.permitted),
            rejected: self.rejected.saturating_add(other.rejected),
            successes: self.successes.saturating_add(other.successes),
            failures: self.failures.saturating_add(other.failures),
            ignored: self.ignored.saturating_add(other.ignored),
            stale: self.stale.saturating_add(other.stale),
            opened: self.opened.saturating_add(other.opened),
            overridden: self.overridden.saturating_add(other.overridden),
        }
    }

    /// What was counted since `earlier`, when the same stats were read before; it adds up as they do.
    ///
    /// A call that was out at `earlier` ends in it, and its permit is in `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            permitted: self.permitted.saturating_sub(earlier.permitted),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            successes: self.successes.saturating_sub(earlier.successes),
            failures: self.failures.saturating_sub(earlier.failures),
            ignored: self.ignored.saturating_sub(earlier.ignored),
            stale: self.stale.saturating_sub(earlier.stale),
            opened: self.opened.saturating_sub(earlier.opened),
            overridden: self.overridden.saturating_sub(earlier.overridden),
        }
    }
}
