//! What the images in `bin` share: the board, and the way a test is told.
#![no_std]

pub mod board;
pub mod harness;
