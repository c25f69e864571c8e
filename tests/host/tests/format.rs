//! Every public type of the core and of the embassy adapter is `defmt::Format`: the assertions in the two files below
//! compile, and here it is checked that they name every type.

#[path = "support/sources.rs"]
mod sources;

use std::fs;

use sources::{root, sources};

const CRATES: [(&str, &str); 2] =
    [("core/src", "core/src/format/tests.rs"), ("embassy-adapter/src", "embassy-adapter/src/sink.rs")];

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// The name of the public type that a line begins. An alias is no type of its own.
fn public_type(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let mut words = words(rest);
    ["struct", "enum", "union"].contains(&words.next()?).then(|| words.next())?
}

/// The types that are asserted to be `defmt::Format`.
fn asserted(text: &str) -> Vec<&str> {
    let lists = text.split("format::<").skip(1);
    lists.flat_map(|list| words(list.split(">();").next().unwrap_or_default())).collect()
}

#[test]
fn every_public_type_is_asserted_to_be_format() {
    let mut types = 0;
    let mut missing = Vec::new();
    for (folder, assertions) in CRATES {
        let assertions = fs::read_to_string(root().join(assertions)).expect("a text");
        let asserted = asserted(&assertions);
        for (path, text) in
            sources(folder).iter().filter(|(path, _)| !path.ends_with("tests.rs") && !path.contains("/tests/"))
        {
            for name in text.lines().filter_map(public_type) {
                types += 1;
                if !asserted.contains(&name) {
                    missing.push(format!("{name} of {path}"));
                }
            }
        }
    }
    assert!(types > 100, "only {types} public types found");
    assert!(missing.is_empty(), "not asserted to be `defmt::Format`: {missing:#?}");
}

#[test]
fn a_type_that_nobody_asserts_is_noticed() {
    assert_eq!(public_type("    pub struct Batch<'a, T> {"), Some("Batch"));
    assert_eq!(public_type("pub enum Trip {}"), Some("Trip"));
    assert_eq!(public_type("pub(crate) struct Halves([u32; 2]);"), None);
    assert_eq!(public_type("pub type Nonce = [u8; 24];"), None);
    let text = "format::<(Trip, Batch<'_, u8>)>();\nlet other = Retry;\nformat::<Show>();";
    assert_eq!(asserted(text), ["Trip", "Batch", "_", "u8", "Show"]);
}
