//! Late readings of a clock, told from a clock that has stepped back.
//!
//! A reading that is earlier than another before it is one of two things. It is late: somebody read the clock, was held up,
//! and meanwhile another came with a later reading. Or the clock has stepped back, and every reading is earlier from there
//! on. One reading does not tell which. So it is taken for late, and time stands still; once readings have been behind,
//! and nothing but behind, for as long as the state machine has patience, the clock has stepped back.
//!
//! Nothing ends before its time because of late readings, unless these alone come for so long. And a step is noticed
//! after so long, by whatever call: what lay ahead is counted from the first reading after it, so it lasts its own span
//! from there.

use crate::foundation::time::{Instant, Span};

/// How far what comes while readings are behind is set apart from what was there.
const APART: Span = Span::from_nanos(1);

/// The readings of one state machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readings {
    /// The latest; a nanosecond more while readings are behind it.
    begins: Instant,
    /// The earliest since they are behind; the end of time while they are not.
    behind: Instant,
}

/// A step back of the clock that has been noticed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct StepBack {
    /// The time by which the state machine went until now.
    from: Instant,
    /// The first reading after the step, or an earlier one.
    to: Instant,
    /// Until when readings were taken for late.
    noticed: Instant,
}

impl Readings {
    pub(crate) const fn new() -> Self {
        Self { begins: Instant::ZERO, behind: Instant::MAX }
    }

    /// Takes note of a reading; false if it is behind, and then for [`fall_behind`](Self::fall_behind).
    #[inline]
    pub(crate) const fn go_on(&mut self, now: Instant) -> bool {
        let goes_on = now.as_nanos() >= self.begins.as_nanos();
        if goes_on {
            self.begins = now;
            self.behind = Instant::MAX;
        }
        goes_on
    }

    /// Takes note of a reading that is behind, and tells if that shows a step back. The time to go by is
    /// [`now`](Self::now) in any case.
    #[cold]
    pub(crate) fn fall_behind(&mut self, now: Instant, patience: Span) -> Option<StepBack> {
        if self.begins.after(patience) == Instant::MAX {
            // At the end of time nothing lives: it must not stand still there.
            (self.begins, self.behind) = (now, Instant::MAX);
            return Some(StepBack { from: Instant::MAX, to: now, noticed: now });
        }
        if self.behind == Instant::MAX {
            self.begins = self.begins.after(APART);
            self.behind = now;
        } else if now.after(APART) >= self.begins {
            // As late as the latest before: the clock goes on.
            self.behind = now;
        } else if now >= self.behind.after(patience) {
            let step = StepBack { from: self.begins, to: self.behind, noticed: self.behind.after(patience) };
            (self.begins, self.behind) = (now, Instant::MAX);
            return Some(step);
        } else {
            self.behind = self.behind.earlier(now);
        }
        None
    }

    /// The time to go by: what ends by then has ended.
    pub(crate) fn now(&self) -> Instant {
        if self.behind == Instant::MAX { self.begins } else { self.begins.before(APART) }
    }

    /// When something begins that lasts for `span`, at a reading that was taken note of: not before the last one that did.
    ///
    /// That reading, so that it does not outlast its span. But if it is behind, and what began then would be out of order
    /// or over, just after all that was there.
    #[inline]
    pub(crate) fn begin(&self, now: Instant, span: Span, last: impl FnOnce() -> Instant) -> Instant {
        if now >= self.begins || now.after(span) > self.now() && last() <= now { now } else { self.begins }
    }

    /// Since when readings are behind, if they are.
    pub(crate) fn behind(&self) -> Option<Instant> {
        (self.behind != Instant::MAX).then_some(self.behind)
    }
}

impl StepBack {
    /// When something that began at `at` has begun by the clock as it goes now: what lay ahead, with the first reading
    /// after the step; what came while readings were behind, when the step was noticed at the latest.
    pub(crate) const fn moved(&self, at: Instant) -> Instant {
        if at.as_nanos() >= self.from.as_nanos() {
            self.noticed
        } else if at.as_nanos() > self.noticed.as_nanos() {
            self.to
        } else {
            at
        }
    }

    /// Until when readings were taken for late.
    pub(crate) const fn noticed(&self) -> Instant {
        self.noticed
    }

    /// The first reading after the step.
    pub(crate) const fn to(&self) -> Instant {
        self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Span = Span::from_nanos(10);

    const fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    /// What comes of each reading: the time to go by, and a step.
    fn read(readings: &mut Readings, now: u64) -> (u64, Option<StepBack>) {
        let step = if readings.go_on(at(now)) { None } else { readings.fall_behind(at(now), PATIENCE) };
        (readings.now().as_nanos(), step)
    }

    #[test]
    fn late_readings_stop_the_time_and_no_more() {
        let mut readings = Readings::new();
        assert_eq!(read(&mut readings, 100), (100, None));
        for late in [40, 41, 49, 40, 45, 40, 49] {
            assert_eq!(read(&mut readings, late), (100, None));
            assert_eq!(readings.begin(at(late), Span::from_nanos(99), || at(100)), at(101), "out of order");
            assert_eq!(readings.begin(at(late), Span::from_nanos(51), || at(40)), at(101), "over");
            assert_eq!(readings.begin(at(late), Span::from_nanos(61), || at(40)), at(late));
        }
        assert_eq!(read(&mut readings, 110), (110, None));
        assert_eq!(readings.behind(), None);
    }

    #[test]
    fn readings_that_keep_being_behind_are_a_step() {
        let mut readings = Readings::new();
        let _ = read(&mut readings, 100);
        for now in 20..30 {
            assert_eq!(read(&mut readings, now), (100, None));
            assert_eq!(readings.behind(), Some(at(20)));
        }
        let (now, step) = read(&mut readings, 30);
        assert_eq!((now, readings.behind()), (30, None));
        let moved = [0, 20, 21, 100, 101].map(|nanos| step.unwrap().moved(at(nanos)).as_nanos());
        assert_eq!(moved, [0, 20, 21, 20, 30], "what came while they were behind is not cut short");
    }

    #[test]
    fn time_does_not_stand_still_at_its_end() {
        let mut readings = Readings::new();
        let _ = read(&mut readings, u64::MAX - 5);
        let (now, step) = read(&mut readings, 7);
        assert_eq!((now, step.unwrap().moved(at(u64::MAX))), (7, at(7)));
    }

    #[test]
    fn a_clock_that_is_as_late_as_before_goes_on() {
        let mut readings = Readings::new();
        let _ = (read(&mut readings, 100), read(&mut readings, 50));
        for _ in 0..3 {
            assert_eq!(read(&mut readings, 100), (100, None));
        }
        assert_eq!(read(&mut readings, 101), (101, None));
        assert_eq!(readings.behind(), None);
    }
}
