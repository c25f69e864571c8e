//! A clock that stands still until it is told.

#[cfg(not(target_has_atomic = "64"))]
use alloc::rc::Rc;
#[cfg(target_has_atomic = "64")]
use alloc::sync::Arc;
#[cfg(not(target_has_atomic = "64"))]
use core::cell::Cell;
#[cfg(target_has_atomic = "64")]
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::foundation::{shared::Clock, time::Instant};

/// A [`Clock`] that shows what it was last set to.
///
/// A clone shares its time. It is `Send` and `Sync` wherever there are atomics of 64 bits, as on every server.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Clock, Instant, test_util::ManualClock};
///
/// let clock = ManualClock::new(Instant::from_secs(10));
/// let same = clock.clone(); // for what is built with it
/// clock.advance(Duration::from_secs(5));
/// assert_eq!(same.now(), Instant::from_secs(15));
/// clock.set(Instant::from_secs(1)); // a step back
/// assert_eq!(same.now(), Instant::from_secs(1));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Nanos);

#[cfg(target_has_atomic = "64")]
type Nanos = Arc<AtomicU64>;
#[cfg(not(target_has_atomic = "64"))]
type Nanos = Rc<Cell<u64>>;

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let clock = Self::default();
        clock.set(now);
        clock
    }

    /// Shows `now` from here on, which may be in the past.
    pub fn set(&self, now: Instant) {
        #[cfg(target_has_atomic = "64")]
        self.0.store(now.as_nanos(), Ordering::SeqCst);
        #[cfg(not(target_has_atomic = "64"))]
        self.0.set(now.as_nanos());
    }

    /// Moves on by `duration`.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().saturating_add(duration));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        #[cfg(target_has_atomic = "64")]
        let nanos = self.0.load(Ordering::SeqCst);
        #[cfg(not(target_has_atomic = "64"))]
        let nanos = self.0.get();
        Instant::from_nanos(nanos)
    }
}

#[cfg(all(test, target_has_atomic = "64"))]
mod tests {
    use super::*;

    #[test]
    fn found_a13_a_clone_of_a_manual_clock_shares_its_time_and_may_go_to_another_thread() {
        const fn is_shared<T: Send + Sync + 'static>(_: &T) {}

        let clock = ManualClock::new(Instant::from_secs(1));
        let same = clock.clone();
        is_shared(&clock);
        clock.advance(Duration::from_secs(4));
        assert_eq!(same.now(), Instant::from_secs(5));
        let there = std::thread::spawn(move || same.set(Instant::from_secs(2)));
        assert!(there.join().is_ok());
        assert_eq!(clock.now(), Instant::from_secs(2));
    }
}
