//! One kind of each utility, without encryption.
#![no_std]
#![no_main]

use costs::operations::*;

costs::flash_image!(
    rate_limiter::gcra::OPERATIONS,
    dedup_cache::OPERATIONS,
    circuit_breaker::consecutive::OPERATIONS,
    retry::OPERATIONS,
    aggregate::OPERATIONS,
    batch_collector::OPERATIONS,
    correlator::OPERATIONS,
    logger::OPERATIONS
);
