//! The cached rate limiter.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::limiters::cached: operations::cached_rate_limiter::OPERATIONS, operations::cached_rate_limiter::rest::OPERATIONS);
