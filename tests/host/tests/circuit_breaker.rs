//! The circuit breaker beside a naive one that keeps every call, under clocks that step and leap.

mod support;

use std::{fmt::Debug, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};
use steadfast_core::{
    Gcra, Instant, Reset, RetryPolicy, Trip,
    circuit_breaker::{BreakerMode, CallWindow, Consecutive, Open, Outcome, Percent, Permit, TimeWindow},
};
use steadfast_models::circuit_breaker::{self as model, FAILED, MIN_CALLS, Op, SLOW, Settings};

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Failure),
        3 => Just(Outcome::Success),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Dropped),
        1 => Just(Outcome::Panicked),
        1 => (0_u64..200).prop_map(|millis| Outcome::RetryAfter(Duration::from_millis(millis))),
    ]
}

fn mode() -> impl Strategy<Value = BreakerMode> {
    prop_oneof![
        4 => Just(BreakerMode::Automatic),
        1 => Just(BreakerMode::ForcedClosed),
        1 => Just(BreakerMode::ForcedOpen),
        1 => Just(BreakerMode::ObserveOnly),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => Just(Op::Acquire),
        12 => (any::<usize>(), outcome()).prop_map(|(which, outcome)| Op::Record { which, outcome }),
        2 => any::<bool>().prop_map(Op::Bare),
        1 => mode().prop_map(Op::Mode),
        1 => Just(Op::Reset),
        1 => Just(Op::Open),
    ]
}

/// Milliseconds that pass before an operation; below zero if the clock steps back.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => Just(0_i64),
        6 => 0_i64..30,
        2 => Just(20_i64),
        1 => -50_i64..0,
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX), -100_000_i64..100_000],
    ]
}

prop_compose! {
    fn settings()(
        open_millis in 1_u64..40,
        doubling in any::<bool>(),
        longest_millis in 0_u64..200,
        probes in 1_u8..4,
        probe_percent in prop_oneof![2 => Just(100), 1 => 1_u16..100],
        lease_millis in 1_u64..40,
        call_timeout_millis in prop::option::of(1_u64..40),
        drops_fail in any::<bool>(),
    ) -> Settings {
        Settings {
            open_millis,
            doubling,
            longest_millis,
            probes,
            probe_percent,
            lease_millis,
            call_timeout_millis,
            drops_fail,
        }
    }
}

fn run<V: Debug>(scripts: impl Strategy<Value = V>, test: impl Fn(V)) {
    TestRunner::new(support::cases(10_000))
        .run(&scripts, |script| {
            test(script);
            Ok(())
        })
        .unwrap();
}

fn script() -> impl Strategy<Value = (Settings, Vec<(i64, Op)>)> {
    (settings(), prop::collection::vec((step(), op()), 1..24))
}

#[test]
fn consecutive_failures_as_the_naive_breaker() {
    run((1_u32..4, script()), |(failures, (settings, ops))| model::consecutive(failures, settings, &ops));
}

#[test]
fn a_window_of_calls_as_the_naive_breaker() {
    run(script(), |(settings, ops)| model::call_window(settings, &ops));
}

#[test]
fn a_rule_of_ones_own_as_the_naive_breaker() {
    run(script(), |(settings, ops)| model::own_rule(settings, &ops));
}

#[test]
fn a_window_of_time_as_the_naive_breaker() {
    run(script(), |(settings, ops)| model::time_window(settings, &ops));
}

#[test]
fn successes_may_be_counted_later_and_at_once() {
    for successes in [0, 1, 3, 4, 5, 1_000] {
        model::settled_as_if_recorded(Trip::consecutive(2), successes);
        model::settled_as_if_recorded(Trip::call_window::<5>(FAILED), successes);
    }
}

#[test]
fn settings_come_from_configuration_and_go_back() {
    let reset: Reset = serde_json::from_str(r#"{ "after": { "secs": 30, "nanos": 0 } }"#).unwrap();
    assert_eq!(reset, Reset::after(Duration::from_secs(30)));
    let full = reset
        .doubling()
        .up_to(Duration::from_secs(600))
        .jitter(Percent::new(20), 7)
        .probes(3)
        .probe_successes(Percent::new(60))
        .lease(Duration::ZERO)
        .call_timeout(Duration::from_secs(2))
        .on_drop(Outcome::Failure)
        .on_panic(Outcome::Success);
    assert_eq!(serde_json::from_str::<Reset>(&serde_json::to_string(&reset).unwrap()).unwrap(), reset);
    assert_eq!(serde_json::from_str::<Reset>(&serde_json::to_string(&full).unwrap()).unwrap(), full);

    let window: CallWindow<10> = serde_json::from_str(r#"{ "failures": "50%", "min_calls": 1000 }"#).unwrap();
    assert_eq!(window, Trip::call_window(Percent::new(50)), "no more than the window holds");
    let slow = window.slow_calls(Duration::from_secs(2), SLOW).min_calls(MIN_CALLS);
    assert_eq!(serde_json::from_str::<CallWindow<10>>(&serde_json::to_string(&slow).unwrap()).unwrap(), slow);

    let slow = Trip::time_window::<7>(Duration::from_secs(60), FAILED).slow_calls(Duration::from_secs(2), SLOW);
    assert_eq!(serde_json::from_str::<TimeWindow<7>>(&serde_json::to_string(&slow).unwrap()).unwrap(), slow);

    for permille in 1..=1_000 {
        let share = Percent::try_from_permille(permille).unwrap();
        let jittered = reset.jitter(share, 1);
        let written = serde_json::to_value(jittered).unwrap();
        let text = format!("{}.{}%", permille / 10, permille % 10);
        assert_eq!(written["jitter"], text.replace(".0%", "%"));
        assert_eq!(serde_json::from_value::<Percent>(text.into()).unwrap(), share);
        assert_eq!(serde_json::from_value::<Reset>(written).unwrap(), jittered);
    }
    for invalid in
        ["50", "0.5", r#""50""#, r#""0%""#, r#""0.0%""#, r#""100.1%""#, r#""-1%""#, r#""+1%""#, r#""2.55%""#, r#""%""#]
    {
        let error = serde_json::from_str::<Percent>(invalid).unwrap_err().to_string();
        assert!(error.contains("a share from \"0.1%\" to \"100%\", with its sign"), "{invalid}: {error}");
    }
    let mut bytes = [0; 4];
    assert_eq!(postcard::to_slice(&Percent::new(50), &mut bytes).unwrap(), [0xf4, 0x03], "in permille on a device");
    assert_eq!(postcard::from_bytes::<Percent>(&bytes).unwrap(), Percent::new(50));
    assert!(postcard::from_bytes::<Percent>(&[0]).is_err() && postcard::from_bytes::<Percent>(&[0xe9, 0x07]).is_err());
    assert!(serde_json::from_str::<Reset>(r#"{ "after": { "secs": 1, "nanos": 0 }, "probes": 0 }"#).is_err());
    assert_eq!(serde_json::to_string(&Trip::consecutive(3)).unwrap(), r#"{"failures":3}"#);
}

/// What means something to one process, or to one machine, cannot be read back.
#[test]
fn found_e7_instants_and_permits_cannot_be_deserialized() {
    // Ambiguous, and so no program, for what can be deserialized.
    trait IsNotRead<A> {
        const YES: bool = true;
    }
    struct Read;
    impl<T> IsNotRead<()> for T {}
    impl<T: serde::de::DeserializeOwned> IsNotRead<Read> for T {}

    macro_rules! none_is_read {
        ($($type:ty),+ $(,)?) => { [$(<$type as IsNotRead<_>>::YES),+] };
    }
    use steadfast_core::{correlator, dedup_cache, quorum, rate_limiter, retry};
    let _: [bool; 13] = none_is_read!(
        Instant,
        Open,
        Permit,
        correlator::Call,
        correlator::Resolution<u8>,
        dedup_cache::ClaimTicket,
        dedup_cache::Seen,
        quorum::Ballot<u8>,
        quorum::Vote,
        rate_limiter::Decision,
        rate_limiter::FlightPermit,
        rate_limiter::Verdict,
        retry::Step,
    );
}

#[test]
fn found_b9_a_misspelt_setting_is_refused_and_named() {
    fn refused<T: Debug>(read: Result<T, serde_json::Error>, name: &str) {
        assert!(read.expect_err("it is misspelt").to_string().contains(&format!("unknown field `{name}`")));
    }

    let reset = r#"{ "after": { "secs": 30, "nanos": 0 }, "call_timout": { "secs": 2, "nanos": 0 } }"#;
    refused(serde_json::from_str::<Reset>(reset), "call_timout");
    refused(serde_json::from_str::<Consecutive>(r#"{ "failures": 3, "min_calls": 5 }"#), "min_calls");
    refused(serde_json::from_str::<CallWindow<8>>(r#"{ "failures": "50%", "mincalls": 5 }"#), "mincalls");
    let slow = r#"{ "failures": "50%", "slow_calls": { "limit": { "secs": 2, "nanos": 0 }, "shore": "50%" } }"#;
    refused(serde_json::from_str::<CallWindow<8>>(slow), "shore");
    let window = r#"{ "span": { "secs": 2, "nanos": 0 }, "failures": "50%", "spin": 1 }"#;
    refused(serde_json::from_str::<TimeWindow<8>>(window), "spin");
    let retry = r#"{ "growth": "Constant", "base": { "secs": 1, "nanos": 0 }, "max_retires": 1 }"#;
    refused(serde_json::from_str::<RetryPolicy>(retry), "max_retires");
    let every = r#"{ "every": { "secs": 1, "nanos": 0 }, "brust": 1 }"#;
    refused(serde_json::from_str::<Gcra>(every), "brust");
}
