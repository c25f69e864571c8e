//! The replay window.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::session::OPERATIONS);
