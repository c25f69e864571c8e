//! Aggregates: one value of many votes or readings, with outlier rejection. None depends on the order of arrival.
//!
//! For readings of sensors take [`median`] or [`mean_without_extremes`] (a trimmed mean, as statistics calls it). For
//! values that must be equal take [`majority`]. [`trimmed_mean`] trims by ratio to the median, which suits counts and
//! durations only.
//!
//! ```
//! use steadfast_core::aggregate;
//!
//! let sensors = [21, 22, 21, 60, 22]; // one is stuck
//! assert_eq!(aggregate::median(&mut sensors.clone()), Some(22));
//! assert_eq!(aggregate::mean_without_extremes(1)(&mut sensors.clone()), Some(21));
//! assert_eq!(aggregate::trimmed_mean(&mut sensors.clone()), Some(29)); // 60 is within five times the median
//! ```
//!
//! All are integers only, exact for all of `i64`, and `None` means that the votes decide nothing: there are none, or
//! they tie. They may reorder the votes (a [`Quorum`](crate::quorum::Quorum) hands them a copy), never panic, and cost
//! what they say whatever the votes are: voters choose the votes.
//!
//! | | result | what liars can do |
//! |---|---|---|
//! | [`trimmed_mean`], [`trimmed_mean_positive`] | mean of the votes between a fifth and five times the median | less than half: choose which honest vote the median is, and move the mean between a fifth and five times that vote |
//! | [`median`] | the middle; for readings of sensors | less than half: move it among the honest votes |
//! | [`mean_without_extremes`] | for readings of sensors: mean without the lowest and highest | as many as are cut at an end: move it among the honest votes |
//! | [`mean_within_mad`] | mean of the votes near the median, by the votes' own scale | less than half: move it by so many times the spread of the honest votes |
//! | [`cluster`] | the middle of the largest group within a tolerance | fewer than the largest honest group: move it no further than the tolerance from an honest vote |
//! | [`majority`] | the value of more than half | less than half: prevent a result, not forge one |
//! | [`plurality`] | the most frequent value | fewer than the lead of the honest votes: nothing |

mod agreement;
mod mean;
mod order;
pub mod settled;
#[cfg(test)]
mod tests;

pub use agreement::{cluster, majority, plurality};
pub use mean::{mean_within_mad, mean_without_extremes, median, trimmed_mean, trimmed_mean_positive};
