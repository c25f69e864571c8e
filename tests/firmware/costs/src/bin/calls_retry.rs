//! Retry and its budget.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::retries::retry: operations::retry::OPERATIONS, operations::retry::budget::OPERATIONS);
