//! 32 keys of 8 bytes, each with a value of 4.

use core::time::Duration;

use steadfast_core::{
    CachedRateLimiter, Gcra, Instant,
    rate_limiter::{AllowOrCached, FlightPermit},
};

pub type Limiter = CachedRateLimiter<u64, u32, Gcra, 32>;

pub const NEW: Limiter = CachedRateLimiter::new(Gcra::per_minute(1), Duration::from_secs(5));

operations! {
    fn allow_or_cached<'a>(limiter: &'a mut Limiter, key: &u64, now: Instant) -> AllowOrCached<FlightPermit, &'a u32> {
        limiter.allow_or_cached(key, now)
    }
    fn complete(limiter: &mut Limiter, permit: FlightPermit, value: u32, now: Instant) -> bool {
        limiter.complete(permit, value, now).is_ok()
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn refund(limiter: &mut Limiter, permit: FlightPermit, now: Instant) {
            limiter.refund(permit, now);
        }
        fn cleanup(limiter: &mut Limiter, now: Instant) -> usize {
            limiter.cleanup(now)
        }
    }
}
