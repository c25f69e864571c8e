#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! - **A machine** is a type such as [`RateLimiter`]. Its storage is an array inside it, of the size in its type; the same
//!   machine in any other [`Storage`] ends in `In` ([`RateLimiterIn`]), and its methods are documented there.
//! - **What goes in** is built first, and cannot be invalid: [`Gcra`], [`Trip`] and [`Reset`], [`RetryPolicy`],
//!   [`BatchSettings`], [`WhenFull`].
//! - **What comes out** is an enum or a small struct: [`Decision`], [`Seen`], [`Step`], [`Resolution`], [`Ballot`]. A "not
//!   now" carries the instant to come back at, `retry_at`; errors are for misuse and capacity, and say what they left
//!   unchanged.
//! - **Waiting**: a machine that has deadlines tells the next, `next_deadline`, and does what is due in `on_timeout`. Sleep
//!   until the [`earliest`] of several. Async programs leave that to [`Shared`].
//! - **Time** is an [`Instant`] of the caller's clock. Deadlines are reached at `now >= at`; what is exactly as old as its
//!   window no longer counts. Each machine says what a clock that steps back costs it.
//! - **Keys** are hashed with a [`HashSeed`]: `reseed` at boot what is in a `static`. Methods that end in `_with` take a key
//!   that was hashed already, in a borrowed form.
//! - **Counts** are in `stats()`, and add up.
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

mod age;
pub mod aggregate;
mod batch_collector;
mod circuit_breaker;
mod correlator;
mod dedup_cache;
#[cfg(feature = "aead")]
mod encryptor;
#[cfg(feature = "defmt")]
mod format;
mod hash;
mod logger;
mod quorum;
mod rate_limiter;
mod readings;
mod retry;
mod shared;
mod storage;
mod table;
#[cfg(any(test, feature = "test-util"))]
pub mod test_util;
mod time;
mod wait_list;

pub use batch_collector::{
    AddError, Batch, BatchBuffer, BatchCollector, BatchIntoIter, BatchQueue, BatchQueueIn, BatchQueueStats,
    BatchSettings, BatchStats, BatchWorker, FlushOutcome, FlushReason, WorkerRuns,
};
pub use circuit_breaker::{
    BreakerError, BreakerMode, BreakerState, BreakerStats, Breakers, BreakersIn, CallGuard, CallWindow, CircuitBreaker,
    Consecutive, Open, Outcome, Percent, Permit, ReportOutcome, Reset, TimeWindow, Trip, TripPolicy,
};
pub use correlator::{
    Asked, BeginError, Call, CallError, CallId, Correlator, CorrelatorIn, CorrelatorStats, Expired, KeyedCorrelator,
    KeyedCorrelatorIn, Resolution, RoundTrips,
};
pub use dedup_cache::{
    Claim, ClaimGuard, ClaimLost, ClaimTicket, DedupCache, DedupCacheIn, DedupStats, Seen, WhenFull,
};
#[cfg(feature = "aead")]
pub use encryptor::{Domain, Encryptor, EncryptorError, Nonce, Tag};
pub use hash::{HashSeed, SeededHasher};
pub use logger::{
    Actors, Entry, Event, Formatter, FormattersFull, Group, Level, Logger, LoggerStats, NotWritten, Recorded, Recorder,
    Report, ServiceId, ServiceLog, Show, Sink, Text,
};
pub use quorum::{Ballot, BallotId, Cast, List, ListStorage, Quorum, QuorumError, QuorumIn, QuorumStats, Vote};
pub use rate_limiter::{
    AllowOrCached, AttemptEnd, AttemptGuard, AttemptLost, AttemptPermit, CachedRateLimiter, CachedRateLimiterIn,
    CachedRateLimiterStats, Decision, Gcra, GcraState, NeverFits, OnFull, Quota, RateLimiter, RateLimiterIn,
    RateLimiterStats, SlidingLog, SlidingLogState, Verdict, WaitError,
};
pub use retry::{
    Drive, Failure, Hint, Jitter, NoBudget, Notify, Plain, Reason, Retry, RetryBudget, RetryBudgetStats, RetryError,
    RetryIf, RetryPolicy, Run, Setup, Step,
};
pub use shared::{Clock, Lock, Shared, Timer};
pub use storage::{Allocate, Inline, Link, Storage};
pub use time::{Instant, earliest};
pub use wait_list::WaitList;
