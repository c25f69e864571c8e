//! How many sequences the model tests run.

use proptest::test_runner::Config;

/// `cases` sequences, the figure for CI; the environment variable `PROPTEST_CASES` asks for another number.
pub fn cases(cases: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(cases);
    Config { cases, failure_persistence: None, ..Config::default() }
}
