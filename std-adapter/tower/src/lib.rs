//! (front page follows)
pub mod keys;
