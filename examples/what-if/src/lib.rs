//! What a limit would have done to the traffic of an access log: the log's lines are read, put in order of time, and
//! replayed through the rate limiter that will enforce the limit.
#![cfg_attr(
    test,
    allow(
        clippy::arithmetic_side_effects,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        reason = "a test fails by panicking"
    )
)]

pub mod key;
pub mod limit;
pub mod line;
pub mod log;
pub mod made_up;
pub mod reader;
pub mod replay;
pub mod report;
pub mod storm;
pub mod sweep;
pub mod table;
pub mod time;
