//! Many keys at one time: as one after the other, whatever else goes on.

use core::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{panic, thread};

use proptest::prelude::*;
use steadfast_core::{
    Instant,
    rate_limiter::{Gcra, OnFull, SlidingLog},
    test_util::ManualClock,
};

use super::*;

/// One that decides together, with room for each key; and one that does not.
fn both<A: Quota + Clone>(quota: A, clock: &ManualClock) -> [RateLimiter<u32, A, ManualClock>; 2] {
    [FIT_A_CACHE + 1, 2_000]
        .map(|capacity| RateLimiter::builder(quota.clone()).capacity(capacity).timer(clock.clone()).build())
}

fn each<A: Quota, T: Clock>(limiter: &RateLimiter<u32, A, T>, keys: &[u32]) -> Vec<(u32, Decision)> {
    let mut decisions = Vec::new();
    limiter.allow_each(keys, |key, decision| decisions.push((*key, decision)));
    decisions
}

proptest! {
    #[test]
    fn each_is_decided_as_one_after_the_other(
        rounds in prop::collection::vec((prop::collection::vec(0..40_u32, 0..150), 0..3_000_u64), 1..8),
    ) {
        let clock = ManualClock::default();
        let alike = both(Gcra::per_second(2).burst(3), &clock);
        let single = RateLimiter::<u32, _>::builder(Gcra::per_second(2).burst(3)).timer(clock.clone()).build();
        for (keys, millis) in rounds {
            clock.advance(Duration::from_millis(millis));
            let expected: Vec<_> = keys.iter().map(|key| (*key, single.allow(key))).collect();
            for limiter in &alike {
                prop_assert_eq!(&each(limiter, &keys), &expected);
                prop_assert_eq!(limiter.stats(), single.stats());
            }
        }
    }
}

#[test]
fn a_clock_that_steps_back_gives_one_burst_and_keeps_nobody_out() {
    let clock = ManualClock::default();
    let keys: Vec<u32> = (0..50).flat_map(|key| [key; 5]).collect();
    let allowed = |limiter| each(limiter, &keys).iter().filter(|(_, decision)| decision.is_allowed()).count();
    for limiter in &both(Gcra::per_second(2).burst(3), &clock) {
        clock.set(Instant::from_secs(1_000));
        assert_eq!(allowed(limiter), 50 * 3);
        for back in [Duration::from_millis(900), Duration::from_secs(900)] {
            clock.set(Instant::from_nanos(clock.now().as_nanos() - back.as_nanos() as u64));
            assert!(allowed(limiter) <= 50 * 3);
            // The time that a quota takes to be whole, and a second, by which a reading may be late.
            clock.advance(Duration::from_millis(2_500));
            assert_eq!(allowed(limiter), 50 * 3, "after {back:?} back");
        }
    }
}

#[test]
fn whose_shard_is_taken_waits_for_its_turn() {
    let clock = ManualClock::default();
    for limiter in both(Gcra::per_hour(1), &clock) {
        let keys: Vec<u32> = (0..100).chain(0..100).collect();
        let decisions = thread::scope(|scope| {
            let shard = limiter.shard_of(&7_u32);
            let asking = shard.with_lock(|_| {
                let asking = scope.spawn(|| each(&limiter, &keys));
                // Whether it has come to the shard by now or not, it has to wait for it.
                thread::yield_now();
                assert!(!asking.is_finished());
                asking
            });
            asking.join().unwrap()
        });
        assert!(decisions.iter().map(|(key, _)| *key).eq(keys.iter().copied()), "in their order");
        let allowed = decisions.iter().map(|(_, decision)| decision.is_allowed());
        assert!(allowed.eq((0..200).map(|index| index < 100)), "each key once, at its first request");
    }
}

#[test]
fn a_shard_that_is_taken_for_a_moment_changes_no_order() {
    let clock = ManualClock::default();
    for limiter in both(Gcra::per_hour(1), &clock) {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // Of all shards in turn.
                    (0..300_u32).for_each(|key| _ = limiter.shard_of(&key).with_lock(|limiter| limiter.len()));
                }
            });
            for round in 0..3_000_u32 {
                // Each key has one request, and asks twice.
                clock.advance(Duration::from_secs(3_600));
                let keys: Vec<u32> = (0..32).map(|index| index % 16).collect();
                let decisions = each(&limiter, &keys);
                let allowed = decisions.iter().map(|(_, decision)| decision.is_allowed());
                let is_in_order = allowed.eq((0..32).map(|index| index < 16));
                is_over.store(!is_in_order || round == 2_999, Ordering::Relaxed);
                assert!(is_in_order, "{decisions:?}");
            }
        });
    }
}

#[test]
fn threads_that_ask_in_opposite_order_do_not_stop_each_other() {
    let clock = ManualClock::default();
    for limiter in both(SlidingLog::<5>::per_hour(), &clock) {
        let forth: Vec<u32> = (0..2_000).collect();
        let back: Vec<u32> = forth.iter().rev().copied().collect();
        let allowed: usize = thread::scope(|scope| {
            let ask = |keys| {
                let limiter = &limiter;
                move || (0..5).flat_map(|_| each(limiter, keys)).filter(|(_, told)| told.is_allowed()).count()
            };
            [scope.spawn(ask(&forth)), scope.spawn(ask(&back))].into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!((allowed, limiter.stats().allowed + limiter.stats().denied), (5 * 2_000, 20_000));
    }
}

#[test]
fn what_brings_the_keys_and_what_is_told_may_ask_itself() {
    let clock = ManualClock::default();
    for limiter in both(Gcra::per_hour(1), &clock) {
        let keys: Vec<u32> = (0..70).collect();
        let mut told = 0;
        let asking = keys.iter().inspect(|key| assert!(limiter.allow(&(**key + 1_000)).is_allowed()));
        limiter.allow_each(asking, |key, decision| {
            assert!(decision.is_allowed() && !limiter.allow(key).is_allowed());
            limiter.allow_each(&[*key + 2_000], |_, decision| told += u32::from(decision.is_allowed()));
        });
        assert_eq!((told, limiter.len()), (70, 210));
    }
}

#[test]
fn a_panic_of_who_is_told_leaves_the_rest_as_it_was() {
    let clock = ManualClock::default();
    for limiter in both(Gcra::per_hour(1), &clock) {
        let keys: Vec<u32> = (0..100).collect();
        let told = Cell::new(0);
        let ask = || {
            limiter.allow_each(&keys, |_, _| assert!(told.replace(told.get() + 1) != 40, "a panic"));
        };
        assert!(panic::catch_unwind(panic::AssertUnwindSafe(ask)).is_err());
        let stats = limiter.stats();
        assert!(told.get() == 41 && (41..=64).contains(&stats.allowed), "{stats:?}");
        let allowed = each(&limiter, &keys).iter().filter(|(_, decision)| decision.is_allowed()).count() as u64;
        assert_eq!(allowed, 100 - stats.allowed, "who was not counted before");
    }
}

#[test]
fn kept_keys_text_and_a_full_table_are_decided_alike() {
    let clock = ManualClock::default();
    let names: Vec<String> = (0..100).map(|name| format!("client-{name}")).collect();
    let kept = RateLimiter::<String, _>::builder(Gcra::per_hour(1)).capacity(20_000).keep_keys().build();
    let keys = || names.iter().chain(&names);
    let mut allowed = 0;
    kept.allow_each(keys(), |_, decision| allowed += u32::from(decision.is_allowed()));
    assert_eq!((allowed, kept.usage().len()), (100, 100));
    let texts = RateLimiter::<String, _>::builder(Gcra::per_hour(1)).capacity(20_000).build();
    texts.allow_each(names.iter().map(String::as_str), |_, decision| allowed += u32::from(decision.is_allowed()));
    assert_eq!(allowed, 200);

    let full = |on_full| {
        let builder = RateLimiter::<u32, _>::builder(Gcra::per_hour(1)).capacity(20_000).ledger(0);
        let limiter = builder.on_full(on_full).timer(clock.clone()).build();
        let keys: Vec<u32> = (0..200_000).collect();
        each(&limiter, &keys).iter().filter(|(_, decision)| decision.is_allowed()).count()
    };
    assert_eq!(full(OnFull::Allow), 200_000);
    assert!((20_000..100_000).contains(&full(OnFull::Deny)));
}
