//! Every operation that is measured, of every kind.
#![no_std]
#![no_main]

use costs::operations::*;

costs::flash_image!(
    aggregate::OPERATIONS,
    aggregate::rest::OPERATIONS,
    batch_collector::OPERATIONS,
    batch_collector::rest::OPERATIONS,
    breakers::OPERATIONS,
    breakers::rest::OPERATIONS,
    cached_rate_limiter::OPERATIONS,
    cached_rate_limiter::rest::OPERATIONS,
    circuit_breaker::call_window::OPERATIONS,
    circuit_breaker::consecutive::OPERATIONS,
    circuit_breaker::time_window::OPERATIONS,
    correlator::OPERATIONS,
    correlator::rest::OPERATIONS,
    dedup_cache::OPERATIONS,
    dedup_cache::rest::OPERATIONS,
    encryptor::OPERATIONS,
    encryptor::counted::OPERATIONS,
    keyed_correlator::OPERATIONS,
    keyed_correlator::rest::OPERATIONS,
    logger::OPERATIONS,
    logger::rest::OPERATIONS,
    quorum::OPERATIONS,
    quorum::rest::OPERATIONS,
    rate_limiter::gcra::OPERATIONS,
    rate_limiter::gcra::rest::OPERATIONS,
    rate_limiter::sliding_log::OPERATIONS,
    rate_limiter::sliding_log::rest::OPERATIONS,
    retry::OPERATIONS,
    retry::budget::OPERATIONS,
    session::OPERATIONS,
    session::counters::OPERATIONS,
    session::keys::OPERATIONS
);
