//! To the crate `metrics`.

use core::time::Duration;
use std::sync::Arc;

use metrics::{Label, SharedString, Unit, counter, describe_counter, describe_gauge, gauge};
use steadfast_core::observe::{Attributes, Instrument, Kind, Observe, Visitor, instruments};

/// Tells the recorder of the crate [`metrics`] the unit and the meaning of each instrument (feature `metrics`). Call it
/// once, after the recorder is installed.
pub fn describe() {
    for Instrument { name, kind, unit, description, .. } in instruments::ALL {
        let unit = if *unit == "s" { Unit::Seconds } else { Unit::Count };
        match kind {
            Kind::Counter => describe_counter!(*name, unit, *description),
            _ => describe_gauge!(*name, unit, *description),
        }
    }
}

/// Hands all counts and gauges to the recorder of the crate [`metrics`] (feature `metrics`), with the label
/// `steadfast.name` beside the attributes. Call it before each scrape, or every few seconds.
///
/// Of a utility in an `Arc`, pass what is inside: `publish("orders", &*breaker)`.
///
/// Two of a kind need two names. Time spans are in seconds. What is published no more stays in the recorder as it was
/// last, unless the recorder has a time-out for that.
///
/// Counters only grow: after a utility was replaced by a new one of the same name, they stand still until the new one
/// has counted as much. Change settings by `set_settings` or `set_quota` instead, or take another name.
///
/// # Prometheus
///
/// ```
/// use metrics_exporter_prometheus::PrometheusBuilder;
/// use steadfast::{CircuitBreaker, Gcra, RateLimiter, Reset, Trip, observe::{describe, publish}};
///
/// // Once, before anything is published: `install_recorder` makes it the global one.
/// let prometheus = PrometheusBuilder::new().install_recorder()?;
/// describe();
///
/// let limiter: RateLimiter<String, _> = RateLimiter::builder(Gcra::per_second(10)).build();
/// let breaker = CircuitBreaker::new(Trip::consecutive(5), Reset::after(core::time::Duration::from_secs(30)));
///
/// // What the handler of `/metrics` returns.
/// let scrape = || {
///     publish("api", &limiter);
///     publish("orders", &breaker);
///     prometheus.render()
/// };
///
/// assert!(limiter.allow("alice").is_allowed());
/// assert!(scrape().contains(r#"steadfast_rate_limiter_decisions{steadfast_name="api",decision="allowed"} 1"#));
/// assert!(scrape().contains(r#"steadfast_circuit_breaker_state{steadfast_name="orders",state="closed"} 1"#));
/// # Ok::<(), metrics_exporter_prometheus::BuildError>(())
/// ```
///
/// Prometheus knows no dots: the exporter writes each as an underscore, in names and in labels. It adds no `_total` and no
/// unit unless it is told to.
#[doc(alias("prometheus", "statsd", "exporter"))]
pub fn publish(name: &str, observed: &dyn Observe) {
    observed.visit(&mut Recorder { name: Arc::<str>::from(name).into() });
}

struct Recorder {
    name: SharedString,
}

impl Recorder {
    fn labels(&self, attributes: Attributes) -> Vec<Label> {
        let name = Label::new("steadfast.name", self.name.clone());
        let attributes = attributes.iter().map(|(key, value)| Label::from_static_parts(key, value));
        core::iter::once(name).chain(attributes).collect()
    }
}

impl Visitor for Recorder {
    fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, count: u64) {
        counter!(instrument.name, self.labels(attributes)).absolute(count);
    }

    fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, value: u64) {
        gauge!(instrument.name, self.labels(attributes)).set(value as f64);
    }

    fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, value: Duration) {
        gauge!(instrument.name, self.labels(attributes)).set(value.as_secs_f64());
    }
}
