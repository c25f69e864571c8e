use core::time::Duration;

use heapless::Vec;
use steadfast_core::{
    CachedRateLimiter, SlidingLog,
    rate_limiter::{AllowOrCached, FlightPermit},
};

use super::{rounds, take};
use crate::{Fold, HostileClock, Script, hasher::SameEverywhere};

/// 20 keys on 16 entries.
pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |_, operations| {
        let quota = SlidingLog::<3>::per_second();
        let lease = Duration::from_millis(300);
        let mut limiter: CachedRateLimiter<u32, u64, _, 16, _> =
            CachedRateLimiter::with_hasher(quota, lease, SameEverywhere);
        let mut permits: Vec<FlightPermit, 8> = Vec::new();
        let mut clock = HostileClock::new(Duration::from_millis(20));
        for _ in 0..operations {
            let now = clock.tick(script);
            let key = script.below(20).min(script.below(20));
            match script.below(32) {
                0..20 => match limiter.allow_or_cached(&key, now) {
                    AllowOrCached::Allowed(permit) => {
                        fold.number(0);
                        let _lost = permits.push(permit);
                    }
                    AllowOrCached::Cached { value, age } => fold.answer(&(1, value, age)),
                    AllowOrCached::Denied { retry_at } => fold.answer(&(2, retry_at)),
                    AllowOrCached::InFlight => fold.number(3),
                },
                20..27 => {
                    if let Some(permit) = take(&mut permits, script) {
                        fold.answer(&limiter.complete(permit, script.any(), now).map_err(|lost| lost.0));
                    }
                }
                27 | 28 => {
                    if let Some(permit) = take(&mut permits, script) {
                        limiter.release(permit, now);
                    }
                }
                29 | 30 => {
                    if let Some(permit) = take(&mut permits, script) {
                        limiter.refund(permit, now);
                    }
                }
                _ => fold.number(limiter.cleanup(now) as u64),
            }
            fold.answer(&(limiter.stats(), limiter.len()));
        }
    });
}
