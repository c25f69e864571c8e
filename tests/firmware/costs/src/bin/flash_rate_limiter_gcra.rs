//! The rate limiter by GCRA.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::rate_limiter::gcra::OPERATIONS);
