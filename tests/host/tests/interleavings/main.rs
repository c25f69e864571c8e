//! Every interleaving of three threads on one machine, by loom: preemption bound 2, or `LOOM_MAX_PREEMPTIONS`.
//!
//! The machines are the real ones: `Shared` takes loom's mutex as it takes any other lock. A wake-up that is lost leaves
//! a thread parked for ever, which loom reports as a deadlock.

mod batch_collector;
mod circuit_breaker;
mod control;
mod correlator;
mod dedup_cache;
mod logger;
mod quorum;
mod rate_limiter;
mod retry;
mod support;
