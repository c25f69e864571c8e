//! The batch collector.
#![no_std]
#![no_main]

costs::flash_image!(costs::operations::batch_collector::OPERATIONS);
