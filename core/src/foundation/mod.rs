//! The groundwork of the utilities: time, storage, hashing, keyed tables, and a lock with a clock.
//!
//! Write a [`Lock`](shared::Lock) and a [`Timer`](shared::Timer) to bring the utilities to another runtime, and a
//! [`Storage`](storage::Storage) to give them other memory.

pub mod deadline;
pub mod hash;
pub(crate) mod percent;
#[cfg(feature = "serde")]
mod percent_serde;
pub(crate) mod readings;
pub mod shared;
pub(crate) mod split_mix;
pub mod storage;
pub(crate) mod table;
pub mod time;
pub mod wait_list;
