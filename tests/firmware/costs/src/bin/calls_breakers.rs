//! Breakers by key.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::breakers::by_key: operations::breakers::OPERATIONS, operations::breakers::rest::OPERATIONS);
