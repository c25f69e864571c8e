//! The correlator.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::calls::correlator: operations::correlator::OPERATIONS, operations::correlator::rest::OPERATIONS);
