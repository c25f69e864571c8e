//! A breaker that counts consecutive failures.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::breakers::consecutive: operations::circuit_breaker::consecutive::OPERATIONS);
