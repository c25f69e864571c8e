//! Replay window, counter reserve and key ring.
#![no_std]
#![no_main]

use costs::{operations::session, scenarios};

costs::calls_image!(
    scenarios::sessions::session: session::OPERATIONS,
    session::counters::OPERATIONS,
    session::keys::OPERATIONS
);
