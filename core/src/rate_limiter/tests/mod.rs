mod change;
mod clock;
mod full;
mod refund;
mod run_time;

use core::time::Duration;
use proptest::prelude::*;
use std::{boxed::Box, format, vec::Vec};

use super::*;
use crate::foundation::table::tests::Window;

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
fn d11_a_flood_of_keys_shares_one_quota_and_grows_nothing() {
    let mut limiter: RateLimiter<u32, Gcra, 16> = RateLimiter::new(Gcra::per_minute(3));
    let now = at(100);
    for key in 0..16 {
        (0..3).for_each(|_| assert!(limiter.allow(&key, now).is_allowed()));
        assert!(!limiter.allow(&key, now).is_allowed());
    }
    let before = size_of_val(&limiter);
    let admitted = (1_000..101_000).filter(|key| limiter.allow(key, now).is_allowed()).count();
    assert_eq!(admitted, 3);
    assert!((0..16).all(|key| !limiter.allow(&key, now).is_allowed()), "a flood reset an exhausted key");
    assert!((0..16).all(|key| limiter.allow(&key, at(120)).is_allowed()), "a flood took a known key's quota");
    assert_eq!((limiter.len(), size_of_val(&limiter)), (16, before));
    let stats = limiter.stats();
    assert_eq!(stats.allowed + stats.denied, 16 * 4 + 100_000 + 16 + 16);
    assert_eq!(stats.overflowed, 100_000);
}

#[test]
fn a_full_table_that_denies_says_when_a_key_can_come() {
    let mut limiter: RateLimiter<u32, SlidingLog<1>, 2> =
        RateLimiter::new(SlidingLog::per_minute()).with_on_full(OnFull::Deny);
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
    let mut limiter: RateLimiter<char, Gcra, 1> = RateLimiter::new(Gcra::per_second(2)).with_on_full(OnFull::Deny);
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
fn cleanup_forgets_only_what_is_idle() {
    let mut limiter: RateLimiter<u32, SlidingLog<1>, 8> = RateLimiter::new(SlidingLog::per_minute());
    (0..4).for_each(|key| assert!(limiter.allow(&key, at(u64::from(key))).is_allowed()));
    assert_eq!(limiter.cleanup(at(61)), 2);
    assert_eq!(limiter.usage(at(61)).collect::<Vec<_>>(), [(&2, 0), (&3, 0)]);
    limiter.reseed(HashSeed::new(8, 9));
    assert!(!limiter.allow(&2, at(61)).is_allowed());
}

#[test]
fn sizes_are_what_the_docs_say() {
    assert_eq!(size_of::<<Gcra as Quota>::State>(), 8);
    assert_eq!(size_of::<SlidingLogState<5>>(), 5 * 8 + 4);
    // A key of 8 bytes with its quota: 24 bytes of slot and a 2-byte head; 20 bytes where a `u64` is aligned to four.
    let per_key = size_of::<RateLimiter<u64, Gcra, 64>>() - size_of::<RateLimiter<u64, Gcra, 32>>();
    assert_eq!(per_key, 32 * if align_of::<u64>() == 8 { 26 } else { 22 });
    // As bytes it is not aligned to 8.
    let per_key = size_of::<RateLimiter<[u8; 8], Gcra, 64>>() - size_of::<RateLimiter<[u8; 8], Gcra, 32>>();
    assert_eq!(per_key, 32 * 22);
}

/// A call of a limiter for one of ten keys, and what it is told.
fn ask<A: Quota, S: Storage>(
    limiter: &mut RateLimiterIn<u8, A, S>,
    call: u8,
    key: u8,
    cost: u32,
    now: Instant,
) -> [u64; 6] {
    let cost = NonZeroU32::new(cost).unwrap_or(ONE);
    let told = |decision| match decision {
        Ok(Decision::Allow) => [0, 0],
        Ok(Decision::Deny { retry_at }) => [1, retry_at.as_nanos()],
        Err(CostExceedsBurst { limit }) => [2, u64::from(limit)],
    };
    let [what, more] = match call {
        0..9 => told(limiter.allow_n(&key, cost, now)),
        9 => told(Ok(limiter.check(&key, now))),
        10 => [limiter.remaining(&key, now).into(), limiter.reset_at(&key, now).as_nanos()],
        11 => {
            // True or false: an idle key may have been the one whose entry was reused.
            limiter.refund(&key, cost, now);
            [0, 0]
        }
        12 => [limiter.cleanup(now) as u64, 0],
        _ => {
            limiter.reseed(HashSeed::new(cost.get().into(), now.as_nanos()));
            [0, 0]
        }
    };
    let stats = limiter.stats();
    [what, more, stats.allowed, stats.denied, stats.overflowed, limiter.len() as u64]
}

fn decides_the_same<A: Quota + Clone>(quota: A, on_full: OnFull, calls: &[(u8, u8, u32, u64)]) {
    let mut dense = RateLimiter::<u8, A, 6>::new(quota.clone()).with_on_full(on_full);
    let mut sparse = RateLimiterIn::<u8, A, Window<2>>::allocate(quota, 6, HashSeed::FIXED).with_on_full(on_full);
    let mut now = at(100);
    for (call, key, cost, millis) in calls {
        now = now.saturating_add(Duration::from_millis(*millis));
        assert_eq!(ask(&mut dense, *call, *key, *cost, now), ask(&mut sparse, *call, *key, *cost, now));
    }
    // Which of the idle ones was reused is for the table to say.
    let busy = |limiter: &mut dyn Iterator<Item = (&u8, u32)>| {
        let mut busy: Vec<_> = limiter.filter(|(_, left)| *left < 2).map(|(key, left)| (*key, left)).collect();
        busy.sort_unstable();
        busy
    };
    assert_eq!(busy(&mut dense.usage(now)), busy(&mut sparse.usage(now)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// With a clock that never steps back: after a step it matters which of the idle entries was reused.
    #[test]
    fn in_a_table_with_windows_it_decides_the_same(
        calls in prop::collection::vec((0..14_u8, 0..10_u8, 1..4_u32, 0..400_u64), 0..60),
        denies in any::<bool>(),
    ) {
        let on_full = if denies { OnFull::Deny } else { OnFull::Share };
        decides_the_same(Gcra::per_second(2), on_full, &calls);
        decides_the_same(SlidingLog::<2>::per_second(), on_full, &calls);
    }
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
    let one = NonZeroU32::MIN;
    let log = SlidingLog::<0>::per_second();
    assert_eq!(log.check(&SlidingLog::IDLE, one, at(0)), Ok(Decision::Deny { retry_at: Instant::MAX }));
}

#[test]
fn a_log_is_whole_now_once_its_window_is_over() {
    let (log, mut state) = (SlidingLog::<2>::per_second(), SlidingLog::IDLE);
    assert_eq!(log.allow(&mut state, NonZeroU32::MIN, at(10)), Ok(Decision::Allow));
    assert_eq!(log.reset_at(&state, at(10)), at(11));
    for now in [11, 12, 1_000] {
        assert_eq!(log.reset_at(&state, at(now)), at(now));
    }
}
