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
mod retry;
mod runtime;
mod storage;

pub use rate_limiter::{RateLimiter, RateLimiterBuilder};
pub use retry::{RetryBudget, RetryExt};
pub use runtime::{JitterRng, Mutex, SystemRng, SystemSleep, SystemTimer, block_on};
pub use steadfast_core::{
    self as core, Clock, Decision, Failure, Gcra, Instant, Jitter, Lock, NeverFits, OnFull, Quota, RateLimiterStats,
    Reason, Retry, RetryBudgetStats, RetryError, RetryPolicy, Run, SlidingLog, Step, Timer, earliest,
};
pub use storage::Heap;
