mod change;
mod chosen;
mod hangs;
mod peers;
mod probes;
mod vectors;

use core::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};
use std::{sync::Mutex, vec::Vec};

use super::*;
use crate::foundation::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const RESET: Duration = Duration::from_secs(30);

fn ms(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn at(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(Trip::consecutive(3), Reset::after(RESET).lease(RESET))
}

fn call<P: TripPolicy>(breaker: &mut CircuitBreaker<P>, outcome: Outcome, now: Instant) -> bool {
    match breaker.try_acquire(now) {
        Ok(permit) => {
            breaker.record(permit, outcome, now);
            true
        }
        Err(_open) => false,
    }
}

fn calls<P: TripPolicy>(breaker: &mut CircuitBreaker<P>, script: &str, now: Instant) {
    for event in script.chars() {
        let outcome = match event {
            'F' => Outcome::Failure,
            'S' => Outcome::Success,
            _ => Outcome::Ignored,
        };
        assert!(call(breaker, outcome, now), "{script}: refused");
    }
}

fn opened_at_zero() -> CircuitBreaker {
    let mut breaker = breaker();
    calls(&mut breaker, "FFF", at(0));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker
}

fn half_open_at_30() -> (CircuitBreaker, Permit) {
    let mut breaker = opened_at_zero();
    let probe = breaker.try_acquire(at(30)).unwrap();
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    (breaker, probe)
}

#[test]
fn ignored_calls_are_no_part_of_a_share() {
    let mut breaker = CircuitBreaker::new(Trip::call_window::<4>(Percent::new(50)), Reset::after(RESET));
    for _ in 0..100 {
        calls(&mut breaker, "IIIII", at(0));
    }
    calls(&mut breaker, "SSSFIII", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn the_open_time_doubles_up_to_its_cap_and_closing_starts_over() {
    let reset = Reset::after(SECOND).doubling().up_to(Duration::from_secs(5));
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    let mut now = at(0);
    calls(&mut breaker, "F", now);
    for open_for in [1, 2, 4, 5, 5] {
        let retry_at = now.saturating_add(Duration::from_secs(open_for));
        assert_eq!(breaker.try_acquire(now), Err(Open { retry_at }));
        assert_eq!(Open { retry_at }.retry_after(now), Duration::from_secs(open_for));
        now = retry_at;
        calls(&mut breaker, "F", now);
    }
    for _ in 0..300 {
        now = breaker.try_acquire(now).unwrap_err().retry_at;
        calls(&mut breaker, "F", now);
    }
    now = breaker.try_acquire(now).unwrap_err().retry_at;
    calls(&mut breaker, "SF", now);
    assert_eq!(breaker.try_acquire(now), Err(Open { retry_at: now.saturating_add(SECOND) }));
}

#[test]
fn growth_without_end_saturates() {
    let reset = Reset::after(SECOND).doubling().up_to(Duration::MAX);
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    let mut now = at(0);
    for _ in 0..34 {
        calls(&mut breaker, "F", now);
        now = breaker.try_acquire(now).unwrap_err().retry_at;
    }
    assert_eq!(now, at((1 << 34) - 1), "the sum of the powers of two");
    calls(&mut breaker, "F", now);
    assert_eq!(breaker.try_acquire(now), Err(Open { retry_at: Instant::MAX }));
}

#[test]
fn jitter_shortens_within_its_part_and_differs_between_seeds() {
    let opens = |seed: u64| -> Vec<Instant> {
        let reset = Reset::after(Duration::from_secs(10)).jitter(Percent::new(20), seed);
        let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
        let next = |_| {
            breaker.close();
            calls(&mut breaker, "F", at(0));
            breaker.try_acquire(at(0)).unwrap_err().retry_at
        };
        (0..200).map(next).collect()
    };
    let (first, second) = (opens(1), opens(2));
    assert_ne!(first, second);
    assert_eq!(first, opens(1));
    for retry_at in first.iter().chain(&second) {
        assert!((ms(8_000)..=ms(10_000)).contains(retry_at), "{retry_at:?}");
    }
    assert!(first.iter().any(|retry_at| *retry_at < ms(8_200)), "the whole part is used");
    assert!(first.iter().any(|retry_at| *retry_at > ms(9_800)));
}

#[test]
fn a_static_breaker_takes_its_seed_at_run_time() {
    const RESET: Reset = Reset::after(Duration::from_secs(10)).jitter(Percent::new(50), 0);
    let retry_at = |seed| {
        let mut breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
        breaker.reseed_jitter(seed);
        calls(&mut breaker, "F", at(0));
        breaker.try_acquire(at(0)).unwrap_err().retry_at
    };
    assert_ne!(retry_at(7), retry_at(7 << 32 | 1));
    assert_ne!(retry_at(7), retry_at(1 << 32 | 7), "the upper half counts too");
}

#[test]
fn a_hint_lengthens_the_open_time_within_the_cap() {
    let reset = Reset::after(SECOND).up_to(Duration::from_secs(60)).jitter(Percent::new(50), 1);
    let opened_with = |hint| {
        let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
        assert!(call(&mut breaker, Outcome::RetryAfter(hint), at(0)));
        breaker.try_acquire(at(0)).unwrap_err().retry_at
    };
    assert_eq!(opened_with(Duration::from_secs(7)), at(7), "never shortened");
    assert_eq!(opened_with(Duration::MAX), at(60));
    assert!(opened_with(Duration::ZERO) > ms(499), "never shorter than without");

    let mut breaker = breaker();
    assert!(call(&mut breaker, Outcome::RetryAfter(SECOND), at(0)));
    assert_eq!(breaker.state(), BreakerState::Closed, "a hint is one failure");
}

#[test]
fn a_hint_survives_a_step_back_no_longer_than_the_cap() {
    let reset = Reset::after(SECOND).up_to(Duration::from_secs(60));
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    assert!(call(&mut breaker, Outcome::RetryAfter(Duration::from_secs(50)), at(1_000)));
    assert_eq!(breaker.try_acquire(at(1_001)), Err(Open { retry_at: at(1_050) }));
    assert_eq!(breaker.try_acquire(at(1)), Err(Open { retry_at: at(61) }));
}

#[test]
fn minimum_calls_hold_for_both_windows() {
    let ten = NonZeroU32::new(10).unwrap();
    let mut ring = CircuitBreaker::new(Trip::call_window::<20>(Percent::new(50)).min_calls(ten), Reset::after(RESET));
    calls(&mut ring, "FFFFFFFFF", at(0));
    assert_eq!(ring.state(), BreakerState::Closed);
    calls(&mut ring, "S", at(0));
    assert_eq!(ring.state(), BreakerState::Open, "9 of 10 failed");

    let trip = Trip::time_window::<6>(Duration::from_secs(60), Percent::new(50));
    let mut window = CircuitBreaker::new(trip, Reset::after(RESET));
    calls(&mut window, "FFFFFFFFFFFFFFFFFFF", at(0));
    assert_eq!(window.state(), BreakerState::Closed);
    calls(&mut window, "F", at(0));
    assert_eq!(window.state(), BreakerState::Open);

    let most = NonZeroU32::MAX;
    let mut ring = CircuitBreaker::new(Trip::call_window::<2>(Percent::new(50)).min_calls(most), Reset::after(RESET));
    calls(&mut ring, "FF", at(0));
    assert_eq!(ring.state(), BreakerState::Open, "more than the window holds is the window");
}

#[test]
fn a_share_is_reached_exactly() {
    let nine = "FSSSSSSSSS";
    let ten_percent = Percent::new(10);
    let mut breaker = CircuitBreaker::new(Trip::call_window::<10>(ten_percent), Reset::after(RESET));
    calls(&mut breaker, nine, at(0));
    assert_eq!(breaker.state(), BreakerState::Open);
    let just_more = Percent::try_from_permille(101).unwrap();
    let mut breaker = CircuitBreaker::new(Trip::call_window::<10>(just_more), Reset::after(RESET));
    calls(&mut breaker, nine, at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(Percent::new(100).as_permille(), 1_000);
    assert_eq!(Percent::new(1).as_permille(), 10);
    assert_eq!(Percent::try_from_permille(0), None);
    assert_eq!(Percent::try_from_permille(1_001), None);
}

#[test]
fn a_time_window_outlives_a_leaping_clock() {
    let trip = Trip::time_window::<4>(Duration::from_secs(4), Percent::new(50)).min_calls(NonZeroU32::new(2).unwrap());
    let mut breaker = CircuitBreaker::new(trip, Reset::after(RESET));
    calls(&mut breaker, "F", at(1_000_000_000));
    // Back: the bucket goes on for at most its own second, and then four more forget the failure.
    calls(&mut breaker, "S", at(0));
    assert_eq!(breaker.state(), BreakerState::Open, "1 of 2");

    breaker.close();
    calls(&mut breaker, "F", at(1_000_000_000));
    assert!(breaker.try_acquire(at(0)).is_ok());
    calls(&mut breaker, "I", at(0));
    let late = breaker.try_acquire(at(0)).unwrap();
    breaker.record(late, Outcome::Success, at(1_000_000_005));
    calls(&mut breaker, "S", at(1_000_000_005));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn an_operator_decides_over_the_breaker() {
    let mut breaker = breaker();
    breaker.set_mode(BreakerMode::ForcedOpen);
    assert_eq!(breaker.try_acquire(at(0)), Err(Open { retry_at: Instant::MAX }));
    assert_eq!(breaker.state(), BreakerState::Closed);

    breaker.set_mode(BreakerMode::ForcedClosed);
    calls(&mut breaker, "FFFFFF", at(0));
    breaker.record_failure(at(0));
    assert_eq!((breaker.state(), breaker.mode()), (BreakerState::Closed, BreakerMode::ForcedClosed));

    breaker.set_mode(BreakerMode::Automatic);
    calls(&mut breaker, "FF", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    calls(&mut breaker, "F", at(0));
    assert_eq!(breaker.state(), BreakerState::Open);

    breaker.close();
    calls(&mut breaker, "FF", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn an_observed_breaker_goes_through_its_states_and_refuses_nothing() {
    let mut breaker = breaker();
    breaker.set_mode(BreakerMode::ObserveOnly);
    calls(&mut breaker, "FFFSSS", at(0));
    assert_eq!(breaker.state(), BreakerState::Open, "the calls that it would have refused are not judged");
    assert_eq!(breaker.stats().overridden, 3);
    calls(&mut breaker, "S", at(30));
    assert_eq!(breaker.state(), BreakerState::Closed);
    let stats = breaker.stats();
    assert_eq!((stats.permitted, stats.rejected, stats.opened), (7, 0, 1));
}

#[test]
fn a_reset_makes_calls_under_way_stale() {
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(RESET));
    let permit = breaker.try_acquire(at(0)).unwrap();
    breaker.close();
    breaker.record(permit, Outcome::Failure, at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.stats().stale, 1);
}

#[test]
fn counts_add_up() {
    let mut breaker = breaker();
    let late = breaker.try_acquire(at(0)).unwrap();
    calls(&mut breaker, "SIFFF", at(0));
    for _ in 0..4 {
        assert!(breaker.try_acquire(at(1)).is_err());
    }
    breaker.record(late, Outcome::Failure, at(2));
    let stats = breaker.stats();
    assert_eq!((stats.permitted, stats.rejected, stats.opened), (6, 4, 1));
    assert_eq!((stats.successes, stats.failures, stats.ignored, stats.stale), (1, 3, 1, 1));
}

#[test]
fn each_kind_of_breaker_can_be_a_static() {
    static CONSECUTIVE: Mutex<CircuitBreaker> =
        Mutex::new(CircuitBreaker::new(Trip::consecutive(3), Reset::after(RESET)));
    static RING: Mutex<CircuitBreaker<CallWindow<32>>> =
        Mutex::new(CircuitBreaker::new(Trip::call_window(Percent::new(50)), Reset::after(RESET)));
    static WINDOW: Mutex<CircuitBreaker<TimeWindow<10>>> =
        Mutex::new(CircuitBreaker::new(Trip::time_window(RESET, Percent::new(50)), Reset::after(RESET)));
    assert!(CONSECUTIVE.lock().unwrap().allow_request(at(0)));
    assert!(RING.lock().unwrap().allow_request(at(0)));
    assert!(WINDOW.lock().unwrap().allow_request(at(0)));
}

#[test]
fn sizes_are_as_stated() {
    // i686 aligns a `u64` to four bytes.
    let (breaker, permit) = if align_of::<u64>() == 8 { (160, 16) } else { (152, 12) };
    assert_eq!(size_of::<CircuitBreaker>(), breaker);
    assert_eq!(size_of::<CircuitBreaker<CallWindow<32>>>(), breaker + 56);
    assert_eq!(size_of::<CircuitBreaker<TimeWindow<10>>>(), breaker + 160);
    assert_eq!(size_of::<cell::Cell<<Consecutive as trip::Policy>::Window>>(), 28);
    assert_eq!(size_of::<Permit>(), permit);
    assert_eq!(size_of::<Result<Permit, Open>>(), permit);
}

#[test]
fn a_hint_that_lengthens_nothing_survives_a_step_back_no_longer_than_the_open_time() {
    let reset = Reset::after(SECOND).up_to(Duration::from_secs(60));
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    assert!(call(&mut breaker, Outcome::RetryAfter(SECOND), at(1_000)));
    assert_eq!(breaker.try_acquire(at(1)), Err(Open { retry_at: at(2) }));
}

#[test]
fn an_open_time_of_nothing_stays_so_however_often_it_doubles() {
    let reset = Reset::after(Duration::ZERO).doubling().up_to(SECOND);
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), reset);
    for _ in 0..=u8::MAX {
        assert!(call(&mut breaker, Outcome::Failure, at(0)));
    }
}

#[test]
fn a_window_of_time_is_never_calm_and_a_permit_tells_its_state() {
    let trip = Trip::time_window::<4>(RESET, Percent::new(100));
    assert_eq!(CircuitBreaker::new(trip, Reset::after(RESET)).calm_generation(), None);
    let generation = breaker().calm_generation().unwrap();
    assert_eq!(breaker().try_acquire(at(0)).unwrap().generation(), generation);
    assert_eq!(Permit::calm(7, at(0)).generation(), 7);
}

#[test]
fn a_window_forgets_of_its_oldest_call_what_it_counted_and_no_more() {
    let trip = Trip::call_window::<2>(Percent::new(100)).slow_calls(SECOND, Percent::new(100));
    let state = |slow_failed: [(bool, bool); 3]| {
        let mut breaker = CircuitBreaker::new(trip, Reset::after(RESET));
        for (slow, failed) in slow_failed {
            let permit = breaker.try_acquire(at(0)).unwrap();
            let outcome = if failed { Outcome::Failure } else { Outcome::Success };
            breaker.record(permit, outcome, at(if slow { 2 } else { 0 }));
        }
        breaker.state()
    };
    let (well, slow, failed, both) = ((false, false), (true, false), (false, true), (true, true));
    for (bad, other) in [(slow, failed), (failed, slow)] {
        assert_eq!(state([well, bad, bad]), BreakerState::Open);
        assert_eq!(state([other, bad, bad]), BreakerState::Open);
        assert_eq!(state([well, both, bad]), BreakerState::Open);
        assert_eq!(state([bad, well, bad]), BreakerState::Closed);
        assert_eq!(state([both, well, bad]), BreakerState::Closed);
    }
}

#[test]
fn found_b10_an_operator_opens_it_for_its_open_time() {
    let mut breaker = breaker();
    let under_way = breaker.try_acquire(at(0)).unwrap();
    breaker.open(at(10));
    assert_eq!(breaker.try_acquire(at(39)), Err(Open { retry_at: at(40) }));
    breaker.record(under_way, Outcome::Success, at(40));
    assert_eq!((breaker.stats().stale, breaker.stats().opened), (1, 1));
    assert!(call(&mut breaker, Outcome::Success, at(40)));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn found_b10_each_change_of_state_is_told_with_its_number() {
    let told = |breaker: &CircuitBreaker| breaker.last_transition().map(|it| (it.number, it.from, it.to));
    let mut breaker = breaker();
    breaker.close();
    assert_eq!(told(&breaker), None, "closed as before");
    calls(&mut breaker, "FFF", at(0));
    assert_eq!(told(&breaker), Some((1, BreakerState::Closed, BreakerState::Open)));
    breaker.open(at(1));
    assert_eq!(told(&breaker), Some((1, BreakerState::Closed, BreakerState::Open)), "open as before");
    let _probe = breaker.try_acquire(at(31)).unwrap();
    assert_eq!(told(&breaker), Some((2, BreakerState::Open, BreakerState::HalfOpen)));
    breaker.close();
    assert_eq!(told(&breaker), Some((3, BreakerState::HalfOpen, BreakerState::Closed)));
}

#[test]
fn found_b10_the_numbers_of_a_window_are_told() {
    let counts = |window: WindowStats| (window.calls, window.failures, window.slow_calls);
    let slow = Percent::new(100);
    let mut ring = CircuitBreaker::new(Trip::call_window::<3>(slow).slow_calls(SECOND, slow), Reset::after(RESET));
    calls(&mut ring, "FFS", at(0));
    assert_eq!(counts(ring.window(at(0))), (3, 2, 0));
    let permit = ring.try_acquire(at(0)).unwrap();
    ring.record(permit, Outcome::Success, at(1));
    assert_eq!(counts(ring.window(at(1))), (3, 1, 1), "the oldest is pushed out");

    let mut time = CircuitBreaker::new(Trip::time_window::<10>(RESET, slow), Reset::after(RESET));
    calls(&mut time, "SF", at(0));
    assert_eq!(counts(time.window(at(0))), (2, 1, 0));
    assert_eq!(counts(time.window(at(30))), (0, 0, 0), "too old to count");
}

#[test]
fn found_b10_a_rule_of_ones_own_replaces_the_shares() {
    let rule = |window: WindowStats| window.failures >= 2 && window.calls >= 4;
    let mut breaker =
        CircuitBreaker::new(Trip::when(Trip::call_window::<10>(Percent::new(1)), rule), Reset::after(RESET));
    calls(&mut breaker, "FSF", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    calls(&mut breaker, "S", at(0));
    assert_eq!(breaker.state(), BreakerState::Open);
    let mut always = CircuitBreaker::new(Trip::when(Trip::consecutive(9), |_| true), Reset::after(RESET));
    calls(&mut always, "SSSSSS", at(0));
    assert_eq!(always.state(), BreakerState::Closed, "successes alone open nothing");
    calls(&mut always, "F", at(0));
    assert_eq!(always.state(), BreakerState::Open);
}
