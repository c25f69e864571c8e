//! 32 keys of 8 bytes.

use core::num::NonZeroU32;

use steadfast_core::{Gcra, HashSeed, Instant, RateLimiter, SlidingLog, rate_limiter::Decision};

pub mod gcra {
    use super::*;

    pub type Limiter = RateLimiter<u64, Gcra, 32>;

    pub const NEW: Limiter = RateLimiter::new(Gcra::per_minute(5));

    operations! {
        fn allow(limiter: &mut Limiter, key: &u64, now: Instant) -> Decision {
            limiter.allow(key, now)
        }
    }

    /// What fewer programs call.
    pub mod rest {
        use super::*;

        operations! {
            fn check(limiter: &mut Limiter, key: &u64, now: Instant) -> Decision {
                limiter.check(key, now)
            }
            fn remaining(limiter: &mut Limiter, key: &u64, now: Instant) -> u32 {
                limiter.remaining(key, now)
            }
            fn refund(limiter: &mut Limiter, key: &u64, now: Instant) -> bool {
                limiter.refund(key, NonZeroU32::MIN, now)
            }
            fn reseed(limiter: &mut Limiter, seed: HashSeed) {
                limiter.reseed(seed);
            }
        }
    }
}

pub mod sliding_log {
    use super::*;

    pub type Limiter = RateLimiter<u64, SlidingLog<5>, 32>;

    pub const NEW: Limiter = RateLimiter::new(SlidingLog::per_minute());

    operations! {
        fn allow(limiter: &mut Limiter, key: &u64, now: Instant) -> Decision {
            limiter.allow(key, now)
        }
    }

    /// What fewer programs call.
    pub mod rest {
        use super::*;

        operations! {
            fn check(limiter: &mut Limiter, key: &u64, now: Instant) -> Decision {
                limiter.check(key, now)
            }
            fn remaining(limiter: &mut Limiter, key: &u64, now: Instant) -> u32 {
                limiter.remaining(key, now)
            }
            fn refund(limiter: &mut Limiter, key: &u64, now: Instant) -> bool {
                limiter.refund(key, NonZeroU32::MIN, now)
            }
            fn reseed(limiter: &mut Limiter, seed: HashSeed) {
                limiter.reseed(seed);
            }
        }
    }
}
