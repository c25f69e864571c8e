//! What is given back, and what is counted of it.

use super::*;

const TWO: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

fn two_a_minute() -> RateLimiter<char, SlidingLog<2>, 4> {
    RateLimiter::new(SlidingLog::per_minute())
}

#[test]
fn found_a12_a_refund_erases_nothing_that_leaves_the_window_later() {
    let mut limiter = two_a_minute();
    assert!(limiter.allow(&'a', at(0)).is_allowed());
    assert!(limiter.allow(&'a', at(59)).is_allowed());
    assert!(limiter.refund(&'a', ONE, at(59)));
    assert!(limiter.allow(&'a', at(59)).is_allowed());
    assert_eq!(limiter.allow(&'a', at(60)), Decision::Deny { retry_at: at(119) }, "a third within a second");
}

#[test]
fn found_a12_what_left_the_window_is_not_given_back_twice() {
    let mut limiter = two_a_minute();
    assert!(limiter.allow_n(&'a', TWO, at(0)).unwrap().is_allowed());
    assert!(limiter.refund(&'a', TWO, at(60)));
    assert_eq!(limiter.remaining(&'a', at(60)), 2);
    assert!(limiter.allow_n(&'a', TWO, at(60)).unwrap().is_allowed());
    assert!(!limiter.allow(&'a', at(60)).is_allowed());
    // More than there is.
    (0..3).for_each(|_| assert!(limiter.refund(&'a', TWO, at(61))));
    assert_eq!(limiter.remaining(&'a', at(61)), 2);
}

#[test]
fn found_a12_a_refund_after_a_step_back_gives_back_one() {
    let mut limiter = two_a_minute();
    assert!(limiter.allow_n(&'a', TWO, at(10_000)).unwrap().is_allowed());
    assert!(limiter.refund(&'a', ONE, at(5_000)));
    assert_eq!((limiter.remaining(&'a', at(5_000)), limiter.reset_at(&'a', at(5_000))), (1, at(5_060)));
}

#[test]
fn found_a13_refunds_are_counted_so_that_the_counts_add_up() {
    let mut limiter: RateLimiter<char, Gcra, 4> = RateLimiter::new(Gcra::per_second(3));
    for _ in 0..1_000 {
        assert!(limiter.allow(&'a', at(1)).is_allowed());
        assert!(limiter.refund(&'a', ONE, at(1)));
    }
    assert!(!limiter.refund(&'b', ONE, at(1)), "there is nothing to give back");
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.refunded), (1_000, 1_000));
    assert_eq!(stats.plus(stats).refunded, 2_000);
}

#[test]
fn found_a13_who_waits_is_counted_once() {
    let mut limiter: RateLimiter<char, Gcra, 1> = RateLimiter::new(Gcra::per_second(1));
    assert_eq!(limiter.allow_n_waiting(&'a', ONE, at(1)), Ok(Decision::Allow));
    let later = Ok(Decision::Deny { retry_at: at(2) });
    (0..9).for_each(|_| assert_eq!(limiter.allow_n_waiting(&'a', ONE, at(1)), later));
    // Without an entry, in the one cell of the ledger.
    assert_eq!(limiter.allow_n_waiting(&'b', ONE, at(1)), Ok(Decision::Allow));
    (0..9).for_each(|_| assert_eq!(limiter.allow_n_waiting(&'c', ONE, at(1)), later));
    assert_eq!(limiter.allow_n_waiting(&'c', TWO, at(1)), Err(CostExceedsBurst { limit: 1 }));
    let stats = limiter.stats();
    assert_eq!((stats.allowed, stats.denied, stats.overflowed), (2, 0, 1));
}

#[test]
fn a_key_that_is_reset_has_its_whole_quota() {
    let mut limiter = two_a_minute();
    assert!(limiter.allow_n(&'a', TWO, at(0)).unwrap().is_allowed());
    assert!(limiter.reset(&'a', at(0)) && !limiter.reset(&'a', at(0)) && limiter.is_empty());
    assert_eq!(limiter.remaining(&'a', at(0)), 2);
}

/// Others may owe what its cell says, and another key would take its entry.
#[test]
fn a_key_that_is_reset_has_its_whole_quota_whatever_the_ledger_says() {
    fn check<A: Quota>(quota: A) {
        let mut limiter: RateLimiter<u32, A, 2> = RateLimiter::new(quota);
        (0..2_000).for_each(|ask| _ = limiter.allow(&(ask % 20), at(0)));
        let known = (0..20).find(|key| limiter.find(limiter.hash(key), key).is_some()).unwrap();
        assert!(limiter.reset(&known, at(0)));
        assert_eq!((limiter.remaining(&known, at(0)), limiter.len()), (3, 2));
    }
    check(Gcra::per_minute(3));
    check(SlidingLog::<3>::per_minute());
}

#[test]
fn a_check_of_many_and_its_verdict_agree_with_what_is_then_decided() {
    let mut limiter: RateLimiter<char, Gcra, 2> = RateLimiter::new(Gcra::per_second(3));
    let three = NonZeroU32::new(3).unwrap();
    for (cost, now) in [(ONE, at(1)), (three, at(1)), (TWO, at(1)), (three, at(2))] {
        let (checked, told) = (limiter.check_n(&'a', cost, now), limiter.check_verdict(&'a', cost, now));
        assert_eq!(told.map(|verdict| verdict.decision), checked);
        let before = limiter.remaining(&'a', now);
        let verdict = limiter.allow_verdict(&'a', cost, now).unwrap();
        assert_eq!((Ok(verdict.decision), verdict.limit), (checked, 3));
        let used = if verdict.is_allowed() { cost.get() } else { 0 };
        assert_eq!((verdict.remaining, verdict.remaining), (before - used, limiter.remaining(&'a', now)));
        assert_eq!(verdict.reset_at, limiter.reset_at(&'a', now));
    }
    let four = NonZeroU32::new(4).unwrap();
    let never = CostExceedsBurst { limit: 3 };
    assert_eq!(limiter.check_n(&'a', four, at(2)), Err(never));
    assert_eq!(limiter.check_verdict(&'z', four, at(2)), Err(never));
    assert_eq!(limiter.allow_verdict(&'z', four, at(2)), Err(never));
}

/// There is one more at `more_at`, and not a nanosecond sooner.
#[test]
fn a_verdict_tells_when_there_is_more_and_how_long_the_limit_is_for() {
    fn check<A: Quota + Clone>(quota: A, window: Duration) {
        let mut limiter: RateLimiter<char, A, 2> = RateLimiter::new(quota);
        for (seconds, remaining) in [(100, 2), (107, 1), (119, 0), (120, 0)] {
            let now = at(seconds);
            let verdict = limiter.allow_verdict(&'a', ONE, now).unwrap();
            assert_eq!((verdict.remaining, verdict.window), (remaining, window));
            let before = verdict.more_at.saturating_sub(Duration::from_nanos(1));
            assert!(before >= now && verdict.more_at <= verdict.reset_at);
            assert_eq!(limiter.remaining(&'a', before), remaining);
            assert_eq!(limiter.remaining(&'a', verdict.more_at), remaining + 1);
        }
        let whole = limiter.check_verdict(&'z', ONE, at(120)).unwrap();
        assert_eq!((whole.remaining, whole.more_at), (3, at(120)), "never more than that");
    }
    check(Gcra::every(Duration::from_secs(20)).burst(3), Duration::from_secs(60));
    check(SlidingLog::<3>::per_minute(), Duration::from_secs(60));

    let mut unlimited: RateLimiter<char, Gcra, 2> = RateLimiter::new(Gcra::every(Duration::ZERO));
    let verdict = unlimited.allow_verdict(&'a', ONE, at(1)).unwrap();
    assert_eq!((verdict.more_at, verdict.window), (at(1), Duration::ZERO));
    let mut closed: RateLimiter<char, Gcra, 2> = RateLimiter::new(Gcra::per_second(0));
    let verdict = closed.allow_verdict(&'a', ONE, at(1)).unwrap();
    assert_eq!((verdict.limit, verdict.retry_at(), verdict.remaining), (0, Some(Instant::MAX), 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whichever of those that still count is given back, and however many: those that were made are never more than two
    /// in any minute, and what is given back can be used at once.
    #[test]
    fn found_a12_no_refund_lets_more_through_than_the_log_allows(
        calls in prop::collection::vec((0..3_u8, 1..3_u32, 0..40_u64, any::<prop::sample::Index>()), 1..40),
    ) {
        let mut limiter = two_a_minute();
        let (mut now, mut made) = (at(100), Vec::<Instant>::new());
        for (call, cost, seconds, which) in calls {
            now = now.saturating_add(Duration::from_secs(seconds));
            let cost = NonZeroU32::new(cost).unwrap();
            let counts = |made: &Instant| now.saturating_duration_since(*made) < Duration::from_secs(60);
            if call < 2 {
                if limiter.allow_n(&'a', cost, now).unwrap().is_allowed() {
                    (0..cost.get()).for_each(|_| made.push(now));
                }
                prop_assert!(made.iter().filter(|made| counts(made)).count() <= 2);
            } else if let Some(index) = (!made.is_empty()).then(|| which.index(made.len())) && counts(&made[index]) {
                let before = limiter.remaining(&'a', now);
                prop_assert!(limiter.refund(&'a', ONE, now));
                prop_assert_eq!(limiter.remaining(&'a', now), before + 1);
                made.remove(index);
            }
        }
    }
}
