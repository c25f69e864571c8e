//! Retry and retry budget beside naive references, on clocks that step.

mod support;

use std::time::Duration;

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use steadfast_core::{
    Instant, RetryPolicy,
    retry::{Failure, Jitter},
};
use steadfast_models::{
    retry::{self, Growth, Settings, Tick},
    retry_budget::{self, Ask},
};

const NANOS: u64 = 1_000_000_000;

/// Small numbers, whole seconds, and the ends of the range.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_u64, 0..100 * NANOS, any::<u64>(), (0..3_u64).prop_map(|less| u64::MAX - less)]
}

fn settings() -> impl Strategy<Value = Settings> {
    let factor = prop_oneof![Just(0), 90..400_u16, Just(u16::MAX)].prop_map(Growth::Factor);
    let growth = prop_oneof![Just(Growth::Constant), Just(Growth::Exponential), Just(Growth::Linear), factor];
    let jitter = prop_oneof![Just(Jitter::Decorrelated), Just(Jitter::Equal), Just(Jitter::Full), Just(Jitter::None)];
    let retries = prop_oneof![0..5_u32, Just(80), Just(u32::MAX)];
    (growth, jitter, span(), span(), span(), span(), retries).prop_map(
        |(growth, jitter, base, max_delay, max_elapsed, attempt_timeout, max_retries)| Settings {
            growth,
            jitter,
            base,
            max_delay,
            max_elapsed,
            attempt_timeout,
            max_retries,
        },
    )
}

fn failure() -> impl Strategy<Value = Failure> {
    prop_oneof![
        6 => Just(Failure::Transient),
        1 => Just(Failure::Permanent),
        2 => span().prop_map(|nanos| Failure::RetryAfter(Duration::from_nanos(nanos))),
        1 => Just(Failure::RetryAfter(Duration::MAX)),
        1 => span().prop_map(|nanos| Failure::Delay(Duration::from_nanos(nanos))),
        2 => span().prop_map(|nanos| Failure::RefusedUntil(Instant::from_nanos(nanos))),
    ]
}

/// How the clock moves between two calls: on, back, or anywhere.
fn tick() -> impl Strategy<Value = Tick> {
    prop_oneof![
        6 => (0..3 * NANOS).prop_map(Tick::On),
        2 => (0..3 * NANOS).prop_map(Tick::Back),
        1 => any::<u64>().prop_map(Tick::To),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    prop_oneof![2 => Just(Ask::Deposit), 1 => Just(Ask::Refund), 4 => Just(Ask::Withdraw)]
}

fn cases() -> ProptestConfig {
    support::cases(10_000)
}

#[test]
fn no_limit_is_written_down_where_there_is_none() {
    let policy = RetryPolicy::exponential(Duration::from_secs(1)).max_elapsed(Duration::from_secs(9));
    let written = serde_json::to_value(policy).unwrap();
    assert_eq!((&written["attempt_timeout"], &written["max_elapsed"]["secs"]), (&Value::Null, &Value::from(9)));
}

#[test]
fn a_policy_is_written_down_with_its_defaults_left_out() {
    let written = r#"{ "growth": "Exponential", "base": { "secs": 1, "nanos": 0 } }"#;
    let policy: RetryPolicy = serde_json::from_str(written).unwrap();
    assert_eq!(policy, RetryPolicy::exponential(Duration::from_secs(1)));
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn retry_decides_as_the_reference_does(
        settings in settings(),
        start in prop_oneof![0..100 * NANOS, any::<u64>()],
        steps in vec((failure(), tick(), any::<u32>()), 1..10),
        follow in any::<bool>(),
    ) {
        retry::beside_the_reference(&settings, start, steps, follow);
    }

    #[test]
    fn a_policy_survives_being_written_down(settings in settings()) {
        let policy = settings.policy();
        let written = serde_json::to_string(&policy).unwrap();
        prop_assert_eq!(serde_json::from_str::<RetryPolicy>(&written).unwrap(), policy, "{}", written);
    }

    #[test]
    fn a_budget_grants_as_the_reference_does(
        settings in (0..300_u32, 0..50_u32, 0..20_u32),
        asks in vec((0..2 * NANOS, ask()), 1..40),
    ) {
        retry_budget::steady_clock(settings, asks);
    }

    #[test]
    fn a_budget_bears_a_clock_that_steps(
        settings in (0..300_u32, 1..50_u32, 1..20_u32),
        asks in vec((tick(), ask()), 1..40),
    ) {
        retry_budget::stepping_clock(settings, asks);
    }
}
