//! Every operation that is measured, of every kind.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::EVERYTHING);
