//! Settings that change while calls are under way.

use core::{
    mem,
    num::{NonZeroU16, NonZeroU32},
};
use std::sync::Mutex;

use super::*;

fn consecutive(failures: u32) -> AnyTrip {
    AnyTrip::consecutive(NonZeroU32::new(failures).unwrap())
}

fn window(calls: u16) -> AnyTrip {
    AnyTrip::call_window(NonZeroU16::new(calls).unwrap(), Percent::new(50))
}

#[test]
fn a_call_that_began_without_a_limit_gets_none() {
    let clock = Seconds(AtomicU64::new(1_000));
    let breaker = CircuitBreaker::builder(consecutive(1), RESET).timer(clock).build();
    let under_way = breaker.try_acquire().unwrap(); // by a lane: nobody knows when it began
    breaker.set_settings(consecutive(1), RESET.call_timeout(Duration::from_secs(1)));
    under_way.record(Outcome::Success);
    assert_eq!((breaker.state(), breaker.stats().successes), (BreakerState::Closed, 1));

    let late = breaker.try_acquire().unwrap();
    breaker.0.clock().0.store(1_001, Ordering::Relaxed);
    late.record(Outcome::Success);
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker.set_settings(consecutive(1), Reset::after(Duration::ZERO));
    assert!(breaker.call_blocking(|| Ok::<_, ()>(())).is_ok(), "an open breaker waits for the new time at most");
}

#[test]
fn no_call_is_lost_while_settings_change() {
    const CALLS: u64 = 20_000;

    let breaker = CircuitBreaker::new(window(9), RESET);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (0..CALLS).for_each(|_| breaker.call_blocking(|| Ok::<_, ()>(())).unwrap()));
        }
        for round in 0..2_000_u16 {
            let reset = if round % 2 == 0 { RESET } else { RESET.call_timeout(Duration::from_secs(3_600)) };
            let trip = if round % 3 == 0 { consecutive(3) } else { window(round % 20 + 2) };
            breaker.set_settings(trip, reset);
        }
    });
    let stats = breaker.stats();
    assert_eq!((stats.permitted, stats.successes, stats.stale), (3 * CALLS, 3 * CALLS, 0));
    breaker.set_settings(consecutive(2), RESET);
    breaker.record_failure();
    assert_eq!(breaker.state(), BreakerState::Closed);
    breaker.record_failure();
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn every_key_goes_by_the_new_settings() {
    let breakers = Breakers::<u64, AnyTrip>::builder(consecutive(3), RESET).capacity(1_000).build();
    (0..100).for_each(|key| (0..2).for_each(|_| breakers.record_failure(&key)));
    assert!(breakers.tripped().is_empty());
    let told = Arc::new(Mutex::new(Vec::new()));
    let (heard, asked) = (told.clone(), breakers.clone());
    breakers.on_transition(move |key, change| {
        // It may ask the breakers themselves.
        heard.lock().unwrap().push((*key, change.to, asked.state(key)));
    });
    breakers.set_settings(consecutive(2), RESET);
    assert_eq!(breakers.tripped().len(), 100);
    let mut opened = mem::take(&mut *told.lock().unwrap());
    opened.sort_unstable_by_key(|(key, ..)| *key);
    assert!(opened.into_iter().eq((0..100).map(|key| (key, BreakerState::Open, BreakerState::Open))));
    breakers.set_settings(consecutive(2), RESET);
    assert!(told.lock().unwrap().is_empty(), "nothing changed");
    breakers.on_transition(|_, _| ()); // it held them
    breakers.set_settings(window(4), Reset::after(Duration::ZERO));
    assert!((0..100).all(|key| breakers.call_blocking(&key, || Ok::<_, ()>(())).is_ok()));
    assert!(breakers.tripped().is_empty());
}
