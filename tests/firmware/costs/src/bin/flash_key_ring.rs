//! The key ring.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::session::keys::OPERATIONS);
