//! What decides in production beside the known key that is allowed: denials, keys that were never seen, and many at a time.

use std::{hint::black_box, num::NonZeroU32};

use governor::clock::DefaultClock;
use steadfast::{Gcra, RateLimiter, runtime::SystemTimer};

use super::{AHASH, Keyed, filled, governor};
use crate::{
    options::Options,
    rows::{Plan, count},
    run::{Goal::Faster, Row},
    slice::{Work, timed},
    work::{all_keys, mix, over, over_parts, over_two, requests},
};

/// Used up by one request, for longer than is measured.
const SLOW: Gcra = Gcra::per_hour(1);

pub(super) fn rows(options: &Options) -> Vec<Plan> {
    let mut rows = Vec::new();
    for (keys, denied, together) in [(1_000, 1.2, 2.0), (1_000_000, 1.5, 2.7)] {
        let n = options.keys(keys);
        let name = format!("keyed check, u64, {}", count(n));
        rows.push(Plan::new(format!("{name}, all denied, own clocks"), move || {
            let asked = requests(n, |key| key);
            Row::new(over(&asked, ours_denies(n)))
                .peer("governor", Faster(denied), over(&asked, governor_denies(n)))
                .hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, ours 128 at a time, own clocks"), move || {
            let asked = requests(n, |key| key);
            Row::new(over_parts(&asked, 128, ours_together(n)))
                .peer("governor", Faster(together), over(&asked, governor(n, DefaultClock::default())))
                .hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, newcomers for idle keys, own clocks"), move || {
            Row::new(strangers(ours_of(Gcra::per_second(1_000_000_000).burst(1), n)))
                .peer("governor, which grows", None, growing(n, || governor::Quota::per_second(NonZeroU32::MAX)))
                .hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, a flood into a full table, own clocks"), move || {
            Row::new(strangers(ours_of(Gcra::per_hour(100), n)))
                .peer("governor, which grows", None, growing(n, || governor::Quota::per_hour(100.try_into().unwrap())))
                .hashing(AHASH)
        }));
    }
    rows.push(Plan::new("keyed check, one key, all denied, 2 threads", || {
        let asked = requests(1, |key| key);
        Row::new(over_two(&asked, ours_denies(1)))
            .peer("governor", None, over_two(&asked, governor_denies(1)))
            .hashing(AHASH)
    }));
    rows
}

fn ours_denies(keys: usize) -> impl Fn(&u64) -> bool + Sync {
    let limiter = RateLimiter::<u64, _>::builder(SLOW).capacity(keys).build();
    all_keys(keys).for_each(|key| assert!(limiter.allow(&key).is_allowed()));
    move |key| !limiter.allow(key).is_allowed()
}

/// Tells how many are allowed.
fn ours_together(keys: usize) -> impl Fn(&[u64]) -> u64 {
    let limiter = filled(|key| key, keys, SystemTimer);
    move |keys| {
        let mut allowed = 0;
        limiter.allow_each(keys, |_, decision| allowed += u64::from(decision.is_allowed()));
        allowed
    }
}

fn governor_denies(keys: usize) -> impl Fn(&u64) -> bool + Sync {
    let limiter = keyed(governor::Quota::per_hour(NonZeroU32::MIN));
    all_keys(keys).for_each(|key| assert!(limiter.check_key(&key).is_ok()));
    move |key| limiter.check_key(key).is_err()
}

fn keyed(quota: governor::Quota) -> Keyed<u64, DefaultClock> {
    Keyed::dashmap_with_clock_and_hasher(quota, DefaultClock::default(), ahash::RandomState::new())
}

/// Full of keys that have asked once.
fn ours_of(quota: Gcra, keys: usize) -> impl FnMut(u64) {
    let limiter = RateLimiter::<u64, _>::builder(quota).capacity(keys).build();
    let ask = move |key| _ = black_box(limiter.allow(&key));
    // As long as there is a vacancy, it is none of a full table.
    (1..=4 * keys as u64).for_each(|key| ask(stranger(key << 40)));
    ask
}

/// Governor does not bound its keys: from `keys` on it grows to twice as many, and is begun anew.
fn growing(keys: usize, quota: fn() -> governor::Quota) -> Work {
    let make = move || {
        let limiter = keyed(quota());
        all_keys(keys).for_each(|key| _ = limiter.check_key(&key));
        limiter
    };
    let (mut limiter, mut next, mut left) = (make(), 0, keys as u64);
    Box::new(move |n| {
        if left < n {
            (limiter, left) = (make(), keys as u64);
        }
        left = left.saturating_sub(n);
        let input: Vec<_> = (next..next + n).map(stranger).collect();
        next += n;
        timed(|| input.iter().for_each(|key| _ = black_box(limiter.check_key(black_box(key)))))
    })
}

/// Keys of which none was ever seen.
fn strangers(mut ask: impl FnMut(u64) + 'static) -> Work {
    let mut next = 0;
    Box::new(move |n| {
        let input: Vec<_> = (next..next + n).map(stranger).collect();
        next += n;
        timed(|| input.iter().for_each(|key| ask(black_box(*key))))
    })
}

const fn stranger(index: u64) -> u64 {
    mix(index ^ 0x000f_f00d_0000_0000)
}
