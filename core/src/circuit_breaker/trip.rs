//! When a breaker opens.

use core::{fmt, num::NonZeroU32, time::Duration};

use super::{CallWindow, TimeWindow, TripWhen, WindowStats};
use crate::foundation::{
    percent::Percent,
    time::{Instant, Span},
};

/// When a circuit breaker opens: after consecutive failures, or at a failure rate threshold over a count-based or
/// time-based sliding window. It makes the three policies; each takes a fixed amount of memory and a few instructions a
/// call.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Trip, circuit_breaker::{CallWindow, Consecutive, Percent, TimeWindow}};
///
/// const DOWN: Consecutive = Trip::consecutive(5);
/// const OFTEN: CallWindow<100> = Trip::call_window(Percent::new(50));
/// const SLOW: TimeWindow<10> = Trip::time_window(Duration::from_secs(10), Percent::new(50))
///     .slow_calls(Duration::from_secs(2), Percent::new(80));
/// ```
#[doc(alias("FailureRatio", "failureRateThreshold"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug)]
pub enum Trip {}

impl Trip {
    /// After `failures` failures without a success between them.
    ///
    /// # Panics
    ///
    /// If `failures` is zero: at compile time in a `const` or a `static`. [`Consecutive::new`] takes a checked number.
    #[must_use]
    pub const fn consecutive(failures: u32) -> Consecutive {
        match NonZeroU32::new(failures) {
            Some(failures) => Consecutive::new(failures),
            None => {
                assert!(failures > 0, "a breaker that opens after no failure never closes");
                Consecutive::new(NonZeroU32::MIN)
            }
        }
    }

    /// When at least `failures` of the last `N` calls failed. See [`CallWindow`].
    #[must_use]
    pub const fn call_window<const N: usize>(failures: Percent) -> CallWindow<N> {
        CallWindow::new(failures)
    }

    /// When at least `failures` of the calls within the last `span` failed; `B` buckets. See [`TimeWindow`].
    #[must_use]
    pub const fn time_window<const B: usize>(span: Duration, failures: Percent) -> TimeWindow<B> {
        TimeWindow::new(span, failures)
    }

    /// When `rule` says so of the calls that `window` counts. See [`TripWhen`].
    #[doc(alias = "ReadyToTrip")]
    #[must_use]
    pub const fn when<W: TripPolicy, F: Fn(WindowStats) -> bool + Clone>(window: W, rule: F) -> TripWhen<W, F> {
        TripWhen::new(window, rule)
    }
}

/// A policy that decides when a circuit breaker opens: [`Consecutive`], [`CallWindow`], [`TimeWindow`], one of them
/// with a rule of one's own, [`TripWhen`], or [`AnyTrip`](super::AnyTrip), which is any of them by what is known at run
/// time. Closed to others.
pub trait TripPolicy: Clone + fmt::Debug + Policy {}

impl<P: Clone + fmt::Debug + Policy> TripPolicy for P {}

/// What a breaker asks of its policy; settings here, memory of the calls in `Window`.
#[expect(unnameable_types, reason = "nobody else implements it")]
pub trait Policy {
    type Window: Clone + fmt::Debug;
    const EMPTY: Self::Window;
    /// Counts one call in a closed breaker; true if the breaker opens.
    fn record(&self, window: &mut Self::Window, failed: bool, slow: bool, now: Instant) -> bool;

    /// True if a success leaves the window of a new breaker empty.
    fn forgets_success(&self) -> bool {
        false
    }

    /// True if a call that ran from `started_at` to `now` counts as slow.
    fn is_slow(&self, _started_at: Instant, _now: Instant) -> bool {
        false
    }

    /// What counts now.
    fn counts(&self, window: &mut Self::Window, now: Instant) -> WindowStats;

    /// True if no call counts in the window any more.
    fn is_empty(&self, window: &Self::Window, now: Instant) -> bool;

    /// True if nothing in the window speaks against the other side.
    fn is_clean(&self, window: &Self::Window, now: Instant) -> bool;

    /// True if a call that ended at `then` still counts because of its time alone.
    fn reaches_back_to(&self, _then: Instant, _now: Instant) -> bool {
        false
    }

    /// True if successes can be counted later, all at once: nothing else is in the window, and time does not matter.
    fn is_calm(&self, _window: &Self::Window) -> bool {
        false
    }

    /// Counts successes in a window that is calm.
    fn succeed(&self, _window: &mut Self::Window, _successes: u64) {}

    /// Makes of a window of `former`, which decided until `now`, one of this policy: kept if its shape is the same,
    /// else empty. True if what it holds opens the breaker.
    fn take_over(&self, former: &Self, window: &mut Self::Window, now: Instant) -> bool;
}

/// Opens a circuit breaker after a number of consecutive failures: 4 bytes a breaker.
///
/// Failures count however far apart they are, until a success. In a table, [`Breakers`](super::Breakers) says how long
/// a failure is kept.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(deny_unknown_fields))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Consecutive {
    failures: NonZeroU32,
}

impl Consecutive {
    /// Opens after `failures` failures without a success between them.
    #[must_use]
    pub const fn new(failures: NonZeroU32) -> Self {
        Self { failures }
    }
}

impl Policy for Consecutive {
    type Window = u32;
    const EMPTY: u32 = 0;

    fn record(&self, run: &mut u32, failed: bool, _slow: bool, _now: Instant) -> bool {
        if failed {
            *run = run.saturating_add(1);
            *run >= self.failures.get()
        } else {
            *run = 0;
            false
        }
    }

    fn counts(&self, run: &mut u32, _now: Instant) -> WindowStats {
        WindowStats { calls: *run, failures: *run, slow_calls: 0 }
    }

    fn is_empty(&self, run: &u32, _now: Instant) -> bool {
        *run == 0
    }

    fn is_clean(&self, run: &u32, _now: Instant) -> bool {
        *run == 0
    }

    fn is_calm(&self, run: &u32) -> bool {
        *run == 0
    }

    fn forgets_success(&self) -> bool {
        true
    }

    fn take_over(&self, _former: &Self, run: &mut u32, _now: Instant) -> bool {
        *run >= self.failures.get()
    }
}

/// The limits that both windows share.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Limits {
    pub(super) failures: Percent,
    pub(super) slow_calls: Option<Percent>,
    pub(super) slow_after: Span,
    pub(super) min_calls: u32,
}

impl Limits {
    pub(super) const fn new(failures: Percent, min_calls: u32) -> Self {
        Self { failures, slow_calls: None, slow_after: Span::MAX, min_calls }
    }

    pub(super) fn is_slow(&self, started_at: Instant, now: Instant) -> bool {
        self.slow_calls.is_some() && now.since(started_at) >= self.slow_after
    }

    pub(super) fn are_reached(&self, counts: Counts) -> bool {
        counts.calls >= self.min_calls
            && (self.failures.is_reached(counts.failed, counts.calls)
                || self.slow_calls.is_some_and(|share| share.is_reached(counts.slow, counts.calls)))
    }
}

/// Calls of a window, or of a part of it. No part has more of anything than the whole, so no sum goes over or under.
#[expect(unnameable_types, reason = "only a breaker has them")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub(super) calls: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
}

impl Counts {
    pub(super) const NONE: Self = Self { calls: 0, failed: 0, slow: 0 };

    pub(super) const fn stats(self) -> WindowStats {
        WindowStats { calls: self.calls, failures: self.failed, slow_calls: self.slow }
    }

    pub(super) fn add(&mut self, failed: bool, slow: bool) {
        self.calls = self.calls.saturating_add(1);
        self.failed = self.failed.saturating_add(u32::from(failed));
        self.slow = self.slow.saturating_add(u32::from(slow));
    }

    pub(super) const fn is_empty(self) -> bool {
        self.calls == 0
    }

    /// True if nothing speaks against the other side.
    pub(super) const fn are_clean(self) -> bool {
        self.failed == 0 && self.slow == 0
    }

    pub(super) const fn subtract(&mut self, other: Self) {
        self.calls = self.calls.saturating_sub(other.calls);
        self.failed = self.failed.saturating_sub(other.failed);
        self.slow = self.slow.saturating_sub(other.slow);
    }
}
