//! Quotas that change: what was counted stays counted, in requests.

use super::{custom::Window, *};

fn after_a_change<A: Quota>(from: A, uses: u32, to: A) -> RateLimiter<char, A, 4> {
    let mut limiter: RateLimiter<char, A, 4> = RateLimiter::new(from);
    (0..uses).for_each(|_| assert!(limiter.allow(&'a', at(1_000)).is_allowed()));
    limiter.set_quota(to, at(1_000));
    limiter
}

#[test]
fn found_a3_what_was_counted_stays_counted_in_requests() {
    let remaining = |from, uses, to| after_a_change(from, uses, to).remaining(&'a', at(1_000));
    let (fast, slow) = (Gcra::per_second(100), Gcra::per_hour(100));
    for (from, to) in [(fast, slow), (slow, fast), (fast, fast)] {
        for uses in [0, 1, 37, 99, 100] {
            assert_eq!(remaining(from, uses, to), 100 - uses, "{uses} of {from:?} under {to:?}");
        }
    }
    // The burst alone.
    assert_eq!(remaining(fast.burst(20), 15, fast), 85);
    assert_eq!(remaining(fast, 15, fast.burst(20)), 5);
    assert_eq!(remaining(fast, 100, fast.burst(20)), 0);
    assert_eq!(remaining(fast, 20, fast.burst(20)), 0);
}

#[test]
fn found_a3_who_waits_is_served_by_the_new_quota() {
    let every_hour = Gcra::every(Duration::from_secs(3_600));
    let mut limiter = after_a_change(every_hour, 1, Gcra::per_second(100));
    assert_eq!((limiter.remaining(&'a', at(1_000)), limiter.check(&'a', at(1_000))), (99, Decision::Allow));
    let mut limiter = after_a_change(Gcra::per_hour(100), 100, Gcra::per_second(100));
    assert_eq!(limiter.check(&'a', at(1_000)), Decision::Deny { retry_at: Instant::from_millis(1_000_010) });
    assert_eq!(limiter.reset_at(&'a', at(1_000)), at(1_001), "never longer than the new burst");
    let mut limiter = after_a_change(Gcra::per_second(100), 100, Gcra::per_second(1));
    assert_eq!(limiter.check(&'a', at(1_000)), Decision::Deny { retry_at: at(1_001) });
}

#[test]
fn found_a3_those_without_an_entry_keep_their_count() {
    fn check<A: Quota>(from: A, to: A) {
        let mut limiter: RateLimiter<u32, A, 1> = RateLimiter::new(from);
        (0..10).for_each(|_| assert!(limiter.allow(&0, at(1_000)).is_allowed()));
        (1..8).for_each(|key| assert!(limiter.allow(&key, at(1_000)).is_allowed()));
        limiter.set_quota(to, at(1_000));
        assert_eq!((limiter.remaining(&0, at(1_000)), limiter.remaining(&9, at(1_000))), (0, 3));
    }
    check(Gcra::per_second(10), Gcra::per_hour(10));
    check(SlidingLog::<10>::per_second(), SlidingLog::<10>::per_hour());
    check(Window(10), Window(10));
}

#[test]
fn found_a3_changes_in_a_row_give_nothing_away() {
    let quotas = [
        Gcra::per_second(100),
        Gcra::per(100, Duration::from_secs(7)),
        Gcra::per_hour(100),
        Gcra::per(100, Duration::from_nanos(12_345)),
    ];
    let mut limiter = after_a_change(quotas[0], 63, quotas[0]);
    for round in 0..1_000 {
        let used = 100 - limiter.remaining(&'a', at(1_000));
        assert!((63..=64).contains(&used), "{used} in round {round}");
        limiter.set_quota(quotas[round % 4], at(1_000));
    }
}

#[test]
fn found_a3_a_quota_of_nothing_keeps_what_was_counted() {
    let stops = [
        Gcra::per_second(0),
        Gcra::per_hour(100).burst(0),
        Gcra::every(Duration::MAX),
        Gcra::every(Duration::MAX).burst(100),
    ];
    for stop in stops {
        let mut limiter = after_a_change(Gcra::per_second(100), 60, stop);
        assert!(!limiter.check(&'a', at(1_000)).is_allowed());
        (0..50).for_each(|_| _ = limiter.allow(&'b', at(1_000)));
        limiter.set_quota(Gcra::per_minute(100), at(1_000));
        assert_eq!(limiter.remaining(&'a', at(1_000)), 40, "after {stop:?}");
        assert_eq!(limiter.remaining(&'a', at(1_060)), 100);
    }
}

#[test]
fn a_quota_without_an_interval_is_unlimited_and_forgets() {
    let mut limiter = after_a_change(Gcra::per_second(10), 10, Gcra::every(Duration::ZERO));
    (0..1_000).for_each(|_| assert!(limiter.allow(&'a', at(1_000)).is_allowed()));
    limiter.set_quota(Gcra::per_second(10), at(1_000));
    assert_eq!(limiter.remaining(&'a', at(1_000)), 10);
}

#[test]
fn found_a3_a_log_keeps_its_instants_in_a_window_of_any_length() {
    let seconds = |seconds| SlidingLog::<4>::new(Duration::from_secs(seconds));
    let mut limiter: RateLimiter<char, _, 4> = RateLimiter::new(seconds(60));
    [1_000, 1_010, 1_050].into_iter().for_each(|now| assert!(limiter.allow(&'a', at(now)).is_allowed()));
    // Tightened: those that are in the new window.
    limiter.set_quota(seconds(20), at(1_055));
    assert_eq!(limiter.remaining(&'a', at(1_055)), 3);
    // Widened again: those that still counted at the change, at their own time.
    limiter.set_quota(seconds(3_600), at(1_060));
    assert_eq!((limiter.remaining(&'a', at(1_060)), limiter.reset_at(&'a', at(1_060))), (3, at(4_650)));
    let mut limiter = after_a_change(seconds(60), 4, seconds(3_600));
    assert_eq!(limiter.check(&'a', at(1_061)), Decision::Deny { retry_at: at(4_600) });
}

#[test]
fn found_a3_a_quota_of_the_users_own_keeps_its_count_too() {
    let remaining = |from, uses, to| after_a_change(Window(from), uses, Window(to)).remaining(&'a', at(1_000));
    assert_eq!([remaining(10, 7, 10), remaining(10, 7, 20), remaining(10, 7, 8), remaining(10, 7, 3)], [3, 13, 1, 0]);
    assert_eq!([remaining(10, 0, 5), remaining(10, 10, 0), remaining(10, 10, 11)], [5, 0, 1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// What is left under a new quota is what was left, less what there is less of, and never a whole request more.
    #[test]
    fn no_change_of_a_quota_gives_a_request_away_or_takes_two(
        changes in prop::collection::vec((1..1_000_000_000_000_u64, 1..200_u32, 0..50_u32, 0..3_000_000_000_u64), 1..12),
    ) {
        let quota = |interval, burst| Gcra::every(Duration::from_nanos(interval)).burst(burst);
        let mut limiter: RateLimiter<u8, Gcra, 2> = RateLimiter::new(quota(1_000, 100));
        let mut now = at(1_000);
        for (interval, burst, asks, on) in changes {
            (0..asks).for_each(|_| _ = limiter.allow(&0, now));
            let used = limiter.quota().limit() - limiter.remaining(&0, now);
            limiter.set_quota(quota(interval, burst), now);
            let after = burst - limiter.remaining(&0, now);
            // Rounded up, so what was used in part may now read as one more.
            prop_assert!(after >= used.min(burst) && after <= used + 1, "{} used, then {} of {}", used, after, burst);
            now = now.saturating_add(Duration::from_nanos(on));
        }
    }
}
