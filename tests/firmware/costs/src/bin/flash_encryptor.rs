//! The encryptor.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::encryptor::OPERATIONS);
