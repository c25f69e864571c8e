//! The encryptor with a key as it is, and counters for nonces.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::encryption::packets: operations::encryptor::counted::OPERATIONS);
