//! The counter reserve.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::session::counters::OPERATIONS);
