//! Every interleaving of threads at the lanes, by loom: preemption bound 3, or `LOOM_MAX_PREEMPTIONS`.
//!
//! Each model also says by which ways its calls have to have gone in some order or other, so that none passes because
//! the lanes were never used.

use core::{cell::Cell, time::Duration};
use std::{collections::BTreeSet, sync};

use loom::{
    sync::{Arc, atomic::AtomicU64},
    thread,
};
use steadfast_core::{
    Reset, Trip,
    circuit_breaker::{BreakerState, BreakerStats, CallGuard, Consecutive},
};

use super::*;

/// loom's mutex as the lock of a machine; counts how often each thread takes it.
struct LoomMutex<T>(loom::sync::Mutex<T>);

loom::thread_local! {
    static LOCKED: Cell<u32> = Cell::new(0);
}

impl<T> Lock for LoomMutex<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        LOCKED.with(|locked| locked.set(locked.get() + 1));
        f(&mut self.0.lock().unwrap())
    }
}

word!(AtomicU64);

type Breaker = Single<Consecutive, Stopped, LoomMutex<Machine<Consecutive>>, AtomicU64>;

/// No time passes.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Instant {
        Instant::from_secs(1_000)
    }
}

/// How a step of a call is taken.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Way {
    Lane,
    Lock,
}

use Way::{Lane as InLane, Lock as InLock};

/// Takes one step, and tells the way.
fn watched<R>(step: impl FnOnce() -> R) -> (R, Way) {
    let locked = || LOCKED.with(Cell::get);
    let before = locked();
    let result = step();
    (result, if locked() == before { InLane } else { InLock })
}

/// The ways that calls went in any of the orders: how they were admitted, and how they reported.
#[derive(Clone, Default)]
struct Ways(sync::Arc<sync::Mutex<BTreeSet<(Way, Way)>>>);

impl Ways {
    fn note(&self, admitted: Way, reported: Way) {
        self.0.lock().unwrap().insert((admitted, reported));
    }

    fn call(&self, breaker: &Breaker, lane: usize, outcome: Outcome) {
        if let (Ok(guard), admitted) = watched(|| guard_in(breaker, lane)) {
            let ((), reported) = watched(|| guard.record(outcome));
            self.note(admitted, reported);
        }
    }
}

/// Runs `f` in every order, and tells the ways.
fn in_every_order(f: impl Fn(&Ways) + Sync + Send + 'static) -> Vec<(Way, Way)> {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    let ways = Ways::default();
    let noted = ways.clone();
    builder.check(move || f(&ways));
    let noted = noted.0.lock().unwrap();
    noted.iter().copied().collect()
}

const EVERY_WAY: [(Way, Way); 4] = [(InLane, InLane), (InLane, InLock), (InLock, InLane), (InLock, InLock)];

fn breaker(failures: u32) -> Arc<Breaker> {
    let machine = Machine::new(Trip::consecutive(failures), Reset::after(Duration::from_secs(30)));
    Arc::new(Single::new(LoomMutex(loom::sync::Mutex::new(machine)), Stopped))
}

fn guard_in<S: Deref<Target = Breaker>>(breaker: S, lane: usize) -> Result<CallGuard<Reporter<S>>, Open> {
    Single::acquire_in(breaker, lane).map(|(permit, reporter)| CallGuard::new(permit, reporter))
}

/// The counts when all calls have ended.
fn settled(breaker: &Breaker, calls: u64) -> BreakerStats {
    let stats = breaker.with_lock(|machine| machine.stats());
    assert_eq!(stats.permitted + stats.rejected, calls, "{stats:?}");
    assert_eq!(stats.permitted, stats.successes + stats.failures + stats.ignored + stats.stale, "{stats:?}");
    stats
}

#[test]
fn calls_of_a_healthy_breaker_take_no_lock() {
    let ways = in_every_order(|ways| {
        let breaker = breaker(1);
        let (other, noted) = (breaker.clone(), ways.clone());
        let thread = thread::spawn(move || {
            noted.call(&other, 0, Outcome::Success);
            noted.call(&other, 1, Outcome::Success);
        });
        ways.call(&breaker, 0, Outcome::Success);
        thread.join().unwrap();
        assert_eq!(settled(&breaker, 3).successes, 3);
    });
    assert_eq!(ways, [(InLane, InLane)]);
}

#[test]
fn calls_without_a_permit_are_counted_in_lane_or_lock() {
    let ways = in_every_order(|ways| {
        let breaker = breaker(2);
        let (other, noted) = (breaker.clone(), ways.clone());
        let thread = thread::spawn(move || {
            let (is_admitted, admitted) = watched(|| other.allow_request());
            let ((), reported) = watched(|| other.record_success());
            assert!(is_admitted);
            noted.note(admitted, reported);
        });
        breaker.with_lock(|machine| machine.stats());
        ways.call(&breaker, 1, Outcome::Failure);
        thread.join().unwrap();
        let stats = settled(&breaker, 2);
        assert_eq!((stats.successes, stats.failures), (1, 1));
    });
    assert_eq!(ways, EVERY_WAY);
}

#[test]
fn no_success_is_lost_or_counted_twice() {
    let ways = in_every_order(|ways| {
        let breaker = breaker(2);
        let threads = [(0, Outcome::Success), (1, Outcome::Failure)].map(|(lane, outcome)| {
            let (breaker, ways) = (breaker.clone(), ways.clone());
            thread::spawn(move || ways.call(&breaker, lane, outcome))
        });
        ways.call(&breaker, 0, Outcome::Success);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let stats = settled(&breaker, 3);
        assert_eq!((stats.successes, stats.failures), (2, 1));
    });
    assert_eq!(ways, EVERY_WAY);
}

#[test]
fn a_success_that_has_ended_comes_before_a_failure() {
    let ways = in_every_order(|ways| {
        let breaker = breaker(2);
        let (other, noted) = (breaker.clone(), ways.clone());
        let thread = thread::spawn(move || {
            noted.call(&other, 0, Outcome::Success);
            noted.call(&other, 0, Outcome::Failure);
            noted.call(&other, 0, Outcome::Success);
            noted.call(&other, 0, Outcome::Failure);
        });
        ways.call(&breaker, 1, Outcome::Success);
        thread.join().unwrap();
        settled(&breaker, 5);
        assert_eq!(breaker.with_lock(|machine| machine.state()), BreakerState::Closed);
    });
    assert_eq!(ways, EVERY_WAY);
}

#[test]
fn no_call_passes_a_breaker_that_has_opened() {
    let ways = in_every_order(|ways| {
        let breaker = breaker(1);
        let (other, noted) = (breaker.clone(), ways.clone());
        let thread = thread::spawn(move || {
            noted.call(&other, 0, Outcome::Failure);
            assert!(guard_in(&*other, 0).is_err() && guard_in(&*other, 1).is_err());
        });
        ways.call(&breaker, 1, Outcome::Success);
        thread.join().unwrap();
        let stats = settled(&breaker, 4);
        assert_eq!((stats.failures, stats.opened), (1, 1));
    });
    assert!(ways.contains(&(InLane, InLane)) && ways.contains(&(InLane, InLock)), "{ways:?}");
}

#[test]
fn a_result_of_an_earlier_state_is_not_taken_for_one_of_this() {
    let ways = in_every_order(|ways| {
        let breaker = breaker(1);
        let (early, admitted) = watched(|| guard_in(breaker.clone(), 0).unwrap());
        let (other, noted) = (breaker.clone(), ways.clone());
        let is_reset = sync::Arc::new(AtomicBool::new(false)); // none of loom's: it tells the order, and orders nothing
        let reset = is_reset.clone();
        let thread = thread::spawn(move || {
            other.with_lock(Machine::close);
            reset.store(true, Ordering::SeqCst);
            noted.call(&other, 0, Outcome::Success);
        });
        let is_late = is_reset.load(Ordering::SeqCst);
        let ((), reported) = watched(|| early.record(Outcome::Success));
        ways.note(admitted, reported);
        thread.join().unwrap();
        let stats = settled(&breaker, 2);
        assert!(matches!((stats.successes, stats.stale), (2, 0) | (1, 1)), "{stats:?}");
        assert!(!is_late || stats.stale == 1, "{stats:?}");
    });
    assert_eq!(ways, [(InLane, InLane), (InLane, InLock), (InLock, InLane)]);
}
