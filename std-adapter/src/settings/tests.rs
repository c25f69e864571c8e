use core::{num::NonZeroU16, time::Duration};
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use steadfast_core::{
    BatchSettings,
    circuit_breaker::{Outcome, Percent},
    retry::Jitter,
};

use super::*;
use crate::{
    Gcra, Reset, RetryPolicy,
    circuit_breaker::{AnyTrip, BreakerState},
    dedup_cache, logger,
    rate_limiter::{AnySlidingLog, Enforce, OnFull},
};

const FILE: &str = include_str!("../../settings.toml");

/// What the file has.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    limits: BTreeMap<String, LimitSettings>,
    exact_limits: BTreeMap<String, SlidingLogSettings>,
    cached_limits: BTreeMap<String, CachedLimitSettings>,
    breakers: BTreeMap<String, BreakerSettings>,
    retry: BTreeMap<String, RetrySettings>,
    retry_budgets: BTreeMap<String, RetryBudgetSettings>,
    dedup: BTreeMap<String, DedupSettings>,
    batches: BTreeMap<String, BatchCollectorSettings>,
    logger: LoggerSettings,
}

fn file() -> Settings {
    toml::from_str(FILE).unwrap_or_else(|error| panic!("{error}"))
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn sized(calls: u16) -> NonZeroU16 {
    NonZeroU16::new(calls).unwrap()
}

#[test]
fn the_documented_file_is_read_whole() {
    let settings = file();
    assert_eq!(settings.limits["api"].quota(), Gcra::per_second(100).burst(20));
    assert_eq!(settings.limits["api"].on_full(), OnFull::Deny);
    assert_eq!([settings.limits["api"].enforce(), settings.limits["mail"].enforce()], [Enforce::Yes; 2]);
    assert_eq!(settings.limits["mail"].quota(), Gcra::every(secs(10)));
    assert_eq!(settings.exact_limits["recoveries"].quota(), AnySlidingLog::new(sized(5), secs(600)));
    assert_eq!(settings.exact_limits["recoveries"].on_full(), OnFull::Serve);
    assert_eq!(settings.exact_limits["recoveries"].enforce(), Enforce::Percent(Percent::new(20)));
    let pings = &settings.cached_limits["pings"];
    assert_eq!((pings.quota(), pings.lease()), (Gcra::per_minute(1), secs(5)));

    let orders = &settings.breakers["orders"];
    let trip = AnyTrip::call_window(sized(100), Percent::new(50));
    assert_eq!(orders.trip(), trip.min_calls(20.try_into().unwrap()).slow_calls(secs(2), Percent::new(80)));
    let reset = Reset::after(secs(30)).up_to(secs(600)).doubling().jitter(Percent::new(20), 0).probes(3);
    let reset = reset.probe_successes(Percent::new(60));
    assert_eq!(orders.reset(), reset.lease(secs(4)).call_timeout(secs(2)));
    let trip = AnyTrip::time_window(secs(10), sized(10), Percent::try_from_permille(25).unwrap());
    assert_eq!(settings.breakers["search"].trip(), trip.min_calls(50.try_into().unwrap()));
    assert_eq!(settings.breakers["mail"].trip(), AnyTrip::consecutive(5.try_into().unwrap()));
    assert_eq!(settings.breakers["mail"].reset(), Reset::after(secs(30)));

    let policy = RetryPolicy::exponential(ms(100)).max_delay(secs(10)).max_retries(3).max_elapsed(secs(60));
    assert_eq!(settings.retry["orders"].policy(), policy.attempt_timeout(secs(5)).jitter(Jitter::Full));
    let events = &settings.dedup["events"];
    assert_eq!((events.ttl(), events.lease(), events.on_full()), (secs(600), secs(30), dedup_cache::OnFull::Refuse));
    let rows = BatchSettings::new(secs(1)).idle_gap(ms(100)).max_weight(16_384.try_into().unwrap());
    assert_eq!(settings.batches["rows"].settings(), rows);
}

/// Not every setting that there is may be missing from the file, nor may the file have one that is not.
#[test]
fn the_documented_file_shows_every_setting() {
    let written = serde_json::to_value(file()).unwrap();
    let shown = |path: &[&str], names: &[&str]| {
        let table = path.iter().fold(&written, |table, name| &table[name]);
        for name in names {
            assert!(table.get(name).is_some(), "{path:?} has no {name}");
        }
    };
    shown(&["limits", "api"], &["rate", "burst", "capacity", "on_full", "enforce"]);
    shown(&["limits", "mail"], &["every"]);
    shown(&["exact_limits", "recoveries"], &["rate", "capacity", "on_full", "enforce"]);
    shown(&["cached_limits", "pings"], &["rate", "burst", "lease", "capacity"]);
    shown(&["breakers", "orders"], &["trip", "reset", "call_timeout", "on_drop", "on_panic", "capacity"]);
    shown(&["breakers", "orders", "trip"], &["window", "failures", "min_calls", "slow"]);
    shown(
        &["breakers", "orders", "reset"],
        &["after", "up_to", "doubling", "jitter", "probes", "probe_successes", "lease"],
    );
    shown(&["breakers", "search", "trip"], &["buckets"]);
    shown(&["breakers", "mail", "trip"], &["consecutive"]);
    shown(
        &["retry", "orders"],
        &["exponential", "factor_percent", "max_delay", "max_retries", "max_elapsed", "attempt_timeout", "jitter"],
    );
    shown(&["retry_budgets", "orders"], &["share", "floor_per_second", "burst"]);
    shown(&["dedup", "events"], &["ttl", "on_full", "lease", "capacity"]);
    shown(&["batches", "rows"], &["size", "max_wait", "idle_gap", "max_weight", "capacity", "stall_timeout", "retry"]);
    shown(&["logger"], &["quiet", "max_age", "show"]);
}

#[test]
fn the_documented_file_makes_every_machine() {
    let settings = file();
    let limiter = settings.limits["api"].builder::<String>().build();
    assert!(limiter.allow("bob").is_allowed() && limiter.capacity() >= 65_536);
    let exact = settings.exact_limits["recoveries"].builder::<String>().build();
    assert_eq!(exact.enforce(), settings.exact_limits["recoveries"].enforce());
    exact.set_enforce(Enforce::Yes);
    assert_eq!((0..9).filter(|_| exact.allow("bob").is_allowed()).count(), 5);
    let pings = settings.cached_limits["pings"].builder::<String, bool>().build();
    assert!(pings.capacity() >= 10_000 && pings.is_empty());

    let breaker = settings.breakers["mail"].build();
    (0..5).for_each(|_| breaker.record_failure());
    assert_eq!(breaker.state(), BreakerState::Open);
    let breakers = settings.breakers["orders"].builder::<String>().build();
    (0..20).for_each(|_| breakers.record_failure("bob"));
    assert_eq!(breakers.state("bob"), BreakerState::Open);
    assert!((10_000..65_536).contains(&breakers.capacity()));

    assert_eq!(settings.retry_budgets["orders"].build().available(), 10);
    assert!(settings.dedup["events"].builder::<u8>().build().check(&1).is_fresh());
    let rows = settings.batches["rows"].builder_weighing(|row: &String| row.len() as u32);
    let rows = rows.build(|_| async {}).unwrap();
    rows.add_blocking("a row".to_owned()).unwrap();
    crate::block_on(rows.stop());
    assert_eq!(rows.stats().delivered, 1);
    let logger = settings.logger.builder().without_worker().build(NoSink).unwrap();
    assert!(settings.logger.show_in(&logger));
}

struct NoSink;

impl logger::Sink for NoSink {
    fn write(&mut self, _: logger::Level, _: &str) -> Result<(), logger::NotWritten> {
        Ok(())
    }
}

#[test]
fn what_is_read_and_written_is_read_as_the_same() {
    let settings = file();
    let toml = toml::to_string(&settings).unwrap();
    assert_eq!(toml::from_str::<Settings>(&toml).unwrap(), settings, "{toml}");
    let json = serde_json::to_string(&settings).unwrap();
    assert_eq!(serde_json::from_str::<Settings>(&json).unwrap(), settings, "{json}");
}

/// As `RETRY__ORDERS__MAX_RETRIES=3` sets them: every value is a text.
#[test]
fn environment_variables_are_read_as_the_file() {
    fn variables(path: &str, value: &Value, to: &mut config::Map<String, String>) {
        match value {
            Value::Object(table) => table.iter().for_each(|(name, value)| {
                let path =
                    if path.is_empty() { name.to_uppercase() } else { format!("{path}__{}", name.to_uppercase()) };
                variables(&path, value, to);
            }),
            Value::String(text) => drop(to.insert(path.to_owned(), text.clone())),
            other => drop(to.insert(path.to_owned(), other.to_string())),
        }
    }

    let settings = file();
    let mut environment = config::Map::new();
    variables("", &serde_json::to_value(&settings).unwrap(), &mut environment);
    assert_eq!(environment["BREAKERS__ORDERS__RESET__PROBES"], "3");
    let source = config::Environment::default().separator("__").source(Some(environment));
    let read = config::Config::builder().add_source(source).build().unwrap().try_deserialize::<Settings>();
    assert_eq!(read.unwrap(), settings);
}

#[test]
fn rates_may_be_tables_and_numbers_may_be_texts() {
    let limit = |json: Value| serde_json::from_value::<LimitSettings>(json).unwrap().quota();
    assert_eq!(limit(json!({ "rate": { "limit": 100, "per": "1s" } })), Gcra::per_second(100));
    assert_eq!(limit(json!({ "rate": { "limit": "100", "per": "1s" } })), Gcra::per_second(100));
    assert_eq!(limit(json!({ "rate": "100/1s" })), Gcra::per_second(100));
    assert_eq!(limit(json!({ "rate": " 3 / min " .replace("min", "m") })), Gcra::per_minute(3));
    assert_eq!(limit(json!({ "every": "10ms", "burst": "7" })), Gcra::every(ms(10)).burst(7));
    let breaker = json!({
        "trip": { "consecutive": "5" },
        "reset": { "after": "1s", "up_to": "1m", "doubling": "true", "probes": "2" },
        "on_drop": "failure",
    });
    let breaker: BreakerSettings = serde_json::from_value(breaker).unwrap();
    let reset = Reset::after(secs(1)).up_to(secs(60)).doubling().probes(2).on_drop(Outcome::Failure);
    assert_eq!(breaker.reset(), reset);
}

fn refused<T: DeserializeOwned>(cases: &[(Value, &str)]) {
    for (settings, expected) in cases {
        let error = serde_json::from_value::<T>(settings.clone()).err();
        let error = error.unwrap_or_else(|| panic!("{settings} is taken")).to_string();
        assert!(error.contains(expected), "{settings}: {error}");
    }
}

const A_DURATION: &str = "expected a duration with its unit (ns, us, ms, s, m, h, d)";

#[test]
fn impossible_limits_are_refused_by_name() {
    refused::<LimitSettings>(&[
        (json!({}), "rate: expected `rate`, such as \"100/s\", or `every`, such as \"10ms\", which is missing"),
        (json!({ "rate": "1/s", "every": "1s" }), "every: expected `rate` or `every`, found both"),
        (
            json!({ "rate": "1/s", "brust": 5 }),
            "brust: no such setting; there are `rate`, `every`, `burst`, `capacity`",
        ),
        (
            json!({ "rate": "0/s" }),
            "rate: expected a rate above zero with its time (ns, us, ms, s, m, h, d), such as \"100/s\"",
        ),
        (json!({ "rate": "1/0s" }), "rate: expected a rate above zero"),
        (
            json!({ "rate": "100" }),
            "rate: expected a rate above zero with its time (ns, us, ms, s, m, h, d), such as \"100/s\", \"5 / 10m\"",
        ),
        (json!({ "rate": 100 }), "rate: expected a rate above zero"),
        (json!({ "rate": -5 }), "at most one a nanosecond, found -5"),
        (json!({ "rate": 0.5 }), "at most one a nanosecond, found 0.5"),
        (json!({ "rate": "5 / 10" }), "rate: expected a rate above zero"),
        (json!({ "rate": "5 per s" }), "rate: expected a rate above zero"),
        (json!({ "rate": "4294967296/s" }), "rate: expected a rate above zero"),
        (json!({ "rate": "1001/us" }), "at most one a nanosecond"),
        (
            json!({ "rate": { "limit": 0, "per": "1s" } }),
            "rate.limit: expected a whole number from 1 to 4294967295, found 0",
        ),
        (json!({ "rate": { "limit": 1, "per": 1 } }), "rate.per: expected a duration with its unit"),
        (json!({ "rate": { "limit": 1 } }), "rate: expected a rate above zero"),
        (json!({ "rate": { "limit": 1, "each": "1s" } }), "rate.each: no such setting; there are `limit`, `per`"),
        (json!({ "rate": [1, "1s"] }), "`rate` to be a rate above zero"),
        (json!({ "every": 5 }), &format!("every: {A_DURATION}")),
        (json!({ "every": "5" }), &format!("every: {A_DURATION}")),
        (
            json!({ "every": "0s" }),
            &format!("every: {A_DURATION}, such as \"250ms\", \"1.5s\" or \"1h 30m\", above zero"),
        ),
        (json!({ "every": "-1s" }), &format!("every: {A_DURATION}")),
        (json!({ "every": "1 fortnight" }), &format!("every: {A_DURATION}")),
        (json!({ "every": "600000d" }), &format!("every: {A_DURATION}")),
        (json!({ "rate": "1/s", "burst": 0 }), "burst: expected a whole number from 1 to 4294967295, found 0"),
        (json!({ "rate": "1/s", "burst": -1 }), "burst: expected a whole number from 1 to 4294967295, found -1"),
        (json!({ "rate": "1/s", "burst": 1.5 }), "burst: expected a whole number from 1 to 4294967295, found 1.5"),
        (
            json!({ "rate": "1/s", "burst": "many" }),
            "burst: expected a whole number from 1 to 4294967295, found \"many\"",
        ),
        (json!({ "rate": "1/d", "burst": 1_000_000 }), "burst: a whole burst would take longer than 584 years"),
        (json!({ "rate": "1/s", "capacity": 0 }), "capacity: expected a whole number from 1 to 4294967294, found 0"),
        (
            json!({ "rate": "1/s", "enforce": "no" }),
            "enforce: expected \"yes\", \"observe\", or the share of the keys for which it holds, such as \"20%\" or \"2.5%\", \
             found \"no\"",
        ),
        (json!({ "rate": "1/s", "enforce": "0%" }), "enforce: expected \"yes\", \"observe\", or the share of the keys"),
        (json!({ "rate": "1/s", "enforce": 20 }), "found 20"),
        (json!({ "rate": "1/s", "enforce": true }), "enforce: expected \"yes\", \"observe\""),
        (
            json!({ "rate": "1/s", "on_full": "drop" }),
            "on_full: expected \"deny\" or \"serve\" or \"allow\", found \"drop\"",
        ),
        (
            json!({ "rate": "1/s", "on_full": "share" }),
            "found \"share\": what new keys shared one quota for, the ledger does; leave it out, or write \"deny\"",
        ),
        (json!({ "rate": "1/s", "on_full": true }), "on_full: expected \"deny\" or \"serve\" or \"allow\", found true"),
    ]);
    refused::<LimitSettings>(&[(json!("100/s"), "to be a table of `rate`, `every`")]);
    refused::<SlidingLogSettings>(&[
        (json!({}), "rate: expected how many are allowed in how much time"),
        (json!({ "rate": "65536/s" }), "rate: a sliding log allows from 1 to 65535, found 65536"),
        (json!({ "rate": "5/s", "burst": 5 }), "burst: no such setting; there are `rate`, `capacity`, `on_full`"),
    ]);
    refused::<CachedLimitSettings>(&[(json!({ "rate": "5/s" }), "lease: expected how long an attempt takes at most")]);
}

#[test]
fn impossible_breakers_are_refused_by_name() {
    let with = |trip: Value| json!({ "trip": trip, "reset": { "after": "1s" } });
    let reset = |reset: Value| json!({ "trip": { "consecutive": 1 }, "reset": reset });
    refused::<BreakerSettings>(&[
        (json!({ "reset": { "after": "1s" } }), "trip: expected when the breaker opens"),
        (json!({ "trip": { "consecutive": 1 } }), "reset: expected how it comes back"),
        (with(json!({})), "trip: expected `consecutive` or `window`, which is missing"),
        (
            with(json!({ "consecutive": 1, "window": "10s" })),
            "trip.window: expected `consecutive` or `window`, found both",
        ),
        (with(json!({ "consecutive": 0 })), "trip.consecutive: expected a whole number from 1 to 4294967295, found 0"),
        (with(json!({ "consecutive": 5, "failures": "50%" })), "trip.failures: is a setting of a `window`"),
        (with(json!({ "consecutive": 5, "min_calls": 5 })), "trip.min_calls: is a setting of a `window`"),
        (with(json!({ "consecutive": 5, "slow": {} })), "trip.slow: is a setting of a `window`"),
        (with(json!({ "consecutive": 5, "buckets": 5 })), "trip.buckets: is a setting of a `window` of time"),
        (
            with(json!({ "window": "10s" })),
            "trip.failures: expected the share that opens it, such as \"50%\", which is missing",
        ),
        (with(json!({ "window": 100, "failures": "50%" })), "trip.window: expected a number of calls from \"1 call\""),
        (with(json!({ "window": "100", "failures": "50%" })), "trip.window: expected a number of calls"),
        (with(json!({ "window": "0 calls", "failures": "50%" })), "trip.window: expected a number of calls"),
        (with(json!({ "window": "65536 calls", "failures": "50%" })), "to \"65535 calls\""),
        (with(json!({ "window": "0s", "failures": "50%" })), "trip.window: expected a number of calls"),
        (
            with(json!({ "window": "10s", "failures": 50 })),
            "trip.failures: expected a share from \"0.1%\" to \"100%\", with its sign",
        ),
        (with(json!({ "window": "10s", "failures": "50" })), "trip.failures: expected a share"),
        (with(json!({ "window": "10s", "failures": 0.5 })), "trip.failures: expected a share"),
        (with(json!({ "window": "10s", "failures": "120%" })), "trip.failures: expected a share"),
        (with(json!({ "window": "10s", "failures": "0%" })), "trip.failures: expected a share"),
        (with(json!({ "window": "10s", "failures": "2.55%" })), "in tenths at most"),
        (
            with(json!({ "window": "10 calls", "failures": "5%", "min_calls": 11 })),
            "trip.min_calls: expected at most the 10 calls of `window`, found 11",
        ),
        (
            with(json!({ "window": "10s", "failures": "5%", "min_calls": 0 })),
            "trip.min_calls: expected a whole number from 1",
        ),
        (
            with(json!({ "window": "10 calls", "failures": "5%", "buckets": 2 })),
            "trip.buckets: is a setting of a `window` of time",
        ),
        (
            with(json!({ "window": "10s", "failures": "5%", "buckets": 5000 })),
            "trip.buckets: expected a whole number from 1 to 4096",
        ),
        (with(json!({ "window": "9ns", "failures": "5%" })), "trip.window: too short for 10 buckets"),
        (
            with(json!({ "window": "10s", "failures": "5%", "slow": { "share": "5%" } })),
            "trip.slow.after: expected from when on",
        ),
        (
            with(json!({ "window": "10s", "failures": "5%", "slow": { "after": "1s" } })),
            "trip.slow.share: expected the share",
        ),
        (
            with(json!({ "window": "10s", "failures": "5%", "slow": { "afer": "1s" } })),
            "trip.slow.afer: no such setting; there are `after`, `share`",
        ),
        (reset(json!({})), "reset.after: expected how long it stays open"),
        (reset(json!({ "after": 30 })), &format!("reset.after: {A_DURATION}")),
        (reset(json!({ "after": "30s", "up_to": "10s" })), "reset.up_to: is shorter than `reset.after`"),
        (reset(json!({ "after": "30s", "doubling": true })), "reset.up_to: expected the longest open time"),
        (reset(json!({ "after": "30s", "doubling": 1 })), "reset.doubling: expected true or false, found 1"),
        (
            reset(json!({ "after": "30s", "probe_successes": "60%" })),
            "reset.probe_successes: is a share of several probes",
        ),
        (
            reset(json!({ "after": "30s", "probes": 3, "probe_successes": 60 })),
            "reset.probe_successes: expected a share",
        ),
        (reset(json!({ "after": "30s", "probes": 0 })), "reset.probes: expected a whole number from 1 to 255, found 0"),
        (
            reset(json!({ "after": "30s", "probes": 256 })),
            "reset.probes: expected a whole number from 1 to 255, found 256",
        ),
        (reset(json!({ "after": "30s", "lease": "0s" })), "reset.lease: expected a duration"),
        (
            json!({ "trip": { "consecutive": 1 }, "reset": { "after": "1s", "lease": "1s" }, "call_timeout": "2s" }),
            "reset.lease: is shorter than `call_timeout`",
        ),
        (reset(json!({ "after": "30s", "jitter": 20 })), "reset.jitter: expected a share"),
        (
            reset(json!({ "after": "30s", "prbes": 2 })),
            "reset.prbes: no such setting; there are `after`, `up_to`, `doubling`",
        ),
        (reset(json!("30s")), "`reset` to be a table of `after`"),
        (
            json!({ "trip": { "consecutive": 1 }, "reset": { "after": "1s" }, "on_drop": "fail" }),
            "on_drop: expected \"ignored\" or \"failure\" or \"success\", found \"fail\"",
        ),
    ]);
}

#[test]
fn other_impossible_settings_are_refused_by_name() {
    refused::<RetrySettings>(&[
        (json!({}), "exponential: expected `constant`, `exponential` or `linear`, such as \"100ms\", which is missing"),
        (
            json!({ "constant": "1s", "linear": "1s" }),
            "expected one of `constant`, `exponential` and `linear`, found several",
        ),
        (
            json!({ "exponential": "1s", "max_retires": 3 }),
            "max_retires: no such setting; there are `constant`, `exponential`",
        ),
        (
            json!({ "exponential": "1s", "factor_percent": 99 }),
            "factor_percent: expected a whole number from 100 to 65535",
        ),
        (
            json!({ "linear": "1s", "factor_percent": 150 }),
            "factor_percent: is a setting of `exponential`, not of `linear`",
        ),
        (json!({ "exponential": "1s", "max_delay": "10ms" }), "max_delay: is shorter than `exponential`"),
        (json!({ "exponential": "0s" }), "exponential: expected a duration"),
        (
            json!({ "exponential": "1s", "max_retries": -1 }),
            "max_retries: expected a whole number from 0 to 4294967295, found -1",
        ),
        (json!({ "exponential": "1s", "max_elapsed": 60 }), &format!("max_elapsed: {A_DURATION}")),
        (json!({ "exponential": "1s", "attempt_timeout": "0ms" }), "attempt_timeout: expected a duration"),
        (
            json!({ "exponential": "1s", "jitter": "some" }),
            "jitter: expected \"full\" or \"equal\" or \"decorrelated\" or \"none\"",
        ),
    ]);
    refused::<RetryBudgetSettings>(&[
        (json!({}), "share: expected how many retries there are for a request"),
        (json!({ "share": 20 }), "share: expected a whole percentage from \"0%\" to \"1000%\", with its sign"),
        (json!({ "share": "2.5%" }), "share: expected a whole percentage"),
        (json!({ "share": "20%", "burst": 0 }), "burst: expected a whole number from 1 to 4294967295, found 0"),
    ]);
    refused::<DedupSettings>(&[
        (json!({ "on_full": "refuse" }), "ttl: expected how long an id is known"),
        (json!({ "ttl": "10m" }), "on_full: expected \"refuse\" or \"forget-oldest\", which is missing"),
        (json!({ "ttl": "0s", "on_full": "refuse" }), "ttl: expected a duration"),
        (
            json!({ "ttl": "10m", "on_full": "share" }),
            "on_full: expected \"refuse\" or \"forget-oldest\", found \"share\"",
        ),
    ]);
    refused::<BatchCollectorSettings>(&[
        (json!({ "max_wait": "1s" }), "size: expected how many items make a batch, which is missing"),
        (json!({ "size": 64 }), "max_wait: expected how long an item waits at most"),
        (json!({ "size": 0, "max_wait": "1s" }), "size: expected a whole number from 1"),
        (json!({ "size": 64, "max_wait": "1s", "max_weight": 0 }), "max_weight: expected a whole number from 1"),
        (json!({ "size": 64, "max_wait": "1s", "retry": {} }), "retry.exponential: expected `constant`"),
        (
            json!({ "size": 64, "max_wait": "1s", "retry": { "constant": "2s", "max_delay": "1s" } }),
            "retry.max_delay: is shorter than `retry.constant`",
        ),
        (json!({ "size": 64, "max_wait": "1s", "retry": { "constnat": "2s" } }), "retry.constnat: no such setting"),
    ]);
    refused::<LoggerSettings>(&[
        (json!({ "quiet": "1s" }), "max_age: expected beside the other of `quiet` and `max_age`, which is missing"),
        (json!({ "show": { "payments": "loud" } }), "show.payments: expected \"normal\" or \"only-errors\""),
        (json!({ "show": { "payments": 3 } }), "show.payments: expected \"normal\" or \"only-errors\""),
        (json!({ "show": "loud" }), "`show` to be a table of services"),
        (json!({ "quiet": "2s", "max_age": "1s" }), "max_age: is shorter than `quiet`"),
    ]);
    let many: BTreeMap<String, &str> = (0..65).map(|service| (service.to_string(), "normal")).collect();
    refused::<LoggerSettings>(&[(json!({ "show": many }), "show: expected at most 64 services, found 65")]);
}

/// As after a file that no longer names them: what is shown is what the file says, not what some file once said.
#[test]
fn services_that_the_file_no_longer_names_are_shown_again() {
    let settings = |toml: &str| toml::from_str::<LoggerSettings>(toml).unwrap();
    let former = settings("show = { payments = \"silent\", news = \"silent\", later = \"silent\" }");
    let logger = former.builder().without_worker().build(NoSink).unwrap();
    let shown = |service| {
        let before = logger.stats().filtered;
        logger.service(service).info(format_args!("a line"));
        logger.stats().filtered == before
    };
    assert!(!shown("payments") && !shown("news"));

    let anew = settings("show = { news = \"only-errors\" }");
    assert!(anew.show_instead_of(&former, &logger));
    assert!(shown("payments") && !shown("news"));
    assert!(shown("later"), "nobody had asked for it yet");
}

/// Those of the former settings that nobody has asked for leave their room to others.
#[test]
fn former_services_leave_their_room() {
    let all = |name: &str| {
        let show: BTreeMap<String, &str> = (0..64).map(|number| (format!("{name} {number}"), "silent")).collect();
        serde_json::from_value::<LoggerSettings>(json!({ "show": show })).unwrap()
    };
    let (former, anew) = (all("former"), all("anew"));
    let logger = former.builder().without_worker().build(NoSink).unwrap();
    assert!(!anew.show_in(&logger), "there is no room");
    assert!(former.show_in(&logger) && anew.show_instead_of(&former, &logger));
    logger.service("anew 63").info(format_args!("a line"));
    assert_eq!(logger.stats().filtered, 1);
}

#[test]
fn toml_names_the_line() {
    let text = FILE.replace("probes = 3 ", "probes = 0 ");
    let line = FILE.lines().position(|line| line.starts_with("probes")).unwrap() + 1;
    let error = toml::from_str::<Settings>(&text).unwrap_err().to_string();
    assert!(error.contains(&format!("line {line}")) && error.contains("reset.probes: expected"), "{error}");
    let text = FILE.replace("probes = 3 ", "porbes = 3 ");
    let error = toml::from_str::<Settings>(&text).unwrap_err().to_string();
    assert!(error.contains(&format!("line {line}")) && error.contains("reset.porbes: no such setting"), "{error}");
    let error = toml::from_str::<LoggerSettings>("show = { payments = \"loud\" }\n").unwrap_err();
    assert!(error.message().starts_with("show.payments: expected") && error.message().ends_with("\"loud\""), "{error}");
    let error = serde_json::from_str::<LimitSettings>("{ \"rate\": \"1/s\",\n\"burst\": 0 }").unwrap_err().to_string();
    assert_eq!(error, "burst: expected a whole number from 1 to 4294967295, found 0 at line 2 column 10");
    let error = serde_json::from_str::<LimitSettings>("{ \"burst\": 1, \"burst\": 2 }").unwrap_err().to_string();
    assert!(error.contains("burst: given twice"), "{error}");
}

fn duration() -> impl Strategy<Value = String> {
    let nanos = (1..u64::MAX >> 20, 0..40_u32).prop_map(|(nanos, shift)| (nanos >> shift).saturating_add(5_000));
    nanos.prop_map(|nanos| duration::Human(Duration::from_nanos(nanos)).to_string())
}

fn share() -> impl Strategy<Value = String> {
    (0..100_u32, 0..10_u32).prop_map(|(whole, tenths)| format!("{whole}.{}%", tenths.max(u32::from(whole == 0))))
}

fn round<T: DeserializeOwned + Serialize + PartialEq + core::fmt::Debug>(settings: Value) -> Result<T, TestCaseError> {
    let read: T = serde_json::from_value(settings).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let toml = toml::to_string(&read).unwrap();
    prop_assert_eq!(&toml::from_str::<T>(&toml).unwrap(), &read, "{}", toml);
    Ok(read)
}

proptest! {
    /// What any settings make is what they make when they have been written and read again: equality is of both.
    #[test]
    fn any_settings_are_written_as_they_were_read(
        (limit, burst, micros) in (1..1_000_u32, 1..1_000_u32, 1..1_000_000_000_u64),
        (calls, consecutive, failures, slow) in (1..=65_535_u16, 1..=u32::MAX, share(), share()),
        (after, more, probes, lease) in (duration(), 0..1_000_u64, 1..=255_u8, duration()),
        (base, retries, jitter) in (duration(), any::<u32>(), prop_oneof!["full", "equal", "decorrelated", "none"]),
    ) {
        let per = duration::Human(Duration::from_micros(micros)).to_string();
        round::<LimitSettings>(json!({ "rate": { "limit": limit, "per": per.clone() }, "burst": burst }))?;
        round::<LimitSettings>(json!({ "every": per.clone(), "burst": burst }))?;
        round::<SlidingLogSettings>(json!({ "rate": format!("{limit}/{per}") }))?;
        for enforce in ["yes", "observe", failures.as_str()] {
            let read = round::<LimitSettings>(json!({ "every": per.clone(), "enforce": enforce, "capacity": 1 }))?;
            prop_assert_eq!(read.builder::<u8>().build().enforce(), read.enforce());
            round::<SlidingLogSettings>(json!({ "rate": format!("{limit}/{per}"), "enforce": enforce }))?;
        }
        let up_to = duration::Human(duration::parse(&after).unwrap() + Duration::from_nanos(more)).to_string();
        for trip in [
            json!({ "consecutive": consecutive }),
            json!({ "window": format!("{calls} calls"), "failures": failures.clone(), "min_calls": 1 }),
            json!({ "window": lease.clone(), "failures": failures.clone(), "slow": { "after": after.clone(), "share": slow.clone() } }),
        ] {
            round::<BreakerSettings>(json!({
                "trip": trip,
                "reset": {
                    "after": after.clone(), "up_to": up_to.clone(), "doubling": more % 2 == 0, "probes": probes,
                    "lease": lease.clone(), "jitter": slow.clone(),
                },
                "call_timeout": lease.clone(),
            }))?;
        }
        round::<RetrySettings>(json!({ "linear": base.clone(), "max_retries": retries, "jitter": jitter.clone() }))?;
    }
}
