//! The probes of a half-open breaker.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use steadfast_core::{
    CircuitBreaker, Instant, Reset, Trip,
    circuit_breaker::{BreakerState, Outcome},
};

use super::support::{SECOND, Threads, Time, explore, spawn, threads};

/// Open for a second, which is over: the next to ask is a probe.
fn half_open(probes: u8) -> Threads<CircuitBreaker> {
    let time = Time::new();
    let breaker = threads(CircuitBreaker::new(Trip::consecutive(1), Reset::after(SECOND).probes(probes)), &time);
    breaker.record_failure();
    time.set(Instant::from_secs(1));
    breaker
}

/// A call that ends as `outcome`; false if it was refused. `running` tells how many there are at once, as far as nothing
/// has closed the breaker.
fn probe(breaker: &Threads<CircuitBreaker>, running: &AtomicUsize, most: usize, outcome: Option<Outcome>) -> bool {
    let Ok(guard) = breaker.try_acquire() else { return false };
    let others = running.fetch_add(1, SeqCst);
    assert!(others < most || breaker.stats().successes > 0, "too many probes at once");
    running.fetch_sub(1, SeqCst);
    match outcome {
        Some(outcome) => guard.record(outcome),
        None => drop(guard),
    }
    true
}

fn three_probes(probes: u8, outcomes: [Option<Outcome>; 3]) -> (Threads<CircuitBreaker>, usize) {
    let (breaker, running) = (half_open(probes), Arc::new(AtomicUsize::new(0)));
    let [mine, others @ ..] = outcomes;
    let others = others.map(|outcome| {
        let (breaker, running) = (breaker.clone(), running.clone());
        spawn(move || probe(&breaker, &running, usize::from(probes), outcome))
    });
    let mine = probe(&breaker, &running, usize::from(probes), mine);
    let admitted = others.map(|other| other.join().unwrap()).into_iter().chain([mine]).filter(|is| *is).count();
    let stats = breaker.stats();
    assert_eq!(stats.permitted, admitted as u64);
    // The failure that opened it came without a permit.
    assert_eq!(stats.permitted + 1, stats.successes + stats.failures + stats.ignored + stats.stale, "{stats:?}");
    (breaker, admitted)
}

#[test]
fn a_dropped_permit_gives_its_place_back() {
    for probes in [1, 2] {
        explore(move || {
            let (breaker, admitted) = three_probes(probes, [None; 3]);
            assert!(admitted >= usize::from(probes));
            let held: Vec<_> = (0..probes).map(|_| breaker.try_acquire().expect("a place leaked")).collect();
            assert!(breaker.try_acquire().is_err());
            held.into_iter().for_each(|guard| guard.record(Outcome::Success));
            assert_eq!(breaker.state(), BreakerState::Closed);
        });
    }
}

#[test]
fn the_first_verdict_counts_and_late_ones_change_nothing() {
    explore(|| {
        let (breaker, _) = three_probes(1, [Some(Outcome::Success), Some(Outcome::Failure), None]);
        let stats = breaker.stats();
        match breaker.state() {
            // Opened again by the failed probe.
            BreakerState::Open => assert_eq!((stats.opened, stats.failures), (2, 2)),
            // Closed by the good one; a failure after that is a failure of a closed breaker, and opens it.
            BreakerState::Closed => assert_eq!((stats.opened, stats.successes), (1, 1)),
            BreakerState::HalfOpen => assert_eq!((stats.successes, stats.failures), (0, 1)),
        }
    });
}

#[test]
fn two_successes_close_it_once() {
    explore(|| {
        let success = Some(Outcome::Success);
        let (breaker, admitted) = three_probes(2, [success; 3]);
        assert!(admitted >= 2);
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.stats().stale, 0);
    });
}
