//! Breakers by key.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::breakers::OPERATIONS);
