//! What users see of the crates: nothing public is hidden from the documentation.

#[path = "support/sources.rs"]
mod sources;

use std::{collections::BTreeMap, fs, mem};

use sources::sources;

#[test]
fn found_c2_nothing_public_is_hidden() {
    let crates =
        ["core/src", "std-adapter/src", "std-adapter/redis/src", "std-adapter/tower/src", "embassy-adapter/src"];
    let mut files = 0;
    for (path, text) in crates.into_iter().flat_map(sources) {
        assert!(!text.contains("doc(hidden)"), "{path} hides something: make it private, or say what it is for");
        files += 1;
    }
    assert!(files > 100, "only {files} sources were found");
}

/// A file of the repository, as one line.
fn words(path: &str) -> String {
    let text = fs::read_to_string(sources::root().join(path)).expect("a file of the repository");
    let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "///").collect();
    words.join(" ")
}

#[test]
fn found_c4_c8_d4_d8_the_docs_say_what_trips_who_does_not_know_it() {
    for (path, sentence) in [
        ("std-adapter/src/dedup_cache/mod.rs", "move the claim into a spawned task, which outlives its client"),
        ("std-adapter/src/dedup_cache/mod.rs", "Abort only what surely did not happen."),
        ("std-adapter/README.md", "two processes with one quota each let through twice as much"),
        ("std-adapter/src/rate_limiter/mod.rs", "Each process has its own limits."),
        ("core/src/dedup_cache/mod.rs", "An id is known for one TTL, and not across a restart."),
        ("std-adapter/src/dedup_cache/mod.rs", "An id is known for one TTL, and not across a restart."),
        ("core/src/aggregate/mean.rs", "For readings take [`mean_without_extremes`]"),
    ] {
        assert!(words(path).contains(sentence), "{path} does not say any more: {sentence}");
    }
}

/// The texts of `n` words and more that methods have twice: who mends one of them forgets the other.
fn told_twice(n: usize) -> Vec<String> {
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    for folder in
        ["core/src", "std-adapter/src", "std-adapter/redis/src", "std-adapter/tower/src", "embassy-adapter/src"]
    {
        for (path, text) in sources(folder) {
            let (mut paragraph, mut is_code) = (Vec::new(), false);
            for line in text.lines().chain([""]) {
                // Indented: of a method. Summaries of types and modules stand in each crate.
                let doc = line.strip_prefix("    ").and_then(|line| line.trim_start().strip_prefix("///"));
                let doc = doc.map(str::trim).unwrap_or_default();
                is_code ^= doc.starts_with("```");
                if doc.is_empty() || is_code || doc.starts_with(['`', '#', '-', '|']) {
                    let text = mem::take(&mut paragraph).join(" ");
                    if text.split_whitespace().count() >= n {
                        texts.entry(text).or_default().push(path.clone());
                    }
                } else {
                    paragraph.push(doc);
                }
            }
        }
    }
    let twice = texts.into_iter().filter(|(_, files)| files.len() > 1);
    twice.map(|(text, files)| format!("{}: {text}", files.join(", "))).collect()
}

#[test]
fn found_e8_no_operation_is_described_at_length_in_two_places() {
    assert_eq!(told_twice(28), Vec::<String>::new());
    assert!(!told_twice(5).is_empty(), "short ones are, so it looks");
}

#[test]
fn found_e9_every_workspace_is_held_against_what_may_be_depended_on() {
    assert!(words(".ci/run").contains(".ci/deny"));
    assert!(words(".ci/deny").contains("find . -name target -prune -o -name Cargo.lock"));
    for checked in ["[licenses]", "[bans]", "[sources]", "[advisories]"] {
        assert!(words("deny.toml").contains(checked), "{checked}");
    }
}
