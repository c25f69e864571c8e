//! What `tests/firmware/no_panic` proves holds for what it calls: so it has to call every public function of the core.

#[path = "support/sources.rs"]
mod sources;

use sources::sources;

/// What the proof leaves out.
const LEFT_OUT: [&str; 14] = [
    "acquire_and_call", // makes a future, as those below
    "allocate",         // storage of run-time size is the adapter's
    "budget",           // a setting of a future, as those below
    "call",
    "call_with",
    "flushing",
    "gather_each",
    "hint",
    "nested_budget",
    "notify",
    "pausing",
    "retry_if",
    "run_with",
    "try_with_lists", // lists of run-time size are the adapter's
];

/// The name of the public function that a line begins, unless it is `async`.
fn function(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest).strip_prefix("fn ")?;
    rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next()
}

/// Whether somebody names it as a method or in a path.
fn is_called(name: &str, text: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let is_whole = text[at + name.len()..].starts_with(|letter: char| !letter.is_alphanumeric() && letter != '_');
        is_whole && (text[..at].ends_with('.') || text[..at].ends_with("::"))
    })
}

#[test]
fn every_public_function_is_in_the_proof() {
    let is_proved = |path: &str| !["/encryptor/", "/test_util/", "tests.rs"].iter().any(|part| path.contains(part));
    let probes: String = sources("tests/firmware/no_panic/src").into_iter().map(|(_, text)| text).collect();

    let mut functions = 0;
    let mut missing = Vec::new();
    for (path, text) in sources("core/src").iter().filter(|(path, _)| is_proved(path)) {
        for name in text.lines().filter_map(function) {
            functions += 1;
            if !is_called(name, &probes) && !LEFT_OUT.contains(&name) {
                missing.push(format!("{name} of {path}"));
            }
        }
    }
    assert!(functions > 200, "only {functions} public functions found");
    assert!(missing.is_empty(), "not in tests/firmware/no_panic: {missing:#?}");
}

#[test]
fn a_function_that_nobody_calls_is_noticed() {
    assert_eq!(function("    pub const fn ttl(&self) -> Duration {"), Some("ttl"));
    assert_eq!(function("    pub async fn call<F>(&self) {"), None);
    assert_eq!(function("    pub(crate) fn find<Q>(&self) {"), None);
    assert!(is_called("ttl", "see(cache.ttl());") && is_called("median", "aggregate::median,"));
    assert!(!is_called("ttl", "cache.ttl_of(1), throttle(2)"));
}
