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

#[cfg(test)]
extern crate std;

mod confidant;
mod field;
mod identity;
pub mod log;
mod message;
mod names;
pub mod serial;
mod store;
mod vault;
pub mod wire;

pub use confidant::{Begun, Capacity, Confidant, ConfidantStats, Job, Outcome, Reply, RunSecret, Settings};
pub use field::{Name, Sealed};
pub use identity::{Identity, ParsePeerIdError, PeerId};
pub use message::{Body, Chunk, FETCH_CHUNKS, Holding, Manifest, Message, Refusal, SEALED_MANIFEST};
pub use names::Names;
pub use store::{ChunkId, ChunkStore, MemoryStore, StoreError};
pub use vault::{CHUNK_BYTES, Summary, Vault};
