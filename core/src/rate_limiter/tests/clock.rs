//! Clocks that step back: whoever asks, nobody is kept out for longer than the quota itself takes.

use super::*;

const DAY: u64 = 86_400;
const NOON: u64 = 100 * DAY;

type Limiter = RateLimiterIn<u32, Gcra, Heap>;

/// One a second each, ten at once, used up; so many cells.
fn used_up(cells: usize) -> Limiter {
    let quota = Gcra::every(Duration::from_secs(1)).burst(10);
    let mut limiter = Limiter::allocate(quota, 4, cells, HashSeed::FIXED);
    (0..40).for_each(|ask| assert!(limiter.allow(&(ask % 4), at(NOON)).is_allowed()));
    limiter
}

#[test]
fn found_a4_who_only_checks_after_a_step_back_is_allowed_when_told() {
    let mut limiter = used_up(0);
    let first = limiter.check(&0, at(NOON - DAY));
    assert_eq!(first, Decision::Deny { retry_at: at(NOON - DAY + 1) });
    assert_eq!(limiter.reset_at(&1, at(NOON - DAY)), at(NOON - DAY + 10));
    assert_eq!(limiter.remaining(&2, at(NOON - DAY)), 0);
    assert_eq!(limiter.check(&0, at(NOON - DAY)), first, "what is told does not move on");
    assert!(limiter.check(&0, at(NOON - DAY + 1)).is_allowed());
    assert_eq!(limiter.reset_at(&1, at(NOON - DAY + 5)), at(NOON - DAY + 10));
    assert_eq!(limiter.remaining(&2, at(NOON - DAY + 10)), 10);
}

#[test]
fn found_a4_who_stays_away_while_strangers_ask_is_served_after_one_burst() {
    for ask in 0..4 {
        let mut limiter = used_up(4);
        let back = at(NOON - DAY);
        match ask {
            0 => _ = limiter.allow(&99, back),
            1 => _ = limiter.check(&99, back),
            2 => _ = limiter.remaining(&99, back),
            _ => _ = limiter.refund(&99, ONE, back),
        }
        assert_eq!(limiter.reset_at(&1, at(NOON - DAY + 9)), at(NOON - DAY + 10), "after call {ask}");
        (0..4).for_each(|key| assert_eq!(limiter.remaining(&key, at(NOON - DAY + 10)), 10));
    }
}

#[test]
fn found_a4_a_newcomer_in_a_full_table_waits_for_one_burst_after_a_step_back() {
    for checks in [false, true] {
        let mut limiter = used_up(0);
        let back = NOON - DAY;
        let ask = |limiter: &mut Limiter, now| {
            if checks { limiter.check(&99, at(now)) } else { limiter.allow(&99, at(now)) }
        };
        assert_eq!(ask(&mut limiter, back), Decision::Deny { retry_at: at(back + 10) });
        assert_eq!(ask(&mut limiter, back + 9), Decision::Deny { retry_at: at(back + 10) });
        assert!(ask(&mut limiter, back + 10).is_allowed());
    }
}

/// Too small to touch those who do not ask, and still true for those who do.
#[test]
fn found_a4_a_small_step_back_moves_nothing_that_was_told() {
    let before = |millis| Instant::from_millis(NOON * 1_000 - millis);
    let mut limiter = used_up(0);
    let retry_at = before(800).saturating_add(Duration::from_secs(1));
    assert_eq!(limiter.check(&0, before(800)), Decision::Deny { retry_at });
    assert_eq!(limiter.check(&0, before(700)), Decision::Deny { retry_at });
    assert!(limiter.check(&0, retry_at).is_allowed());

    let mut limiter = used_up(0);
    let retry_at = before(0).saturating_add(Duration::from_secs(10));
    assert_eq!(limiter.allow(&99, before(800)), Decision::Deny { retry_at });
    assert_eq!(limiter.allow(&99, before(100)), Decision::Deny { retry_at });
    assert!(limiter.allow(&99, retry_at).is_allowed());
}

#[test]
fn found_a4_the_ledger_is_mended_too() {
    let mut limiter = used_up(4);
    (0..400).for_each(|ask| _ = limiter.allow(&(100 + ask % 40), at(NOON)));
    let back = NOON - DAY;
    for key in 100..140 {
        assert_eq!(limiter.check(&key, at(back)), Decision::Deny { retry_at: at(back + 1) });
        assert_eq!(limiter.reset_at(&key, at(back)), at(back + 10));
    }
    (100..140).for_each(|key| assert!(limiter.check(&key, at(back + 1)).is_allowed()));
}

#[test]
fn found_a4_a_log_is_mended_whoever_asks() {
    let mut limiter = RateLimiterIn::<u32, SlidingLog<2>, Heap, HashSeed, Keys>::allocate(
        SlidingLog::per_minute(),
        2,
        0,
        HashSeed::FIXED,
    );
    (0..4).for_each(|ask| assert!(limiter.allow(&(ask % 2), at(NOON)).is_allowed()));
    let back = NOON - DAY;
    assert_eq!(limiter.check(&9, at(back)), Decision::Deny { retry_at: at(back + 60) });
    assert_eq!(limiter.check(&0, at(back + 59)), Decision::Deny { retry_at: at(back + 60) });
    assert_eq!(limiter.usage(at(back + 59)).map(|(_, left)| left).sum::<u32>(), 0);
    assert!(limiter.check(&0, at(back + 60)).is_allowed());
    assert!(limiter.allow(&9, at(back + 60)).is_allowed());
}

#[test]
fn found_a4_each_step_of_a_clock_that_goes_to_and_fro_is_mended() {
    let mut limiter = used_up(0);
    let mut now = NOON;
    for _ in 0..50 {
        now -= DAY;
        assert_eq!(limiter.check(&0, at(now)), Decision::Deny { retry_at: at(now + 1) });
        (0..4).for_each(|key| while limiter.allow(&key, at(now + 3_600)).is_allowed() {});
    }
}

/// Others' readings of the clock, up to a second old, take nothing from anybody.
#[test]
fn found_a11_a_late_reading_ages_nobody_elses_state() {
    let mut limiter = used_up(4);
    assert_eq!(limiter.reset_at(&0, at(NOON)), at(NOON + 10));
    let late = Instant::from_millis(NOON * 1_000 - 1_000);
    for _ in 0..100 {
        let _ = limiter.allow(&3, late);
        let _ = limiter.allow(&3, at(NOON));
    }
    for key in 0..3 {
        assert_eq!(limiter.reset_at(&key, at(NOON)), at(NOON + 10));
    }
}

#[test]
fn found_a11_allow_at_takes_an_old_reading_for_late_not_for_a_step_back() {
    use crate::{
        foundation::shared::{Clock, Shared},
        test_util::ManualClock,
    };
    use core::cell::RefCell;

    let clock = ManualClock::new(at(NOON));
    let machine: RateLimiter<u32, Gcra, 4> = RateLimiter::new(Gcra::every(Duration::from_secs(600)));
    let limiter = Shared::new(RefCell::new(machine), &clock);
    let reading = clock.now();
    clock.advance(Duration::from_secs(300));
    assert!(limiter.allow(&1).is_allowed());
    for _ in 0..10 {
        assert!(!limiter.allow_at(&1, reading).is_allowed());
        let _ = limiter.allow_at(&2, reading);
    }
    assert_eq!(limiter.reset_at(&1), at(NOON + 900), "quota was given back");
    assert_eq!(limiter.reset_at(&2), at(NOON + 900), "a late one counts from now on");

    // A clock that stands still, and readings a little ahead of it.
    assert!(limiter.allow_at(&3, at(NOON + 301)).is_allowed());
    assert!(!limiter.allow_at(&3, at(NOON + 300)).is_allowed());
    assert_eq!(limiter.with_lock(|limiter| limiter.reset_at(&3, at(NOON + 301))), at(NOON + 901));

    // One that has stepped back.
    clock.set(at(NOON - DAY));
    let decision = limiter.allow_at(&1, clock.now());
    assert_eq!(decision, Decision::Deny { retry_at: at(NOON - DAY + 600) });
}
