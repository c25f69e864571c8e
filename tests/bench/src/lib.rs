//! Steadfast beside its peers and the floors, measured in one run on the same work.
//!
//! Absolute times drift by half on a shared machine, ratios do not: every rival takes turns with ours in short slices, each
//! pair gives one ratio, and their median counts.

pub mod curves;
pub mod docs;
pub mod memory;
pub mod options;
pub mod plot;
pub mod report;
pub mod rows;
pub mod run;
pub mod slice;
pub mod stats;
pub mod work;
