//! The trimmed mean.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::aggregate::OPERATIONS);
