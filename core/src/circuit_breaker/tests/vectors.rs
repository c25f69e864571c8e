//! The vectors of the seed, and what it got wrong.

use super::*;

#[test]
fn seed_7_3_01_a_new_breaker_is_closed() {
    let mut breaker = breaker();
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert!(breaker.allow_request(at(0)));
}

#[test]
fn seed_7_3_02_fewer_failures_than_the_threshold_leave_it_closed() {
    let mut breaker = breaker();
    calls(&mut breaker, "FF", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert!(breaker.allow_request(at(0)));
}

#[test]
fn seed_7_3_03_the_threshold_opens_it() {
    let mut breaker = opened_at_zero();
    assert!(!breaker.allow_request(at(0)));
    assert_eq!(breaker.try_acquire(at(0)), Err(Open { retry_at: at(30) }));
}

#[test]
fn seed_7_3_04_a_success_starts_the_count_over() {
    let mut breaker = breaker();
    calls(&mut breaker, "FFSFF", at(0));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn seed_7_3_05_it_is_open_until_just_before_the_reset() {
    let mut breaker = opened_at_zero();
    assert!(!breaker.allow_request(ms(29_999)));
    assert!(!breaker.allow_request(Instant::from_nanos(29_999_999_999)));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn seed_7_3_06_it_is_half_open_at_the_reset() {
    let mut breaker = opened_at_zero();
    assert!(breaker.allow_request(at(30)));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
}

#[test]
fn seed_7_3_07_a_second_request_waits_for_the_probe() {
    let (mut breaker, _probe) = half_open_at_30();
    assert!(!breaker.allow_request(at(30)));
}

#[test]
fn seed_7_3_08_a_probe_that_succeeds_closes_it() {
    let (mut breaker, probe) = half_open_at_30();
    breaker.record(probe, Outcome::Success, at(30));
    assert_eq!(breaker.state(), BreakerState::Closed);
    calls(&mut breaker, "FF", at(30));
    assert_eq!(breaker.state(), BreakerState::Closed, "the old failures were forgotten");
}

#[test]
fn seed_7_3_09_a_probe_that_fails_opens_it_for_the_whole_time() {
    let (mut breaker, probe) = half_open_at_30();
    breaker.record(probe, Outcome::Failure, at(31));
    assert_eq!(breaker.state(), BreakerState::Open);
    assert!(!breaker.allow_request(ms(60_999)));
    assert!(breaker.allow_request(at(61)));
}

#[test]
fn seed_7_3_10_a_late_success_does_not_close_an_open_breaker() {
    let mut breaker = breaker();
    let late = breaker.try_acquire(at(0)).unwrap();
    calls(&mut breaker, "FFF", at(0));
    breaker.record(late, Outcome::Success, at(1));
    assert_eq!(breaker.state(), BreakerState::Open);
    assert_eq!(breaker.stats().stale, 1);

    breaker.record_success(at(1));
    assert_eq!(breaker.state(), BreakerState::Open, "nor does one without a permit");
}

#[test]
fn seed_7_3_11_a_late_failure_does_not_open_a_half_open_breaker() {
    let mut breaker = breaker();
    let late = breaker.try_acquire(at(0)).unwrap();
    calls(&mut breaker, "FFF", at(0));
    let probe = breaker.try_acquire(at(30)).unwrap();
    breaker.record(late, Outcome::Failure, at(30));
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    breaker.record(probe, Outcome::Success, at(30));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn seed_7_3_12_a_lost_probe_does_not_wedge_it() {
    let (mut breaker, probe) = half_open_at_30();
    drop(probe);
    assert_eq!(breaker.try_acquire(at(59)), Err(Open { retry_at: at(60) }));
    assert!(call(&mut breaker, Outcome::Success, at(60)));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn seed_7_3_13_a_threshold_of_one_opens_at_once() {
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(RESET));
    calls(&mut breaker, "F", at(0));
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn seed_7_3_14_of_a_hundred_threads_one_is_the_probe() {
    let breaker = Mutex::new(opened_at_zero());
    let admitted = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| breaker.lock().unwrap().allow_request(at(30)));
        let threads: Vec<_> = (0..100).map(|_| ask()).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|yes| *yes).count()
    });
    assert_eq!(admitted, 1);
}

#[test]
fn seed_7_3_15_a_failure_while_open_does_not_extend_it() {
    let mut breaker = opened_at_zero();
    breaker.record_failure(at(20));
    assert_eq!(breaker.try_acquire(at(29)), Err(Open { retry_at: at(30) }));
    assert!(breaker.allow_request(at(30)));
}

#[test]
fn seed_7_3_16_two_breakers_are_independent() {
    let (mut dead, mut alive) = (breaker(), breaker());
    calls(&mut dead, "FFF", at(0));
    assert!(!dead.allow_request(at(0)));
    assert!(alive.allow_request(at(0)));
}

#[test]
fn seed_7_3_17_a_clock_that_steps_back_leaves_it_open_for_one_open_time_at_most() {
    let mut breaker = breaker();
    calls(&mut breaker, "FFF", at(1_000_000));
    assert_eq!(breaker.try_acquire(at(5)), Err(Open { retry_at: at(35) }));
    assert!(!breaker.allow_request(ms(34_999)));
    assert!(breaker.allow_request(at(35)));
}
