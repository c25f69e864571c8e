//! The rate limiter against naive references, under hostile clocks and full tables.

mod support;

use core::{num::NonZeroU32, time::Duration};

use proptest::prelude::*;
use steadfast_core::{Gcra, Instant, RateLimiter, SlidingLog, rate_limiter::OnFull};
use steadfast_models::rate_limiter::{self as model, Change, Request, SECOND};

fn requests(keys: u8, most_back: i64) -> impl Strategy<Value = Vec<Request>> {
    let step = prop_oneof![
        8 => 0..3 * SECOND as i64,
        2 => Just(SECOND as i64),
        1 => -most_back..=0,
        1 => 0..=most_back,
    ];
    let request = (0..keys, 1_u32..4, step).prop_map(|(key, cost, step)| Request {
        key,
        cost: NonZeroU32::new(cost).expect("at least one"),
        step,
    });
    prop::collection::vec(request, 1..40)
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn a_sliding_log_does_what_a_list_of_instants_does(requests in requests(4, 20 * SECOND as i64)) {
        model::sliding_log(requests);
    }

    #[test]
    fn gcra_does_what_exact_arithmetic_does(requests in requests(3, 0)) {
        model::gcra(requests);
    }

    #[test]
    fn a_denial_is_exact(requests in requests(2, 20 * SECOND as i64), before in 1..3 * SECOND) {
        model::exact_denials(requests, before);
    }

    #[test]
    fn a_stepping_clock_grants_one_burst_a_step_and_stalls_one_burst(
        requests in requests(1, 315_360_000 * SECOND as i64)
    ) {
        model::stepping_clock(requests);
    }

    #[test]
    fn a_full_table_never_resets_a_quota(
        requests in requests(12, 0),
        on_full in prop_oneof![Just(OnFull::Allow), Just(OnFull::Deny)],
    ) {
        model::full_table(requests, on_full);
    }
}

proptest! {
    #![proptest_config(support::cases(2_000))]

    #[test]
    fn quotas_that_come_with_the_call_are_what_exact_arithmetic_says(
        requests in prop_oneof![requests(4, 0), requests(12, 0), requests(12, 20 * SECOND as i64)],
        plans in prop::collection::vec(0..7_u8, 1..4),
    ) {
        model::own_quotas(&requests, &plans);
    }

    #[test]
    fn what_is_observed_holds_what_is_enforced_holds_and_denies_nobody_else(
        requests in requests(12, 20 * SECOND as i64),
        on_full in prop::sample::select(&model::ON_FULL[..]),
        shares in prop::collection::vec(0..1_002_u16, 1..4),
    ) {
        model::observed(requests, on_full, &shares);
    }
}

proptest! {
    #![proptest_config(support::cases(2_000))]

    #[test]
    fn what_is_told_comes_true_after_steps_of_the_clock_and_in_a_full_table(
        requests in requests(9, 20 * SECOND as i64),
    ) {
        model::told_comes_true(requests);
    }

    #[test]
    fn a_change_of_the_quota_keeps_what_was_counted(
        changes in prop::collection::vec(
            (0..1_000_000_000_000_u64, 1..200_u32, 0..50_u32, 0..3 * SECOND)
                .prop_map(|(interval, burst, asks, step)| Change { interval, burst, asks, step }),
            1..12,
        ),
    ) {
        model::quota_changes(changes);
    }
}

/// The seed's whole attack in one: an exhausted key cannot be pushed out by any number of others.
#[test]
fn no_flood_gives_an_exhausted_key_a_new_quota() {
    let mut limiter: RateLimiter<u64, Gcra, 64> = RateLimiter::new(Gcra::per_hour(2));
    let now = Instant::from_secs(10);
    (0..2).for_each(|_| assert!(limiter.allow(&0, now).is_allowed()));
    for key in 1..1_000_000_u64 {
        let _ = limiter.allow(&key, now);
    }
    assert!(!limiter.allow(&0, now).is_allowed());
    assert_eq!(limiter.len(), 64);
}

static IN_A_STATIC: std::sync::Mutex<RateLimiter<u32, SlidingLog<5>, 32>> =
    std::sync::Mutex::new(RateLimiter::new(SlidingLog::per_minute()));

#[test]
fn it_lives_in_a_static() {
    let mut limiter = IN_A_STATIC.lock().expect("not poisoned");
    assert!(limiter.allow(&7, Instant::from_secs(1)).is_allowed());
}

#[test]
fn quotas_come_from_configuration() {
    let api: Gcra = serde_json::from_str(r#"{ "every": { "secs": 0, "nanos": 10000000 }, "burst": 20 }"#).unwrap();
    assert_eq!(api, Gcra::per_second(100).burst(20));
    let ping: Gcra = serde_json::from_str(r#"{ "every": { "secs": 60, "nanos": 0 } }"#).unwrap();
    assert_eq!(ping, Gcra::every(Duration::from_secs(60)));
    for quota in [api, ping, Gcra::per_hour(0), Gcra::every(Duration::MAX)] {
        assert_eq!(serde_json::from_str::<Gcra>(&serde_json::to_string(&quota).unwrap()).unwrap(), quota);
    }
    let log: SlidingLog<5> = serde_json::from_str(r#"{ "window": { "secs": 60, "nanos": 0 } }"#).unwrap();
    assert_eq!(log, SlidingLog::per_minute());
    assert_eq!(serde_json::from_str::<SlidingLog<5>>(&serde_json::to_string(&log).unwrap()).unwrap(), log);
}
