//! The encryptor.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::encryption::encryptor: operations::encryptor::OPERATIONS);
