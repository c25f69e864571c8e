//! The batch collector.
#![no_std]
#![no_main]

use costs::{operations, scenarios};

costs::calls_image!(scenarios::batches::batch_collector: operations::batch_collector::OPERATIONS, operations::batch_collector::rest::OPERATIONS);
