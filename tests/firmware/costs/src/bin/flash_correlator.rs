//! The correlator.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::correlator::OPERATIONS);
