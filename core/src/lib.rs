#![doc = include_str!("../README.md")]
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
mod hash;
mod logger;
mod quorum;
mod rate_limiter;
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
    Consecutive, Open, Outcome, Percent, Permit, Reset, TimeWindow, Trip, TripPolicy,
};
pub use correlator::{
    Asked, BeginError, Call, CallError, CallId, Correlator, CorrelatorIn, CorrelatorStats, Expired, KeyedCorrelator,
    KeyedCorrelatorIn, Resolution, RoundTrips,
};
pub use dedup_cache::{
    Claim, ClaimEnd, ClaimGuard, ClaimLost, ClaimTicket, DedupCache, DedupCacheIn, DedupStats, Seen, WhenFull,
};
#[cfg(feature = "aead")]
pub use encryptor::{Domain, Encryptor, EncryptorError, Nonce, Tag};
pub use hash::HashSeed;
pub use logger::{
    Actors, Entry, Event, Formatter, FormattersFull, Group, Level, Logger, LoggerStats, NotWritten, Recorded, Recorder,
    Report, ServiceId, ServiceLog, Show, Sink, Text,
};
pub use quorum::{Ballot, List, ListStorage, Quorum, QuorumError, QuorumIn, QuorumStats, Vote};
pub use rate_limiter::{
    AllowOrCached, AttemptEnd, AttemptGuard, AttemptLost, AttemptPermit, CachedRateLimiter, CachedRateLimiterIn,
    CachedRateLimiterStats, Decision, Gcra, NeverFits, OnFull, Quota, RateLimiter, RateLimiterIn, RateLimiterStats,
    SlidingLog, SlidingLogState,
};
#[doc(hidden)]
pub use retry::{Drive, NoBudget, Setup};
pub use retry::{Failure, Jitter, Reason, Retry, RetryBudget, RetryBudgetStats, RetryError, RetryPolicy, Run, Step};
pub use shared::{Clock, Lock, Shared, Timer};
pub use storage::{Allocate, Inline, Link, Storage};
pub use time::{Instant, earliest};
pub use wait_list::WaitList;
