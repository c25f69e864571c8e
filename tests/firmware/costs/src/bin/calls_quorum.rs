//! The quorum.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::aggregates::quorum: operations::quorum::OPERATIONS, operations::quorum::rest::OPERATIONS);
