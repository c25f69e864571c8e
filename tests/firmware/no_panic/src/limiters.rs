use core::num::{NonZeroU16, NonZeroU32};

use steadfast_core::{
    CachedRateLimiter, Gcra, RateLimiter, SlidingLog,
    foundation::storage::{Allocate, Storage},
    rate_limiter::{
        AllowOrCached, Enforce, FlightEnd, Held, Keys, OnFull, PerKey, Percent, Quota, RateLimiterIn, SlidingLogIn,
        Top, Verdict,
    },
};

use crate::{any, now, see, see_all, seed, span};

pub fn probe() {
    rate_limiter(Gcra::every(span()));
    rate_limiter(Gcra::per(any(), span()).burst(any()));
    rate_limiter(SlidingLog::<5>::new(span()));
    rate_limiter((Gcra::per(any(), span()), SlidingLog::<5>::new(span())));
    let of = |burst| Gcra::every(span()).burst(burst);
    rate_limiter((of(any()), of(any()), of(any())));
    let size = NonZeroU16::new(any()).unwrap_or(NonZeroU16::MIN);
    let log = SlidingLogIn::<Eight>::new(size, span());
    see(log.window());
    rate_limiter(log);
    rate_limiter_with_keys();
    let own = || Gcra::every(span()).burst(any()).per_key();
    rate_limiter(own());
    with_quota(own);
    with_quota(|| (own(), own()));
    with_quota(|| (own(), own(), own()));
    not_enforced(Gcra::every(span()));
    not_enforced(SlidingLog::<5>::new(span()));
    cached_rate_limiter();
    top();
    see((Gcra::per_second(any()), Gcra::per_minute(any()), Gcra::per_hour(any()).interval()));
    see((SlidingLog::<5>::per_second(), SlidingLog::<5>::per_minute(), SlidingLog::<5>::per_hour().window()));
}

/// Eight slots, however many are asked for.
#[derive(Clone, Debug)]
pub struct Eight;

impl Storage for Eight {
    type Of<T> = [T; 8];
    type Lines<T> = [T; 8];
    type Extra<T> = [T; 1];
    type Link = u16;
}

impl Allocate for Eight {
    fn allocate<T>(_len: usize, mut fill: impl FnMut() -> T) -> [T; 8] {
        [(); 8].map(|()| fill())
    }

    fn allocate_lines<T: Copy>(len: usize, slot: T, _beyond: T) -> [T; 8] {
        Self::allocate(len, || slot)
    }

    fn extra<T>(value: T) -> [T; 1] {
        [value]
    }
}

pub fn cost() -> NonZeroU32 {
    NonZeroU32::new(any()).unwrap_or(NonZeroU32::MIN)
}

fn on_full() -> OnFull {
    match any::<u8>() {
        0 => OnFull::Deny,
        1 => OnFull::Serve,
        _ => OnFull::Allow,
    }
}

pub fn enforce() -> Enforce {
    match any::<u8>() {
        0 => Enforce::Yes,
        1 => Enforce::Observe,
        _ => Enforce::Percent(Percent::try_from_permille(any()).unwrap_or(Percent::new(50))),
    }
}

/// What a quota says of a state that is held somewhere.
fn quota<A: Quota>(quota: &A, mut held: Held<'_, A>) {
    see(quota.allow(now(), held.again(), cost(), now(), now()));
    see(quota.check(now(), held.again(), cost(), now()));
    see(quota.ready_at(now(), held.again(), any(), cost(), now()));
    see(quota.refund(now(), held.again(), cost(), now()));
    see(quota.refund_last(now(), held.again(), cost(), now()));
    see(quota.remaining(now(), held.again(), now()));
    see(quota.carry_over(quota, now(), held.again(), now()));
    see(quota.mend(now(), held.again(), now()));
    see(quota.whole_at(now(), held.again(), now()));
    see((quota.latest(now()), quota.limit()));
    held.clear();
}

#[inline(never)]
fn rate_limiter<A: Quota + Clone>(of: A) {
    let mut limiter: RateLimiter<u64, A, 32> = RateLimiter::with_hasher(of.clone(), seed()).with_on_full(on_full());
    limiter.reseed(seed());
    let mut beside = A::IDLE;
    let mut count = A::NOTHING;
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        see(limiter.allow(&key, now()));
        see(limiter.allow_n(&key, cost(), now()));
        see(limiter.allow_with(limiter.hash(&key), &key, now));
        see(limiter.allow_n_with(any(), &key, cost(), now));
        quota(&of, Held::Entry(&mut beside));
        quota(&of, Held::Cell(&mut count));
        of.settle(now(), &beside, &mut count, now());
        of.resume(now(), count, &mut beside);
        see((of.all_but_one(now()).0, of.own_use(now(), &beside, any(), now()), of.debt(now(), count, now())));
        see(limiter.allow_n_waiting(&key, cost(), now()));
        see(limiter.allow_verdict(&key, cost(), now()).map(|verdict| (verdict.is_allowed(), verdict.retry_at())));
        see(limiter.check(&key, now()));
        see(limiter.check_n(&key, cost(), now()));
        see(limiter.check_verdict(&key, cost(), now()));
        see(limiter.remaining(&key, now()));
        see(limiter.reset_at(&key, now()));
        see(limiter.refund(&key, cost(), now()));
        see(limiter.reset(&key, now()));
        see((
            limiter.stats().plus(limiter.stats()).since(limiter.stats()),
            limiter.len(),
            limiter.is_empty(),
            limiter.capacity(),
        ));
        see(limiter.quota().limit());
        if any() {
            limiter.set_quota(of.clone(), now());
            limiter.set_on_full(on_full());
        }
    }
}

#[inline(never)]
fn with_quota<A: PerKey>(of: impl Fn() -> A) {
    let mut limiter: RateLimiter<u64, A, 32> = RateLimiter::with_hasher(of(), seed()).with_on_full(on_full());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        see(limiter.allow_with_quota(&key, of(), cost(), now()).map(Verdict::is_allowed));
        see(limiter.check_with_quota(&key, of(), cost(), now()).map(Verdict::is_allowed));
        see((limiter.refund(&key, cost(), now()), limiter.reset(&key, now())));
    }
}

/// Of run-time size, with what only such a limiter has.
#[inline(never)]
fn not_enforced<A: Quota + Clone>(of: A) {
    let mut limiter = RateLimiterIn::<u64, A, Eight>::allocate(of, any(), any(), seed()).with_on_full(on_full());
    limiter = limiter.with_enforce(enforce());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        see((limiter.allow(&key, now()), limiter.allow_n(&key, cost(), now()), limiter.check(&key, now())));
        see(limiter.allow_n_waiting(&key, cost(), now()));
        see(limiter.allow_verdict(&key, cost(), now()).map(|verdict| verdict.overridden));
        see(limiter.check_verdict(&key, cost(), now()).map(|verdict| verdict.overridden));
        limiter.set_enforce(enforce());
        see((limiter.enforce() == Enforce::Yes, limiter.stats().overridden));
    }
}

#[inline(never)]
fn rate_limiter_with_keys() {
    let quota = Gcra::every(span()).burst(any());
    let mut limiter: RateLimiter<u64, Gcra, 32, _, Keys> = RateLimiter::with_hasher(quota, seed());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        see((limiter.allow(&key, now()), limiter.reset(&key, now())));
        see(limiter.grant(&key, any(), any(), now()));
        see(limiter.cleanup(now()));
        see(limiter.cleanup_with(now(), see));
        see_all(limiter.usage(now()));
    }
}

#[inline(never)]
fn top() {
    let mut top: Top<u64, 8> = Top::new();
    see(Top::<u64, 8>::default().total());
    for _ in 0..any::<u32>() {
        see((top.add(any()), top.total()));
        see_all(top.iter().copied());
    }
}

#[inline(never)]
fn cached_rate_limiter() {
    let mut limiter: CachedRateLimiter<u64, u32, Gcra, 32> =
        CachedRateLimiter::with_hasher(Gcra::every(span()), span(), seed());
    limiter.reseed(seed());
    for _ in 0..any::<u32>() {
        let key: u64 = any();
        let (hash, mut name) = (limiter.hash(&key), if any() { Some(Some(key)) } else { None });
        if let Some(answer) = limiter.allow_or_cached_with(hash, &key, &mut name, now(), see) {
            see(answer.map(see, |_| ()).value());
        }
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
        see(limiter.cleanup_with(now(), |key, value| see((key, value))));
        see((limiter.cleanup(now()), limiter.stats().plus(limiter.stats()).since(limiter.stats())));
        see((limiter.len(), limiter.is_empty(), limiter.capacity()));
        limiter.set_settings(Gcra::every(span()), span(), now());
    }
}
