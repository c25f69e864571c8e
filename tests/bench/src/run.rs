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
    /// What it hashes keys with, if it does.
    pub hash: &'static str,
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
        self.beside(Rival { name, hash: "", work, goal: goal.into(), is_floor: false })
    }

    /// A floor beneath it: the least that the work can cost.
    #[must_use]
    pub fn floor(self, name: &'static str, goal: impl Into<Option<Goal>>, work: Work) -> Self {
        self.beside(Rival { name, hash: "", work, goal: goal.into(), is_floor: true })
    }

    /// What all rivals that were added so far hash with, unless it was told already.
    #[must_use]
    pub fn hashing(mut self, hash: &'static str) -> Self {
        self.rivals.iter_mut().filter(|rival| rival.hash.is_empty()).for_each(|rival| rival.hash = hash);
        self
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
    pub ours: Quartiles,
    pub theirs: Quartiles,
    /// Theirs divided by ours, pair by pair.
    pub ratio: Quartiles,
}

/// Measures ours beside each rival of a row, in their order.
///
/// One rival after the other: in turns with all of them, ours would run as often as they do together, and so keep its table
/// in the caches.
pub fn measure(mut row: Row, effort: Effort) -> Vec<Beside> {
    let mut ours = Turn::new(&mut row.ours, row.step, effort.slice);
    row.rivals.iter_mut().map(|rival| beside(&mut ours, &mut rival.work, row.step, effort)).collect()
}

/// Ours, the rival, the rival, ours, and so on.
fn beside(ours: &mut Turn<'_>, rival: &mut Work, step: u64, effort: Effort) -> Beside {
    let mut rival = Turn::new(rival, step, effort.slice);
    let (mut pairs, start) = (Vec::new(), Instant::now());
    // Three rounds even where the machine is too slow for the time.
    while pairs.len() < 3 || start.elapsed() < effort.pair {
        // Whoever comes second finds the caches as the other has left them.
        pairs.push(if pairs.len().is_multiple_of(2) {
            let one = ours.take();
            (one, rival.take())
        } else {
            let other = rival.take();
            (ours.take(), other)
        });
    }
    Beside {
        ours: Quartiles::of(pairs.iter().map(|pair| pair.0)),
        theirs: Quartiles::of(pairs.iter().map(|pair| pair.1)),
        ratio: Quartiles::of(pairs.iter().map(|(one, other)| other / one)),
    }
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
    use std::sync::{Arc, Mutex};

    use super::*;

    fn constant(nanos: u64) -> Work {
        Box::new(move |n| Duration::from_nanos(nanos * n))
    }

    #[test]
    fn the_ratio_is_theirs_divided_by_ours() {
        let row = Row::new(constant(20)).peer("slow", None, constant(50)).floor("floor", None, constant(10));
        let effort = Effort { slice: Duration::from_micros(10), pair: Duration::from_micros(10) };
        let measured = measure(row, effort);
        let figures: Vec<_> =
            measured.iter().map(|beside| (beside.ours.median, beside.theirs.median, beside.ratio.median)).collect();
        assert_eq!(figures, [(20.0, 50.0, 2.5), (20.0, 10.0, 0.5)]);
    }

    #[test]
    fn ours_runs_as_often_as_one_rival_between_any_two_of_its_turns() {
        let (order, names) = (Arc::new(Mutex::new(Vec::new())), ["ours", "one", "other"]);
        let [ours, one, other] = names.map(|name| {
            let order = order.clone();
            Box::new(move |n| {
                order.lock().unwrap().push(name);
                Duration::from_micros(n)
            }) as Work
        });
        let effort = Effort { slice: Duration::from_micros(1), pair: Duration::ZERO };
        measure(Row::new(ours).peer("one", None, one).peer("other", None, other), effort);
        let order = order.lock().unwrap();
        let last = order.iter().rposition(|name| *name == "one").unwrap();
        assert!(order.iter().position(|name| *name == "other").unwrap() > last, "{order:?}");
    }

    #[test]
    fn a_hash_is_that_of_the_rivals_before_it() {
        let row = Row::new(constant(1)).peer("a", None, constant(1)).hashing("x").peer("b", None, constant(1));
        assert_eq!(row.hashing("y").rivals.iter().map(|rival| rival.hash).collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn slices_are_long_enough_and_a_multiple_of_the_step() {
        let mut work = constant(7);
        let turn = Turn::new(&mut work, 128, Duration::from_micros(100));
        assert!(turn.n * 7 >= 100_000 && turn.n.is_multiple_of(128), "{}", turn.n);
    }
}
