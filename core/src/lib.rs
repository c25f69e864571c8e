#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - **The utilities**, each with its outcomes and errors in a module of its own: [`rate_limiter`],
//!   [`circuit_breaker`], [`retry`], [`dedup_cache`], [`correlator`], [`batch_collector`], [`quorum`] with
//!   [`aggregate`], [`logger`] and, with the feature `aead`, `encryptor`. Here are the types that you hold, such as
//!   [`RateLimiter`], and what you build them from, such as [`Gcra`]. Their storage is an array inside them; in any
//!   other [`Storage`](foundation::storage::Storage) they are called the same with `In` at the end, and the methods are
//!   documented there.
//! - **Settings** are built first, and cannot be invalid: [`Gcra`], [`Trip`] and [`Reset`], [`RetryPolicy`],
//!   [`BatchSettings`].
//! - **Outcomes** are an enum or a small struct, such as [`Decision`](rate_limiter::Decision). A "not now" carries the
//!   instant to come back at, `retry_at`; errors are for misuse and capacity, and say what they left unchanged.
//! - **Waiting**: what has deadlines tells the next, `next_deadline`, and does what is due in `on_timeout`. Sleep until
//!   the [`earliest`] of several. Async programs leave that to [`Shared`].
//! - **Time** is an [`Instant`] of the caller's clock. Deadlines are reached at `now >= at`; what is exactly as old as
//!   its window no longer counts. Each type says what a clock that steps back costs it.
//! - **Keys** are hashed with a [`HashSeed`]: `reseed` at boot what is in a `static`. Methods that end in `_with` take
//!   a key that was hashed already, in a borrowed form.
//! - **Counts** are in `stats()`, and add up. [`observe`] tells them, with gauges, to any library for metrics.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![no_std]
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

#[cfg(any(test, feature = "test-util"))]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod aggregate;
pub mod batch_collector;
pub mod circuit_breaker;
pub mod correlator;
pub mod dedup_cache;
#[cfg(feature = "aead")]
pub mod encryptor;
#[cfg(feature = "defmt")]
mod format;
pub mod foundation;
pub mod lease;
pub mod logger;
pub mod observe;
pub mod quorum;
pub mod rate_limiter;
pub mod retry;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;

#[doc(inline)]
pub use batch_collector::{BatchCollector, BatchQueue, BatchSettings, BatchWorker};
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
pub use foundation::{
    deadline::Deadline,
    hash::HashSeed,
    shared::{Clock, Lock, Shared, Timer},
    time::{Instant, earliest},
    wait_list::WaitList,
};
#[doc(inline)]
pub use lease::{Lease, Leases};
#[doc(inline)]
pub use logger::Logger;
#[doc(inline)]
pub use quorum::Quorum;
#[doc(inline)]
pub use rate_limiter::{CachedRateLimiter, Gcra, RateLimiter, SlidingLog};
#[doc(inline)]
pub use retry::{Retry, RetryBudget, RetryPolicy};
