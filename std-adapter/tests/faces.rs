//! Every call of a server's keyed type does what its machine does, in one shard and spread over many: the types forward,
//! and a forward that is missing or goes elsewhere is seen here.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use core::{num::NonZeroU32, time::Duration};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use steadfast::{
    Breakers, CachedRateLimiter, DedupCache, Gcra, Instant, RateLimiter, Reset, Trip,
    circuit_breaker::{BreakerMode, Outcome},
    dedup_cache::{self, Claim},
    rate_limiter::{AllowOrCached, OnFull, Quota},
    runtime::Clock,
    storage::Heap,
};
use steadfast_core::{
    HashSeed,
    circuit_breaker::BreakersIn,
    dedup_cache::DedupCacheIn,
    rate_limiter::{CachedRateLimiterIn, Keys, RateLimiterIn},
};

const SPAN: Duration = Duration::from_secs(10);
const KEYS: u64 = 40;
/// One shard, and many.
const CAPACITIES: [usize; 2] = [200, 5_000];

/// A clock that a test sets; clones show the same time.
#[derive(Clone, Debug)]
struct Hand(Arc<AtomicU64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicU64::new(1_000_000)))
    }

    fn pass(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    const fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % most
    }
}

/// Runs a script of many steps on two of a kind: `step` gets a number of a call, a key, and the time.
fn script(calls: u64, clock: &Hand, mut step: impl FnMut(u64, u64, Instant)) {
    let mut dice = Dice(7);
    for _ in 0..3_000 {
        clock.pass(dice.below(200));
        step(dice.below(calls), dice.below(KEYS), clock.now());
    }
}

fn sorted<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.sort();
    items
}

#[test]
fn a_rate_limiter_does_what_its_machine_does() {
    let (quota, other) = (Gcra::per(5, SPAN), Gcra::per(9, SPAN));
    for capacity in CAPACITIES {
        let clock = Hand::new();
        let limiter = RateLimiter::<u64, _>::builder(quota).capacity(capacity).timer(clock.clone());
        let limiter = limiter.keep_keys().build();
        let mut machine: RateLimiterIn<u64, Gcra, Heap, HashSeed, Keys> =
            RateLimiterIn::allocate(quota, limiter.capacity(), 0, HashSeed::FIXED);
        script(12, &clock, |call, key, now| {
            let cost = NonZeroU32::MIN.saturating_add(call as u32 % 11);
            match call {
                0..=3 => assert_eq!(limiter.allow(&key), machine.allow(&key, now)),
                4 => assert_eq!(limiter.allow_at(&key, now), machine.allow(&key, now)),
                5 | 10 => assert_eq!(limiter.allow_n(&key, cost), machine.allow_n(&key, cost, now)),
                // An idle key may have an entry in one and none in the other.
                6 => {
                    let is_idle = limiter.remaining(&key) == machine.quota().limit();
                    let given = (limiter.refund(&key, cost), machine.refund(&key, cost, now));
                    assert!(is_idle || given == (true, true));
                }
                7 => {
                    let _ = (limiter.cleanup(), machine.cleanup(now));
                    assert_eq!((limiter.len(), limiter.is_empty()), (machine.len(), machine.is_empty()));
                }
                8 => {
                    limiter.set_quota(if key == 0 { other } else { quota });
                    machine.set_quota(if key == 0 { other } else { quota }, now);
                }
                _ => {
                    let limit = machine.quota().limit();
                    let is_busy = |(_, left): &(u64, u32)| *left < limit;
                    let usage = machine.usage(now).map(|(key, left)| (*key, left));
                    assert_eq!(sorted(limiter.usage().into_iter().filter(is_busy)), sorted(usage.filter(is_busy)));
                }
            }
            assert_eq!(limiter.check(&key), machine.check(&key, now));
            assert_eq!(limiter.remaining(&key), machine.remaining(&key, now));
            assert_eq!(limiter.reset_at(&key), machine.reset_at(&key, now));
            let (stats, of_machine) = (limiter.stats(), machine.stats());
            assert_eq!((stats.allowed, stats.denied), (of_machine.allowed, of_machine.denied));
            assert_eq!(limiter.now(), now);
        });
        assert!(limiter.capacity() >= capacity);
        assert!(!format!("{limiter:?}").contains(char::is_numeric), "it shows no key");
    }
}

#[test]
fn a_cached_rate_limiter_does_what_its_machine_does() {
    let quota = Gcra::per(3, SPAN);
    for capacity in CAPACITIES {
        let clock = Hand::new();
        let limiter = CachedRateLimiter::<u64, u64, _>::builder(quota, SPAN / 5).capacity(capacity);
        let limiter = limiter.clock(clock.clone()).build();
        let mut machine: CachedRateLimiterIn<u64, u64, Gcra, Heap> =
            CachedRateLimiterIn::allocate(quota, SPAN / 5, limiter.capacity(), 0, HashSeed::FIXED);
        let mut kept = Vec::new();
        script(12, &clock, |call, key, now| {
            match (limiter.allow_or_cached(&key), machine.allow_or_cached(&key, now)) {
                (AllowOrCached::Allowed(guard), AllowOrCached::Allowed(permit)) => match call {
                    0..=2 => assert_eq!(guard.complete(call), machine.complete(permit, call, now)),
                    3 => {
                        guard.refund();
                        machine.refund(permit, now);
                    }
                    4 => {
                        drop(guard);
                        machine.release(permit, now);
                    }
                    _ => kept.push((guard, permit)),
                },
                (AllowOrCached::Cached { value, age }, AllowOrCached::Cached { value: other, age: its }) => {
                    assert_eq!((value, age), (*other, its));
                }
                (AllowOrCached::Denied { retry_at }, AllowOrCached::Denied { retry_at: other }) => {
                    assert_eq!(retry_at, other);
                }
                (AllowOrCached::InFlight, AllowOrCached::InFlight) => {}
                (answer, other) => panic!("{answer:?} where the machine says {other:?}"),
            }
            if call == 10
                && let Some((guard, permit)) = kept.pop()
            {
                assert_eq!(guard.complete(key), machine.complete(permit, key, now));
            }
            if call == 11 {
                assert_eq!(limiter.cleanup(), machine.cleanup(now));
            }
            assert_eq!((limiter.len(), limiter.is_empty()), (machine.len(), machine.is_empty()));
            assert_eq!((limiter.stats(), limiter.now()), (machine.stats(), now));
        });
        assert!(limiter.capacity() >= capacity);
        assert!(!format!("{limiter:?}").contains(char::is_numeric), "it shows no key");
    }
}

#[test]
fn a_dedup_cache_does_what_its_machine_does() {
    for (capacity, on_full) in
        CAPACITIES.into_iter().flat_map(|n| [(n, dedup_cache::OnFull::Refuse), (n, dedup_cache::OnFull::ForgetOldest)])
    {
        let clock = Hand::new();
        let cache = DedupCache::<u64>::builder(SPAN, on_full).lease(SPAN / 5).capacity(capacity).clock(clock.clone());
        let cache = cache.build();
        let mut machine: DedupCacheIn<u64, Heap> =
            DedupCacheIn::allocate(SPAN, on_full, capacity, HashSeed::FIXED).with_lease(SPAN / 5);
        let mut kept = Vec::new();
        script(10, &clock, |call, key, now| {
            match call {
                0 => assert_eq!(cache.check(&key), machine.check(&key, now)),
                1 => assert_eq!(cache.check_at(&key, now), machine.check(&key, now)),
                2 => assert_eq!(cache.mark(&key), machine.mark(&key, now)),
                3 => assert_eq!(cache.cleanup(), machine.cleanup(now)),
                4..=7 => match (cache.claim(&key), machine.claim(&key, now)) {
                    (Claim::Fresh(guard), Claim::Fresh(ticket)) => match call {
                        4 => assert_eq!(guard.commit(), machine.commit(ticket, now)),
                        5 => {
                            drop(guard);
                            machine.abort(ticket, now);
                        }
                        _ => kept.push((guard, ticket)),
                    },
                    (claim, other) => assert_eq!(claim.map(|_| ()), other.map(|_| ())),
                },
                8 => {
                    if let Some((guard, ticket)) = kept.pop() {
                        assert_eq!(guard.commit(), machine.commit(ticket, now));
                    }
                }
                _ => clock.pass(1_000),
            }
            let now = clock.now();
            assert_eq!(cache.seen(&key), machine.seen(&key, now));
            assert_eq!((cache.len(), cache.is_empty()), (machine.len(), machine.is_empty()));
            assert_eq!((cache.horizon(), cache.stats(), cache.now()), (machine.horizon(now), machine.stats(), now));
        });
        assert!(cache.capacity() >= capacity);
        assert!(!format!("{cache:?}").contains(char::is_numeric), "it shows no id");
    }
}

#[test]
fn breakers_do_what_their_machine_does() {
    let (trip, reset) = (Trip::consecutive(2), Reset::after(SPAN / 5));
    for capacity in CAPACITIES {
        let clock = Hand::new();
        let breakers = Breakers::<u64>::builder(trip, reset).capacity(capacity).timer(clock.clone()).build();
        let mut machine: BreakersIn<u64, _, Heap> = BreakersIn::allocate(trip, reset, capacity, HashSeed::FIXED);
        let call_of = |fails: bool| if fails { Err(()) } else { Ok(()) };
        script(16, &clock, |call, key, now| {
            match call {
                0..=5 => {
                    let permit = machine.try_acquire(&key, now);
                    let outcome = if call < 4 { Outcome::Failure } else { Outcome::Success };
                    match breakers.try_acquire(&key) {
                        Ok(guard) => guard.record(outcome),
                        Err(open) => assert_eq!(permit, Err(open)),
                    }
                    _ = permit.map(|permit| machine.record(&key, permit, outcome, now));
                }
                6 | 7 => {
                    let permit = machine.try_acquire(&key, now);
                    let result = breakers.call_blocking(&key, || call_of(call == 6));
                    assert_eq!(result.is_err(), permit.is_err() || call == 6);
                    let outcome = if call == 6 { Outcome::Failure } else { Outcome::Success };
                    _ = permit.map(|permit| machine.record(&key, permit, outcome, now));
                }
                8 => assert_eq!(breakers.allow_request(&key), machine.allow_request(&key, now)),
                9 => {
                    breakers.record_success(&key);
                    machine.record_success(&key, now);
                }
                10 => {
                    breakers.record_failure(&key);
                    machine.record_failure(&key, now);
                }
                11 => assert_eq!(breakers.close(&key), machine.close(&key)),
                12 => assert_eq!(breakers.cleanup(), machine.cleanup(now)),
                13 => assert_eq!(breakers.open(&key), machine.open(&key, now)),
                14 => assert_eq!(breakers.window(&key), machine.window(&key, now)),
                _ => {
                    let mode = if key == 0 { BreakerMode::ObserveOnly } else { BreakerMode::Automatic };
                    breakers.set_mode(mode);
                    machine.set_mode(mode);
                }
            }
            assert_eq!((breakers.state(&key), breakers.mode()), (machine.state(&key), machine.mode()));
            assert_eq!((breakers.len(), breakers.is_empty()), (machine.len(), machine.is_empty()));
            assert_eq!((breakers.stats(), breakers.untracked()), (machine.stats(), machine.untracked()));
            assert_eq!(breakers.now(), now);
            let tripped =
                machine.iter().filter(|(_, state)| *state != steadfast::circuit_breaker::BreakerState::Closed);
            assert_eq!(
                sorted(breakers.tripped().into_iter().map(|(key, state)| (key, format!("{state:?}")))),
                sorted(tripped.map(|(key, state)| (*key, format!("{state:?}"))))
            );
        });
        assert!(breakers.capacity() >= capacity);
        assert!(!format!("{breakers:?}").contains(char::is_numeric), "it shows no key");
    }
}

#[test]
fn a_full_table_does_as_it_was_told() {
    let quota = Gcra::per(1, SPAN);
    for (on_full, cells, served) in
        [(OnFull::Deny, 0, 0), (OnFull::Deny, 1, 1), (OnFull::Allow, 0, 8), (OnFull::Allow, 1, 8)]
    {
        let limiter = RateLimiter::<u64, _>::builder(quota).capacity(8).ledger(cells).on_full(on_full);
        let limiter = limiter.timer(Hand::new()).build();
        assert_eq!((0..8).filter(|key| limiter.allow(key).is_allowed()).count(), 8);
        assert_eq!((8..16).filter(|key| limiter.allow(key).is_allowed()).count(), served);
        assert_eq!(limiter.capacity(), 8);
    }
    let pings = CachedRateLimiter::<u64, (), _>::builder(quota, SPAN).capacity(8).clock(Hand::new()).build();
    let is_tried = |key: &u64| match pings.allow_or_cached(key) {
        AllowOrCached::Allowed(attempt) => attempt.complete(()).is_ok(),
        _ => false,
    };
    assert_eq!((0..8).filter(is_tried).count(), 8);
    let by_the_ledger = (8..1_000).filter(is_tried).count();
    assert_eq!((by_the_ledger, pings.len(), pings.capacity()), (4 * 8, 8, 8));
}
