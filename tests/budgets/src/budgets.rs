//! What is measured, and what it may be at most: the rows of `budgets.toml`.

use std::fmt::{self, Write};

use serde::Deserialize;

/// All rows, and the compiler that they are for: another one's code is another one.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Budgets {
    pub compiler: String,
    #[serde(default)]
    pub call: Vec<Call>,
    #[serde(default)]
    pub flash: Vec<Size>,
    #[serde(default)]
    pub ram: Vec<Size>,
}

/// An operation.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub machine: String,
    pub operation: String,
    /// Instructions: the median over keys by chance and all fillings.
    pub typical: u64,
    /// Instructions: the most over those, and over hostile keys, fillings and clocks.
    pub worst: u64,
    /// Bytes, the deepest of all calls.
    pub stack: u64,
    /// Instructions of a typical call.
    pub goal: Option<u64>,
}

/// The flash, or the RAM, of a part of a machine.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Size {
    pub machine: String,
    pub part: String,
    pub bytes: u64,
    pub goal: Option<u64>,
}

/// By how much the flash of one program differs from one folder to another, in bytes. Names of symbols depend on where the
/// checkout lies, the order of the functions on the names, and what fills up the gaps between them on the order.
const FILLING: u64 = 16;

/// What a measured figure is to its budget.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    Gain(String),
    Gone(String),
    New(String),
    Over(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gain(what) => write!(f, "gain: {what}"),
            Self::Gone(what) => write!(f, "no longer measured: {what}"),
            Self::New(what) => write!(f, "without a budget: {what}"),
            Self::Over(what) => write!(f, "OVER: {what}"),
        }
    }
}

impl Budgets {
    /// The rows of one machine, or program.
    pub fn only(&self, machine: &str) -> Self {
        let sizes = |rows: &[Size]| rows.iter().filter(|row| row.machine == machine).cloned().collect();
        let call = self.call.iter().filter(|row| row.machine == machine).cloned().collect();
        Self { compiler: self.compiler.clone(), call, flash: sizes(&self.flash), ram: sizes(&self.ram) }
    }

    pub fn read(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The text of `budgets.toml`, a row a line.
    pub fn write(&self) -> String {
        let quote = |text: &str| toml::Value::from(text).to_string();
        let goal = |goal: Option<u64>| goal.map(|goal| format!(", goal = {goal}")).unwrap_or_default();
        let mut text = String::from(
            "# What each operation costs at most on a Cortex-M4; see CONTRIBUTING.md. `cargo run -p budgets -- --accept` writes it;\n\
             # only the goals are written by hand. A budget that rises needs its reason in the commit.\n",
        );
        let _ = writeln!(text, "compiler = {}\n\n# Instructions, and bytes of stack.\ncall = [", quote(&self.compiler));
        for row in &self.call {
            let _ = writeln!(
                text,
                "  {{ machine = {}, operation = {}, typical = {}, worst = {}, stack = {}{} }},",
                quote(&row.machine),
                quote(&row.operation),
                row.typical,
                row.worst,
                row.stack,
                goal(row.goal),
            );
        }
        for (name, rows) in [("flash", &self.flash), ("ram", &self.ram)] {
            let _ = writeln!(text, "]\n\n# Bytes.\n{name} = [");
            for row in rows {
                let (machine, part) = (quote(&row.machine), quote(&row.part));
                let goal = goal(row.goal);
                let _ = writeln!(text, "  {{ machine = {machine}, part = {part}, bytes = {}{goal} }},", row.bytes);
            }
        }
        text.push_str("]\n");
        text
    }

    /// Gives every row the goal that it has in `other`.
    pub fn take_goals(&mut self, other: &Self) {
        for row in &mut self.call {
            row.goal = other.call.iter().find(|known| known.name() == row.name()).and_then(|known| known.goal);
        }
        for (rows, known) in [(&mut self.flash, &other.flash), (&mut self.ram, &other.ram)] {
            for row in rows {
                row.goal = known.iter().find(|known| known.name() == row.name()).and_then(|known| known.goal);
            }
        }
    }

    /// What differs from the budgets.
    pub fn compare(&self, budgets: &Self) -> Vec<Verdict> {
        let (measured, allowed) = (self.figures(), budgets.figures());
        let mut verdicts: Vec<Verdict> = allowed
            .iter()
            .filter(|(name, ..)| !measured.iter().any(|(known, ..)| known == name))
            .map(|(name, ..)| Verdict::Gone(name.clone()))
            .collect();
        for (name, figure, slack) in measured {
            match allowed.iter().find(|(known, ..)| *known == name) {
                None => verdicts.push(Verdict::New(name)),
                Some((_, budget, _)) if figure > *budget + slack => {
                    verdicts.push(Verdict::Over(format!("{name}: {figure}, the budget is {budget}")));
                }
                Some((_, budget, _)) if figure + slack < *budget => {
                    verdicts.push(Verdict::Gain(format!("{name}: {figure}, the budget is {budget}")));
                }
                Some(_) => {}
            }
        }
        verdicts
    }

    /// Every figure with its name, and by how much it may differ.
    fn figures(&self) -> Vec<(String, u64, u64)> {
        let calls = self.call.iter().flat_map(|row| {
            let name = row.name();
            [("typical", row.typical), ("worst", row.worst), ("stack", row.stack)]
                .map(|(what, figure)| (format!("{name}, {what}"), figure, 0))
        });
        let sizes = [("flash", &self.flash, FILLING), ("ram", &self.ram, 0)];
        let sizes = sizes.into_iter().flat_map(|(what, rows, slack)| {
            rows.iter().map(move |row| (format!("{what} of {}", row.name()), row.bytes, slack))
        });
        calls.chain(sizes).collect()
    }
}

impl Call {
    fn name(&self) -> String {
        format!("{}: {}", self.machine, self.operation)
    }
}

impl Size {
    fn name(&self) -> String {
        format!("{}: {}", self.machine, self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budgets(typical: u64, bytes: u64) -> Budgets {
        let (machine, operation) = ("retry \"x\"".to_owned(), "next".to_owned());
        let call = Call { machine: machine.clone(), operation, typical, worst: 171, stack: 56, goal: Some(120) };
        let flash = Size { machine, part: "next".to_owned(), bytes, goal: None };
        Budgets { compiler: "rustc 1".to_owned(), call: vec![call], flash: vec![flash], ram: vec![] }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        assert_eq!(Budgets::read(&budgets(134, 702).write()), Ok(budgets(134, 702)));
    }

    #[test]
    fn one_instruction_above_the_budget_is_over() {
        assert_eq!(budgets(134, 702).compare(&budgets(134, 702)), []);
        let [Verdict::Over(what)] = &budgets(134, 702).compare(&budgets(133, 702))[..] else { panic!("it is over") };
        assert!(what.contains("next, typical: 134, the budget is 133"), "{what}");
    }

    #[test]
    fn flash_is_over_by_more_than_what_fills_the_gaps() {
        assert_eq!(budgets(134, 718).compare(&budgets(134, 702)), []);
        assert_eq!(budgets(134, 686).compare(&budgets(134, 702)), []);
        assert!(matches!(budgets(134, 719).compare(&budgets(134, 702))[..], [Verdict::Over(_)]));
        assert!(matches!(budgets(134, 685).compare(&budgets(134, 702))[..], [Verdict::Gain(_)]));
    }

    #[test]
    fn less_is_told_as_a_gain() {
        assert!(matches!(budgets(134, 702).compare(&budgets(135, 719))[..], [Verdict::Gain(_), Verdict::Gain(_)]));
    }

    #[test]
    fn rows_come_and_go_only_with_acceptance() {
        let (full, bare) = (budgets(1, 1), Budgets { flash: vec![], ..budgets(1, 1) });
        assert!(matches!(full.compare(&bare)[..], [Verdict::New(_)]));
        assert!(matches!(bare.compare(&full)[..], [Verdict::Gone(_)]));
    }

    #[test]
    fn goals_are_kept() {
        let mut measured = budgets(100, 600);
        measured.call[0].goal = None;
        measured.take_goals(&budgets(134, 702));
        assert_eq!(measured, budgets(100, 600));
    }
}
