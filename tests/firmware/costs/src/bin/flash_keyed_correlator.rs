//! The keyed correlator.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::keyed_correlator::OPERATIONS);
