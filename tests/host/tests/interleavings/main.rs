//! Every interleaving of three threads on one machine, by loom: preemption bound 2, or `LOOM_MAX_PREEMPTIONS`.
//!
//! The machines are the real ones: `Shared` takes loom's mutex as it takes any other lock. A wake-up that is lost leaves
//! a thread parked for ever, which loom reports as a deadlock.

mod batch_collector;
mod calm_breaker;
mod circuit_breaker;
mod control;
mod correlator;
mod dedup_cache;
mod logger;
mod quorum;
mod rate_limiter;
mod retry;
mod support;

use support::Mutex;

/// What the sources of the std adapter that are compiled in here find instead of the real ones.
mod runtime {
    pub mod atomic {
        pub use loom::sync::atomic::{AtomicBool, AtomicU64};
    }
}
