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

mod batch_collector;
mod circuit_breaker;
mod correlator;
mod logger;
mod rate_limiter;
mod retry;
mod runtime;
mod storage;

pub use batch_collector::{Batch, BatchCollector, BatchCollectorBuilder, BatchIntoIter, Flushed};
pub use circuit_breaker::{Breakers, BreakersBuilder, CircuitBreaker};
pub use correlator::{Correlator, KeyedCorrelator};
#[cfg(feature = "log")]
pub use logger::LogSink;
#[cfg(feature = "tracing")]
pub use logger::TracingSink;
pub use logger::{Logger, LoggerBuilder, WriteSink};
pub use rate_limiter::{RateLimiter, RateLimiterBuilder};
pub use retry::{RetryBudget, RetryExt};
pub use runtime::{JitterRng, Mutex, SystemRng, SystemSleep, SystemTimer, block_on};
pub use steadfast_core::{
    self as core, Actors, AddError, BatchQueueStats, BeginError, BreakerError, BreakerMode, BreakerState, BreakerStats,
    Call, CallError, CallGuard, CallId, CallWindow, Clock, Consecutive, CorrelatorStats, Decision, Entry, Event,
    Expired, Failure, FlushReason, Formatter, FormattersFull, Gcra, Group, Instant, Jitter, Level, Lock, LoggerStats,
    NeverFits, NotWritten, OnFull, Open, Outcome, Percent, Permit, Quota, RateLimiterStats, Reason, Recorded, Recorder,
    Report, Reset, Resolution, Retry, RetryBudgetStats, RetryError, RetryPolicy, RoundTrips, Run, ServiceId,
    ServiceLog, Show, Sink, SlidingLog, Step, Text, TimeWindow, Timer, Trip, TripPolicy, earliest,
};
pub use storage::Heap;
