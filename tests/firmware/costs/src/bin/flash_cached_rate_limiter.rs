//! The cached rate limiter.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::cached_rate_limiter::OPERATIONS);
