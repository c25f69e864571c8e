//! The logger with its formatting.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::logger::OPERATIONS);
