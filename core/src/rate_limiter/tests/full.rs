//! Full tables: whoever comes is served as long as there is an idle entry to be had, at a bounded cost.

use super::*;

const SIZES: [usize; 9] = [1, 2, 31, 32, 33, 200, 1_000, 4_096, 65_536];

/// A table full of keys that are idle from two seconds on.
fn full_of_idle<S: Allocate>(size: usize, on_full: OnFull) -> RateLimiterIn<u32, Gcra, S> {
    let mut limiter = RateLimiterIn::allocate(Gcra::per_second(1), size, HashSeed::new(1, size as u64));
    limiter = limiter.with_on_full(on_full);
    let keys = 0..limiter.capacity() as u32;
    keys.for_each(|key| assert!(limiter.allow(&key, at(0)).is_allowed()));
    limiter
}

/// How far a newcomer's search goes that finds nobody idle.
fn slots_that_hold_32_entries<S: Storage>(limiter: &RateLimiterIn<u32, Gcra, S>, home: usize) -> usize {
    let slots = limiter.table.slots();
    let is_taken = |step: &usize| limiter.table.get((home + step) % slots).is_some();
    (0..slots).filter(is_taken).nth(31).map_or(slots, |step| step + 1)
}

/// Every newcomer gets an entry, until in all but the largest table each was reused three times.
fn every_newcomer_gets_an_entry<S: Allocate>(on_full: OnFull) {
    for size in SIZES {
        let mut limiter = full_of_idle::<S>(size, on_full);
        let newcomers = (3 * size as u32).clamp(2_000, 66_000);
        let mut now = at(2);
        for key in 1_000_000..1_000_000 + newcomers {
            assert!(limiter.check(&key, now).is_allowed(), "{key} of {newcomers} finds {size} others");
            assert!(limiter.allow(&key, now).is_allowed(), "{key} of {newcomers} finds {size} others");
            // Their entries, too, are idle before those of all others were reused.
            now = now.saturating_add(Duration::from_nanos(4_000_000_000 / size as u64));
        }
        let stats = limiter.stats();
        // Vacant slots do not gather so that a search would take long.
        let longest = (0..limiter.table.slots()).map(|home| slots_that_hold_32_entries(&limiter, home)).max();
        assert!(longest <= Some(32.min(limiter.len()) + 128), "{longest:?} slots of {size}");
        assert_eq!((stats.overflowed, stats.reused, limiter.len()), (0, newcomers.into(), limiter.capacity()));
    }
}

#[test]
fn found_a14_every_newcomer_to_a_full_table_of_idle_keys_is_served() {
    for on_full in [OnFull::Deny, OnFull::Share] {
        every_newcomer_gets_an_entry::<Window<0>>(on_full);
        every_newcomer_gets_an_entry::<Window<2>>(on_full);
        every_newcomer_gets_an_entry::<Window<8>>(on_full);
    }
}

#[test]
fn found_a14_every_newcomer_to_a_full_inline_table_of_idle_keys_is_served() {
    fn check<const N: usize>() {
        for on_full in [OnFull::Deny, OnFull::Share] {
            let mut limiter: Box<RateLimiter<u32, Gcra, N>> =
                Box::new(RateLimiter::new(Gcra::per_second(1)).with_on_full(on_full));
            (0..N as u32).for_each(|key| assert!(limiter.allow(&key, at(0)).is_allowed()));
            for key in 0..10_000 {
                assert!(limiter.allow(&(100_000 + key), at(2 + u64::from(key))).is_allowed(), "{key} finds {N}");
            }
            assert_eq!((limiter.stats().overflowed, limiter.stats().reused, limiter.len()), (0, 10_000, N));
        }
    }
    check::<1>();
    check::<2>();
    check::<31>();
    check::<32>();
    check::<33>();
    check::<200>();
    check::<1_000>();
    check::<4_096>();
}

/// What a newcomer to a full table is told is true, though only 32 entries are looked at.
#[test]
fn found_a13_a_newcomer_is_allowed_when_it_was_told_to_come() {
    fn check<S: Allocate>(size: usize) {
        let mut limiter: RateLimiterIn<u32, Gcra, S> =
            RateLimiterIn::allocate(Gcra::per_hour(1), size, HashSeed::FIXED);
        limiter = limiter.with_on_full(OnFull::Deny);
        for key in 0..size as u32 {
            // In another order than that of the slots.
            let second = u64::from(key).wrapping_mul(7_919) % 3_001;
            assert!(limiter.allow(&key, at(second)).is_allowed());
        }
        for key in 1_000_000..1_000_100 {
            let Decision::Deny { retry_at } = limiter.allow(&key, at(3_001)) else { panic!("an entry for {key}") };
            let verdict = limiter.check_verdict(&key, ONE, at(3_001)).unwrap();
            assert_eq!((verdict.retry_at(), verdict.remaining, verdict.reset_at), (Some(retry_at), 0, retry_at));
            assert_eq!(limiter.reset_at(&key, at(3_001)), retry_at);
            assert!(limiter.check(&key, retry_at).is_allowed());
            let before = retry_at.saturating_sub(Duration::from_nanos(1));
            assert!(size > 32 || limiter.check(&key, before) == Decision::Deny { retry_at }, "sooner");
        }
    }
    for size in [1, 31, 33, 100, 1_000] {
        check::<Window<0>>(size);
        check::<Window<2>>(size);
        check::<Window<8>>(size);
    }
}

/// As many newcomers at once as there are idle entries, to the last one.
#[test]
fn found_a14_as_many_newcomers_as_there_are_entries_are_served_at_once() {
    fn check<S: Allocate>(size: usize) {
        let mut limiter = full_of_idle::<S>(size, OnFull::Deny);
        for key in 1_000_000..1_000_000 + size as u32 {
            assert!(limiter.allow(&key, at(2)).is_allowed(), "{key} of {size}");
        }
        assert!(!limiter.allow(&0, at(2)).is_allowed());
    }
    for size in [33, 255, 1_000, 20_000] {
        check::<Window<0>>(size);
        check::<Window<2>>(size);
        check::<Window<8>>(size);
    }
}

/// It is denied for good, as `allow` says, whatever entry gets idle.
#[test]
fn found_a13_under_a_quota_of_zero_a_newcomer_to_a_full_table_is_promised_nothing() {
    for on_full in [OnFull::Deny, OnFull::Share] {
        let mut limiter = full_of_idle::<Window<0>>(2, on_full);
        limiter.set_quota(Gcra::per_second(0), at(0));
        let never = Decision::Deny { retry_at: Instant::MAX };
        assert_eq!((limiter.check(&9, at(0)), limiter.allow(&9, at(0))), (never, never));
        assert_eq!(limiter.check_verdict(&9, ONE, at(0)).map(|verdict| verdict.decision), Ok(never));
        assert_eq!(limiter.ready_at(&9, 0, ONE, at(0)), Ok(Instant::MAX));
    }
}

#[test]
fn what_never_fits_is_not_waited_for_in_a_full_table() {
    let mut limiter = full_of_idle::<Window<0>>(2, OnFull::Deny);
    let two = NonZeroU32::new(2).unwrap();
    assert_eq!(limiter.ready_at(&9, 0, two, at(0)), Err(CostExceedsBurst { limit: 1 }));
}
