//! The rows of SECURITY.md's table.

use std::fs;

use crate::sources::root;

/// An attack, and the tests that refuse it.
pub struct Row {
    pub attack: String,
    pub tests: Vec<String>,
}

pub fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("SECURITY.md");
    let row = |line| {
        let [attack, _, tests] = columns(line)?[..] else { return None };
        Some(Row { attack: attack.to_owned(), tests: quoted(tests).map(str::to_owned).collect() })
    };
    text.lines().filter_map(row).collect()
}

/// What a row says in its columns; nothing for other lines, the head and the headings of a part.
pub fn columns(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let columns: Vec<&str> = row.split(" | ").map(str::trim).collect();
    (columns.len() == 3 && columns[0] != "attack" && !columns[0].starts_with("**")).then_some(columns)
}

/// The names between backticks.
pub fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}
