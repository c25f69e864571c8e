//! Protected sessions: replay protection, counters that survive a power cut, and key rotation.
//!
//! A sender takes each packet's counter from a [`CounterReserve`], so that none repeats, whenever the power fails. A
//! receiver keeps a [`ReplayWindow`] for each sender, so that a recorded packet is not taken again. Both find the key of
//! a packet in a [`KeyRing`] while keys change. None of them encrypts: `Encryptor::seal_counted` and `open_counted` (feature
//! `aead`) do, with these, in the right order.
//!
//! **Outcomes**: [`Candidate`]. **Errors**: [`Replay`], [`CounterError`], [`NotStored`], [`KeyRingError`].

mod counter_reserve;
mod key_ring;
mod replay_window;
#[cfg(test)]
mod tests;

pub use counter_reserve::{CounterError, CounterReserve, NotStored};
pub use key_ring::{KeyRing, KeyRingError};
pub use replay_window::{Candidate, Replay, ReplayWindow};
