//! The rate limiter by GCRA.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::limiters::gcra: operations::rate_limiter::gcra::OPERATIONS, operations::rate_limiter::gcra::rest::OPERATIONS);
