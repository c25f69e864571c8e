//! The dedup cache.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::dedup_cache::OPERATIONS);
