//! The budget that several retries share.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::retry::budget::OPERATIONS);
