//! Contracts that every machine keeps, written once as generic functions.
//!
//! They are `no_std` and use nothing but the machine, so that the host's tests and the firmware's image run the same
//! code.
#![no_std]

mod deadline;

pub use deadline::{Timed, deadline_contract};

/// The examples of the README, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
