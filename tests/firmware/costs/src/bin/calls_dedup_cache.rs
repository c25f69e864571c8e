//! The dedup cache.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::ids::dedup_cache: operations::dedup_cache::OPERATIONS, operations::dedup_cache::rest::OPERATIONS);
