//! Keys, calls and classifiers that use the breakers themselves, or panic.

use core::{borrow::Borrow, future::poll_fn, task::Poll};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
};

use super::*;

/// Fails, rather than hangs, if `f` does not end.
fn ends(f: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        f();
        done.send(()).unwrap();
    });
    if wait.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
        panic!("it waits for ever");
    }
    thread.join().unwrap();
}

static ASKED: std::sync::Mutex<Option<Breakers<Key>>> = std::sync::Mutex::new(None);

fn asked() -> Option<Breakers<Key>> {
    ASKED.lock().unwrap().clone()
}

/// Asks the breakers that hold it whenever it is cloned or dropped.
#[derive(Debug, Eq, Hash, PartialEq)]
struct Key(u32);

impl Borrow<u32> for Key {
    fn borrow(&self) -> &u32 {
        &self.0
    }
}

impl Clone for Key {
    fn clone(&self) -> Self {
        assert_ne!(self.0, 666, "on purpose");
        if let Some(breakers) = asked() {
            let _ = breakers.len();
        }
        Self(self.0)
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        if let Some(breakers) = asked() {
            let _ = breakers.len();
        }
    }
}

#[test]
fn found_a10_keys_may_use_the_breakers_that_hold_them() {
    ends(|| {
        let reset = Reset::after(Duration::ZERO);
        let breakers = Breakers::<Key>::builder(Trip::consecutive(1), reset).capacity(2).build();
        *ASKED.lock().unwrap() = Some(breakers.clone());
        for number in 0..10 {
            assert!(breakers.call_blocking(&Key(number), || Err::<(), _>(())).is_err());
            breakers.record_failure(&Key(number));
            breakers.try_acquire(&Key(number)).unwrap().record(Outcome::Failure);
        }
        breakers.cleanup();
        // A key that cannot be cloned leaves its call counted.
        let before = breakers.stats();
        let call = AssertUnwindSafe(|| breakers.call_blocking(&Key(666), || Err::<(), _>(())));
        assert!(catch_unwind(call).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| breakers.try_acquire(&Key(666)).map(drop))).is_err());
        let stats = breakers.stats();
        assert_eq!((stats.permitted, stats.failures), (before.permitted + 2, before.failures + 1));
        assert_eq!(stats.permitted + 10, stats.successes + stats.failures + stats.ignored + stats.stale, "{stats:?}");
        *ASKED.lock().unwrap() = None;
    });
}

#[test]
fn panics_count_as_the_user_says_and_leak_no_permit() {
    let clock = VirtualTimer::default();
    let panics = |_: &Result<(), ()>| -> Outcome { panic!("on purpose") };
    for (reset, failures) in [(RESET, 0), (RESET.on_panic(Outcome::Failure), 5)] {
        let breaker = CircuitBreaker::builder(Trip::consecutive(9), reset).timer(clock.clone()).build();
        let caught = |f: &dyn Fn()| assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
        caught(&|| _ = breaker.call_blocking(|| -> Result<(), ()> { panic!("on purpose") }));
        caught(&|| _ = block_on(breaker.call(poll_fn(|_| -> Poll<Result<(), ()>> { panic!("on purpose") }))));
        caught(&|| _ = block_on(breaker.call_with(ready(Ok(())), panics)));
        caught(&|| _ = breaker.try_acquire().unwrap().call_blocking_with(|| Ok(()), panics));
        caught(&|| {
            let _permit = breaker.try_acquire().unwrap();
            panic!("on purpose");
        });
        let stats = breaker.stats();
        assert_eq!((stats.permitted, stats.failures, stats.ignored), (5, failures, 5 - failures));
    }
}

#[test]
fn found_c3_permits_can_be_kept_in_a_struct() {
    struct Jobs {
        one: BreakerGuard,
        by_key: Vec<BreakersGuard<String>>,
    }

    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    let breakers = Breakers::<String>::builder(Trip::consecutive(1), RESET).build();
    let by_key = ["bob", "carol"].map(|name| breakers.try_acquire(&name.to_owned()[..]).unwrap());
    let jobs = Jobs { one: breaker.try_acquire().unwrap(), by_key: by_key.into() };
    let stats = thread::spawn(move || {
        drop(breaker);
        jobs.one.record(Outcome::Failure);
        jobs.by_key.into_iter().for_each(|permit| permit.record(Outcome::Failure));
    });
    stats.join().unwrap();
    assert_eq!((breakers.tripped().len(), breakers.stats().failures), (2, 2));
}
