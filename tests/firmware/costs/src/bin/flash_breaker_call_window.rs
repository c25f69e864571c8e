//! A breaker over a window of calls.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::circuit_breaker::call_window::OPERATIONS);
