//! Rate limiters.

use crate::operations::{cached_rate_limiter, rate_limiter};
use steadfast_core::{
    HashSeed, Instant,
    rate_limiter::{AllowOrCached, FlightEnd},
};

use super::{
    keys::{by_chance, colliding},
    meter::{By, Meter},
};

const START: Instant = Instant::from_secs(1_000_000);
const MUCH_LATER: Instant = Instant::from_secs(1_001_000);

macro_rules! limiter {
    ($module:ident, $machine:literal) => {
        pub fn $module(meter: &Meter) {
            use rate_limiter::$module::*;

            let mut known = meter.row($machine, "allow, a known key");
            let mut new = meter.row($machine, "allow, a new key");
            let mut denied = meter.row($machine, "deny");
            let mut full = meter.row($machine, "a new key, the table full");
            let mut checked = meter.row($machine, "check");
            let mut remaining = meter.row($machine, "remaining");
            let mut refunded = meter.row($machine, "refund");
            let mut evicted = meter.row($machine, "a new key, another goes");
            let mut reseeded = meter.row($machine, "reseed with 32 keys");
            let strangers = by_chance::<u64, 4>(2);
            for (by, keys, strangers) in
                [(By::Chance, by_chance::<u64, 33>(1), strangers), (By::Enemy, colliding(), strangers)]
            {
                let (keys, colliding_stranger) = (&keys[..32], keys[32]);
                let mut limiter = NEW;
                for (index, key) in keys.iter().enumerate() {
                    assert!(new.count(by, || allow(&mut limiter, key, START)).is_allowed());
                    for key in &keys[..=index] {
                        assert!(known.count(by, || allow(&mut limiter, key, START)).is_allowed());
                        assert!(checked.count(by, || rest::check(&mut limiter, key, START)).is_allowed());
                        assert_eq!(remaining.count(by, || rest::remaining(&mut limiter, key, START)), 3);
                        assert!(refunded.count(by, || rest::refund(&mut limiter, key, START)));
                    }
                }
                // Whoever comes back after long, and finds all the former requests outdated.
                for key in keys {
                    while limiter.allow(key, START).is_allowed() {}
                    assert!(!denied.count(by, || allow(&mut limiter, key, START)).is_allowed());
                    // A clock that stepped back.
                    denied.count(By::Enemy, || allow(&mut limiter, key, Instant::from_secs(1)));
                    checked.count(By::Enemy, || rest::check(&mut limiter, key, START));
                }
                for key in strangers.iter().chain([&colliding_stranger]) {
                    full.count(by, || allow(&mut limiter, key, START));
                    checked.count(By::Enemy, || rest::check(&mut limiter, key, START));
                    remaining.count(By::Enemy, || rest::remaining(&mut limiter, key, START));
                }
                for key in keys {
                    let now = MUCH_LATER;
                    assert!(known.count(By::Enemy, || allow(&mut limiter, key, now)).is_allowed());
                }
                // All but the one that is found last are in use.
                for last in 0..32 {
                    let mut limiter = NEW;
                    keys.iter().for_each(|key| assert!(limiter.allow(key, START).is_allowed()));
                    let busy = keys.iter().enumerate().filter(|(index, _)| *index != last);
                    busy.for_each(|(_, key)| (0..3).for_each(|_| _ = limiter.allow(key, MUCH_LATER)));
                    let decision = full.count(by, || allow(&mut limiter, &colliding_stranger, MUCH_LATER));
                    assert!(decision.is_allowed());
                    assert_eq!(limiter.stats().reused, 1);
                }
                let mut limiter = NEW;
                keys.iter().for_each(|key| assert!(limiter.allow(key, START).is_allowed()));
                // Nobody is idle: somebody has to go, or the ledger decides.
                for key in &by_chance::<u64, 64>(3) {
                    let before = limiter.stats().evicted;
                    let row = if limiter.stats().overflowed > 0 { &mut full } else { &mut evicted };
                    row.count(by, || allow(&mut limiter, key, START));
                    assert!(limiter.stats().evicted > before || limiter.stats().overflowed > 0);
                }
                reseeded.count(by, || rest::reseed(&mut limiter, HashSeed::FIXED));
                assert!(limiter.is_empty());
            }
            for row in [known, new, denied, full, evicted, checked, remaining, refunded, reseeded] {
                row.print();
            }
        }
    };
}

limiter!(gcra, "rate limiter, GCRA");
limiter!(sliding_log, "rate limiter, sliding log");

pub fn cached(meter: &Meter) {
    use cached_rate_limiter::*;

    const MACHINE: &str = "cached rate limiter";
    let mut begun = meter.row(MACHINE, "allow");
    let mut completed = meter.row(MACHINE, "complete");
    let mut refunded = meter.row(MACHINE, "refund");
    let mut cached = meter.row(MACHINE, "cached");
    let mut cleaned = meter.row(MACHINE, "cleanup of 32 keys");
    for (by, keys) in [(By::Chance, by_chance::<u64, 33>(1)), (By::Enemy, colliding())] {
        let (keys, stranger) = (&keys[..32], &keys[32]);
        let mut limiter = NEW;
        for (index, key) in keys.iter().enumerate() {
            for is_refunded in [true, false] {
                let answer = begun.count(by, || allow_or_cached(&mut limiter, key, START).map(|permit| permit, |_| ()));
                let AllowOrCached::Allowed(permit) = answer else { panic!("a new key") };
                if is_refunded {
                    refunded.count(by, || rest::refund(&mut limiter, permit, START));
                } else {
                    assert!(completed.count(by, || complete(&mut limiter, permit, 7, START)));
                }
            }
            for key in &keys[..=index] {
                let is_cached = cached.count(by, || {
                    matches!(allow_or_cached(&mut limiter, key, START), AllowOrCached::Cached { value: 7, .. })
                });
                assert!(is_cached);
            }
        }
        begun.count(By::Enemy, || _ = allow_or_cached(&mut limiter, stranger, START));
        let answer = limiter.allow_or_cached(&keys[0], MUCH_LATER);
        let AllowOrCached::Allowed(permit) = answer else { panic!("after long") };
        assert!(limiter.end(permit, FlightEnd::Complete(7), MUCH_LATER).is_ok());
        begun.count(By::Enemy, || _ = allow_or_cached(&mut limiter, stranger, MUCH_LATER));
        assert_ne!(cleaned.count(by, || rest::cleanup(&mut limiter, Instant::from_secs(2_000_000))), 0);
    }
    for row in [begun, completed, refunded, cached, cleaned] {
        row.print();
    }
}
