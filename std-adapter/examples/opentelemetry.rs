//! Counts and gauges as observable instruments of OpenTelemetry: `cargo run -p steadfast --example opentelemetry`.
//!
//! Copy `observe` and `Reading` into your service, and take the exporter of `opentelemetry-otlp` in place of the one in
//! memory. The API of OpenTelemetry still changes, so this is an example and no feature of the crate.
#![cfg_attr(
    test,
    allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")
)]

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{AsyncInstrument, Meter, MeterProvider},
};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use steadfast::{
    CircuitBreaker, Gcra, RateLimiter, Reset, Trip,
    observe::{Attributes, Instrument, Kind, Observe, Visitor, instruments},
};

/// Makes an observable instrument of everything that `observed` tells, with the attribute `steadfast.name`.
///
/// OpenTelemetry cannot unregister a callback. So the callbacks hold a [`Weak`], and tell nothing once the last `Arc` is
/// dropped.
fn observe<O: Observe + Send + Sync + 'static>(meter: &Meter, name: &'static str, observed: &Arc<O>) {
    let mut told = Told::default();
    observed.visit(&mut told);
    // Also what is not told yet, such as a round-trip time before the first reply.
    for instrument in instruments::ALL.iter().filter(|instrument| told.0.contains(&utility(instrument))) {
        let Instrument { name: of, unit, description, .. } = **instrument;
        let weak = Arc::downgrade(observed);
        match instrument.kind {
            Kind::Counter => {
                let counter = meter.u64_observable_counter(of).with_unit(unit).with_description(description);
                counter.with_callback(move |to| read(&weak, instrument, name, |number| number.0, to)).build();
            }
            Kind::Gauge => {
                let gauge = meter.u64_observable_gauge(of).with_unit(unit).with_description(description);
                gauge.with_callback(move |to| read(&weak, instrument, name, |number| number.0, to)).build();
            }
            _ => {
                let gauge = meter.f64_observable_gauge(of).with_unit(unit).with_description(description);
                gauge.with_callback(move |to| read(&weak, instrument, name, |number| number.1, to)).build();
            }
        }
    }
}

/// `steadfast.rate_limiter` of `steadfast.rate_limiter.decisions`.
fn utility(instrument: &Instrument) -> &'static str {
    instrument.name.rsplit_once('.').map_or(instrument.name, |(utility, _)| utility)
}

/// Observes what `instrument` has to tell: a count, or seconds.
fn read<T>(
    observed: &Weak<impl Observe>,
    instrument: &'static Instrument,
    name: &'static str,
    number: fn((u64, f64)) -> T,
    to: &dyn AsyncInstrument<T>,
) {
    let observe = |attributes: Attributes, read| {
        let attributes = attributes.iter().map(|(key, value)| KeyValue::new(*key, *value));
        let attributes: Vec<_> = attributes.chain([KeyValue::new("steadfast.name", name)]).collect();
        to.observe(number(read), &attributes);
    };
    if let Some(observed) = observed.upgrade() {
        observed.visit(&mut Reading { instrument, observe });
    }
}

/// Picks the numbers of one instrument.
struct Reading<F> {
    instrument: &'static Instrument,
    observe: F,
}

impl<F: Fn(Attributes, (u64, f64))> Visitor for Reading<F> {
    fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, count: u64) {
        if instrument == self.instrument {
            (self.observe)(attributes, (count, 0.0));
        }
    }

    fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, value: u64) {
        self.counter(instrument, attributes, value);
    }

    fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, value: Duration) {
        if instrument == self.instrument {
            (self.observe)(attributes, (0, value.as_secs_f64()));
        }
    }
}

/// The utilities that are told of.
#[derive(Default)]
struct Told(Vec<&'static str>);

impl Visitor for Told {
    fn counter(&mut self, instrument: &'static Instrument, _: Attributes, _: u64) {
        self.0.push(utility(instrument));
    }

    fn gauge(&mut self, instrument: &'static Instrument, _: Attributes, _: u64) {
        self.0.push(utility(instrument));
    }

    fn duration(&mut self, instrument: &'static Instrument, _: Attributes, _: Duration) {
        self.0.push(utility(instrument));
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let exporter = InMemoryMetricExporter::default();
    let reader = PeriodicReader::builder(exporter.clone()).build(); // each minute, and when it is flushed
    let provider = SdkMeterProvider::builder().with_reader(reader).build();
    let meter = provider.meter("shop");

    let limiter: Arc<RateLimiter<String, _>> = Arc::new(RateLimiter::builder(Gcra::per_minute(2)).build());
    let breaker = Arc::new(CircuitBreaker::new(Trip::consecutive(5), Reset::after(Duration::from_secs(30))));
    observe(&meter, "api", &limiter);
    observe(&meter, "orders", &breaker);
    for _ in 0..5 {
        let _ = limiter.allow("alice");
        let _ = breaker.call_blocking(|| Ok::<_, ()>(()));
    }

    provider.force_flush()?;
    for metrics in exporter.get_finished_metrics()? {
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            println!("{} in {}: {:?}", metric.name(), metric.unit(), metric.data());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
    use steadfast::{DedupCache, dedup_cache::OnFull};

    use super::*;

    fn attributes<'a>(of: impl Iterator<Item = &'a KeyValue>) -> String {
        let mut each: Vec<_> = of.map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        each.sort();
        each.join(" ")
    }

    /// What one collection exports, by name and attributes.
    fn exported(provider: &SdkMeterProvider, exporter: &InMemoryMetricExporter) -> BTreeMap<(String, String), f64> {
        exporter.reset();
        provider.force_flush().expect("a flush");
        let mut numbers = BTreeMap::new();
        for metrics in exporter.get_finished_metrics().expect("metrics") {
            for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
                let mut note = |attributes, number| {
                    let twice = numbers.insert((metric.name().to_owned(), attributes), number);
                    assert_eq!(twice, None, "{} was exported twice", metric.name());
                };
                match metric.data() {
                    AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                        assert!(sum.is_monotonic(), "{}", metric.name());
                        sum.data_points().for_each(|at| note(attributes(at.attributes()), at.value() as f64));
                    }
                    AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                        gauge.data_points().for_each(|at| note(attributes(at.attributes()), at.value() as f64));
                    }
                    AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
                        assert_eq!(metric.unit(), "s");
                        gauge.data_points().for_each(|at| note(attributes(at.attributes()), at.value()));
                    }
                    other => panic!("{} is {other:?}", metric.name()),
                }
            }
        }
        numbers
    }

    #[test]
    fn what_is_exported_is_what_was_counted_until_it_is_dropped() {
        let exporter = InMemoryMetricExporter::default();
        let reader = PeriodicReader::builder(exporter.clone()).build();
        let provider = SdkMeterProvider::builder().with_reader(reader).build();
        let meter = provider.meter("test");
        let limiter = || Arc::new(RateLimiter::<u8, _>::builder(Gcra::per_hour(2)).build());
        let (api, login) = (limiter(), limiter());
        let orders = Arc::new(DedupCache::<u8>::builder(Duration::from_millis(1_500), OnFull::Refuse).build());
        observe(&meter, "api", &api);
        observe(&meter, "login", &login);
        observe(&meter, "orders", &orders);
        for _ in 0..5 {
            let _ = api.allow(&1);
        }
        let _ = login.allow(&1);

        let decisions = |decision, name| {
            ("steadfast.rate_limiter.decisions".to_owned(), format!("decision={decision} steadfast.name={name}"))
        };
        let numbers = exported(&provider, &exporter);
        assert_eq!(numbers[&decisions("allowed", "api")], 2.0);
        assert_eq!(numbers[&decisions("denied", "api")], 3.0);
        assert_eq!(numbers[&decisions("allowed", "login")], 1.0);
        assert_eq!(numbers[&decisions("denied", "login")], 0.0);
        assert_eq!(numbers[&("steadfast.dedup.horizon".to_owned(), "steadfast.name=orders".to_owned())], 1.5);

        let _ = api.allow(&2);
        drop(login);
        let numbers = exported(&provider, &exporter);
        assert_eq!(numbers[&decisions("allowed", "api")], 3.0);
        assert!(!numbers.contains_key(&decisions("allowed", "login")));
    }

    #[test]
    fn the_example_runs() {
        main().expect("it runs");
    }
}
