//! A peer on a board without a network: a serial line, and a bridge that lends it an address.

mod bridge;
mod emulator;

pub use self::{
    bridge::{Bridge, BridgeStats},
    emulator::Emulator,
};
