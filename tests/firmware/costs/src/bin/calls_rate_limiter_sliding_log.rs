//! The rate limiter by sliding log.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::limiters::sliding_log: operations::rate_limiter::sliding_log::OPERATIONS, operations::rate_limiter::sliding_log::rest::OPERATIONS);
