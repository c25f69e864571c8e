//! A quorum, with its result by trimmed mean.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::quorum::OPERATIONS);
