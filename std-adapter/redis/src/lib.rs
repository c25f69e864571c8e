#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
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

mod dedup;
mod engine;
mod key;
mod limiter;

pub use dedup::{
    CommitError, DedupWhenDown, SharedClaim, SharedClaimGuard, SharedDedup, SharedDedupBuilder, SharedDedupStats,
    SharedSeen,
};
pub use engine::{Engine, EngineBuilder, EngineDown, EngineStats, Failure};
pub use limiter::{
    AllowAllError, By, Decisions, SharedRateLimiter, SharedRateLimiterBuilder, SharedRateLimiterStats, SharedVerdict,
    WhenDown,
};
