use core::num::{NonZeroU16, NonZeroU32};

use steadfast_core::{
    CachedRateLimiter, Gcra, RateLimiter, SlidingLog,
    foundation::storage::{Allocate, Storage},
    rate_limiter::{AllowOrCached, FlightEnd, OnFull, Quota, SlidingLogIn},
};

use crate::{any, now, see, see_all, seed, span};

pub fn probe() {
    rate_limiter(Gcra::every(span()));
    rate_limiter(Gcra::per(any(), span()).burst(any()));
    rate_limiter(SlidingLog::<5>::new(span()));
    let size = NonZeroU16::new(any()).unwrap_or(NonZeroU16::MIN);
    let log = SlidingLogIn::<Eight>::new(size, span());
    see(log.window());
    rate_limiter(log);
    cached_rate_limiter();
    see((Gcra::per_second(any()), Gcra::per_minute(any()), Gcra::per_hour(any()).interval()));
    see((SlidingLog::<5>::per_second(), SlidingLog::<5>::per_minute(), SlidingLog::<5>::per_hour().window()));
}

/// Eight slots, however many are asked for.
#[derive(Clone, Debug)]
pub struct Eight;

impl Storage for Eight {
    type Of<T> = [T; 8];
    type Link = u16;
}

impl Allocate for Eight {
    fn allocate<T>(_len: usize, mut fill: impl FnMut() -> T) -> [T; 8] {
        [(); 8].map(|()| fill())
    }
}

pub fn cost() -> NonZeroU32 {
    NonZeroU32::new(any()).unwrap_or(NonZeroU32::MIN)
}

#[inline(never)]
fn rate_limiter<A: Quota + Clone>(quota: A) {
    let on_full = if any() { OnFull::Deny } else { OnFull::Share };
    let mut limiter: RateLimiter<u64, A, 32> = RateLimiter::with_hasher(quota.clone(), seed()).with_on_full(on_full);
    limiter.reseed(seed());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        see(limiter.allow(&key, now()));
        see(limiter.allow_n(&key, cost(), now()));
        see(limiter.allow_with(limiter.hash(&key), &key, u64::clone, now));
        see(limiter.allow_n_with(any(), &key, u64::clone, cost(), now));
        see(limiter.quota().ready_at(&A::IDLE, any(), cost(), now()));
        see(limiter.quota().allow_since(&mut { A::IDLE }, cost(), now(), now()));
        see(limiter.allow_n_waiting(&key, cost(), now()));
        see(limiter.allow_verdict(&key, cost(), now()).map(|verdict| (verdict.is_allowed(), verdict.retry_at())));
        see(limiter.check(&key, now()));
        see(limiter.check_n(&key, cost(), now()));
        see(limiter.check_verdict(&key, cost(), now()));
        see(limiter.remaining(&key, now()));
        see(limiter.reset_at(&key, now()));
        see(limiter.refund(&key, cost(), now()));
        see(limiter.reset(&key));
        see(limiter.cleanup(now()));
        see(limiter.cleanup_with(now(), |key, state| see((key, state))));
        see_all(limiter.usage(now()));
        see((limiter.stats().plus(limiter.stats()), limiter.len(), limiter.is_empty(), limiter.capacity()));
        see(limiter.quota().limit());
        if any() {
            limiter.set_quota(quota.clone(), now());
            limiter.set_on_full(on_full);
        }
    }
}

#[inline(never)]
fn cached_rate_limiter() {
    let on_full = if any() { OnFull::Deny } else { OnFull::Share };
    let limiter: CachedRateLimiter<u64, u32, Gcra, 32> =
        CachedRateLimiter::with_hasher(Gcra::every(span()), span(), seed());
    let mut limiter = limiter.with_on_full(on_full);
    limiter.reseed(seed());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        let (hash, gone) = (limiter.hash(&key), |key, value| see((key, value)));
        see(limiter.knows(hash, &key));
        see(limiter.allow_or_cached_with(hash, &key, u64::clone, now(), gone).map(see, |_| ()).value());
        let answer = limiter.allow_or_cached(&key, now());
        see(answer.retry_after(now()));
        if let AllowOrCached::Allowed(permit) = answer {
            match any::<u8>() {
                0 => see(limiter.complete(permit, any(), now())),
                1 => limiter.refund(permit, now()),
                2 => see(limiter.end(permit, FlightEnd::Complete(any()), now())),
                _ => limiter.release(permit, now()),
            }
        }
        see(limiter.cleanup_with(now(), gone));
        see((limiter.cleanup(now()), limiter.stats().plus(limiter.stats())));
        see((limiter.len(), limiter.is_empty(), limiter.capacity()));
        limiter.set_settings(Gcra::every(span()), span(), now());
        limiter.set_on_full(on_full);
    }
}
