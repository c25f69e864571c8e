//! What must add up in the end, and whether it does.

use crate::count::grouped;

/// One law, and what came of it.
#[derive(Debug)]
pub(crate) struct Sum {
    /// Of what.
    pub(crate) of: String,
    /// The law, with its numbers.
    pub(crate) law: String,
    pub(crate) holds: bool,
}

/// All laws.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    of: String,
    pub(crate) sums: Vec<Sum>,
}

impl Sums {
    /// What the next laws are about.
    pub(crate) fn of(&mut self, of: impl Into<String>) {
        self.of = of.into();
    }

    /// `whole` is the sum of its parts.
    pub(crate) fn adds_up(&mut self, whole: (&str, u64), parts: &[(&str, u64)]) {
        let sum: u64 = parts.iter().map(|(_, part)| part).sum();
        let written: Vec<String> = parts.iter().map(|(name, part)| format!("{} {name}", grouped(*part))).collect();
        let sign = if whole.1 == sum { "=" } else { "≠" };
        let law = format!("{} {} {sign} {}", grouped(whole.1), whole.0, written.join(" + "));
        self.push(law, whole.1 == sum);
    }

    /// `count` is not above `most`.
    pub(crate) fn at_most(&mut self, what: &str, count: u64, most: u64) {
        let sign = if count <= most { "≤" } else { ">" };
        self.push(format!("{} {what} {sign} {}", grouped(count), grouped(most)), count <= most);
    }

    /// `what` never happened.
    pub(crate) fn never(&mut self, what: &str, count: u64) {
        self.at_most(what, count, 0);
    }

    /// `what` happened, else this run has shown nothing about it.
    pub(crate) fn some(&mut self, what: &str, count: u64) {
        let sign = if count > 0 { ">" } else { "≤" };
        self.push(format!("{} {what} {sign} 0", grouped(count)), count > 0);
    }

    fn push(&mut self, law: String, holds: bool) {
        self.sums.push(Sum { of: self.of.clone(), law, holds });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_that_does_not_add_up_is_seen() {
        let mut sums = Sums::default();
        sums.of("limiter");
        sums.adds_up(("asked", 1_003), &[("allowed", 1_000), ("denied", 3)]);
        sums.adds_up(("asked", 4), &[("allowed", 1), ("denied", 2)]);
        sums.at_most("held", 5, 5);
        sums.at_most("held", 6, 5);
        sums.never("lost", 1);
        sums.some("seen", 0);
        let holds: Vec<bool> = sums.sums.iter().map(|sum| sum.holds).collect();
        assert_eq!(holds, [true, false, true, false, false, false]);
        assert_eq!(sums.sums[0].law, "1,003 asked = 1,000 allowed + 3 denied");
        assert_eq!(sums.sums[1].law, "4 asked ≠ 1 allowed + 2 denied");
    }
}
