//! The aggregates.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::aggregates::functions: operations::aggregate::OPERATIONS, operations::aggregate::rest::OPERATIONS);
