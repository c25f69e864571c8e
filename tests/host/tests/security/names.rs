//! Where the tests are, by their names.

use std::collections::BTreeMap;

use crate::sources::sources;

/// The files in which each test stands.
pub fn tests() -> BTreeMap<String, Vec<String>> {
    let mut files: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let folders = ["core", "std-adapter", "embassy-adapter", "tests", "examples"];
    for (path, text) in folders.into_iter().flat_map(sources) {
        for test in tests_in(&text) {
            files.entry(test).or_default().push(path.clone());
        }
    }
    files
}

/// The names of all tests in a source.
pub fn tests_in(source: &str) -> Vec<String> {
    let mut tests = Vec::new();
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
