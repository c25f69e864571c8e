use core::{num::NonZeroU32, time::Duration};

use steadfast_core::{
    Gcra, HashSeed, RateLimiter, SlidingLog,
    rate_limiter::{OnFull, Quota},
};

use super::rounds;
use crate::{Fold, HostileClock, Script, hasher::SameEverywhere};

const ON_FULL: [OnFull; 3] = [OnFull::Deny, OnFull::Serve, OnFull::Allow];

/// 100 keys on 64 entries.
pub(crate) fn full(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |round, operations| {
        let hasher = SameEverywhere;
        let mut limiter: RateLimiter<u32, Gcra, 64, _> =
            RateLimiter::with_hasher(gcra(round), hasher).with_on_full(ON_FULL[round as usize % ON_FULL.len()]);
        ask(&mut limiter, gcra, 100, fold, script, operations);
    });
}

/// As many keys as entries, and the hash that programs take.
pub(crate) fn with_room(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |round, operations| {
        let seed = HashSeed::new(script.any(), script.any());
        let mut limiter: RateLimiter<u32, Gcra, 64, _> =
            RateLimiter::with_hasher(gcra(round), seed).with_on_full(ON_FULL[round as usize % ON_FULL.len()]);
        ask(&mut limiter, gcra, 64, fold, script, operations);
    });
}

/// Ten keys on eight entries.
pub(crate) fn sliding_log(fold: &mut Fold, script: &mut Script, operations: u32) {
    let log = |round| SlidingLog::new(Duration::from_millis([700, 1_000, 0][round as usize % 3]));
    rounds(operations, |round, operations| {
        let hasher = SameEverywhere;
        let mut limiter: RateLimiter<u32, SlidingLog<5>, 8, _> =
            RateLimiter::with_hasher(log(round), hasher).with_on_full(ON_FULL[round as usize % ON_FULL.len()]);
        ask(&mut limiter, log, 10, fold, script, operations);
    });
}

const fn gcra(round: u32) -> Gcra {
    match round % 6 {
        0 => Gcra::per_second(10).burst(20),
        1 => Gcra::per(7, Duration::from_secs(3)),
        2 => Gcra::per_minute(100).burst(1),
        3 => Gcra::every(Duration::ZERO),
        4 => Gcra::per_hour(600).burst(5),
        _ => Gcra::every(Duration::from_nanos(u64::MAX / 3)).burst(4),
    }
}

fn ask<A: Quota, const N: usize, H: core::hash::BuildHasher>(
    limiter: &mut RateLimiter<u32, A, N, H>,
    quota: impl Fn(u32) -> A,
    keys: u32,
    fold: &mut Fold,
    script: &mut Script,
    operations: u32,
) {
    let mut clock = HostileClock::new(Duration::from_millis(20));
    for _ in 0..operations {
        let now = clock.tick(script);
        // Some come often.
        let key = script.below(keys).min(script.below(keys));
        let cost = NonZeroU32::MIN.saturating_add(script.below(4).saturating_sub(1));
        match script.below(64) {
            0..40 => fold.answer(&limiter.allow_n(&key, cost, now).map_err(|refusal| refusal.limit)),
            40..46 => fold.answer(&limiter.allow_verdict(&key, cost, now).map_err(|refusal| refusal.limit)),
            46..50 => fold.answer(&limiter.check_n(&key, cost, now).map_err(|refusal| refusal.limit)),
            50..53 => fold.answer(&limiter.check_verdict(&key, cost, now).map_err(|refusal| refusal.limit)),
            53..56 => fold.answer(&(limiter.remaining(&key, now), limiter.reset_at(&key, now))),
            56..60 => fold.answer(&limiter.refund(&key, cost, now)),
            60 | 61 => fold.answer(&limiter.reset(&key, now)),
            62 => limiter.set_quota(quota(script.below(6)), now),
            _ => limiter.set_on_full(script.one_of(&ON_FULL)),
        }
        fold.answer(&(limiter.stats(), limiter.len()));
    }
}
