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

    mod circuit_breaker; mod logger;,
mod rate_limiter;
mod retry;
mod runtime;
mod storage;

<<<<<<< HEAD
pub use circuit_breaker::{Breakers, BreakersBuilder, CircuitBreaker};
=======
#[cfg(feature = "log")]
pub use logger::LogSink;
#[cfg(feature = "tracing")]
pub use logger::TracingSink;
pub use logger::{Logger, LoggerBuilder, WriteSink};
>>>>>>> 6e70357 (Add the logger for servers: sinks, settings by name, a worker on tokio or a thread)
pub use rate_limiter::{RateLimiter, RateLimiterBuilder};
pub use retry::{RetryBudget, RetryExt};
pub use runtime::{JitterRng, Mutex, SystemRng, SystemSleep, SystemTimer, block_on};
pub use steadfast_core::{
<<<<<<< HEAD
    self as core, BreakerError, BreakerMode, BreakerState, BreakerStats, CallGuard, CallWindow, Clock, Consecutive,
    Decision, Failure, Gcra, Instant, Jitter, Lock, NeverFits, OnFull, Open, Outcome, Percent, Permit, Quota,
    RateLimiterStats, Reason, Reset, Retry, RetryBudgetStats, RetryError, RetryPolicy, Run, SlidingLog, Step,
    TimeWindow, Timer, Trip, TripPolicy, earliest,
=======
    self as core, Actors, Clock, Decision, Entry, Event, Failure, Formatter, FormattersFull, Gcra, Group, Instant,
    Jitter, Level, Lock, LoggerStats, NeverFits, NotWritten, OnFull, Quota, RateLimiterStats, Reason, Recorded,
    Recorder, Report, Retry, RetryBudgetStats, RetryError, RetryPolicy, Run, ServiceId, ServiceLog, Show, Sink,
    SlidingLog, Step, Text, Timer, earliest,
>>>>>>> 6e70357 (Add the logger for servers: sinks, settings by name, a worker on tokio or a thread)
};
pub use storage::Heap;
