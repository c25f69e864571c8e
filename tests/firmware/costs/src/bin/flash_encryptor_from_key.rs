//! The encryptor with a key as it is, and counters for nonces.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::encryptor::counted::OPERATIONS);
