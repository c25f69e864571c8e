//! A breaker over a window of time.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::breakers::time_window: operations::circuit_breaker::time_window::OPERATIONS);
