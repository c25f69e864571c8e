//! The rate limiter by sliding log.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::rate_limiter::sliding_log::OPERATIONS);
