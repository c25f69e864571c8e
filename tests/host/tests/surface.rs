//! What users see of the crates: nothing public is hidden from the documentation.

#[path = "support/sources.rs"]
mod sources;

use sources::sources;

#[test]
fn nothing_public_is_hidden() {
    let crates = ["core/src", "std-adapter/src", "embassy-adapter/src"];
    let mut files = 0;
    for (path, text) in crates.into_iter().flat_map(sources) {
        assert!(!text.contains("doc(hidden)"), "{path} hides something: make it private, or say what it is for");
        files += 1;
    }
    assert!(files > 100, "only {files} sources were found");
}
