//! Metrics: every utility that counts tells its counts and gauges to one [`Visitor`], and nothing is added to a call.
//!
//! - [`Observe`] is on every utility of this crate but the encryptor, which counts nothing, and on every `…Stats`.
//!   [`instruments`] has all names, units and attributes; counts add up as the `…Stats` says.
//! - `publish` (feature `metrics`) hands them to the crate `metrics`, and so to Prometheus and others.
//! - Other libraries take a [`Visitor`] of a few lines: `examples/opentelemetry.rs` has one with observable instruments.
//!
//! Next: [what to watch](crate::guide#what-to-watch), for the alerts that each count is good for.

mod handles;
#[cfg(feature = "metrics")]
mod publish;
#[cfg(all(test, feature = "metrics"))]
mod publish_tests;
#[cfg(test)]
mod tests;

#[cfg(feature = "metrics")]
pub use publish::{describe, publish};
#[doc(inline)]
pub use steadfast_core::observe::{Attributes, Instrument, Kind, Observe, Visitor, instruments};
