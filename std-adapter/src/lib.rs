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

mod circuit_breaker;
mod rate_limiter;
mod retry;
mod runtime;
mod storage;

pub use circuit_breaker::{Breakers, BreakersBuilder, CircuitBreaker};
pub use rate_limiter::{RateLimiter, RateLimiterBuilder};
pub use retry::{RetryBudget, RetryExt};
pub use runtime::{JitterRng, Mutex, SystemRng, SystemSleep, SystemTimer, block_on};
pub use steadfast_core::{
    self as core, BreakerError, BreakerMode, BreakerState, BreakerStats, CallGuard, CallWindow, Clock, Consecutive,
    Decision, Failure, Gcra, Instant, Jitter, Lock, NeverFits, OnFull, Open, Outcome, Percent, Permit, Quota,
    RateLimiterStats, Reason, Reset, Retry, RetryBudgetStats, RetryError, RetryPolicy, Run, SlidingLog, Step,
    TimeWindow, Timer, Trip, TripPolicy, earliest,
};
pub use storage::Heap;
