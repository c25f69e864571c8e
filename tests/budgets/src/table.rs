//! The table, for a terminal and for the README.

use std::fmt::Write;

use crate::budgets::{Budgets, Size};

const BEGIN: &str = "<!-- budgets: written by `cargo run -p budgets -- --accept` -->\n";
const END: &str = "<!-- end of budgets -->\n";

/// A README with the tables of these budgets between the two marks.
pub fn replace(readme: &str, budgets: &Budgets) -> Result<String, String> {
    let missing = || format!("a README lacks {} or {}", BEGIN.trim(), END.trim());
    let (before, rest) = readme.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    Ok(format!("{before}{BEGIN}\n{}\n{END}{after}", markdown(budgets)))
}

/// The table for a terminal.
pub fn plain(budgets: &Budgets) -> String {
    let tables = tables(budgets).into_iter().map(|table| table.plain()).collect::<Vec<_>>();
    format!("{}\nmade with {}\n", tables.join("\n"), budgets.compiler)
}

fn markdown(budgets: &Budgets) -> String {
    let tables = tables(budgets).into_iter().filter(|table| !table.rows.is_empty());
    let tables = tables.map(|table| table.markdown()).collect::<Vec<_>>();
    format!("Made by `cargo run -p budgets` with {}.\n\n{}", budgets.compiler, tables.join("\n"))
}

struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

fn tables(budgets: &Budgets) -> Vec<Table> {
    let mut machine = "";
    let calls = budgets.call.iter().map(|row| {
        let is_first = machine != row.machine;
        machine = &row.machine;
        let name = if is_first { row.machine.clone() } else { String::new() };
        let figures = [row.typical, row.worst, row.stack].map(number);
        [name, row.operation.clone()].into_iter().chain(figures).chain([goal(row.goal, row.typical)]).collect()
    });
    let calls = Table {
        header: vec!["utility", "operation", "instructions, typical", "worst", "stack, B", "goal, typical"],
        rows: calls.collect(),
    };
    vec![
        calls,
        sizes(["flash of", "with", "B", "goal"], &budgets.flash),
        sizes(["RAM of", "for", "B", "goal"], &budgets.ram),
    ]
}

fn sizes(header: [&'static str; 4], rows: &[Size]) -> Table {
    let row = |row: &Size| vec![row.machine.clone(), row.part.clone(), number(row.bytes), goal(row.goal, row.bytes)];
    Table { header: header.to_vec(), rows: rows.iter().map(row).collect() }
}

fn goal(goal: Option<u64>, figure: u64) -> String {
    match goal {
        None => String::new(),
        Some(goal) if figure > goal => format!("**{}, missed**", number(goal)),
        Some(goal) => number(goal),
    }
}

/// With commas between the thousands.
fn number(figure: u64) -> String {
    let digits = figure.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Table {
    fn markdown(&self) -> String {
        let mut text = String::new();
        let marks: Vec<&str> = (0..self.header.len()).map(|column| if column < 2 { "---" } else { "--:" }).collect();
        let _ = writeln!(text, "| {} |\n| {} |", self.header.join(" | "), marks.join(" | "));
        for row in &self.rows {
            let _ = writeln!(text, "| {} |", row.join(" | "));
        }
        text
    }

    fn plain(&self) -> String {
        let header: Vec<String> = self.header.iter().map(|name| (*name).to_owned()).collect();
        let width = |column: usize| {
            self.rows
                .iter()
                .chain([&header])
                .filter_map(|row| row.get(column))
                .map(|cell| shown(cell).chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..header.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for row in [&header].into_iter().chain(&self.rows) {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let cell = shown(cell);
                let _ = if column < 2 { write!(text, "{cell:width$}  ") } else { write!(text, "{cell:>width$}  ") };
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        }
        text
    }
}

/// A cell without its marks.
fn shown(cell: &str) -> String {
    cell.replace("**", "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets::Call;

    fn budgets() -> Budgets {
        let call = Call {
            machine: "retry".to_owned(),
            operation: "next".to_owned(),
            typical: 1_134,
            worst: 1_171,
            stack: 56,
            goal: Some(120),
        };
        Budgets { compiler: "rustc 1".to_owned(), call: vec![call], ..Budgets::default() }
    }

    #[test]
    fn a_missed_goal_is_seen() {
        assert!(markdown(&budgets()).contains("| retry | next | 1,134 | 1,171 | 56 | **120, missed** |"));
        assert!(plain(&budgets()).contains("120, missed"));
    }

    #[test]
    fn a_table_without_rows_is_left_out() {
        assert_eq!(markdown(&budgets()).matches("| --- |").count(), 1);
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let readme = format!("before\n{BEGIN}old\n{END}after\n");
        let replaced = replace(&readme, &budgets()).expect("it has the marks");
        assert!(replaced.starts_with("before\n") && replaced.ends_with("after\n") && !replaced.contains("old"));
        assert_eq!(replace(&replaced, &budgets()), Ok(replaced));
        assert!(replace("no marks", &budgets()).is_err());
    }
}
