//! Metrics: every utility that counts tells its counts and gauges to one [`Visitor`], without allocating.
//!
//! [`Observe`] is on every `…Stats` and, with gauges such as the number of keys, on each such utility behind a
//! [`Shared`](crate::Shared) and in the std adapter. The encryptor counts nothing. All are read when they are visited, so
//! a call costs nothing more. [`instruments`] has all names, each with its unit.
//!
//! ```
//! use core::time::Duration;
//! use steadfast_core::{
//!     Gcra, Instant, RateLimiter,
//!     observe::{Attributes, Instrument, Observe, Visitor},
//! };
//!
//! /// Prints a line for each number: to a serial port, say.
//! struct Print;
//!
//! impl Visitor for Print {
//!     fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, count: u64) {
//!         println!("{} {attributes:?} {count}", instrument.name);
//!     }
//!
//!     fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, value: u64) {
//!         println!("{} {attributes:?} {value}", instrument.name);
//!     }
//!
//!     fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, value: Duration) {
//!         println!("{} {attributes:?} {value:?}", instrument.name);
//!     }
//! }
//!
//! let mut limiter: RateLimiter<u32, Gcra, 32> = RateLimiter::new(Gcra::per_minute(5));
//! assert!(limiter.allow(&7, Instant::ZERO).is_allowed());
//! limiter.stats().visit(&mut Print); // steadfast.rate_limiter.decisions [("decision", "allowed")] 1, and so on
//! ```

use core::time::Duration;

pub mod instruments;

/// What tells its counts and gauges to a [`Visitor`].
///
/// No call takes longer than reading `stats()` and the gauges, which the type states. The visitor is called outside
/// every lock.
#[doc(alias(
    "metrics",
    "Prometheus",
    "OpenTelemetry",
    "telemetry",
    "CircuitBreakerMetrics",
    "TaggedCircuitBreakerMetrics"
))]
pub trait Observe {
    /// Tells each count and each gauge once. Nothing is allocated.
    ///
    /// Counts never go back, and add up as the `…Stats` says.
    fn visit(&self, visitor: &mut dyn Visitor);
}

impl<O: Observe + ?Sized> Observe for &O {
    fn visit(&self, visitor: &mut dyn Visitor) {
        (**self).visit(visitor);
    }
}

/// Where counts and gauges go: a library for metrics, a log, a serial port.
#[doc(alias = "MeteringEnricher")]
pub trait Visitor {
    /// How many there were since the utility was made.
    fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, count: u64);

    /// How many there are now.
    fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, value: u64);

    /// A gauge that is a time span. Publish it in seconds.
    fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, value: Duration);
}

/// Names and values that tell the numbers of one instrument apart, such as `decision` and `allowed`.
#[doc(alias("labels", "tags"))]
pub type Attributes = &'static [(&'static str, &'static str)];

/// What is counted or measured, by the naming rules of OpenTelemetry.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct Instrument {
    /// Such as `steadfast.rate_limiter.decisions`.
    pub name: &'static str,
    /// Which call of the [`Visitor`] gets it.
    pub kind: Kind,
    /// `s`, or what is counted, in braces: a unit of UCUM.
    pub unit: &'static str,
    /// In one sentence.
    pub description: &'static str,
}

/// The kind of an [`Instrument`].
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// [`Visitor::counter`].
    Counter,
    /// [`Visitor::gauge`].
    Gauge,
    /// [`Visitor::duration`].
    Duration,
}
