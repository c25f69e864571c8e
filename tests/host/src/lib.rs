//! Contracts that every machine keeps, written once as generic functions.
//!
//! They are `no_std` and use nothing but the machine and a lock around it, so that the host's tests and the firmware's
//! image run the same code: [`contracts`] is the table of all of them.
#![no_std]

mod batch_collector;
mod circuit_breaker;
mod correlator;
mod deadline;
mod dedup_cache;
mod encryptor;
mod locks;
mod logger;
mod quorum;
mod rate_limiter;
mod retry;

pub use batch_collector::{batch_collector_contract, batch_deadline_contract};
pub use circuit_breaker::{breakers_contract, circuit_breaker_contract};
pub use correlator::{correlator_contract, correlator_deadline_contract, keyed_correlator_contract};
pub use deadline::{Timed, deadline_contract};
pub use dedup_cache::{dedup_cache_contract, dedup_deadline_contract};
pub use encryptor::encryptor_contract;
pub use locks::{Locks, RefCells};
pub use logger::{logger_contract, logger_deadline_contract};
pub use quorum::{quorum_contract, quorum_deadline_contract};
pub use rate_limiter::{cached_rate_limiter_contract, gcra_contract, sliding_log_contract};
pub use retry::retry_contract;

/// Every contract by its name; each panics if it is broken.
pub const fn contracts<L: Locks>() -> [(&'static str, fn()); 18] {
    [
        ("batch_collector", batch_collector_contract::<L>),
        ("batch_collector_deadline", batch_deadline_contract),
        ("breakers", breakers_contract::<L>),
        ("cached_rate_limiter", cached_rate_limiter_contract::<L>),
        ("circuit_breaker", circuit_breaker_contract::<L>),
        ("correlator", correlator_contract::<L>),
        ("correlator_deadline", correlator_deadline_contract),
        ("dedup_cache", dedup_cache_contract::<L>),
        ("dedup_cache_deadline", dedup_deadline_contract),
        ("encryptor", encryptor_contract),
        ("keyed_correlator", keyed_correlator_contract::<L>),
        ("logger", logger_contract::<L>),
        ("logger_deadline", logger_deadline_contract),
        ("quorum", quorum_contract::<L>),
        ("quorum_deadline", quorum_deadline_contract),
        ("rate_limiter_gcra", gcra_contract::<L>),
        ("rate_limiter_sliding_log", sliding_log_contract::<L>),
        ("retry", retry_contract::<L>),
    ]
}

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
