//! At most so many in any window, never less than promised, and a denial names the exact instant.

use core::time::Duration;

use heapless::Vec;
use steadfast_core::{
    CachedRateLimiter, Gcra, Instant, Lock, RateLimiter, SlidingLog,
    rate_limiter::{AllowOrCached, Decision, Quota},
};

use crate::locks::{Locks, at, before};

const WINDOW: Duration = Duration::from_secs(60);
const LIMIT: usize = 5;
const MAX: u32 = LIMIT as u32;

/// What both algorithms promise for 5 a minute of which all 5 may come at once; `most` in any window.
fn contract<L: Locks, A: Quota>(quota: A, most: usize) {
    let limiter = L::lock(RateLimiter::<u32, A, 2>::new(quota));
    let allow = |key: u32, now: Instant| limiter.with(|limiter| limiter.allow(&key, now));
    let check = |key: u32, now: Instant| limiter.with(|limiter| limiter.check(&key, now));

    for _ in 0..LIMIT {
        assert_eq!(allow(1, at(100)), Decision::Allow);
    }
    let Decision::Deny { retry_at } = allow(1, at(100)) else { panic!("a sixth at once") };
    assert!(retry_at > at(100) && retry_at <= at(100).saturating_add(WINDOW));
    assert!(!check(1, retry_at.saturating_sub(Duration::from_nanos(1))).is_allowed(), "allowed before its time");
    assert!(check(1, retry_at).is_allowed(), "denied at its time");
    assert!(!allow(1, at(99)).is_allowed(), "a clock that steps back reset the quota");

    // Full: those without an entry get what the two cells of the ledger leave, and those with one keep theirs.
    assert!(allow(2, at(100)).is_allowed());
    for _ in 0..LIMIT - 1 {
        assert!(allow(2, at(100)).is_allowed());
    }
    let strangers = (10..60).filter(|key| allow(*key, at(100)).is_allowed()).count();
    assert_eq!(strangers, 2 * LIMIT, "a flood of made-up keys got more than there are cells");
    assert!(!check(1, at(100)).is_allowed() && !check(2, at(100)).is_allowed(), "made-up keys reset a quota");
    let stats = limiter.with(|limiter| limiter.stats());
    assert_eq!((stats.allowed, stats.denied, stats.overflowed, stats.refused), (5 + 5 + 10, 2 + 40, 50, 40));

    // Hammered for four minutes.
    let mut allowed: Vec<Instant, 64> = Vec::new();
    for step in 0..4 * 60 {
        let now = at(1_000 + step);
        if allow(1, now).is_allowed() {
            allowed.push(now).expect("far more than the quota");
        }
    }
    for first in &allowed {
        let in_window = allowed.iter().filter(|at| *at >= first && at.saturating_duration_since(*first) < WINDOW);
        assert!(in_window.count() <= most, "more than {most} in a window");
    }
    assert!(allowed.len() >= 4 * LIMIT, "less than the quota in four windows: {}", allowed.len());
}

/// [`SlidingLog`]: never more than 5 in any minute.
pub fn sliding_log_contract<L: Locks>() {
    contract::<L, _>(SlidingLog::<LIMIT>::new(WINDOW), LIMIT);
}

/// [`Gcra`]: 5 at once, and then one every 12 s.
pub fn gcra_contract<L: Locks>() {
    contract::<L, _>(Gcra::per_minute(MAX).burst(MAX), 2 * LIMIT - 1);
}

/// [`CachedRateLimiter`]: one attempt in flight, its value instead of a denial.
pub fn cached_rate_limiter_contract<L: Locks>() {
    type Pings = CachedRateLimiter<u32, u8, SlidingLog<1>, 2>;
    let pings = L::lock(Pings::new(SlidingLog::new(WINDOW), Duration::from_secs(5)));
    let ask = |now: Instant| pings.with(|pings| pings.allow_or_cached(&1, now).map(|permit| permit, |value| *value));

    let AllowOrCached::Allowed(lost) = ask(at(100)) else { panic!("the first attempt") };
    assert_eq!(ask(at(101)), AllowOrCached::InFlight);
    assert_eq!(ask(at(105)), AllowOrCached::Denied { retry_at: at(160) }, "the lease is over");
    let AllowOrCached::Allowed(permit) = ask(at(160)) else { panic!("its minute is over") };
    assert!(pings.with(|pings| pings.complete(lost, 1, at(161))).is_err(), "the attempt of another");
    assert_eq!(pings.with(|pings| pings.complete(permit, 7, at(162))), Ok(()));
    assert_eq!(ask(before(220)).value(), Some(&7));
    assert!(matches!(ask(at(220)), AllowOrCached::Allowed(_)));
}
