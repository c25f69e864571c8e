//! What the operations are called with: everything that makes one cheap or expensive.
#![expect(unused_must_use, reason = "some calls are made for what they cost alone")]

pub mod aggregates;
pub mod batches;
pub mod breakers;
pub mod calls;
pub mod encryption;
pub mod ids;
mod keys;
pub mod limiters;
pub mod lines;
pub mod meter;
pub mod retries;
pub mod sessions;
pub mod sizes;
