//! SECURITY.md names a test for each attack: each of them exists, and each row has one.

#[path = "support/sources.rs"]
mod sources;

use std::{collections::BTreeSet, fs};

use sources::{root, sources};

/// What a row says in its columns; nothing for other lines, the head and the headings of a part.
fn columns(line: &str) -> Option<Vec<&str>> {
    let row = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let columns: Vec<&str> = row.split(" | ").map(str::trim).collect();
    (columns.len() == 3 && columns[0] != "attack" && !columns[0].starts_with("**")).then_some(columns)
}

/// The names between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names of all tests in a source.
fn tests_in(source: &str) -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    let mut is_marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_marked = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_marked) {
            tests.extend(rest.split('(').next().map(|name| name.trim().to_owned()));
            is_marked = false;
        }
    }
    tests
}

#[test]
fn every_attack_has_tests_and_they_exist() {
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("SECURITY.md");
    let folders = ["core", "std-adapter", "embassy-adapter", "tests", "examples"];
    let known: BTreeSet<_> = folders.into_iter().flat_map(sources).flat_map(|(_, text)| tests_in(&text)).collect();
    let rows: Vec<_> = text.lines().filter_map(columns).collect();
    assert!(rows.len() >= 30, "{} attacks are listed", rows.len());
    for row in rows {
        let named: Vec<&str> = quoted(row[2]).collect();
        assert!(!named.is_empty(), "no test is named against: {}", row[0]);
        for name in named {
            assert!(known.contains(name), "there is no test `{name}`, against: {}", row[0]);
        }
    }
}

#[test]
fn rows_and_tests_are_found_where_they_are_and_nowhere_else() {
    assert_eq!(
        columns("| a flood | holds | `one_test`, `another` |"),
        Some(vec!["a flood", "holds", "`one_test`, `another`"])
    );
    assert_eq!(columns("| attack | what holds against it | tests |"), None);
    assert_eq!(columns("| **Floods** | | |"), None);
    assert_eq!(quoted("`one_test`, `another`").collect::<Vec<_>>(), ["one_test", "another"]);
    let source = "fn helper() {}\n#[test]\n#[ignore]\nfn one_test() {}\n#[tokio::test(start_paused = true)]\nasync fn another() {}";
    assert_eq!(tests_in(source), BTreeSet::from(["one_test", "another"].map(String::from)));
}
