//! The rate limiter against naive references, under hostile clocks and full tables.

mod support;

use core::{num::NonZeroU32, time::Duration};
use std::collections::HashMap;

use proptest::prelude::*;
use steadfast_core::{Decision, Gcra, Instant, OnFull, RateLimiter, SlidingLog};

const SECOND: u64 = 1_000_000_000;

/// One request: a key, a cost, and how the clock moved before it.
#[derive(Clone, Debug)]
struct Request {
    key: u8,
    cost: NonZeroU32,
    step: i64,
}

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

/// The log of one key as anybody would write it: all that was counted, a clock that stepped back clamps it.
#[derive(Default)]
struct NaiveLog(Vec<u64>);

impl NaiveLog {
    fn allow(&mut self, max: usize, window: u64, cost: usize, now: u64) -> bool {
        self.0.iter_mut().for_each(|at| *at = (*at).min(now));
        self.0.retain(|at| now - *at < window);
        let allowed = self.0.len() + cost <= max;
        if allowed {
            self.0.extend(std::iter::repeat_n(now, cost));
        }
        allowed
    }
}

fn moved(now: u64, step: i64) -> u64 {
    now.saturating_add_signed(step)
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn a_sliding_log_does_what_a_list_of_instants_does(requests in requests(4, 20 * SECOND as i64)) {
        let mut limiter: RateLimiter<u8, SlidingLog<4>, 4> = RateLimiter::new(SlidingLog::new(Duration::from_secs(5)));
        let mut model: HashMap<u8, NaiveLog> = HashMap::new();
        let mut now = 1_000 * SECOND;
        let (mut asked, mut allowed) = (0, 0);
        for Request { key, cost, step } in requests {
            now = moved(now, step);
            let at = Instant::from_nanos(now);
            let expected = model.entry(key).or_default().allow(4, 5 * SECOND, cost.get() as usize, now);
            let decision = limiter.allow_n(&key, cost, at).expect("it fits");
            prop_assert_eq!(decision.is_allowed(), expected);
            if let Decision::Deny { retry_at } = decision {
                prop_assert!(retry_at > at && retry_at <= at.saturating_add(Duration::from_secs(5)));
            }
            asked += 1;
            allowed += u64::from(expected);
            prop_assert_eq!(limiter.stats().allowed, allowed);
            prop_assert_eq!(limiter.stats().denied, asked - allowed);
        }
    }

    #[test]
    fn gcra_does_what_exact_arithmetic_does(requests in requests(3, 0)) {
        let quota = Gcra::per(2, Duration::from_secs(3)).burst(4);
        let interval = u64::try_from(quota.interval().as_nanos()).expect("short");
        let mut limiter: RateLimiter<u8, Gcra, 3> = RateLimiter::new(quota);
        let mut model: HashMap<u8, u128> = HashMap::new();
        let mut now = 1_000 * SECOND;
        for Request { key, cost, step } in requests {
            now = moved(now, step);
            let whole_at = model.entry(key).or_insert(0);
            let wanted = (*whole_at).max(u128::from(now)) + u128::from(cost.get()) * u128::from(interval);
            let expected = wanted <= u128::from(now) + 4 * u128::from(interval);
            if expected {
                *whole_at = wanted;
            }
            let decision = limiter.allow_n(&key, cost, Instant::from_nanos(now)).expect("it fits");
            prop_assert_eq!(decision.is_allowed(), expected);
        }
    }

    /// Safety and liveness at once: denied at every instant before `retry_at`, allowed at it.
    #[test]
    fn a_denial_is_exact(requests in requests(2, 20 * SECOND as i64), before in 1..3 * SECOND) {
        let mut gcra: RateLimiter<u8, Gcra, 2> = RateLimiter::new(Gcra::per_second(1).burst(3));
        let mut log: RateLimiter<u8, SlidingLog<3>, 2> = RateLimiter::new(SlidingLog::per_second());
        let mut now = 1_000 * SECOND;
        for Request { key, cost, step } in requests {
            now = moved(now, step);
            let at = Instant::from_nanos(now);
            if let Decision::Deny { retry_at } = gcra.allow_n(&key, cost, at).expect("it fits") {
                let early = retry_at.saturating_sub(Duration::from_nanos(before)).max(at);
                prop_assert!(!gcra.allow_n(&key, cost, early).expect("it fits").is_allowed());
                prop_assert!(gcra.allow_n(&key, cost, retry_at).expect("it fits").is_allowed());
                now = retry_at.as_nanos();
            }
            let at = Instant::from_nanos(now);
            if let Decision::Deny { retry_at } = log.allow_n(&key, cost, at).expect("it fits") {
                let early = retry_at.saturating_sub(Duration::from_nanos(before)).max(at);
                prop_assert!(!log.allow_n(&key, cost, early).expect("it fits").is_allowed());
                prop_assert!(log.allow_n(&key, cost, retry_at).expect("it fits").is_allowed());
                now = retry_at.as_nanos();
            }
        }
    }

    /// A stepping clock: at most one extra burst a backward step, no stall longer than a burst, no panic.
    #[test]
    fn a_stepping_clock_grants_one_burst_a_step_and_stalls_one_burst(
        requests in requests(1, 315_360_000 * SECOND as i64)
    ) {
        let mut limiter: RateLimiter<u8, Gcra, 1> = RateLimiter::new(Gcra::per_second(1).burst(3));
        let mut now = 4_000_000_000 * SECOND;
        let (mut granted, mut forward, mut steps_back) = (0_u64, 0_u64, 0_u64);
        for Request { cost, step, .. } in requests {
            steps_back += u64::from(step < 0);
            forward += u64::try_from(step).unwrap_or(0);
            now = moved(now, step);
            match limiter.allow_n(&0, cost, Instant::from_nanos(now)).expect("it fits") {
                Decision::Allow => granted += u64::from(cost.get()),
                Decision::Deny { retry_at } => prop_assert!(retry_at.as_nanos() <= now + 3 * SECOND),
            }
            prop_assert!(granted <= 3 + forward / SECOND + steps_back * 3, "{} granted", granted);
        }
    }

    /// More keys than entries: no key is ever allowed more than its quota, plus the one quota that all strangers share.
    #[test]
    fn a_full_table_never_resets_a_quota(
        requests in requests(12, 0),
        on_full in prop_oneof![Just(OnFull::Share), Just(OnFull::Deny)],
    ) {
        let mut limiter: RateLimiter<u8, SlidingLog<4>, 4> =
            RateLimiter::new(SlidingLog::new(Duration::from_secs(5))).with_on_full(on_full);
        let mut allowed: HashMap<u8, Vec<u64>> = HashMap::new();
        let mut known: Vec<u8> = Vec::new();
        let mut now = 1_000 * SECOND;
        for Request { key, cost, step } in requests {
            now = moved(now, step);
            let at = Instant::from_nanos(now);
            let overflowed = limiter.stats().overflowed;
            let decision = limiter.allow_n(&key, cost, at).expect("it fits");
            let of_key = allowed.entry(key).or_default();
            of_key.retain(|at| now - *at < 5 * SECOND);
            if limiter.stats().overflowed == overflowed {
                // Liveness: who has an entry is served exactly as if alone.
                let alone = of_key.len() + cost.get() as usize <= 4;
                prop_assert!(!decision.is_allowed() || alone);
            } else if on_full == OnFull::Deny {
                prop_assert!(!decision.is_allowed());
            }
            if decision.is_allowed() && limiter.stats().overflowed == overflowed {
                of_key.extend(std::iter::repeat_n(now, cost.get() as usize));
                known.push(key);
            }
            prop_assert!(limiter.len() <= 4);
        }
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
