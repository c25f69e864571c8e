//! The breaker of servers: calls that pass its lanes without the lock, against those that take it.

use std::sync::Arc;

use steadfast_core::{BreakerState, BreakerStats, CircuitBreaker, Instant, Outcome, Reset, Trip};

use self::single::Single;
use super::support::{SECOND, Time, explore, spawn};

/// The adapter's own source, on loom's atomics and lock. All threads of loom share one lane, where they meet most.
#[path = "../../../../std-adapter/src/circuit_breaker/single.rs"]
#[expect(dead_code, reason = "the clock is not asked here")]
mod single;

type Breaker = Arc<Single<steadfast_core::Consecutive, Time>>;

fn breaker(failures: u32, time: &Time) -> Breaker {
    let machine = CircuitBreaker::new(Trip::consecutive(failures), Reset::after(SECOND));
    Arc::new(Single::new(machine, time.clone()))
}

/// One call; false if it was refused.
fn call(breaker: &Breaker, outcome: Outcome) -> bool {
    let Ok(guard) = Single::guard(&**breaker) else { return false };
    guard.record(outcome);
    true
}

fn stats(breaker: &Breaker) -> BreakerStats {
    breaker.with_lock(|machine| machine.stats())
}

/// Three callers at once: how many were admitted.
fn three_calls(breaker: &Breaker, outcomes: [Outcome; 3]) -> u64 {
    let [mine, others @ ..] = outcomes;
    let others = others.map(|outcome| {
        let breaker = breaker.clone();
        spawn(move || call(&breaker, outcome))
    });
    let mine = call(breaker, mine);
    others.map(|other| other.join().unwrap()).into_iter().chain([mine]).filter(|is| *is).count() as u64
}

#[test]
fn every_call_is_counted_once_and_a_failure_opens() {
    explore(|| {
        let breaker = breaker(1, &Time::new());
        let admitted = three_calls(&breaker, [Outcome::Success, Outcome::Failure, Outcome::Success]);
        let stats = stats(&breaker);
        assert_eq!((stats.permitted, stats.rejected), (admitted, 3 - admitted), "{stats:?}");
        assert_eq!(stats.permitted, stats.successes + stats.failures + stats.stale, "{stats:?}");
        assert_eq!((stats.failures, stats.opened), (1, 1), "{stats:?}");
        assert_eq!(breaker.with_lock(|machine| machine.state()), BreakerState::Open);
    });
}

#[test]
fn a_success_that_was_told_first_is_between_two_failures() {
    explore(|| {
        let breaker = breaker(2, &Time::new());
        assert!(call(&breaker, Outcome::Failure));
        let succeeding = breaker.clone();
        let success = spawn(move || call(&succeeding, Outcome::Success));
        let failing = breaker.clone();
        let failure = spawn(move || call(&failing, Outcome::Failure));
        call(&breaker, Outcome::Ignored);
        let (succeeded, _) = (success.join().unwrap(), failure.join().unwrap());
        let stats = stats(&breaker);
        assert_eq!(stats.permitted, stats.successes + stats.failures + stats.ignored + stats.stale, "{stats:?}");
        match breaker.with_lock(|machine| machine.state()) {
            BreakerState::Closed => assert_eq!((succeeded, stats.successes, stats.opened), (true, 1, 0)),
            BreakerState::Open => assert_eq!((stats.successes, stats.opened), (0, 1), "{stats:?}"),
            BreakerState::HalfOpen => panic!("nothing has waited"),
        }
    });
}

#[test]
fn once_closed_again_the_lanes_take_no_result_of_before() {
    explore(|| {
        let time = Time::new();
        let breaker = breaker(1, &time);
        let [late, later] = [(); 2].map(|()| Single::guard(breaker.clone()).expect("it is closed"));
        let recovering = breaker.clone();
        let recovery = spawn(move || {
            assert!(call(&recovering, Outcome::Failure));
            time.set(Instant::from_secs(1));
            call(&recovering, Outcome::Success)
        });
        late.record(Outcome::Success);
        assert!(recovery.join().unwrap());
        later.record(Outcome::Success);
        assert!(call(&breaker, Outcome::Success));
        let stats = stats(&breaker);
        assert_eq!((stats.permitted, stats.failures, stats.successes + stats.stale), (5, 1, 4), "{stats:?}");
        assert!((1..=2).contains(&stats.stale), "{stats:?}");
        assert_eq!(breaker.with_lock(|machine| machine.state()), BreakerState::Closed);
    });
}

#[test]
fn whoever_keeps_no_permit_is_counted_too() {
    explore(|| {
        let breaker = breaker(1, &Time::new());
        let bare = [(); 2].map(|()| {
            let breaker = breaker.clone();
            spawn(move || {
                let may = breaker.allow_request();
                if may {
                    breaker.record_success();
                }
                may
            })
        });
        assert!(call(&breaker, Outcome::Failure));
        let admitted = bare.map(|bare| bare.join().unwrap()).into_iter().filter(|may| *may).count() as u64;
        let stats = stats(&breaker);
        assert_eq!(stats.permitted, admitted + 1, "{stats:?}");
        assert_eq!(stats.successes + stats.stale, admitted, "{stats:?}");
    });
}
