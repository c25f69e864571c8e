//! A breaker over a window of time.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::circuit_breaker::time_window::OPERATIONS);
