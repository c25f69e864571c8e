//! A clock that stands still until it is told.

use core::{cell::Cell, time::Duration};

use crate::{Clock, Instant};

/// A [`Clock`] that shows what it was last set to.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Clock, Instant, test_util::ManualClock};
///
/// let clock = ManualClock::new(Instant::from_secs(10));
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(clock.now(), Instant::from_secs(15));
/// clock.set(Instant::from_secs(1)); // a step back
/// assert_eq!(clock.now(), Instant::from_secs(1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Cell<Instant>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self(Cell::new(now))
    }

    /// Shows `now` from here on, which may be in the past.
    pub fn set(&self, now: Instant) {
        self.0.set(now);
    }

    /// Moves on by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.0.set(self.0.get().saturating_add(duration));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.0.get()
    }
}
