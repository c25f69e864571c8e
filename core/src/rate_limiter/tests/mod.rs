mod change;
mod clock;
mod contract;
mod custom;
mod enforce;
mod exact;
mod flood;
mod full;
mod per_key;
mod quotas;
mod refund;
mod room;
mod run_time;
mod step;
mod top;

use core::time::Duration;
use proptest::prelude::*;
use std::{format, vec::Vec};

use core::hash::BuildHasher;

use super::*;
use crate::foundation::storage::Heap;

const fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

/// Runs `key@time` steps written as in the seed's vectors: `+` allowed, `-` denied.
fn vector<A: Quota>(quota: A, steps: &str) {
    let mut limiter: RateLimiter<char, A, 4> = RateLimiter::new(quota);
    for step in steps.split_whitespace() {
        let (key, rest) = step.split_once('@').unwrap();
        let (time, expected) = rest.split_at(rest.len() - 1);
        let now = at(time.parse().unwrap());
        let key = key.chars().next().unwrap_or(' ');
        let checked = limiter.check(&key, now);
        let decision = limiter.allow(&key, now);
        assert_eq!(checked, decision, "check and allow differ at {step}");
        assert_eq!(decision.is_allowed(), expected == "+", "{step} in {steps}");
    }
}

/// What the seed decides, but for what is exactly as old as the window: it no longer counts.
#[test]
fn the_seeds_vectors_hold_with_half_open_edges() {
    const FIVE_MINUTES: Duration = Duration::from_secs(300);
    const TEN: Duration = Duration::from_secs(10);
    vector(SlidingLog::<3>::new(FIVE_MINUTES), "a@0+ a@0+ a@0+ a@0-");
    vector(SlidingLog::<1>::new(FIVE_MINUTES), "a@0+ a@299- a@300+ a@301-");
    vector(SlidingLog::<2>::new(FIVE_MINUTES), "a@0+ a@100+ a@300+ a@301- a@400+ a@401-");
    vector(SlidingLog::<1>::new(TEN), "a@0+ a@5- a@10+ a@11-");
    vector(SlidingLog::<1>::new(TEN), "a@0+ b@0+ a@1- b@11+");
    vector(SlidingLog::<0>::new(TEN), "a@0- a@0-");
    vector(SlidingLog::<1>::new(Duration::ZERO), "a@5+ a@5+ a@6+");
    vector(SlidingLog::<1>::new(TEN), "a@0+ a@20+ a@25- a@30+");
    let every_30_s = (0..10).map(|i| format!("a@{}+ ", i * 30)).collect::<std::string::String>();
    vector(SlidingLog::<10>::new(FIVE_MINUTES), &format!("{every_30_s} a@300+ a@301- a@330+ a@331-"));
    vector(SlidingLog::<10>::new(FIVE_MINUTES), &format!("{}{}", "a@7+ ".repeat(10), "a@7- ".repeat(40)));
}

/// Seed 3.4: a time from the far future wiped a key's history, or blocked the key for ever.
#[test]
fn seed_3_4_a_leap_ahead_and_back_costs_one_quota_and_one_window() {
    let mut limiter: RateLimiter<char, SlidingLog<2>, 4> = RateLimiter::new(SlidingLog::new(Duration::from_secs(300)));
    assert!(limiter.allow(&'a', at(1_000)).is_allowed());
    assert!(limiter.allow(&'a', at(999_999)).is_allowed());
    assert!(limiter.allow(&'a', at(1_000)).is_allowed());
    assert_eq!(limiter.allow(&'a', at(1_000)), Decision::Deny { retry_at: at(1_300) });
    assert!(!limiter.allow(&'a', at(1_299)).is_allowed());
    assert!(limiter.allow(&'a', at(1_300)).is_allowed());
}

#[test]
fn d8_a_step_back_stalls_for_no_more_than_a_burst() {
    let mut limiter: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_second(1));
    assert!(limiter.allow(&'a', at(10_000)).is_allowed());
    let back = at(10_000 - 3_600);
    assert_eq!(limiter.allow(&'a', back), Decision::Deny { retry_at: back.saturating_add(Duration::from_secs(1)) });
    assert!(limiter.allow(&'a', back.saturating_add(Duration::from_secs(1))).is_allowed());
}

#[test]
fn d11_a_flood_of_keys_gets_what_the_ledger_leaves_and_grows_nothing() {
    let mut limiter: RateLimiter<u32, Gcra, 16> = RateLimiter::new(Gcra::per_minute(3));
    let now = at(100);
    for key in 0..16 {
        (0..3).for_each(|_| assert!(limiter.allow(&key, now).is_allowed()));
        assert!(!limiter.allow(&key, now).is_allowed());
    }
    let before = size_of_val(&limiter);
    let admitted = (1_000..101_000).filter(|key| limiter.allow(key, now).is_allowed()).count();
    assert_eq!(admitted, 16 * 3, "one quota for each cell");
    assert!((0..16).all(|key| !limiter.allow(&key, now).is_allowed()), "a flood reset an exhausted key");
    assert!((0..16).all(|key| limiter.allow(&key, at(120)).is_allowed()), "a flood took a known key's quota");
    assert_eq!((limiter.len(), size_of_val(&limiter)), (16, before));
    let stats = limiter.stats();
    assert_eq!(stats.allowed + stats.denied, 16 * 4 + 100_000 + 16 + 16);
    assert_eq!(stats.overflowed, 100_000);
}

#[test]
fn without_a_ledger_a_full_table_denies_and_says_when_a_key_can_come() {
    let quota = SlidingLog::<1>::per_minute();
    let mut limiter = RateLimiterIn::<u32, _, Heap>::allocate(quota, 2, 0, HashSeed::FIXED);
    assert!(limiter.allow(&1, at(10)).is_allowed());
    assert!(limiter.allow(&2, at(20)).is_allowed());
    assert_eq!(limiter.check(&3, at(30)), Decision::Deny { retry_at: at(70) });
    assert_eq!(limiter.allow(&3, at(30)), Decision::Deny { retry_at: at(70) });
    assert!(!limiter.allow(&3, at(69)).is_allowed());
    assert!(limiter.allow(&3, at(70)).is_allowed());
    assert_eq!(limiter.stats().reused, 1);
}

#[test]
fn what_never_fits_is_told_apart_from_not_now() {
    let three = NonZeroU32::new(3).unwrap();
    let mut gcra: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_second(2));
    assert_eq!(gcra.allow_n(&'a', three, at(1)), Err(CostExceedsBurst { limit: 2 }));
    let mut log: RateLimiter<char, SlidingLog<2>, 4> = RateLimiter::new(SlidingLog::per_second());
    assert_eq!(log.allow_n(&'a', three, at(1)), Err(CostExceedsBurst { limit: 2 }));
    assert_eq!((log.remaining(&'a', at(1)), log.stats().denied), (2, 1));
    assert!(log.is_empty(), "what never fits left an entry");
}

#[test]
fn what_never_fits_does_not_fit_a_full_table_either() {
    let three = NonZeroU32::new(3).unwrap();
    let mut limiter: RateLimiter<char, Gcra, 1> = RateLimiter::new(Gcra::per_second(2));
    assert!(limiter.allow(&'a', at(1)).is_allowed());
    assert_eq!(limiter.allow_n(&'b', three, at(1)), Err(CostExceedsBurst { limit: 2 }));
    assert_eq!(limiter.allow_n(&'b', three, at(9)), Err(CostExceedsBurst { limit: 2 }));
    assert_eq!((limiter.len(), limiter.stats().reused), (1, 0), "nobody else got the entry");
}

#[test]
fn a_refund_gives_back_what_was_counted_and_no_more() {
    let mut limiter: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_second(3));
    let two = NonZeroU32::new(2).unwrap();
    assert_eq!(limiter.allow_n(&'a', two, at(5)), Ok(Decision::Allow));
    assert_eq!(limiter.remaining(&'a', at(5)), 1);
    assert!(limiter.refund(&'a', two, at(5)));
    assert!(limiter.refund(&'a', two, at(5)));
    assert_eq!(limiter.remaining(&'a', at(5)), 3);
    assert!(!limiter.refund(&'b', two, at(5)));
}

#[test]
fn another_quota_holds_from_now_on() {
    let mut limiter: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_minute(1));
    assert!(limiter.allow(&'a', at(0)).is_allowed());
    assert!(!limiter.allow(&'a', at(1)).is_allowed());
    limiter.set_quota(Gcra::per_second(1), at(1));
    assert!(!limiter.allow(&'a', at(1)).is_allowed());
    assert!(limiter.allow(&'a', at(2)).is_allowed());
}

#[test]
fn the_end_of_time_admits_nothing_for_free() {
    let mut limiter: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_second(2));
    assert!((0..10).all(|_| !limiter.allow(&'a', Instant::MAX).is_allowed()));
}

#[test]
fn a_rate_is_never_rounded_up() {
    assert_eq!(Gcra::per_second(3).interval(), Duration::from_nanos(333_333_334));
    let mut none: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_second(0));
    assert_eq!(none.allow(&'a', at(1)), Decision::Deny { retry_at: Instant::MAX });
}

#[test]
fn kept_keys_are_listed_and_cleanup_forgets_only_what_is_idle() {
    let mut limiter: RateLimiter<u32, SlidingLog<1>, 8, HashSeed, Keys> =
        RateLimiter::with_hasher(SlidingLog::per_minute(), HashSeed::FIXED);
    (0..4).for_each(|key| assert!(limiter.allow(&key, at(u64::from(key))).is_allowed()));
    assert_eq!(limiter.cleanup(at(61)), 2);
    let mut usage: Vec<_> = limiter.usage(at(61)).map(|(key, left)| (*key, left)).collect();
    usage.sort_unstable();
    assert_eq!(usage, [(2, 0), (3, 0)]);
    assert!(!limiter.allow(&2, at(61)).is_allowed());
    assert!(limiter.reset(&2, at(61)) && !limiter.reset(&2, at(61)));
    assert_eq!(limiter.usage(at(61)).collect::<Vec<_>>(), [(&3, 0)]);
}

/// All keys have one hash.
#[derive(Clone)]
struct Same;

impl BuildHasher for Same {
    type Hasher = Nothing;

    fn build_hasher(&self) -> Nothing {
        Nothing
    }
}

struct Nothing;

impl core::hash::Hasher for Nothing {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, _: &[u8]) {}
}

#[test]
fn two_keys_of_one_print_share_a_quota_unless_keys_are_kept() {
    let quota = Gcra::per_minute(1);
    let mut prints = RateLimiter::<u32, Gcra, 8, _>::with_hasher(quota, Same);
    assert!(prints.allow(&1, at(9)).is_allowed() && !prints.allow(&2, at(9)).is_allowed());
    let mut keys = RateLimiter::<u32, Gcra, 8, _, Keys>::with_hasher(quota, Same);
    for key in 0..8 {
        assert!(keys.allow(&key, at(9)).is_allowed() && !keys.allow(&key, at(9)).is_allowed());
    }
    assert_eq!((prints.len(), keys.len()), (1, 8));
}

#[test]
fn another_seed_forgets_every_key_and_debt() {
    let mut limiter: RateLimiter<u32, Gcra, 4> = RateLimiter::new(Gcra::per_minute(1));
    (0..100).for_each(|key| _ = limiter.allow(&key, at(9)));
    limiter.reseed(HashSeed::new(8, 9));
    assert!(limiter.is_empty());
    (0..4).for_each(|key| assert!(limiter.allow(&key, at(9)).is_allowed()));
}

#[test]
fn sizes_are_what_the_docs_say() {
    assert_eq!(size_of::<SlidingLogState<5>>(), 5 * 8 + 4);
    // A print, an instant, a debt and a cell, whatever the key.
    let per_key = size_of::<RateLimiter<u64, Gcra, 64>>() - size_of::<RateLimiter<u64, Gcra, 32>>();
    assert_eq!(per_key, 32 * if cfg!(target_pointer_width = "64") { 28 } else { 24 });
    let per_key = size_of::<RateLimiter<[u8; 99], Gcra, 64>>() - size_of::<RateLimiter<[u8; 99], Gcra, 32>>();
    assert_eq!(per_key, 32 * if cfg!(target_pointer_width = "64") { 28 } else { 24 });
}

#[test]
fn a_key_ends_its_being_empty() {
    let mut limiter: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_second(1));
    assert!(limiter.is_empty());
    assert!(limiter.allow(&'a', at(0)).is_allowed());
    assert!(!limiter.is_empty());
}

#[test]
fn a_log_of_nothing_denies_for_ever() {
    let mut limiter: RateLimiter<char, SlidingLog<0>, 4> = RateLimiter::new(SlidingLog::per_second());
    assert_eq!(limiter.allow(&'a', at(0)), Decision::Deny { retry_at: Instant::MAX });
    let (log, mut state) = (SlidingLog::<0>::per_second(), SlidingLog::IDLE);
    let never = Ok(Decision::Deny { retry_at: Instant::MAX });
    assert_eq!(log.check(Instant::ZERO, Held::Entry(&mut state), ONE, at(0)), never);
    assert_eq!(log.check(Instant::ZERO, Held::Cell(&mut 0), ONE, at(0)), never);
}

#[test]
fn a_log_is_whole_now_once_its_window_is_over() {
    let mut limiter: RateLimiter<char, SlidingLog<2>, 4> = RateLimiter::new(SlidingLog::per_second());
    assert!(limiter.allow(&'a', at(10)).is_allowed());
    assert_eq!(limiter.reset_at(&'a', at(10)), at(11));
    for now in [11, 12, 1_000] {
        assert_eq!(limiter.reset_at(&'a', at(now)), at(now));
    }
}
