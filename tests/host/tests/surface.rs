//! What users see of the crates: nothing public is hidden from the documentation.

#[path = "support/sources.rs"]
mod sources;

use std::fs;

use sources::sources;

#[test]
fn found_c2_nothing_public_is_hidden() {
    let crates = ["core/src", "std-adapter/src", "embassy-adapter/src"];
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

#[test]
fn found_e9_every_workspace_is_held_against_what_may_be_depended_on() {
    assert!(words(".ci/run").contains(".ci/deny"));
    assert!(words(".ci/deny").contains("find . -name target -prune -o -name Cargo.lock"));
    for checked in ["[licenses]", "[bans]", "[sources]", "[advisories]"] {
        assert!(words("deny.toml").contains(checked), "{checked}");
    }
}
