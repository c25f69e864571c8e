//! The image that the others are compared with.
#![no_std]
#![no_main]

costs::flash_image!();
