//! Quotas that come with the call.

use core::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::{
    foundation::shared::{Clock, Shared},
    rate_limiter::{GcraPerKey, GcraPerKeyState, Keys, PerKey, Verdict},
    test_util::ManualClock,
};

type Planned<const N: usize> = RateLimiter<char, GcraPerKey, N>;

const fn a_second(limit: u32) -> GcraPerKey {
    Gcra::per_second(limit).per_key()
}

const fn an_hour(limit: u32) -> GcraPerKey {
    Gcra::per_hour(limit).per_key()
}

fn uses<A: PerKey, const N: usize>(
    limiter: &mut RateLimiter<char, A, N>,
    key: char,
    quota: A,
    times: u32,
    now: Instant,
) -> u32 {
    (0..times).filter(|_| limiter.allow_with_quota(&key, quota, ONE, now).is_ok_and(Verdict::is_allowed)).count() as u32
}

#[test]
fn who_has_used_7_of_10_has_used_7_of_whatever_comes() {
    for (from, to) in [(an_hour(10), a_second(20)), (a_second(10), an_hour(20))] {
        let mut limiter: Planned<4> = RateLimiter::new(an_hour(1));
        assert_eq!(uses(&mut limiter, 'a', from, 7, at(1_000)), 7);
        assert_eq!(limiter.check_with_quota(&'a', to, ONE, at(1_000)).unwrap().remaining, 13);
        assert_eq!(uses(&mut limiter, 'a', to, 50, at(1_000)), 13);
        assert_eq!(limiter.check_with_quota(&'a', from, ONE, at(1_000)).unwrap().remaining, 0);
    }
}

#[test]
fn a_denial_changes_nothing_and_what_was_counted_is_paid_back_at_its_own_pace() {
    let mut limiter: Planned<4> = RateLimiter::new(an_hour(1));
    assert_eq!(uses(&mut limiter, 'a', a_second(10), 10, at(1_000)), 10);
    // 10 are counted, of which 9 have to go, one each 100 ms, before another one of 2.
    let verdict = limiter.allow_with_quota(&'a', an_hour(2), ONE, at(1_000)).unwrap();
    assert_eq!(verdict.decision, Decision::Deny { retry_at: Instant::from_millis(1_000_900) });
    assert_eq!((verdict.limit, verdict.remaining, verdict.reset_at), (2, 0, at(1_001)));
    assert!(!limiter.allow(&'a', at(1_000)).is_allowed(), "by the limiter's own");
    assert_eq!(limiter.check_with_quota(&'a', a_second(12), ONE, at(1_000)).unwrap().remaining, 2);
    let early = Instant::from_nanos(1_000_899_999_999);
    assert_eq!(uses(&mut limiter, 'a', an_hour(2), 1, early), 0);
    assert_eq!(uses(&mut limiter, 'a', an_hour(2), 2, Instant::from_millis(1_000_900)), 1);
    // By that it is paid back from now on.
    let verdict = limiter.check_with_quota(&'a', an_hour(2), ONE, Instant::from_millis(1_000_900)).unwrap();
    assert_eq!(verdict.retry_at(), Some(Instant::from_millis(1_000_900 + 1_800_000)));
}

#[test]
fn neither_an_unlimited_quota_nor_one_of_nothing_forgets_what_was_counted() {
    let mut limiter: Planned<4> = RateLimiter::new(an_hour(1));
    assert_eq!(uses(&mut limiter, 'a', an_hour(10), 7, at(1_000)), 7);
    let unlimited = Gcra::every(Duration::ZERO).burst(9).per_key();
    assert_eq!(uses(&mut limiter, 'a', unlimited, 100, at(1_000)), 100);
    assert_eq!(uses(&mut limiter, 'a', an_hour(0), 3, at(1_000)), 0);
    let never = limiter.allow_with_quota(&'a', an_hour(0), ONE, at(1_000)).unwrap();
    assert_eq!(never.retry_at(), Some(Instant::MAX));
    let two = NonZeroU32::new(2).unwrap();
    assert_eq!(limiter.allow_with_quota(&'a', an_hour(1), two, at(1_000)), Err(CostExceedsBurst { limit: 1 }));
    assert_eq!(limiter.check_with_quota(&'a', an_hour(10), ONE, at(1_000)).unwrap().remaining, 3);
    assert!(limiter.refund(&'a', two, at(1_000)));
    assert_eq!(limiter.check_with_quota(&'a', an_hour(10), ONE, at(1_000)).unwrap().remaining, 5);
}

#[test]
fn another_quota_of_the_limiters_own_changes_nobody_elses() {
    let mut limiter: Planned<4> = RateLimiter::new(an_hour(1));
    assert_eq!(uses(&mut limiter, 'a', an_hour(10), 7, at(1_000)), 7);
    limiter.set_quota(a_second(100), at(1_000));
    assert_eq!(limiter.check_with_quota(&'a', an_hour(10), ONE, at(1_000)).unwrap().remaining, 3);
    assert_eq!((limiter.remaining(&'a', at(1_000)), limiter.remaining(&'b', at(1_000))), (93, 100));
}

/// One entry, which stays because it is used up, and one cell for all others.
#[test]
fn a_cell_owes_what_each_of_those_that_share_it_owes_however_their_quotas_differ() {
    for others in [1, 5, 50] {
        let mut limiter: Planned<1> = RateLimiter::new(an_hour(1));
        assert_eq!(uses(&mut limiter, 'a', an_hour(1), 2, at(1_000)), 1);
        assert_eq!(uses(&mut limiter, 'b', an_hour(5), 4, at(1_000)), 4);
        assert_eq!(uses(&mut limiter, 'c', a_second(100), others, at(1_000)), others);
        let mut of_b = 4;
        for now in 1_000..1_700 {
            of_b += uses(&mut limiter, 'b', an_hour(5), 1, at(now));
        }
        assert!(of_b <= 5, "{of_b} with {others}: never more than its quota");
        // As slow as the slowest, and no slower.
        assert_eq!(uses(&mut limiter, 'c', a_second(100), 100, at(1_700 + 3_600)), 100);
    }
}

#[test]
fn whose_entry_goes_owes_it_at_its_own_pace_and_so_does_whoever_shares_the_cell() {
    let mut limiter: Planned<1> = RateLimiter::new(an_hour(1));
    assert_eq!(uses(&mut limiter, 'a', an_hour(10), 9, at(1_000)), 9);
    assert_eq!(uses(&mut limiter, 'b', a_second(100), 1, at(1_000)), 1);
    assert_eq!(limiter.stats().evicted, 1);
    // It comes back, and goes.
    assert_eq!(uses(&mut limiter, 'a', an_hour(10), 5, at(1_010)), 1);
    assert_eq!(uses(&mut limiter, 'a', an_hour(10), 5, at(1_359)), 0);
    assert_eq!(uses(&mut limiter, 'a', an_hour(10), 5, at(1_400)), 1);
}

#[test]
fn a_late_reading_gives_nothing_back_and_a_step_of_the_clock_stalls_nobody_for_longer_than_its_quota() {
    let mut limiter: Planned<4> = RateLimiter::new(an_hour(1));
    assert_eq!(uses(&mut limiter, 'a', a_second(10), 10, at(1_000)), 10);
    let late = Instant::from_millis(999_500);
    assert_eq!(uses(&mut limiter, 'a', a_second(10), 1, late), 0);
    assert_eq!(limiter.check_with_quota(&'a', a_second(10), ONE, at(1_000)).unwrap().remaining, 0);
    // Ten minutes back.
    let verdict = limiter.allow_with_quota(&'a', a_second(10), ONE, at(400)).unwrap();
    assert_eq!(verdict.retry_at(), Some(Instant::from_millis(400_100)));
    assert_eq!(uses(&mut limiter, 'a', a_second(10), 20, at(401)), 10);
}

#[test]
fn of_several_quotas_each_is_the_keys_own() {
    let of = |a_second_, an_hour_| (a_second(a_second_), an_hour(an_hour_));
    let mut limiter: RateLimiter<char, (GcraPerKey, GcraPerKey), 4> = RateLimiter::new(of(1, 1));
    assert_eq!(uses(&mut limiter, 'a', of(3, 5), 9, at(1_000)), 3);
    assert_eq!(uses(&mut limiter, 'a', of(3, 5), 9, at(1_001)), 2);
    assert_eq!(uses(&mut limiter, 'a', of(3, 7), 9, at(1_002)), 2);
}

/// A key that cannot be compared.
#[derive(Clone, Debug, Eq)]
struct Broken;

impl core::hash::Hash for Broken {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        state.write_u8(0);
    }
}

impl PartialEq for Broken {
    fn eq(&self, _: &Self) -> bool {
        panic!("of a key")
    }
}

#[test]
fn a_panic_of_a_key_leaves_the_limiter_its_own_quota() {
    let mut limiter: RateLimiter<Broken, GcraPerKey, 4, HashSeed, Keys> =
        RateLimiter::with_hasher(an_hour(1), HashSeed::FIXED);
    assert!(limiter.allow_with_quota(&Broken, an_hour(7), ONE, at(1_000)).unwrap().is_allowed());
    let asked = catch_unwind(AssertUnwindSafe(|| limiter.allow_with_quota(&Broken, an_hour(7), ONE, at(1_000))));
    assert!(asked.is_err());
    assert_eq!(*limiter.quota(), an_hour(1));
}

#[test]
fn a_state_takes_28_bytes() {
    assert_eq!(size_of::<GcraPerKeyState>(), 28);
}

/// Behind a lock each call decides as the machine does; the key may have been hashed before.
#[test]
fn the_shared_face_decides_by_the_quota_of_the_call_too() {
    let clock = ManualClock::new(at(1_000));
    let mut machine: Planned<4> = RateLimiter::new(an_hour(1));
    let shared = Shared::new(RefCell::new(Planned::<4>::new(an_hour(1))), clock.clone());
    let hash = shared.with_lock(|limiter| limiter.hash(&'a'));
    for (round, quota) in [a_second(3), an_hour(5), a_second(3), an_hour(0), a_second(9)].into_iter().enumerate() {
        for cost in [1, 2, 4] {
            let (cost, now) = (NonZeroU32::new(cost).unwrap(), clock.now());
            let looked = shared.check_with_quota(&'a', quota, cost);
            assert_eq!(looked, machine.check_with_quota(&'a', quota, cost, now));
            let decided = match round % 2 {
                0 => shared.allow_with_quota(&'a', quota, cost),
                _ => shared.allow_with_quota_with(hash, &'a', quota, cost),
            };
            assert_eq!(decided, machine.allow_with_quota(&'a', quota, cost, now), "round {round}, {cost}");
            clock.advance(Duration::from_millis(70));
        }
    }
    assert_eq!(shared.stats(), machine.stats());
    assert!(shared.stats().allowed > 4 && shared.stats().denied > 4, "{:?}", shared.stats());
}
