//! What is enforced, for whom, and what is counted where it is not.

use super::*;

const THREE: NonZeroU32 = NonZeroU32::MIN.saturating_add(2);

type Limiter<A> = RateLimiterIn<u32, A, Heap>;

fn limiter<A: Quota>(quota: A, hasher: HashSeed) -> Limiter<A> {
    RateLimiterIn::allocate(quota, 4, 4, hasher)
}

fn observed<A: Quota>(quota: A) -> Limiter<A> {
    limiter(quota, HashSeed::FIXED).with_enforce(Enforce::Observe)
}

#[test]
fn a_limiter_in_arrays_pays_nothing_for_it() {
    assert_eq!(size_of::<<Inline<4> as Storage>::Extra<Shadow>>(), 0);
    assert_eq!(size_of::<Counts>() + 8, size_of::<RateLimiterStats>());
    let mut fixed: RateLimiter<u32, Gcra, 4> = RateLimiter::new(Gcra::per_second(1));
    let mut chosen = limiter(Gcra::per_second(1), HashSeed::FIXED);
    assert_eq!((0..3).map(|_| fixed.allow(&7, at(1)).is_allowed()).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!((0..3).map(|_| chosen.allow(&7, at(1)).is_allowed()).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!((fixed.stats(), fixed.stats().overridden), (chosen.stats(), 0));
}

#[test]
fn nothing_is_denied_and_what_would_be_is_counted() {
    let mut limiter = observed(Gcra::per_second(2));
    (0..5).for_each(|_| assert_eq!(limiter.allow(&7, at(1)), Decision::Allow));
    assert_eq!(limiter.check(&7, at(1)), Decision::Allow);
    assert_eq!(limiter.allow_n(&7, THREE, at(1)), Ok(Decision::Allow), "it never fits");
    assert_eq!(limiter.check_n(&8, THREE, at(1)), Ok(Decision::Allow), "nor for a newcomer");
    assert_eq!(limiter.allow_n(&8, THREE, at(1)), Ok(Decision::Allow));
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.denied, stats.overridden), (7, 0, 5));
    assert_eq!((limiter.remaining(&7, at(1)), limiter.remaining(&8, at(1)), limiter.len()), (0, 2, 1));
    let once = stats.since(RateLimiterStats::default());
    assert_eq!((once.overridden, stats.plus(stats).overridden, stats.since(stats).overridden), (5, 10, 0));
}

#[test]
fn from_yes_on_everybody_has_what_the_quota_left() {
    let mut limiter = observed(SlidingLog::<2>::per_minute());
    assert_eq!(
        (limiter.enforce(), self::limiter(Gcra::per_second(1), HashSeed::FIXED).enforce()),
        (Enforce::Observe, Enforce::Yes,)
    );
    (0..9).for_each(|second| assert!(limiter.allow(&7, at(second)).is_allowed()));
    limiter.set_enforce(Enforce::Yes);
    assert_eq!(limiter.allow(&7, at(9)), Decision::Deny { retry_at: at(60) });
    assert!(limiter.allow(&7, at(60)).is_allowed(), "what passed above the quota did not count");
}

#[test]
fn a_quota_of_zero_and_a_full_table_deny_nobody() {
    let mut nothing = observed(SlidingLog::<0>::per_minute());
    assert!(nothing.check(&7, at(1)).is_allowed() && nothing.allow(&7, at(1)).is_allowed());
    let quota = SlidingLog::<1>::per_minute();
    for cells in [0, 1] {
        let mut full = RateLimiterIn::<u32, _, Heap>::allocate(quota, 1, cells, HashSeed::FIXED);
        full.set_enforce(Enforce::Observe);
        assert!((0..9).all(|key| full.allow(&key, at(10)).is_allowed()));
        let verdict = full.check_verdict(&9, ONE, at(10)).unwrap();
        assert!(verdict.is_allowed() && verdict.overridden);
        assert_eq!((verdict.remaining, verdict.reset_at, verdict.more_at), (0, at(70), at(70)));
        assert_eq!(full.allow_verdict(&9, ONE, at(10)), Ok(verdict));
        let never = full.check_verdict(&9, THREE, at(10)).unwrap();
        assert!(never.is_allowed() && never.overridden);
        let stats = full.stats();
        assert_eq!((stats.allowed, stats.denied, full.len()), (10, 0, 1));
        assert_eq!(stats.overridden, 9 - cells as u64, "one more by the cell");
    }
}

#[test]
fn a_verdict_tells_who_was_let_through_so_that_it_is_not_refunded() {
    let mut limiter = observed(Gcra::per_second(1));
    let first = limiter.allow_verdict(&7, ONE, at(1)).unwrap();
    let second = limiter.allow_verdict(&7, ONE, at(1)).unwrap();
    assert_eq!((first.overridden, second.overridden), (false, true));
    assert_eq!(second, Verdict { overridden: true, ..first });
    assert_eq!(second.retry_at(), None);
    limiter.set_enforce(Enforce::Yes);
    let denied = limiter.allow_verdict(&7, ONE, at(1)).unwrap();
    assert!(!denied.is_allowed() && !denied.overridden);
}

/// Which of 10,000 keys are enforced.
fn enforced(share: u16, hasher: HashSeed) -> Vec<u32> {
    let limiter = limiter(SlidingLog::<0>::per_second(), hasher);
    let mut limiter = limiter.with_enforce(Enforce::Percent(Percent::try_from_permille(share).unwrap()));
    let enforced: Vec<_> = (0..10_000).filter(|key| !limiter.allow(key, at(1)).is_allowed()).collect();
    let stats = limiter.stats();
    assert_eq!((stats.denied, stats.overridden), (enforced.len() as u64, 10_000 - enforced.len() as u64));
    let checked = (0..10_000).filter(|key| !limiter.check(key, at(2)).is_allowed());
    assert!(checked.eq(enforced.iter().copied()), "a key is always treated alike");
    enforced
}

#[test]
fn a_share_of_the_keys_is_enforced_and_stays_so_when_it_grows() {
    for seed in 1..4 {
        let mut fewer = Vec::new();
        for share in [1, 10, 200, 500, 999, 1_000] {
            let keys = enforced(share, HashSeed::new(seed, 2));
            // Six times what such a count deviates.
            let (expected, part) = (f64::from(share) * 10.0, f64::from(share) / 1_000.0);
            let most = 6.0 * (expected * (1.0 - part)).sqrt();
            assert!((keys.len() as f64 - expected).abs() <= most, "{} for {share} of a thousand", keys.len());
            assert!(fewer.iter().all(|key| keys.binary_search(key).is_ok()), "a key was let go by {share}");
            fewer = keys;
        }
    }
    let half = enforced(500, HashSeed::new(1, 2));
    let others = enforced(500, HashSeed::new(3, 4));
    let both = half.iter().filter(|key| others.binary_search(key).is_ok()).count();
    assert!((2_000..3_000).contains(&both), "another secret chooses others: {both} in both");
}

#[test]
fn who_waits_is_allowed_at_once_and_counted_once() {
    let mut limiter = observed(Gcra::per_second(1));
    for _ in 0..3 {
        assert_eq!(limiter.allow_n_waiting(&7, ONE, at(1)), Ok(Decision::Allow));
    }
    assert_eq!((limiter.stats().allowed, limiter.stats().overridden), (3, 2));
}
