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

mod batch_collector;
mod cached_rate_limiter;
mod circuit_breaker;
mod correlator;
mod dedup_cache;
#[cfg(feature = "aead")]
mod encryptor;
mod logger;
mod quorum;
mod rate_limiter;
mod retry;
mod runtime;
mod storage;

pub use batch_collector::{
    Batch, BatchCollector, BatchCollectorBuilder, BatchFlush, BatchIntoIter, FlushReport, Flushed, WeakBatchCollector,
};
pub use cached_rate_limiter::{CachedRateLimiter, CachedRateLimiterBuilder};
pub use circuit_breaker::{
    BreakerGuard, BreakerReporter, Breakers, BreakersBuilder, BreakersGuard, BreakersReporter, CircuitBreaker,
};
pub use correlator::{Correlator, KeyedCorrelator};
pub use dedup_cache::{ClaimGuard, DedupCache, DedupCacheBuilder};
#[cfg(feature = "aead")]
pub use encryptor::Encryptor;
#[cfg(feature = "log")]
pub use logger::LogSink;
#[cfg(feature = "tracing")]
pub use logger::TracingSink;
pub use logger::{Logger, LoggerBuilder, WriteSink};
pub use quorum::{Quorum, QuorumBuilder};
pub use rate_limiter::{RateLimiter, RateLimiterBuilder};
pub use retry::{RetryBudget, RetryExt};
pub use runtime::{JitterRng, Mutex, SystemRng, SystemSleep, SystemTimer, block_on};
pub use steadfast_core;
#[doc(inline)]
pub use steadfast_core::{
    Actors, AddError, AllowOrCached, AttemptEnd, AttemptGuard, AttemptLost, Ballot, BallotId, BatchQueueStats,
    BeginError, BreakerError, BreakerMode, BreakerState, BreakerStats, CachedRateLimiterStats, Call, CallError,
    CallGuard, CallId, CallWindow, Claim, ClaimLost, Clock, Consecutive, CorrelatorStats, Decision, DedupStats, Drive,
    Entry, Event, Expired, Failure, FlushReason, Formatter, FormattersFull, Gcra, Group, Hint, Instant, Jitter, Level,
    Lock, LoggerStats, NeverFits, NoBudget, NotWritten, Notify, OnFull, Open, Outcome, Percent, Permit, Plain,
    QuorumError, QuorumStats, Quota, RateLimiterStats, Reason, Recorded, Recorder, Report, ReportOutcome, Reset,
    Resolution, Retry, RetryBudgetStats, RetryError, RetryIf, RetryPolicy, RoundTrips, Run, Seen, ServiceId,
    ServiceLog, Setup, Show, Sink, SlidingLog, Step, Text, TimeWindow, Timer, Trip, TripPolicy, Verdict, Vote,
    WaitError, WhenFull, aggregate, earliest,
};
#[cfg(feature = "aead")]
#[doc(inline)]
pub use steadfast_core::{Domain, EncryptorError, Nonce, Tag};
pub use storage::Heap;
