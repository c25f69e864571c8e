//! The keyed correlator.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::calls::keyed_correlator: operations::keyed_correlator::OPERATIONS, operations::keyed_correlator::rest::OPERATIONS);
