//! A rule of the user's over the counts of a window.

use core::fmt;

use super::{TripPolicy, WindowStats, trip::Policy};
use crate::foundation::time::Instant;

/// Opens when a rule of one's own says so of the calls that a window counts. Made by [`Trip::when`](super::Trip::when).
///
/// The rule takes the place of the window's own shares and `min_calls`. It is asked after each call that is counted
/// while a failed or slow one is in the window, so successes alone never open the breaker; of slow calls it hears if
/// the window has `slow_calls`.
///
/// The rule runs inside the breaker's lock: keep it short, and do not use the breaker in it. If it panics, its call is
/// counted and the breaker does not open.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{CircuitBreaker, Instant, Reset, Trip, circuit_breaker::{BreakerState, Percent}};
///
/// // three failures, and at least a tenth of the last 100 calls: a trickle of failures under load is no outage
/// let window = Trip::call_window::<100>(Percent::new(100));
/// let trip = Trip::when(window, |window| window.failures >= 3 && window.failures * 10 >= window.calls);
/// let mut breaker = CircuitBreaker::new(trip, Reset::after(Duration::from_secs(30)));
///
/// for _ in 0..2 {
///     breaker.record_failure(Instant::ZERO);
/// }
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// breaker.record_failure(Instant::ZERO);
/// assert_eq!(breaker.state(), BreakerState::Open);
/// ```
#[derive(Clone, Copy)]
pub struct TripWhen<W, F> {
    window: W,
    rule: F,
}

impl<W, F> TripWhen<W, F> {
    pub(super) const fn new(window: W, rule: F) -> Self {
        Self { window, rule }
    }
}

impl<W: TripPolicy, F: Fn(WindowStats) -> bool> TripWhen<W, F> {
    fn says_open(&self, window: &mut W::Window, now: Instant) -> bool {
        let counts = self.window.counts(window, now);
        (counts.failures > 0 || counts.slow_calls > 0) && (self.rule)(counts)
    }
}

impl<W: TripPolicy, F: Fn(WindowStats) -> bool + Clone> Policy for TripWhen<W, F> {
    type Window = W::Window;
    const EMPTY: W::Window = W::EMPTY;

    fn record(&self, window: &mut W::Window, failed: bool, slow: bool, now: Instant) -> bool {
        let _own = self.window.record(window, failed, slow, now);
        self.says_open(window, now)
    }

    fn forgets_success(&self) -> bool {
        self.window.forgets_success()
    }

    fn is_slow(&self, started_at: Instant, now: Instant) -> bool {
        self.window.is_slow(started_at, now)
    }

    fn counts(&self, window: &mut W::Window, now: Instant) -> WindowStats {
        self.window.counts(window, now)
    }

    fn is_empty(&self, window: &W::Window, now: Instant) -> bool {
        self.window.is_empty(window, now)
    }

    fn is_clean(&self, window: &W::Window, now: Instant) -> bool {
        self.window.is_clean(window, now)
    }

    fn reaches_back_to(&self, then: Instant, now: Instant) -> bool {
        self.window.reaches_back_to(then, now)
    }

    fn is_calm(&self, window: &W::Window) -> bool {
        self.window.is_calm(window)
    }

    fn succeed(&self, window: &mut W::Window, successes: u64) {
        self.window.succeed(window, successes);
    }

    fn take_over(&self, former: &Self, window: &mut W::Window, now: Instant) -> bool {
        let _own = self.window.take_over(&former.window, window, now);
        self.says_open(window, now)
    }
}

impl<W: fmt::Debug, F> fmt::Debug for TripWhen<W, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TripWhen").field("window", &self.window).finish_non_exhaustive()
    }
}
