//! The logger.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::lines::logger: operations::logger::OPERATIONS, operations::logger::rest::OPERATIONS);
