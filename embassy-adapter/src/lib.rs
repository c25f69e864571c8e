#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
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

#[cfg(test)]
extern crate std;

mod lock;
#[cfg(feature = "defmt")]
mod sink;
mod timer;

pub use embassy_sync::blocking_mutex::raw;
pub use lock::{Mutex, Shared, shared};
#[cfg(feature = "defmt")]
pub use sink::DefmtSink;
pub use steadfast_core::*;
pub use timer::EmbassyTimer;

#[cfg(test)]
mod tests;
