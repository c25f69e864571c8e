//! Naive references of Steadfast's machines, and scripts that drive both side by side.
//!
//! The model tests of `tests/host` make the scripts with proptest, which shrinks what fails; the fuzz targets of
//! `tests/fuzz` read them from bytes. [`TARGETS`] is the table of the latter.

mod script;

pub mod aggregate;
pub mod batch_collector;
pub mod breakers;
pub mod cached_rate_limiter;
pub mod circuit_breaker;
pub mod confidant;
pub mod correlator;
pub mod dedup_cache;
pub mod encryptor;
pub mod keyed_correlator;
pub mod logger;
pub mod quorum;
pub mod rate_limiter;
pub mod retry;
pub mod retry_budget;
pub mod serial;
pub mod text;
pub mod wire;

pub use script::Script;

/// Panics if what it tests is broken, whatever the bytes are.
pub type Target = fn(&[u8]);

/// Every fuzz target by its name.
pub const TARGETS: [(&str, Target); 18] = [
    ("aggregate", aggregate::fuzz),
    ("batch_collector", batch_collector::fuzz),
    ("breakers", breakers::fuzz),
    ("cached_rate_limiter", cached_rate_limiter::fuzz),
    ("circuit_breaker", circuit_breaker::fuzz),
    ("confidant", confidant::fuzz),
    ("correlator", correlator::fuzz),
    ("dedup_cache", dedup_cache::fuzz),
    ("encryptor", encryptor::fuzz),
    ("keyed_correlator", keyed_correlator::fuzz),
    ("logger", logger::fuzz),
    ("quorum", quorum::fuzz),
    ("rate_limiter", rate_limiter::fuzz),
    ("retry", retry::fuzz),
    ("retry_budget", retry_budget::fuzz),
    ("serial", serial::fuzz),
    ("text", text::fuzz),
    ("wire", wire::fuzz),
];
