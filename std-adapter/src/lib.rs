#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - **Which one do I need?** The [`guide`] goes by problem and shows several together; its
//!   [`glossary`](guide::glossary) has the terms of governor, tower, resilience4j, Polly, moka and backon beside ours.
//! - **The utilities**, each with its outcomes and errors in a module of its own: [`rate_limiter`],
//!   [`circuit_breaker`], [`retry`], [`dedup_cache`], [`correlator`], [`batch_collector`], [`quorum`] with
//!   [`aggregate`], [`logger`] and, with the feature `aead`, `encryptor`. Here are the types that you hold, such as
//!   [`RateLimiter`], and what you build them from, such as [`Gcra`].
//! - **Settings** are built first, and cannot be invalid: [`Gcra`] and [`SlidingLog`], [`Trip`] and [`Reset`],
//!   [`RetryPolicy`]. Builders have a default for all else.
//! - **Outcomes** are an enum or a small struct, such as [`Decision`](rate_limiter::Decision). A "not now" carries the
//!   instant to come back at, and `retry_after(now)` makes a duration of it; errors are for misuse and capacity, and
//!   give back what was not taken.
//! - **Cancellation** is dropping the future, at any await: its slot or permit is free at once.
//! - **Counts** are in `stats()`, and add up; [`observe`] hands them, with gauges, to Prometheus and others.
//! - **The state machines** beneath are in [`steadfast_core`], with `now` as an argument and no lock. [`runtime`] and
//!   [`storage`] have this crate's parts for a [`Shared`](steadfast_core::Shared) of your own.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "a test fails by panicking"
    )
)]

pub mod batch_collector;
mod boxed;
pub mod circuit_breaker;
pub mod correlator;
pub mod dedup_cache;
#[cfg(feature = "aead")]
pub mod encryptor;
pub mod guide;
pub mod logger;
pub mod observe;
pub mod quorum;
pub mod rate_limiter;
pub mod retry;
pub mod runtime;
#[cfg(feature = "serde")]
pub mod settings;
pub mod storage;
#[cfg(feature = "test-util")]
#[doc(inline)]
pub use steadfast_core::test_util;

#[doc(inline)]
pub use batch_collector::BatchCollector;
#[doc(inline)]
pub use boxed::{BoxedError, BoxedInner};
#[doc(inline)]
pub use circuit_breaker::{Breakers, CircuitBreaker, Reset, Trip};
#[doc(inline)]
pub use correlator::{Correlator, KeyedCorrelator};
#[doc(inline)]
pub use dedup_cache::DedupCache;
#[cfg(feature = "aead")]
#[doc(inline)]
pub use encryptor::Encryptor;
#[doc(inline)]
pub use logger::Logger;
#[doc(inline)]
pub use quorum::Quorum;
#[doc(inline)]
pub use rate_limiter::{CachedRateLimiter, Gcra, RateLimiter, SlidingLog};
#[doc(inline)]
pub use retry::{RetryBudget, RetryExt, RetryPolicy};
#[doc(inline)]
pub use runtime::block_on;
pub use steadfast_core;
#[doc(inline)]
pub use steadfast_core::{Deadline, Instant, aggregate, earliest};
