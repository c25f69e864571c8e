use core::cell::RefCell;
use std::{format, vec::Vec};

use super::*;
use crate::{
    foundation::shared::Shared,
    rate_limiter::{Gcra, Held, SlidingLog},
    test_util::ManualClock,
};

/// One ping a minute, which takes less than five seconds.
type Pings<const N: usize> = CachedRateLimiter<&'static str, bool, SlidingLog<1>, N>;
type Answer<'a> = AllowOrCached<FlightPermit, &'a bool>;

const B: u64 = 1_700_000_000;
const LEASE: Duration = Duration::from_secs(5);

static PINGS: std::sync::Mutex<CachedRateLimiter<u64, bool, Gcra, 16>> =
    std::sync::Mutex::new(CachedRateLimiter::new(Gcra::per_minute(1), LEASE));

const fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

const fn pings<const N: usize>() -> Pings<N> {
    CachedRateLimiter::new(SlidingLog::per_minute(), LEASE)
}

fn cached(value: &bool, age: u64) -> Answer<'_> {
    AllowOrCached::Cached { value, age: Duration::from_secs(age) }
}

fn begin<const N: usize>(pings: &mut Pings<N>, key: &'static str, now: u64) -> FlightPermit {
    match pings.allow_or_cached(&key, at(now)) {
        AllowOrCached::Allowed(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn ping<const N: usize>(pings: &mut Pings<N>, key: &'static str, now: u64, value: bool) {
    let permit = begin(pings, key, now);
    pings.complete(permit, value, at(now)).unwrap();
}

#[test]
fn ping_01_the_first_is_made() {
    ping(&mut pings::<4>(), "a", B, true);
}

#[test]
fn ping_02_within_a_minute_the_value_is_the_answer() {
    let mut pings = pings::<4>();
    ping(&mut pings, "a", B, true);
    assert_eq!(pings.allow_or_cached(&"a", at(B + 59)), cached(&true, 59));
    ping(&mut pings, "a", B + 60, false);
    assert_eq!(pings.allow_or_cached(&"a", at(B + 61)), cached(&false, 1));
}

#[test]
fn ping_03_a_failed_ping_is_an_answer_too() {
    let mut pings = pings::<4>();
    ping(&mut pings, "a", B, false);
    assert_eq!(pings.allow_or_cached(&"a", at(B + 1)), cached(&false, 1));
    ping(&mut pings, "a", B + 60, true);
}

#[test]
fn ping_04_each_key_has_its_own() {
    let mut pings = pings::<4>();
    ping(&mut pings, "a", B, true);
    ping(&mut pings, "b", B, false);
    assert_eq!(pings.allow_or_cached(&"a", at(B + 1)), cached(&true, 1));
    assert_eq!(pings.allow_or_cached(&"b", at(B + 1)), cached(&false, 1));
}

#[test]
fn ping_05_in_flight_is_not_offline() {
    let mut pings = pings::<4>();
    let permit = begin(&mut pings, "a", B);
    assert_eq!(pings.allow_or_cached(&"a", at(B + 1)), AllowOrCached::InFlight);
    pings.complete(permit, true, at(B + 2)).unwrap();
    assert_eq!(pings.allow_or_cached(&"a", at(B + 2)), cached(&true, 0));
}

#[test]
fn ping_06_while_the_next_is_in_flight_the_old_value_tells_its_age() {
    let mut pings = pings::<4>();
    ping(&mut pings, "a", B, true);
    let permit = begin(&mut pings, "a", B + 60);
    assert_eq!(pings.allow_or_cached(&"a", at(B + 61)), cached(&true, 61));
    pings.complete(permit, false, at(B + 62)).unwrap();
    assert_eq!(pings.allow_or_cached(&"a", at(B + 63)), cached(&false, 1));
}

#[test]
fn ping_07_an_attempt_that_was_not_made_is_not_counted() {
    let mut pings = pings::<4>();
    ping(&mut pings, "a", B, true);
    let permit = begin(&mut pings, "a", B + 60);
    pings.refund(permit, at(B + 60));
    ping(&mut pings, "a", B + 61, false);
    // One that was made and brought nothing is: the old value is the answer, and tells its age.
    let permit = begin(&mut pings, "a", B + 121);
    pings.release(permit, at(B + 121));
    assert_eq!(pings.allow_or_cached(&"a", at(B + 122)), cached(&false, 61));
}

#[test]
fn ping_08_a_step_back_keeps_the_answer_for_a_minute_at_most() {
    for back in [100, 3_600] {
        let mut pings = pings::<4>();
        ping(&mut pings, "a", B, true);
        assert_eq!(pings.allow_or_cached(&"a", at(B - back)), cached(&true, 0));
        assert_eq!(pings.allow_or_cached(&"a", at(B - back + 59)), cached(&true, 59));
        ping(&mut pings, "a", B - back + 60, false);
    }
}

#[test]
fn ping_09_a_clock_near_zero_is_no_attempt() {
    ping(&mut pings::<4>(), "a", 10, true);
    ping(&mut pings::<4>(), "a", 0, true);
}

#[test]
fn ping_10_a_denial_does_not_extend() {
    let mut pings = pings::<4>();
    ping(&mut pings, "a", B, true);
    assert_eq!(pings.allow_or_cached(&"a", at(B + 30)), cached(&true, 30));
    assert_eq!(pings.allow_or_cached(&"a", at(B + 59)), cached(&true, 59));
    ping(&mut pings, "a", B + 60, false);
}

#[test]
fn ping_11_who_is_never_asked_for_has_no_entry() {
    let mut pings = pings::<4>();
    ping(&mut pings, "a", B, true);
    assert_eq!(pings.len(), 1);
}

#[test]
fn ping_12_limited_is_not_failed() {
    let mut pings = pings::<4>();
    let mut made = 0;
    for now in [B, B + 30] {
        match pings.allow_or_cached(&"a", at(now)) {
            AllowOrCached::Allowed(permit) => {
                made += 1;
                pings.complete(permit, true, at(now)).unwrap();
            }
            answer => assert_eq!(answer.value(), Some(&&true)),
        }
    }
    assert_eq!(made, 1);
}

#[test]
fn without_a_value_the_denial_tells_until_when() {
    let mut pings = pings::<4>();
    let permit = begin(&mut pings, "a", B);
    pings.release(permit, at(B + 1));
    let answer = pings.allow_or_cached(&"a", at(B + 10));
    assert_eq!(answer, AllowOrCached::Denied { retry_at: at(B + 60) });
    assert_eq!(answer.retry_after(at(B + 10)), Some(Duration::from_secs(50)));
    assert_eq!(AllowOrCached::<(), ()>::InFlight.retry_after(at(B)), None);
    assert_eq!(AllowOrCached::<(), ()>::InFlight.value(), None);
}

#[test]
fn one_attempt_at_a_time_whatever_the_quota_has_left() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 4> = CachedRateLimiter::new(Gcra::per_minute(5), LEASE);
    let AllowOrCached::Allowed(first) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    assert_eq!(pings.allow_or_cached(&1, at(B)), AllowOrCached::InFlight);
    pings.complete(first, 7, at(B)).unwrap();
    assert!(matches!(pings.allow_or_cached(&1, at(B)), AllowOrCached::Allowed(_)));
    assert_eq!(pings.allow_or_cached(&1, at(B)).value(), Some(&&7));
}

#[test]
fn a_permit_that_was_lost_is_given_up_at_the_end_of_its_lease() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 4> = CachedRateLimiter::new(Gcra::per_minute(60), LEASE);
    let AllowOrCached::Allowed(lost) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    assert_eq!(pings.allow_or_cached(&1, at(B + 4)), AllowOrCached::InFlight);
    let AllowOrCached::Allowed(second) = pings.allow_or_cached(&1, at(B + 5)) else { panic!() };
    assert_eq!(pings.complete(lost, 1, at(B + 6)), Err(FlightLost(1)));
    assert_eq!(pings.allow_or_cached(&1, at(B + 6)), AllowOrCached::InFlight);
    pings.complete(second, 2, at(B + 7)).unwrap();
    // A late value is good if nobody has begun another attempt.
    let AllowOrCached::Allowed(late) = pings.allow_or_cached(&1, at(B + 8)) else { panic!() };
    pings.complete(late, 3, at(B + 100)).unwrap();
    let stats = pings.stats();
    assert_eq!((stats.allowed, stats.completed), (3, 2));
}

#[test]
fn a_refund_without_an_entry_takes_nothing_from_others() {
    let mut pings = pings::<1>();
    let _known = begin(&mut pings, "known", B);
    let late = begin(&mut pings, "bob", B);
    // The window of bob's attempt is over, and the known key keeps its entry.
    let _again = begin(&mut pings, "known", B + 60);
    let carol = begin(&mut pings, "carol", B + 61);
    pings.refund(late, at(B + 62));
    assert_eq!(pings.allow_or_cached(&"dave", at(B + 63)), AllowOrCached::InFlight);
    // Whose it is, nobody knows: what the cell counted stays.
    pings.refund(carol, at(B + 64));
    assert_eq!(pings.allow_or_cached(&"dave", at(B + 65)), Answer::Denied { retry_at: at(B + 121) });
    let _dave = begin(&mut pings, "dave", B + 121);
    assert_eq!(pings.stats().refunded, 2);
}

#[test]
fn a_late_release_or_refund_changes_nothing() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 4> = CachedRateLimiter::new(Gcra::per_minute(60), LEASE);
    for refund in [false, true] {
        let AllowOrCached::Allowed(lost) = pings.allow_or_cached(&1, at(B)) else { panic!() };
        let AllowOrCached::Allowed(second) = pings.allow_or_cached(&1, at(B + 5)) else { panic!() };
        if refund {
            pings.refund(lost, at(B + 5));
        } else {
            pings.release(lost, at(B + 5));
        }
        assert_eq!(pings.allow_or_cached(&1, at(B + 5)), AllowOrCached::InFlight);
        pings.release(second, at(B + 5));
    }
    let stats = pings.stats();
    assert_eq!((stats.allowed, stats.released, stats.refunded), (4, 2, 0));
}

#[test]
fn after_a_step_back_an_attempt_blocks_for_one_lease_at_most() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 1> = CachedRateLimiter::new(Gcra::per_second(1), LEASE);
    let AllowOrCached::Allowed(_lost) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    assert_eq!(pings.allow_or_cached(&1, at(100)), AllowOrCached::InFlight);
    assert_eq!(pings.allow_or_cached(&1, at(104)), AllowOrCached::InFlight);
    // The quota saw the clock at once, and its second is over.
    assert!(matches!(pings.allow_or_cached(&1, at(105)), AllowOrCached::Allowed(_)));
}

#[test]
fn a_full_table_keeps_what_is_in_flight() {
    let mut pings = pings::<2>();
    let first = begin(&mut pings, "a", B);
    ping(&mut pings, "b", B, true);
    // Of the others, one at a time makes its attempt; its value is not kept.
    let shared = begin(&mut pings, "c", B);
    assert_eq!(pings.allow_or_cached(&"d", at(B + 1)), AllowOrCached::InFlight);
    pings.complete(shared, true, at(B + 1)).unwrap();
    assert_eq!(pings.allow_or_cached(&"c", at(B + 1)), AllowOrCached::Denied { retry_at: at(B + 60) });
    pings.complete(first, false, at(B + 2)).unwrap();
    assert_eq!(pings.allow_or_cached(&"a", at(B + 2)), cached(&false, 0));
    // A minute later their entries are idle, and are given to others.
    ping(&mut pings, "e", B + 60, true);
    assert_eq!(pings.len(), 2);
}

#[test]
fn an_attempt_in_flight_keeps_its_entry_from_reuse() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 1> = CachedRateLimiter::new(Gcra::per_second(1_000), LEASE);
    let AllowOrCached::Allowed(permit) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    let AllowOrCached::Allowed(other) = pings.allow_or_cached(&2, at(B + 2)) else { panic!() };
    assert_eq!(other.slot, NO_SLOT);
    assert_eq!(pings.cleanup(at(B + 2)), 0);
    pings.refund(other, at(B + 2));
    pings.complete(permit, 7, at(B + 3)).unwrap();
    assert_eq!(pings.cleanup(at(B + 4)), 1);
    assert!(pings.is_empty());
}

#[test]
fn a_permit_does_not_reach_the_key_that_took_its_entry() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 1> = CachedRateLimiter::new(Gcra::per_second(1), LEASE);
    let AllowOrCached::Allowed(lost) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    let AllowOrCached::Allowed(other) = pings.allow_or_cached(&2, at(B + 5)) else { panic!() };
    assert_ne!(other.slot, NO_SLOT);
    assert_eq!(pings.complete(lost, 1, at(B + 5)), Err(FlightLost(1)));
    pings.complete(other, 2, at(B + 5)).unwrap();
    assert_eq!(pings.allow_or_cached(&2, at(B + 5)).value(), Some(&&2));
}

#[test]
fn every_answer_is_counted() {
    let mut pings = pings::<2>();
    let mut asked = 0;
    for now in 0..500 {
        for key in ["a", "b", "c", "d"] {
            asked += 1;
            if let AllowOrCached::Allowed(permit) = pings.allow_or_cached(&key, at(B + now)) {
                match now % 3 {
                    0 => pings.complete(permit, true, at(B + now)).unwrap(),
                    1 => pings.release(permit, at(B + now)),
                    _ => pings.refund(permit, at(B + now)),
                }
            }
        }
    }
    let stats = pings.stats();
    assert_eq!(stats.allowed + stats.cached + stats.in_flight + stats.denied, asked);
    assert_eq!(stats.allowed, stats.completed + stats.released + stats.refunded);
}

#[test]
fn a_static_limiter_works_and_may_be_reseeded() {
    let mut pings = PINGS.lock().unwrap();
    let AllowOrCached::Allowed(lost) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    pings.reseed(HashSeed::new(1, 2));
    assert!(pings.is_empty() && pings.complete(lost, true, at(B)).is_err());
    assert!(matches!(pings.allow_or_cached(&1, at(B)), AllowOrCached::Allowed(_)));
    assert_eq!(pings.allow_or_cached(&1, at(B)), AllowOrCached::InFlight);
    assert_eq!(pings.capacity(), 16);
    assert!(format!("{pings:?} {}", FlightLost(1)).contains("in_flight: 1"));
}

#[test]
fn a_guard_that_is_dropped_releases() {
    let shared = Shared::new(RefCell::new(pings::<4>()), ManualClock::new(at(B)));
    let AllowOrCached::Allowed(guard) = shared.allow_or_cached(&"a") else { panic!() };
    assert!(matches!(shared.allow_or_cached(&"a"), AllowOrCached::InFlight));
    drop(guard);
    assert!(matches!(shared.allow_or_cached(&"a"), AllowOrCached::Denied { .. }));

    shared.timer().advance(Duration::from_secs(60));
    let AllowOrCached::Allowed(guard) = shared.allow_or_cached(&"a") else { panic!() };
    guard.refund();
    let AllowOrCached::Allowed(guard) = shared.allow_or_cached(&"a") else { panic!() };
    assert!(format!("{guard:?}").contains("FlightGuard"));
    guard.complete(true).unwrap();
    assert_eq!(shared.allow_or_cached(&"a").value(), Some(&true));
    let stats = shared.stats();
    assert_eq!((stats.completed, stats.released, stats.refunded), (1, 1, 1));
}

#[test]
fn an_entry_has_the_quota_that_it_keeps_and_is_idle_when_its_attempt_is_over_too() {
    let keeping = Keeping { quota: SlidingLog::<3>::new(Duration::from_secs(3)), lease: Span::new(LEASE) };
    let mut kept = Keeping::<SlidingLog<3>>::IDLE;
    assert_eq!((keeping.limit(), keeping.remaining(at(0), Held::Entry(&mut kept), at(B))), (3, 3));
    let told = keeping.allow(at(0), Held::Entry(&mut kept), ONE, at(B), at(B));
    assert_eq!(told, Ok((Decision::Allow, at(B + 3))));
    assert_eq!(keeping.remaining(at(B + 3), Held::Entry(&mut kept), at(B)), 2);
    kept.attempt = Some(Attempt { number: 1, ends_at: at(B + 5) });
    assert_eq!((kept.idle_at(), keeping.latest(at(B))), (at(B + 5), at(B + 5)));
    assert_eq!(keeping.refund(at(B + 5), Held::Entry(&mut kept), ONE, at(B)), at(B + 5));
    assert_eq!(keeping.remaining(at(B + 5), Held::Entry(&mut kept), at(B)), 3);
    // A clock that stepped back.
    assert_eq!(keeping.mend(at(B + 5), Held::Entry(&mut kept), at(9)), at(14));
    assert_eq!(kept.idle_at(), at(14));
}

#[test]
fn a_cache_ends_its_being_empty_and_a_lost_attempt_says_so() {
    let mut pings = pings::<4>();
    assert!(pings.is_empty());
    let permit = begin(&mut pings, "a", B);
    assert!(!pings.is_empty());
    ping(&mut pings, "a", B + 60, true);
    let lost = pings.complete(permit, false, at(B + 60)).unwrap_err();
    assert_eq!(format!("{lost}"), "the value came after another attempt had begun");
}

#[test]
fn found_a13_a_full_table_lets_no_key_make_two_attempts_at_once() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 1> = CachedRateLimiter::new(Gcra::per_minute(60), LEASE);
    let AllowOrCached::Allowed(known) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    let AllowOrCached::Allowed(first) = pings.allow_or_cached(&2, at(B)) else { panic!() };
    // Neither the same key nor another one, of which it is not known whether it makes one.
    assert_eq!(pings.allow_or_cached(&2, at(B)), AllowOrCached::InFlight);
    assert_eq!(pings.allow_or_cached(&3, at(B)), AllowOrCached::InFlight);
    // An entry that became free changes nothing for the key that makes an attempt without one.
    pings.release(known, at(B));
    assert_eq!(pings.allow_or_cached(&2, at(B + 3)), AllowOrCached::InFlight);
    let AllowOrCached::Allowed(other) = pings.allow_or_cached(&3, at(B + 3)) else { panic!() };
    assert_ne!(other.slot, NO_SLOT);
    pings.complete(first, 1, at(B + 3)).unwrap();
    let AllowOrCached::Allowed(second) = pings.allow_or_cached(&2, at(B + 3)) else { panic!() };
    // A lost one is given up at the end of its lease, and takes nothing from the next.
    let AllowOrCached::Allowed(third) = pings.allow_or_cached(&4, at(B + 8)) else { panic!() };
    pings.refund(second, at(B + 8));
    assert!(matches!(pings.allow_or_cached(&4, at(B + 8)), AllowOrCached::InFlight));
    pings.release(third, at(B + 8));
    // A step back keeps it for a lease at most.
    let AllowOrCached::Allowed(_) = pings.allow_or_cached(&5, at(B + 9)) else { panic!() };
    assert!(matches!(pings.allow_or_cached(&5, at(9)), AllowOrCached::InFlight));
    assert!(!matches!(pings.allow_or_cached(&5, at(14)), AllowOrCached::InFlight));
    // What was refused was not counted, or 60 a minute were not enough.
    let stats = pings.stats();
    assert_eq!((stats.allowed, stats.in_flight), (7, 5));
}

#[test]
fn found_a10_what_is_replaced_is_given_back() {
    let mut pings: CachedRateLimiter<u8, u8, Gcra, 1> = CachedRateLimiter::new(Gcra::per_minute(60), LEASE);
    let AllowOrCached::Allowed(first) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    assert_eq!(pings.end(first, FlightEnd::Complete(1), at(B)), Ok(None));
    let AllowOrCached::Allowed(second) = pings.allow_or_cached(&1, at(B)) else { panic!() };
    let AllowOrCached::Allowed(shared) = pings.allow_or_cached(&2, at(B)) else { panic!() };
    assert_eq!(pings.end(second, FlightEnd::Complete(2), at(B)), Ok(Some(1)));
    assert_eq!(pings.end(shared, FlightEnd::Complete(3), at(B)), Ok(Some(3)));
    let mut gone = Vec::new();
    assert_eq!(pings.cleanup_with(at(B + 60), |key, value| gone.push((key, value))), 1);
    assert_eq!(gone, [(1, Some(2))]);
}

#[test]
fn found_a10_a_value_may_use_the_limiter_when_it_is_dropped() {
    type Machine = CachedRateLimiter<u8, Value, SlidingLog<9>, 1>;
    type Limiter = Shared<Machine, RefCell<Machine>, ManualClock>;

    #[derive(Clone)]
    struct Value(&'static core::cell::OnceCell<Limiter>);

    impl Drop for Value {
        fn drop(&mut self) {
            let _ = self.0.get().map(Limiter::stats);
        }
    }

    let limiter: &_ = std::boxed::Box::leak(std::boxed::Box::new(core::cell::OnceCell::new()));
    let pings = limiter.get_or_init(|| {
        Shared::new(RefCell::new(CachedRateLimiter::new(SlidingLog::per_minute(), LEASE)), ManualClock::new(at(B)))
    });
    for key in [1, 1, 2] {
        let AllowOrCached::Allowed(attempt) = pings.allow_or_cached(&key) else { panic!() };
        assert!(attempt.complete(Value(limiter)).is_ok());
    }
    pings.timer().advance(Duration::from_secs(60));
    let AllowOrCached::Allowed(attempt) = pings.allow_or_cached(&3) else { panic!() };
    drop(attempt);
}

#[test]
fn other_settings_keep_values_and_counts() {
    let mut pings: CachedRateLimiter<&str, bool, Gcra, 4> = CachedRateLimiter::new(Gcra::per_minute(2), LEASE);
    let begun = |pings: &mut CachedRateLimiter<&'static str, bool, Gcra, 4>, secs| match pings
        .allow_or_cached(&"bob", at(secs))
    {
        AllowOrCached::Allowed(permit) => Some(permit),
        _ => None,
    };
    let first = begun(&mut pings, 0).unwrap();
    pings.complete(first, true, at(0)).unwrap();
    pings.set_settings(Gcra::per_hour(1), LEASE * 100, at(1));
    assert_eq!(pings.allow_or_cached(&"bob", at(2)), cached(&true, 2), "one of one is used");
    pings.set_settings(Gcra::per_minute(60).burst(1), LEASE * 100, at(3));
    let lost = begun(&mut pings, 4).unwrap();
    pings.set_settings(Gcra::per_minute(60).burst(1), LEASE, at(5));
    assert!(begun(&mut pings, 9).is_none());
    assert!(begun(&mut pings, 10).is_some(), "an attempt ends after the new lease");
    assert!(pings.complete(lost, false, at(10)).is_err());
}
