//! What is impossible is refused with the name of its field.

use super::*;

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
    refused::<QuorumSettings>(&[
        (json!({}), "threshold: expected how many votes decide, which is missing"),
        (json!({ "threshold": 0 }), "threshold: expected a whole number from 1"),
        (json!({ "threshold": 4, "max_voters": 3 }), "threshold: is above `max_voters`"),
        (json!({ "threshold": 1, "timeout": 5 }), &format!("timeout: {A_DURATION}")),
        (json!({ "threshold": 1, "treshold": 5 }), "treshold: no such setting; there are `threshold`, `timeout`"),
    ]);
    refused::<CorrelatorSettings>(&[
        (json!({}), "timeout: expected how long a call waits, such as \"5s\", which is missing"),
        (json!({ "timeout": "0s" }), &format!("timeout: {A_DURATION}")),
        (json!({ "timeout": "5s", "capacity": 0 }), "capacity: expected a whole number from 1"),
        (json!({ "timeout": "5s", "capacitiy": 5 }), "capacitiy: no such setting; there are `timeout`, `capacity`"),
    ]);
    let many: BTreeMap<String, &str> = (0..65).map(|service| (service.to_string(), "normal")).collect();
    refused::<LoggerSettings>(&[(json!({ "show": many }), "show: expected at most 64 services, found 65")]);
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
