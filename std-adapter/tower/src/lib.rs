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

mod answer;
pub mod breaker;
pub mod deadline;
mod hint;
pub mod idempotency;
pub mod keys;
pub mod limit;
mod replay;
pub mod retry;

pub use answer::OrAnswer;
pub use replay::ReplayBody;
