//! A clock that steps, over the system's.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::Duration,
};

use steadfast::{
    Instant,
    runtime::{Clock, SystemSleep, SystemTimer, Timer},
};

use crate::dice::Dice;

/// How far from the system's time a clock starts, and how near to it or far from it steps may take it, in years: so no
/// walk of steps ends at the beginning or the end of time, where sums saturate.
const START: i64 = 100;
const NEAREST: i64 = 50;
const FARTHEST: i64 = 150;

const SECOND: i64 = 1_000_000_000;
const YEAR: i64 = 365 * 86_400 * SECOND;

thread_local! {
    /// The offset of the last reading of a clock that steps, on this thread.
    static READ: Cell<i64> = const { Cell::new(0) };
}

/// The system's time plus an offset, which [`Steps`] may change under whoever reads it.
///
/// A sleep takes as long as it would have at the last reading, on which its end was reckoned: as an alarm that counts
/// down while the clock on the wall is set. Nobody can sleep until a time that a step back has put out of reach.
#[derive(Clone, Debug)]
pub(crate) enum SoakClock {
    /// Nobody steps it.
    Steady,
    Stepping(Arc<AtomicI64>),
}

impl Clock for SoakClock {
    fn now(&self) -> Instant {
        let system = SystemTimer.now();
        let Self::Stepping(offset) = self else { return system };
        let offset = offset.load(Relaxed);
        READ.set(offset);
        Instant::from_nanos(system.as_nanos().saturating_add_signed(offset))
    }
}

impl Timer for SoakClock {
    type Sleep = SystemSleep;

    fn sleep_until(&self, at: Instant) -> SystemSleep {
        let offset = if matches!(self, Self::Steady) { 0 } else { READ.get() };
        SystemTimer.sleep_until(at.saturating_sub(Duration::from_nanos(offset.unsigned_abs())))
    }
}

/// The hand that sets a [`SoakClock`].
#[derive(Debug)]
pub(crate) struct Steps(Arc<AtomicI64>);

impl Steps {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(START * YEAR)))
    }

    pub(crate) fn clock(&self) -> SoakClock {
        SoakClock::Stepping(self.0.clone())
    }

    /// Sets the clock forward or back, by a second to ten years: each order of size as likely as any other.
    pub(crate) fn step(&self, dice: &Dice) {
        let sizes = [SECOND, 60 * SECOND, 3_600 * SECOND, 86_400 * SECOND, 30 * 86_400 * SECOND, YEAR, 10 * YEAR];
        let size = sizes[dice.below(sizes.len() as u64) as usize];
        let before = self.0.load(Relaxed);
        let is_back = match before {
            _ if before - size < NEAREST * YEAR => false,
            _ if before + size > FARTHEST * YEAR => true,
            _ => dice.one_in(2),
        };
        self.0.store(if is_back { before - size } else { before + size }, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_both_ways_and_stay_away_from_both_ends_of_time() {
        let (steps, dice) = (Steps::new(), Dice::new(7));
        let clock = steps.clock();
        let (mut back, mut forward) = (0, 0);
        let mut before = clock.now();
        for _ in 0..100_000 {
            steps.step(&dice);
            let now = clock.now();
            if now < before {
                back += 1
            } else {
                forward += 1
            }
            before = now;
            let years = now.as_nanos() / YEAR.unsigned_abs();
            assert!((45..=155).contains(&years), "{years}");
        }
        assert!(back > 40_000 && forward > 40_000, "{back} back, {forward} forward");
    }

    #[test]
    fn a_sleep_is_over_after_its_own_length_whatever_the_clock_did() {
        let (steps, dice) = (Steps::new(), Dice::new(7));
        let clock = steps.clock();
        let began = std::time::Instant::now();
        let soon = clock.now().saturating_add(Duration::from_millis(2));
        (0..10).for_each(|_| steps.step(&dice));
        let sleep = clock.sleep_until(soon);
        (0..10).for_each(|_| steps.step(&dice));
        steadfast::block_on(sleep);
        assert!(began.elapsed() >= Duration::from_millis(2));
    }
}
