#![doc = include_str!("../README.md")]
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

pub mod bad_link;
pub mod board;
pub mod demo;
pub mod disk;
pub mod durable;
pub mod link;
pub mod node;
pub mod owner;
pub mod seed;

/// The longest file that an owner puts, and the most that a confidant takes from one owner.
pub const MAX_FILE: usize = 64 << 20;

/// How many chunks that is.
const MAX_CHUNKS: u32 = MAX_FILE.div_ceil(stash_protocol::CHUNK_BYTES) as u32;

/// What to say of a name that is none.
pub const NO_NAME: &str = "a name has 1 to 32 bytes and no control characters";
