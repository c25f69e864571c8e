//! Full tables: whoever comes is served as long as there is an idle entry to be had, at a bounded cost.

use super::*;

/// A table full of keys that are idle from two seconds on; of so many slots, each finds its key up to 68.
fn full_of_idle(size: usize, cells: usize) -> RateLimiterIn<u32, Gcra, Heap> {
    let mut limiter = RateLimiterIn::allocate(Gcra::per_second(1), size, cells, HashSeed::new(1, size as u64));
    (0..2 * size as u32).for_each(|key| _ = limiter.allow(&key, at(0)));
    assert!(limiter.len() * 10 >= size * 9, "{} of {size}", limiter.len());
    limiter
}

#[test]
fn found_a14_every_newcomer_to_a_full_table_of_idle_keys_is_served() {
    for (size, cells) in [1, 2, 31, 32, 33, 68, 200, 1_000, 4_096].into_iter().flat_map(|n| [(n, 0), (n, n)]) {
        let mut limiter = full_of_idle(size, cells);
        let before = limiter.stats();
        let newcomers = (3 * size as u32).max(2_000);
        let mut now = at(2);
        for key in 1_000_000..1_000_000 + newcomers {
            assert!(limiter.check(&key, now).is_allowed(), "{key} of {newcomers} finds {size} others");
            assert!(limiter.allow(&key, now).is_allowed(), "{key} of {newcomers} finds {size} others");
            // Their entries, too, are idle before those of all others were reused.
            now = now.saturating_add(Duration::from_nanos(4_000_000_000 / size as u64));
        }
        let stats = limiter.stats();
        assert_eq!((stats.overflowed, stats.evicted), (before.overflowed, before.evicted), "{size}");
        assert!(stats.reused - before.reused > u64::from(newcomers) / 2);
    }
}

/// What a newcomer to a full table is told is true.
#[test]
fn found_a13_a_newcomer_is_allowed_when_it_was_told_to_come() {
    for (size, cells) in [1, 31, 33, 100, 1_000].into_iter().flat_map(|size| [(size, 0), (size, size)]) {
        let mut limiter: RateLimiterIn<u32, Gcra, Heap> =
            RateLimiterIn::allocate(Gcra::per_hour(1), size, cells, HashSeed::FIXED);
        for key in 0..4 * size as u32 {
            // In another order than that of the slots.
            let second = u64::from(key).wrapping_mul(7_919) % 3_001;
            let _ = limiter.allow(&key, at(second));
        }
        let mut told = 0;
        for key in 1_000_000..1_000_100 {
            let Decision::Deny { retry_at } = limiter.allow(&key, at(3_001)) else { continue };
            told += 1;
            let verdict = limiter.check_verdict(&key, ONE, at(3_001)).unwrap();
            assert_eq!((verdict.retry_at(), verdict.remaining, verdict.reset_at), (Some(retry_at), 0, retry_at));
            assert_eq!(limiter.reset_at(&key, at(3_001)), retry_at);
            let before = retry_at.saturating_sub(Duration::from_nanos(1));
            assert_eq!(limiter.check(&key, before), Decision::Deny { retry_at }, "sooner");
            assert!(limiter.check(&key, retry_at).is_allowed());
        }
        assert!(told > 30, "{told} of {size} with {cells}");
    }
}

/// As many newcomers at once as there are idle entries, to the last one.
#[test]
fn found_a14_as_many_newcomers_as_there_are_entries_are_served_at_once() {
    for size in [1, 4, 33, 68] {
        let mut limiter = full_of_idle(size, 0);
        for key in 1_000_000..1_000_000 + size as u32 {
            assert!(limiter.allow(&key, at(2)).is_allowed(), "{key} of {size}");
        }
        assert!(!limiter.allow(&0, at(2)).is_allowed());
    }
}

/// It is denied for good, as `allow` says, whatever entry gets idle.
#[test]
fn found_a13_under_a_quota_of_zero_a_newcomer_to_a_full_table_is_promised_nothing() {
    for (cells, on_full) in [(0, OnFull::Deny), (2, OnFull::Deny), (2, OnFull::Serve), (2, OnFull::Allow)] {
        let mut limiter = full_of_idle(2, cells).with_on_full(on_full);
        limiter.set_quota(Gcra::per_second(0), at(0));
        let never = Decision::Deny { retry_at: Instant::MAX };
        assert_eq!((limiter.check(&9, at(0)), limiter.allow(&9, at(0))), (never, never));
        assert_eq!(limiter.check_verdict(&9, ONE, at(0)).map(|verdict| verdict.decision), Ok(never));
        assert_eq!(limiter.ready_at(&9, 0, ONE, at(0)), Ok(Instant::MAX));
    }
}

#[test]
fn what_never_fits_is_not_waited_for_in_a_full_table() {
    for (cells, on_full) in [(0, OnFull::Deny), (2, OnFull::Deny), (2, OnFull::Serve), (2, OnFull::Allow)] {
        let mut limiter = full_of_idle(2, cells).with_on_full(on_full);
        let two = NonZeroU32::new(2).unwrap();
        let never = CostExceedsBurst { limit: 1 };
        assert_eq!(limiter.ready_at(&9, 0, two, at(0)), Err(never));
        assert_eq!((limiter.check_n(&9, two, at(0)), limiter.allow_n(&9, two, at(0))), (Err(never), Err(never)));
    }
}

/// What the ledger refuses: `check` and `ready_at` say what `allow` does, whatever is done with it.
#[test]
fn beyond_the_ledger_a_check_says_what_is_then_decided() {
    fn check<A: Quota + Clone>(quota: A) {
        for on_full in [OnFull::Deny, OnFull::Serve, OnFull::Allow] {
            let mut limiter =
                RateLimiterIn::<u32, A, Heap>::allocate(quota.clone(), 8, 4, HashSeed::FIXED).with_on_full(on_full);
            let (mut refused, two) = (0, NonZeroU32::new(2).unwrap());
            for key in 0..400 {
                let now = at(100 + u64::from(key / 40));
                for cost in [ONE, two] {
                    let (checked, ready_at) = (limiter.check_n(&key, cost, now), limiter.ready_at(&key, 0, cost, now));
                    let verdict = limiter.check_verdict(&key, cost, now).unwrap();
                    let told = limiter.allow_n(&key, cost, now);
                    assert_eq!((checked, Ok(verdict.decision)), (told, told), "{on_full:?} {key}");
                    assert_eq!(ready_at == Ok(now), told == Ok(Decision::Allow));
                    refused += u32::from(verdict.remaining < cost.get());
                }
            }
            let stats = limiter.stats();
            assert!(refused > 100 && stats.allowed + stats.denied == 800, "{refused} {stats:?}");
            assert_eq!(stats.unlimited > 0, on_full == OnFull::Allow);
            assert_eq!(stats.denied > 0, on_full != OnFull::Allow);
        }
    }
    check(Gcra::every(Duration::from_secs(10)).burst(3));
    check(SlidingLog::<3>::new(Duration::from_secs(30)));
}

/// A request above its quota each time it comes anew, and no more.
#[test]
fn whoever_is_served_by_way_of_exception_has_nothing_left() {
    fn check<A: Quota>(quota: A) {
        let mut limiter =
            RateLimiterIn::<u32, A, Heap>::allocate(quota, 4, 1, HashSeed::FIXED).with_on_full(OnFull::Serve);
        for key in 0..100 {
            (0..2).for_each(|_| _ = limiter.allow(&key, at(100)));
        }
        assert!(limiter.allow(&1_000, at(100)).is_allowed());
        assert!(!limiter.allow(&1_000, at(100)).is_allowed());
        assert_eq!(limiter.remaining(&1_000, at(100)), 0);
    }
    check(Gcra::per_hour(3));
    check(SlidingLog::<3>::per_hour());
}

/// An entry goes only if it was used least, and is not used up; what it owed is not forgotten.
#[test]
fn the_entry_that_was_used_least_goes_and_its_debt_stays() {
    fn check<A: Quota>(quota: A) {
        let mut limiter = RateLimiterIn::<u32, A, Heap>::allocate(quota, 4, 64, HashSeed::FIXED);
        for key in 0..4 {
            (0..=key).for_each(|_| assert!(limiter.allow(&key, at(100)).is_allowed()));
        }
        assert!(limiter.allow(&9, at(100)).is_allowed());
        let has_entry = |limiter: &RateLimiterIn<u32, A, Heap>, key| limiter.find(limiter.hash(&key), &key).is_some();
        assert_eq!([0, 1, 2, 3, 9].map(|key| has_entry(&limiter, key)), [false, true, true, true, true]);
        assert_eq!((limiter.remaining(&0, at(100)), limiter.stats().evicted), (3, 1));
        // Who is used up stays: then the cell decides alone.
        for key in [1, 2, 3, 9] {
            while limiter.allow(&key, at(100)).is_allowed() {}
        }
        (0..3).for_each(|_| assert!(limiter.allow(&0, at(100)).is_allowed()));
        assert!(!limiter.allow(&0, at(100)).is_allowed());
        assert_eq!([0, 1, 2, 3, 9].map(|key| has_entry(&limiter, key)), [false, true, true, true, true]);
        let stats = limiter.stats();
        assert_eq!((stats.evicted, stats.overflowed, stats.refused), (1, 4, 1));
    }
    check(Gcra::per_hour(4));
    check(SlidingLog::<4>::per_hour());
}
