//! Metrics: every utility that counts tells its counts and gauges to one [`Visitor`], and nothing is added to a call.
//!
//! - [`Observe`] is on every utility of this crate but the encryptor, which counts nothing, and on every `…Stats`.
//!   [`instruments`] has all names, units and attributes; counts add up as the `…Stats` says.
//! - `publish` (feature `metrics`) hands them to the crate `metrics`, and so to Prometheus and others.
//! - Other libraries take a [`Visitor`] of a few lines: `examples/opentelemetry.rs` has one with observable instruments.
//!
//! # Which settings are in force
//!
//! A utility that takes other settings while it runs has `settings_generation()`, and the gauge
//! [`SETTINGS_GENERATION`](instruments::SETTINGS_GENERATION): how often that was, 0 as it was built. It is counted when
//! the settings are in force for every key, so two processes of one file that differ in it do not go by the same.
//!
//! ```
//! use steadfast::{Gcra, RateLimiter};
//!
//! let limiter = RateLimiter::<u32, _>::builder(Gcra::per_second(100)).build();
//! assert_eq!(limiter.settings_generation(), 0);
//! limiter.set_quota(Gcra::per_second(50)); // a reload
//! assert_eq!(limiter.settings_generation(), 1);
//! ```
//!
//! A [`Quorum`](crate::Quorum) tells its `threshold()` instead, a [`Logger`](crate::Logger) answers to each change.
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
