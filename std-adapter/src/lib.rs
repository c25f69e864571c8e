#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - **The types to hold** are structs at this level: [`RateLimiter`], [`CachedRateLimiter`], [`CircuitBreaker`],
//!   [`Breakers`], [`RetryBudget`], [`DedupCache`], [`Correlator`], [`KeyedCorrelator`], [`BatchCollector`], [`Quorum`] and
//!   [`Logger`]; [`RetryExt`] runs a [`RetryPolicy`]. Each page opens with an example.
//! - **What goes in** is built first, and cannot be invalid: [`Gcra`] and [`SlidingLog`], [`Trip`] and [`Reset`],
//!   [`RetryPolicy`], [`WhenFull`]. Builders have a default for all else.
//! - **What comes out** is an enum or a small struct: [`Decision`], [`Seen`], [`Resolution`], [`Ballot`]. A "not now"
//!   carries the instant to come back at, and `retry_after(now)` makes a duration of it; errors are for misuse and
//!   capacity, and give back what was not taken.
//! - **Cancelling** is dropping the future, at any await: its slot, place or permit is free at once.
//! - **Counts** are in `stats()`, and add up.
//! - **The machines** beneath are in [`steadfast_core`], with `now` as an argument and no lock. [`Mutex`], [`SystemTimer`]
//!   and [`Heap`] are this crate's parts for a [`Shared`](steadfast_core::Shared) of your own.
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
pub mod circuit_breaker;
pub mod correlator;
pub mod dedup_cache;
#[cfg(feature = "aead")]
pub mod encryptor;
pub mod logger;
pub mod quorum;
pub mod rate_limiter;
pub mod retry;
pub mod runtime;
pub mod storage;

#[doc(inline)]
pub use batch_collector::BatchCollector;
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
pub use steadfast_core::{Instant, aggregate, earliest};
