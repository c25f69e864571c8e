#![doc = include_str!("../README.md")]
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

mod rate_limiter;
mod runtime;
mod storage;

pub use rate_limiter::{RateLimiter, RateLimiterBuilder};
pub use runtime::{JitterRng, Mutex, SystemRng, SystemSleep, SystemTimer, block_on};
pub use steadfast_core::{
    self as core, Clock, Decision, Gcra, Instant, Lock, NeverFits, OnFull, Quota, RateLimiterStats, SlidingLog, Timer,
    earliest,
};
pub use storage::Heap;
