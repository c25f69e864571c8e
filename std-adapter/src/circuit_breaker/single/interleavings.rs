//! Every interleaving of threads at the lanes, by loom: preemption bound 3, or `LOOM_MAX_PREEMPTIONS`.

use core::time::Duration;

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use steadfast_core::{BreakerState, BreakerStats, CallGuard, Consecutive, Reset, Trip};

use super::*;

/// loom's mutex as the lock of a machine.
struct LoomMutex<T>(loom::sync::Mutex<T>);

impl<T> Lock for LoomMutex<T> {
    type Target = T;

    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

impl Word for AtomicU64 {
    fn get(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn set(&self, new: u64) {
        self.store(new, Ordering::Release);
    }

    fn replace(&self, new: u64) -> u64 {
        self.swap(new, Ordering::AcqRel)
    }

    fn change(&self, old: u64, new: u64) -> Result<u64, u64> {
        self.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire)
    }
}

type Breaker = Single<Consecutive, Stopped, LoomMutex<Machine<Consecutive>>, AtomicU64>;

/// No time passes.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Instant {
        Instant::from_secs(1_000)
    }
}

fn in_every_order(f: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(3));
    builder.check(f);
}

fn breaker(failures: u32) -> Arc<Breaker> {
    let machine = Machine::new(Trip::consecutive(failures), Reset::after(Duration::from_secs(30)));
    Arc::new(Single::new(LoomMutex(loom::sync::Mutex::new(machine)), Stopped))
}

fn guard_in<S: Deref<Target = Breaker>>(breaker: S, lane: usize) -> Result<CallGuard<Reporter<S>>, Open> {
    Single::acquire_in(breaker, lane).map(|(permit, reporter)| CallGuard::new(permit, reporter))
}

fn call(breaker: &Breaker, lane: usize, outcome: Outcome) {
    if let Ok(guard) = guard_in(breaker, lane) {
        guard.record(outcome);
    }
}

/// The counts when all calls have ended.
fn settled(breaker: &Breaker, calls: u64) -> BreakerStats {
    let stats = breaker.with_lock(|machine| machine.stats());
    assert_eq!(stats.permitted + stats.rejected, calls, "{stats:?}");
    assert_eq!(stats.permitted, stats.successes + stats.failures + stats.ignored + stats.stale, "{stats:?}");
    stats
}

#[test]
fn no_success_is_lost_or_counted_twice() {
    in_every_order(|| {
        let breaker = breaker(2);
        let threads = [(0, Outcome::Success), (1, Outcome::Failure)].map(|(lane, outcome)| {
            let breaker = breaker.clone();
            thread::spawn(move || call(&breaker, lane, outcome))
        });
        call(&breaker, 0, Outcome::Success);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let stats = settled(&breaker, 3);
        assert_eq!((stats.successes, stats.failures), (2, 1));
    });
}

#[test]
fn a_success_that_has_ended_comes_before_a_failure() {
    in_every_order(|| {
        let breaker = breaker(2);
        let other = breaker.clone();
        let thread = thread::spawn(move || {
            call(&other, 0, Outcome::Success);
            call(&other, 0, Outcome::Failure);
            call(&other, 0, Outcome::Success);
            call(&other, 0, Outcome::Failure);
        });
        call(&breaker, 1, Outcome::Success);
        thread.join().unwrap();
        settled(&breaker, 5);
        assert_eq!(breaker.with_lock(|machine| machine.state()), BreakerState::Closed);
    });
}

#[test]
fn no_call_passes_a_breaker_that_has_opened() {
    in_every_order(|| {
        let breaker = breaker(1);
        let other = breaker.clone();
        let thread = thread::spawn(move || {
            call(&other, 0, Outcome::Failure);
            assert!(guard_in(&*other, 0).is_err() && guard_in(&*other, 1).is_err());
        });
        call(&breaker, 1, Outcome::Success);
        thread.join().unwrap();
        let stats = settled(&breaker, 4);
        assert_eq!((stats.failures, stats.opened), (1, 1));
    });
}

#[test]
fn a_result_of_an_earlier_state_is_not_taken_for_one_of_this() {
    in_every_order(|| {
        let breaker = breaker(1);
        let early = guard_in(breaker.clone(), 0).unwrap();
        let other = breaker.clone();
        let thread = thread::spawn(move || {
            other.with_lock(Machine::reset);
            call(&other, 0, Outcome::Success);
        });
        early.record(Outcome::Success);
        thread.join().unwrap();
        let stats = settled(&breaker, 2);
        assert!(matches!((stats.successes, stats.stale), (2, 0) | (1, 1)), "{stats:?}");
    });
}
