//! A breaker over a window of calls.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::breakers::call_window: operations::circuit_breaker::call_window::OPERATIONS);
