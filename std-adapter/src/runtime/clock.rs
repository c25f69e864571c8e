//! The system's clock.

use core::time::Duration;
use std::{sync::OnceLock, time};

use steadfast_core::Instant;

#[cfg(all(feature = "quanta", not(any(test, feature = "test-util"))))]
pub(super) use counter::{now, to_system};
#[cfg(not(all(feature = "quanta", not(any(test, feature = "test-util")))))]
pub(super) use system::{now, to_system};

/// What the first reading of a process shows: a day, because a paused clock may have stopped before that reading, and
/// would stand at zero until it passes it.
const START: Duration = Duration::from_secs(86_400);

/// Thirty years: what tokio too takes for ever.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The clock by which sleeps are measured.
#[cfg_attr(
    all(feature = "quanta", not(any(test, feature = "test-util"))),
    expect(dead_code, reason = "the counter is read")
)]
mod system {
    use super::{Duration, FAR, Instant, OnceLock, START, time};

    /// The system time that [`Instant::ZERO`] stands for.
    fn epoch() -> time::Instant {
        static EPOCH: OnceLock<time::Instant> = OnceLock::new();
        *EPOCH.get_or_init(|| {
            let first = time::Instant::now();
            first.checked_sub(START).unwrap_or(first)
        })
    }

    pub(in super::super) fn now() -> Instant {
        #[cfg(feature = "tokio")]
        let now = tokio::time::Instant::now().into_std();
        #[cfg(not(feature = "tokio"))]
        let now = time::Instant::now();
        Instant::ZERO.saturating_add(now.saturating_duration_since(epoch()))
    }

    /// The system time of `at`.
    pub(in super::super) fn to_system(at: Instant) -> time::Instant {
        let since_epoch: Duration = at.saturating_duration_since(Instant::ZERO).min(FAR);
        let epoch = epoch();
        epoch.checked_add(since_epoch).unwrap_or(epoch)
    }
}

/// The processor's counter, beside the clock by which sleeps are measured.
#[cfg(feature = "quanta")]
#[cfg_attr(all(feature = "test-util", not(test)), expect(dead_code, reason = "the system's clock is read"))]
mod counter {
    use super::{FAR, Instant, OnceLock, START, time};

    pub(in super::super) fn now() -> Instant {
        static FIRST: OnceLock<(quanta::Clock, u64)> = OnceLock::new();
        let (clock, first) = FIRST.get_or_init(|| {
            let clock = quanta::Clock::new();
            let first = clock.raw();
            (clock, first)
        });
        Instant::from_nanos(clock.delta_as_nanos(*first, clock.raw())).saturating_add(START)
    }

    /// The system time of `at`, as far as can be told by now.
    pub(in super::super) fn to_system(at: Instant) -> time::Instant {
        let now = time::Instant::now();
        now.checked_add(at.saturating_duration_since(self::now()).min(FAR)).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_far_future_does_not_overflow() {
        let now = time::Instant::now();
        assert!(to_system(Instant::MAX) > now + FAR / 2);
        #[cfg(feature = "quanta")]
        assert!(counter::to_system(Instant::MAX) > now + FAR / 2);
    }

    #[test]
    fn an_instant_is_the_same_on_the_clock_of_the_sleeps() {
        let at = now().saturating_add(Duration::from_secs(9));
        let left = to_system(at).saturating_duration_since(time::Instant::now());
        assert!(left > Duration::ZERO && left <= Duration::from_secs(9), "{left:?}");
    }

    #[cfg(feature = "quanta")]
    #[test]
    fn the_counter_goes_on_from_the_same_start() {
        let first = counter::now();
        assert!(first >= Instant::ZERO.saturating_add(START) && counter::now() >= first);
        let in_an_hour = first.saturating_add(Duration::from_secs(3_600));
        assert!(counter::to_system(in_an_hour) > time::Instant::now());
    }
}
