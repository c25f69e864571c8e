//! A breaker that counts consecutive failures.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::circuit_breaker::consecutive::OPERATIONS);
