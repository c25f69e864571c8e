//! What every type of this crate tells of itself.

use core::time::Duration;
use std::{collections::BTreeMap, io};

use steadfast_core::correlator::Resolution;

use super::*;
use crate::{
    BatchCollector, Breakers, CachedRateLimiter, CircuitBreaker, Correlator, DedupCache, Gcra, KeyedCorrelator, Logger,
    Quorum, RateLimiter, Reset, RetryBudget, Trip,
    batch_collector::Batch,
    dedup_cache::{Claim, OnFull},
    logger::WriteSink,
};

const RESET: Reset = Reset::after(Duration::from_secs(30));

/// The numbers by instrument and attributes; a second one of the same name is a mistake. `then` is called at each.
struct Seen<F> {
    numbers: BTreeMap<(&'static str, Attributes), u64>,
    then: F,
}

impl<R, F: FnMut() -> R> Seen<F> {
    fn note(&mut self, kind: Kind, instrument: &'static Instrument, attributes: Attributes, number: u64) {
        assert_eq!(instrument.kind, kind, "{}", instrument.name);
        assert!(instruments::ALL.contains(&instrument), "{} is not listed", instrument.name);
        let twice = self.numbers.insert((instrument.name, attributes), number);
        assert_eq!(twice, None, "{} {attributes:?} is told twice", instrument.name);
        let _ = (self.then)();
    }
}

impl<R, F: FnMut() -> R> Visitor for Seen<F> {
    fn counter(&mut self, instrument: &'static Instrument, attributes: Attributes, count: u64) {
        self.note(Kind::Counter, instrument, attributes, count);
    }

    fn gauge(&mut self, instrument: &'static Instrument, attributes: Attributes, value: u64) {
        self.note(Kind::Gauge, instrument, attributes, value);
    }

    fn duration(&mut self, instrument: &'static Instrument, attributes: Attributes, value: Duration) {
        self.note(Kind::Duration, instrument, attributes, value.as_secs());
    }
}

/// What is told; `then` is called at each number.
fn told<R>(observed: &dyn Observe, then: impl FnMut() -> R) -> BTreeMap<(&'static str, Attributes), u64> {
    let mut seen = Seen { numbers: BTreeMap::new(), then };
    observed.visit(&mut seen);
    seen.numbers
}

/// The sum over all attributes of an instrument.
fn sum(numbers: &BTreeMap<(&'static str, Attributes), u64>, instrument: &Instrument) -> u64 {
    let of: Vec<u64> =
        numbers.iter().filter(|((name, _), _)| *name == instrument.name).map(|(_, number)| *number).collect();
    assert!(!of.is_empty(), "{} is not told", instrument.name);
    of.iter().sum()
}

#[test]
fn a_limiter_tells_its_decisions_and_its_room() {
    let limiter: RateLimiter<u32, _> = RateLimiter::builder(Gcra::per_hour(1)).capacity(1_000).build();
    for asked in 0..300 {
        let _ = limiter.allow(&(asked % 100));
    }
    // The visitor may use what it visits: no lock is held.
    let numbers = told(&limiter, || limiter.check(&1));
    assert_eq!(sum(&numbers, &instruments::RATE_LIMITER_DECISIONS), 300);
    assert_eq!(numbers[&("steadfast.rate_limiter.decisions", [("decision", "allowed")].as_slice())], 100);
    limiter.set_enforce(crate::rate_limiter::Enforce::Observe);
    (0..50).for_each(|key| assert!(limiter.allow(&key).is_allowed()));
    let numbers = told(&limiter, || limiter.check(&1));
    let decided = ["allowed", "denied", "overridden"];
    let of = |decision| numbers[&("steadfast.rate_limiter.decisions", [("decision", decision)].as_slice())];
    assert_eq!(decided.map(of), [100, 200, 50], "none is counted twice");
    assert_eq!(sum(&numbers, &instruments::RATE_LIMITER_KEYS), 100);
    assert_eq!(sum(&numbers, &instruments::RATE_LIMITER_CAPACITY), limiter.capacity() as u64);
}

#[test]
fn a_caching_limiter_tells_its_answers() {
    let limiter = CachedRateLimiter::<u32, u8, _>::builder(Gcra::per_hour(1), Duration::from_secs(5)).build();
    for key in [1, 2, 1] {
        if let crate::rate_limiter::AllowOrCached::Allowed(attempt) = limiter.allow_or_cached(&key) {
            attempt.complete(7).unwrap();
        }
    }
    let numbers = told(&limiter, || limiter.allow_or_cached(&1));
    assert_eq!(sum(&numbers, &instruments::CACHED_RATE_LIMITER_ANSWERS), 3);
    assert_eq!(sum(&numbers, &instruments::CACHED_RATE_LIMITER_ATTEMPTS), 2);
    assert_eq!(sum(&numbers, &instruments::CACHED_RATE_LIMITER_KEYS), 2);
}

#[test]
fn breakers_tell_their_states() {
    let breaker = CircuitBreaker::new(Trip::consecutive(2), RESET);
    let state = |state| ("steadfast.circuit_breaker.state", &*vec![("state", state)].leak());
    assert_eq!(told(&breaker, || ())[&state("closed")], 1);
    for _ in 0..3 {
        let _ = breaker.call_blocking(|| Err::<(), _>("down"));
    }
    let numbers = told(&breaker, || breaker.state());
    assert_eq!((numbers[&state("closed")], numbers[&state("half_open")], numbers[&state("open")]), (0, 0, 1));
    let calls = sum(&numbers, &instruments::CIRCUIT_BREAKER_CALLS);
    assert_eq!((calls, sum(&numbers, &instruments::CIRCUIT_BREAKER_TRANSITIONS)), (3, 1));

    let breakers = Breakers::<u32>::builder(Trip::consecutive(2), RESET).capacity(1_000).build();
    for key in 0..30 {
        breakers.record_failure(&key);
        if key < 10 {
            breakers.record_failure(&key);
        }
    }
    let numbers = told(&breakers, || breakers.state(&1));
    assert_eq!((numbers[&state("closed")], numbers[&state("half_open")], numbers[&state("open")]), (20, 0, 10));
    assert_eq!(sum(&numbers, &instruments::CIRCUIT_BREAKER_STATE), breakers.len() as u64);
    assert_eq!(sum(&numbers, &instruments::CIRCUIT_BREAKER_UNTRACKED), 0);
}

#[test]
fn ids_and_claims_add_up() {
    let ids = DedupCache::<u32>::builder(Duration::from_secs(600), OnFull::ForgetOldest).build();
    for id in 0..40 {
        match id % 4 {
            0 => drop(ids.claim(&id)), // aborted
            1 => {
                if let Claim::Fresh(claim) = ids.claim(&id) {
                    claim.commit().unwrap();
                }
            }
            2 => core::mem::forget(ids.claim(&id)), // pending
            _ => drop(ids.check(&id)),
        }
    }
    assert!(ids.forget(&1) && !ids.check(&3).is_fresh());
    let numbers = told(&ids, || ids.seen(&1));
    let of = |instrument| sum(&numbers, instrument);
    assert_eq!(of(&instruments::DEDUP_IDS), 41);
    let aborted = numbers[&("steadfast.dedup.claims_ended", [("end", "aborted")].as_slice())];
    let fresh = numbers[&("steadfast.dedup.ids", [("result", "fresh")].as_slice())];
    assert_eq!(fresh, of(&instruments::DEDUP_HELD) + of(&instruments::DEDUP_IDS_ENDED) + aborted);
    assert_eq!(of(&instruments::DEDUP_CLAIMS), of(&instruments::DEDUP_PENDING) + of(&instruments::DEDUP_CLAIMS_ENDED));
    assert_eq!((aborted, of(&instruments::DEDUP_PENDING), of(&instruments::DEDUP_HORIZON)), (10, 10, 600));
}

#[test]
fn calls_and_replies_add_up() {
    let calls: Correlator<u8, u8> = Correlator::new(2);
    let keyed: KeyedCorrelator<u8, u8> = KeyedCorrelator::new(2);
    let wait = Duration::from_secs(60);
    let first = calls.begin(1, wait).unwrap();
    let _ = calls.begin(1, wait).unwrap();
    calls.begin(1, wait).unwrap_err();
    assert!(calls.resolve(first.id(), 1, 7).is_matched());
    assert!(matches!(calls.resolve(first.id(), 1, 7), Resolution::Duplicate(7)));
    for id in [1, 2, 3] {
        let _ = keyed.begin(id, wait);
    }
    assert!(keyed.resolve(&1, 7).is_matched());
    assert!(matches!(keyed.resolve(&9, 7), Resolution::Unknown(7)));
    for numbers in [told(&calls, || calls.len()), told(&keyed, || keyed.len())] {
        let of = |instrument| sum(&numbers, instrument);
        // One was refused, which had not begun.
        assert_eq!(
            of(&instruments::CORRELATOR_BEGUN) + 1,
            of(&instruments::CORRELATOR_CALLS) + of(&instruments::CORRELATOR_PENDING)
        );
        assert_eq!((of(&instruments::CORRELATOR_UNMATCHED), of(&instruments::CORRELATOR_PENDING)), (1, 1));
        assert_eq!(of(&instruments::CORRELATOR_CAPACITY), 2);
        assert!(of(&instruments::CORRELATOR_ROUND_TRIP) < 60);
    }
}

#[test]
fn items_votes_lines_and_retries_add_up() {
    let batches = BatchCollector::builder(100, Duration::from_secs(600)).build(async |_items: Batch<u8>| ()).unwrap();
    for item in 0..15 {
        batches.try_add(item).unwrap();
    }
    let numbers = told(&batches, || batches.is_stopped());
    let left: u64 = ["items", "pending", "in_flight"]
        .map(|name| {
            let name = format!("steadfast.batch.{name}");
            numbers.iter().filter(|((told, _), _)| *told == name).map(|(_, number)| number).sum::<u64>()
        })
        .iter()
        .sum();
    assert_eq!((left, sum(&numbers, &instruments::BATCH_ACCEPTED)), (15, 15));

    let quorum: Quorum<u8, u8> = Quorum::builder(2).build().unwrap();
    for (voter, value) in [(1, 1), (1, 1), (1, 2), (2, 1), (3, 1)] {
        let _ = quorum.vote(quorum.ballot(), &voter, value);
    }
    assert_eq!(sum(&told(&quorum, || quorum.len()), &instruments::QUORUM_VOTES), 5);

    let logger = Logger::builder().without_worker().build(WriteSink::new(io::sink())).unwrap();
    let log = logger.service("a");
    log.info(format_args!("shown"));
    log.debug(format_args!("filtered"));
    let numbers = told(&logger, || logger.stats());
    let of = |instrument| sum(&numbers, instrument);
    let (seen, dropped) = (of(&instruments::LOGGER_SEEN), of(&instruments::LOGGER_DROPPED));
    assert_eq!((seen, dropped + of(&instruments::LOGGER_WAITING) + logger.stats().printed), (2, 2));

    let budget = RetryBudget::percent(20).burst(2);
    for _ in 0..3 {
        let _ = budget.withdraw();
    }
    let numbers = told(&budget, || budget.available());
    assert_eq!(sum(&numbers, &instruments::RETRY_BUDGET_RETRIES), 3);
    assert!(sum(&numbers, &instruments::RETRY_BUDGET_AVAILABLE) <= 2);
}
