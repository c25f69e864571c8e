//! Taking turns.

use std::time::{Duration, Instant};

use crate::{slice::Work, stats::Quartiles};

/// What is measured in one row: ours, and those beside it.
pub struct Row {
    pub ours: Work,
    pub rivals: Vec<Rival>,
    /// Slices are a multiple of so many operations.
    pub step: u64,
}

/// Somebody else who does the same work.
pub struct Rival {
    pub name: &'static str,
    pub work: Work,
    pub goal: Option<Goal>,
    pub is_floor: bool,
}

/// What the ratio to a rival is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// Ours is so many times as fast, or more.
    Faster(f64),
    /// Ours takes so many times as long, or less.
    Within(f64),
}

impl Row {
    /// Ours alone, until somebody is put beside it.
    #[must_use]
    pub const fn new(ours: Work) -> Self {
        Self { ours, rivals: Vec::new(), step: 1 }
    }

    /// Slices of a multiple of so many operations.
    #[must_use]
    pub const fn step(mut self, step: u64) -> Self {
        self.step = step;
        self
    }

    /// A peer beside it.
    #[must_use]
    pub fn peer(self, name: &'static str, goal: impl Into<Option<Goal>>, work: Work) -> Self {
        self.beside(Rival { name, work, goal: goal.into(), is_floor: false })
    }

    /// A floor beneath it: the least that the work can cost.
    #[must_use]
    pub fn floor(self, name: &'static str, goal: impl Into<Option<Goal>>, work: Work) -> Self {
        self.beside(Rival { name, work, goal: goal.into(), is_floor: true })
    }

    fn beside(mut self, rival: Rival) -> Self {
        self.rivals.push(rival);
        self
    }
}

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The length of a slice.
    pub slice: Duration,
    /// The time for ours and one rival together.
    pub pair: Duration,
}

/// What one rival came to beside ours.
#[derive(Clone, Copy, Debug)]
pub struct Beside {
    /// Nanoseconds an operation.
    pub theirs: Quartiles,
    /// Theirs divided by ours, pair by pair.
    pub ratio: Quartiles,
}

/// Nanoseconds an operation of ours, and each rival in its order.
#[derive(Debug)]
pub struct Measured {
    pub ours: Quartiles,
    pub rivals: Vec<Beside>,
}

/// Measures a row: ours, a rival, the rival, ours, ours, the next rival, and so on.
pub fn measure(mut row: Row, effort: Effort) -> Measured {
    let step = row.step;
    let mut ours = Turn::new(&mut row.ours, step, effort.slice);
    let mut rivals: Vec<_> =
        row.rivals.iter_mut().map(|rival| (Turn::new(&mut rival.work, step, effort.slice), Vec::new())).collect();
    let (mut all_ours, start) = (Vec::new(), Instant::now());
    let time = effort.pair * rivals.len().max(1) as u32;
    for round in 0.. {
        // Three rounds even where the machine is too slow for the time.
        if round >= 3 && start.elapsed() >= time {
            break;
        }
        if rivals.is_empty() {
            all_ours.push(ours.take());
        }
        for (rival, pairs) in &mut rivals {
            // Whoever comes second finds the caches as the other has left them.
            let (one, other) = if round % 2 == 0 {
                let one = ours.take();
                (one, rival.take())
            } else {
                let other = rival.take();
                (ours.take(), other)
            };
            all_ours.push(one);
            pairs.push((one, other));
        }
    }
    let rivals = rivals.into_iter().map(|(_, pairs)| Beside {
        theirs: Quartiles::of(pairs.iter().map(|pair| pair.1)),
        ratio: Quartiles::of(pairs.iter().map(|(one, other)| other / one)),
    });
    Measured { ours: Quartiles::of(all_ours), rivals: rivals.collect() }
}

/// Slices of one length.
struct Turn<'a> {
    work: &'a mut Work,
    n: u64,
}

impl<'a> Turn<'a> {
    /// Finds how many operations fill a slice; this warms up, too.
    fn new(work: &'a mut Work, step: u64, slice: Duration) -> Self {
        let mut n = step;
        loop {
            // The shortest of three, because something else may have held it up.
            let mut time = work(n);
            for _ in 0..2 {
                if time >= slice {
                    time = time.min(work(n));
                }
            }
            if time >= slice || n >= 1 << 30 {
                return Self { work, n };
            }
            // At most eight times more at once: the first calls are slow, and tell little.
            let wanted = slice.as_nanos() * u128::from(n) / time.as_nanos().max(1) + 1;
            n = (wanted as u64).clamp(n + 1, n * 8).next_multiple_of(step);
        }
    }

    /// Nanoseconds an operation.
    fn take(&mut self) -> f64 {
        (self.work)(self.n).as_nanos() as f64 / self.n as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(nanos: u64) -> Work {
        Box::new(move |n| Duration::from_nanos(nanos * n))
    }

    #[test]
    fn the_ratio_is_theirs_divided_by_ours() {
        let row = Row::new(constant(20)).peer("slow", None, constant(50)).floor("floor", None, constant(10));
        let effort = Effort { slice: Duration::from_micros(10), pair: Duration::from_micros(10) };
        let measured = measure(row, effort);
        assert_eq!(measured.ours.median, 20.0);
        let ratios: Vec<_> = measured.rivals.iter().map(|rival| (rival.theirs.median, rival.ratio.median)).collect();
        assert_eq!(ratios, [(50.0, 2.5), (10.0, 0.5)]);
    }

    #[test]
    fn slices_are_long_enough_and_a_multiple_of_the_step() {
        let mut work = constant(7);
        let turn = Turn::new(&mut work, 128, Duration::from_micros(100));
        assert!(turn.n * 7 >= 100_000 && turn.n.is_multiple_of(128), "{}", turn.n);
    }
}
