//! The system's clock.

use core::time::Duration;
use std::{sync::OnceLock, time};

use steadfast_core::Instant;

#[cfg(all(feature = "quanta", not(any(test, feature = "test-util"))))]
#[cfg(all(feature = "quanta", feature = "tokio", not(any(test, feature = "test-util"))))]
pub(super) use counter::to_system;
#[cfg(all(feature = "quanta", not(any(test, feature = "test-util"))))]
pub(super) use counter::{now, rings_at};
#[cfg(all(any(test, feature = "tokio"), not(all(feature = "quanta", not(any(test, feature = "test-util"))))))]
pub(super) use system::to_system;
#[cfg(not(all(feature = "quanta", not(any(test, feature = "test-util")))))]
pub(super) use system::{now, rings_at};

/// What the first reading of a process shows: a day, because a paused clock may have stopped before that reading, and
/// would stand at zero until it passes it.
pub(super) const START: Duration = Duration::from_secs(86_400);

/// Thirty years: what tokio too takes for ever.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The clock by which sleeps are measured.
#[cfg_attr(
    all(feature = "quanta", not(any(test, feature = "test-util"))),
    expect(dead_code, reason = "the counter is read")
)]
mod system {
    #[cfg(feature = "tokio")]
    use super::super::held;
    use super::{FAR, Instant, OnceLock, START, time};

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
        let now = {
            let now = tokio::time::Instant::now().into_std();
            held::held_for().and_then(|held| now.checked_add(held)).unwrap_or(now)
        };
        #[cfg(not(feature = "tokio"))]
        let now = time::Instant::now();
        Instant::ZERO.saturating_add(now.saturating_duration_since(epoch()))
    }

    /// When the system will have got as far as this clock has to `at`, which it may have stood off from: it was paused.
    pub(in super::super) fn rings_at(at: Instant) -> Option<time::Instant> {
        time::Instant::now().checked_add(at.saturating_duration_since(now()).min(FAR))
    }

    /// The system time of `at`.
    #[cfg(any(test, feature = "tokio"))]
    pub(in super::super) fn to_system(at: Instant) -> time::Instant {
        let since_epoch = at.saturating_duration_since(Instant::ZERO).min(FAR);
        let epoch = epoch();
        epoch.checked_add(since_epoch).unwrap_or(epoch)
    }
}

/// The processor's counter, beside the clock by which sleeps are measured.
#[cfg(feature = "quanta")]
#[cfg_attr(all(feature = "test-util", not(test)), expect(dead_code, reason = "the system's clock is read"))]
mod counter {
    use portable_atomic::{AtomicI64, AtomicU64, Ordering};

    use super::{Duration, FAR, Instant, OnceLock, START, time};

    /// What both clocks showed when the counter was first read.
    struct First {
        clock: quanta::Clock,
        raw: u64,
        system: time::Instant,
    }

    static FIRST: OnceLock<First> = OnceLock::new();
    static DRIFT: Drift = Drift::new();

    impl First {
        fn get() -> &'static Self {
            FIRST.get_or_init(|| {
                let clock = quanta::Clock::new();
                let (raw, system) = (clock.raw(), time::Instant::now());
                Self { clock, raw, system }
            })
        }

        #[inline]
        fn counted(&self) -> u64 {
            self.clock.delta_as_nanos(self.raw, self.clock.raw())
        }

        /// What both clocks show at one moment: the closest of a few pairs, for a thread may be held up between the two.
        fn both(&self) -> (u64, u64) {
            let pairs = (0..4).map(|_| {
                let counted = self.counted();
                let system = u64::try_from(self.system.elapsed().as_nanos()).unwrap_or(u64::MAX);
                (self.counted().saturating_sub(counted), (counted, system))
            });
            pairs.min_by_key(|(apart, _)| *apart).map_or((0, 0), |(_, both)| both)
        }
    }

    #[inline]
    pub(in super::super) fn now() -> Instant {
        let first = First::get();
        let counted = first.counted();
        DRIFT.observe(counted, || first.both());
        Instant::from_nanos(counted).saturating_add(START)
    }

    #[cfg_attr(test, expect(dead_code, reason = "the system's clock is read"))]
    pub(in super::super) fn rings_at(at: Instant) -> Option<time::Instant> {
        Some(to_system(at))
    }

    /// The system time of `at`, as it was to the last reading of the counter.
    pub(in super::super) fn to_system(at: Instant) -> time::Instant {
        let since = at.saturating_duration_since(Instant::ZERO.saturating_add(START));
        let nanos = u64::try_from(since.min(FAR).as_nanos()).unwrap_or(u64::MAX);
        let system = First::get().system;
        system.checked_add(Duration::from_nanos(DRIFT.apply(nanos))).unwrap_or(system)
    }

    /// How the two clocks move apart: by some millionths of the time, and by the length of a suspension.
    ///
    /// The second one is read at most once in [`Drift::FRESH`], so that a sleep does not have to.
    struct Drift {
        compared_at: AtomicU64,
        /// By how much the system's clock is ahead. (Each of the two is right without the other.)
        ahead: AtomicI64,
    }

    impl Drift {
        /// A second in nanoseconds.
        const FRESH: u64 = 1_000_000_000;

        const fn new() -> Self {
            Self { compared_at: AtomicU64::new(0), ahead: AtomicI64::new(0) }
        }

        /// Takes note of a reading of the counter; `both` reads the two together.
        #[inline]
        fn observe(&self, counted: u64, both: impl FnOnce() -> (u64, u64)) {
            // A counter that began anew is far from what it was, too.
            if counted.wrapping_sub(self.compared_at.load(Ordering::Relaxed)) >= Self::FRESH {
                self.compare(both());
            }
        }

        #[cold]
        fn compare(&self, (counted, system): (u64, u64)) {
            self.ahead.store(system.wrapping_sub(counted).cast_signed(), Ordering::Relaxed);
            self.compared_at.store(counted, Ordering::Relaxed);
        }

        /// What the system's clock shows when the counter shows `counted`.
        fn apply(&self, counted: u64) -> u64 {
            counted.saturating_add_signed(self.ahead.load(Ordering::Relaxed))
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        const SECOND: u64 = Drift::FRESH;

        #[test]
        fn the_clocks_are_compared_once_a_second() {
            let drift = Drift::new();
            drift.observe(SECOND - 1, || unreachable!("the first reading was a comparison"));
            assert_eq!(drift.apply(7 * SECOND), 7 * SECOND);
            drift.observe(SECOND, || (SECOND + 1, SECOND + 301));
            assert_eq!(drift.apply(7 * SECOND), 7 * SECOND + 300);
            drift.observe(2 * SECOND, || unreachable!("less than a second ago"));
            drift.observe(2 * SECOND + 1, || (2 * SECOND + 1, 2 * SECOND - 499));
            assert_eq!(drift.apply(7 * SECOND), 7 * SECOND - 500);
        }

        #[test]
        fn a_suspension_and_a_counter_that_begins_anew_are_noticed_at_once() {
            let drift = Drift::new();
            drift.observe(5 * SECOND, || (5 * SECOND, 5 * SECOND));
            // The counter went on for an hour, the system's clock did not.
            drift.observe(3_605 * SECOND, || (3_605 * SECOND, 5 * SECOND));
            assert_eq!(drift.apply(3_606 * SECOND), 6 * SECOND);
            drift.observe(SECOND, || (SECOND, 9 * SECOND));
            assert_eq!(drift.apply(2 * SECOND), 10 * SECOND);
        }
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
