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

mod engine;
mod limiter;

pub use engine::{Engine, EngineBuilder, EngineStats, Failure};
pub use limiter::{
    AllowAllError, By, Decisions, SharedRateLimiter, SharedRateLimiterBuilder, SharedRateLimiterStats, SharedVerdict,
    WhenDown,
};
