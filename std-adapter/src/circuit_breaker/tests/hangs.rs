//! A service that takes calls and never answers opens the breaker in every composition.

use core::future::pending;

use tokio::time::{advance, sleep, timeout};

use super::*;
use crate::{
    circuit_breaker::CallWindow,
    retry::{Jitter, RetryExt, RetryPolicy},
};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const POLICY: RetryPolicy = RetryPolicy::constant(ms(1)).jitter(Jitter::None).max_retries(19);

async fn hangs() -> Result<(), &'static str> {
    pending().await
}

fn breaker(reset: Reset) -> CircuitBreaker {
    CircuitBreaker::new(Trip::consecutive(3), reset)
}

fn assert_counts_add_up(stats: BreakerStats) {
    assert_eq!(stats.permitted, stats.successes + stats.failures + stats.ignored + stats.stale, "{stats:?}");
}

#[tokio::test(start_paused = true)]
async fn found_a6_the_call_is_cut_off_and_its_error_says_so() {
    let breaker = breaker(RESET.call_timeout(ms(10)));
    let start = breaker.now();
    for _ in 0..3 {
        assert_eq!(breaker.call(hangs()).await, Err(BreakerError::TimedOut));
    }
    assert_eq!(breaker.now().saturating_duration_since(start).as_millis(), 30);
    assert!(breaker.call(hangs()).await.unwrap_err().is_open());
    assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 3));
}

#[tokio::test(start_paused = true)]
async fn found_a6_under_a_retry_that_cuts_attempts_off() {
    for call_timeout in [5, 10] {
        let breaker = breaker(RESET.call_timeout(ms(call_timeout)));
        let policy = POLICY.attempt_timeout(ms(10));
        assert!(policy.call(|| breaker.call(hangs())).await.is_err());
        assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 3), "{call_timeout} ms");
        assert_counts_add_up(breaker.stats());
    }
}

#[tokio::test(start_paused = true)]
async fn found_a6_under_a_time_limit_of_the_callers() {
    for call_timeout in [5, 10] {
        let breaker = breaker(RESET.call_timeout(ms(call_timeout)));
        for _ in 0..20 {
            let _ = timeout(ms(10), breaker.call(hangs())).await;
        }
        assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 3), "{call_timeout} ms");
    }
    // One that is dropped earlier says nothing, unless it is told to.
    let breaker = breaker(RESET.call_timeout(ms(11)));
    for _ in 0..20 {
        assert!(timeout(ms(10), breaker.call(hangs())).await.is_err());
    }
    assert_eq!((breaker.state(), breaker.stats().ignored), (BreakerState::Closed, 20));
    let breaker = self::breaker(RESET.on_drop(Outcome::Failure));
    for _ in 0..20 {
        let _ = timeout(ms(10), breaker.call(hangs())).await;
    }
    assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 3));
}

#[tokio::test(start_paused = true)]
async fn found_a6_slow_calls_that_are_dropped() {
    let trip: CallWindow<4> = Trip::call_window(Percent::new(100)).slow_calls(ms(5), Percent::new(50));
    let breaker = CircuitBreaker::new(trip, RESET);
    for _ in 0..4 {
        assert!(timeout(ms(10), breaker.call(hangs())).await.is_err());
    }
    assert_eq!(breaker.state(), BreakerState::Open);
    let breaker = CircuitBreaker::new(trip, RESET);
    assert!(POLICY.attempt_timeout(ms(10)).call(|| breaker.call(hangs())).await.is_err());
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn found_a6_by_key() {
    let reset = RESET.call_timeout(ms(10));
    let breakers = Breakers::<String>::builder(Trip::consecutive(3), reset).build();
    assert!(POLICY.call(|| breakers.call("bob", hangs())).await.is_err());
    assert_eq!(breakers.tripped(), [("bob".to_owned(), BreakerState::Open)]);
    assert!(POLICY.attempt_timeout(ms(10)).call(|| breakers.call("carol", hangs())).await.is_err());
    assert_eq!((breakers.state("carol"), breakers.stats().failures), (BreakerState::Open, 6));
    assert_eq!(breakers.call("dave", ready(Ok::<_, ()>(7))).await, Ok(7));
    assert_counts_add_up(breakers.stats());
}

#[tokio::test(start_paused = true)]
async fn found_a6_a_probe_that_hangs_opens_it_again() {
    let breaker = breaker(RESET.call_timeout(ms(10)));
    for _ in 0..3 {
        assert_eq!(breaker.call(hangs()).await, Err(BreakerError::TimedOut));
    }
    for round in 2..6 {
        advance(Duration::from_secs(30)).await;
        let (probe, other) = tokio::join!(breaker.call(hangs()), breaker.call(hangs()));
        assert_eq!(probe, Err(BreakerError::TimedOut));
        assert!(other.unwrap_err().is_open(), "one probe at a time");
        assert_eq!((breaker.state(), breaker.stats().opened), (BreakerState::Open, round));
    }
    advance(Duration::from_secs(30)).await;
    assert_eq!(breaker.call(ready(Ok::<_, ()>(7))).await, Ok(7));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn found_a6_permits_in_somebodys_hands() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET.call_timeout(ms(10)));
    let early = breaker.try_acquire().unwrap();
    let late = breaker.try_acquire().unwrap();
    advance(ms(9)).await;
    drop(early);
    assert_eq!((breaker.state(), breaker.stats().ignored), (BreakerState::Closed, 1));
    advance(ms(1)).await;
    drop(late);
    assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 1));

    // A probe that is forgotten has failed when its lease ends.
    advance(Duration::from_secs(30)).await;
    core::mem::forget(breaker.try_acquire().unwrap());
    advance(ms(20)).await;
    assert!(breaker.try_acquire().is_err());
    assert_eq!((breaker.state(), breaker.stats().opened), (BreakerState::Open, 2));
    advance(Duration::from_secs(30)).await;
    breaker.try_acquire().unwrap().record(Outcome::Success);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_success_in_time_keeps_to_the_lanes_and_a_late_one_fails() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET.call_timeout(ms(10)));
    let takes = |millis| {
        let permit = breaker.try_acquire().unwrap();
        async move {
            advance(ms(millis)).await;
            permit.record(Outcome::Success);
        }
    };
    takes(9).await;
    assert_eq!((breaker.state(), breaker.stats().successes), (BreakerState::Closed, 1));
    takes(10).await;
    assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_late_keeps_its_value() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET.call_timeout(ms(10)));
    // It blocks its thread, so nothing can cut it off.
    let blocks = async {
        advance(ms(15)).await;
        Ok::<_, ()>(7)
    };
    let mut call = core::pin::pin!(breaker.call(blocks));
    assert_eq!(call.as_mut().await, Ok(7));
    assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_that_end_in_time_are_not_cut_off() {
    let breaker = breaker(RESET.call_timeout(ms(10)));
    let takes = async |millis, result: Result<u8, &'static str>| {
        sleep(ms(millis)).await;
        result
    };
    for _ in 0..10 {
        assert_eq!(breaker.call(takes(9, Ok(7))).await, Ok(7));
        assert_eq!(breaker.call(takes(9, Err("down"))).await, Err(BreakerError::Inner("down")));
    }
    let stats = breaker.stats();
    assert_eq!((breaker.state(), stats.successes, stats.failures), (BreakerState::Closed, 10, 10));
}

/// A mode that is changed while calls run: every permit still ends in one count.
#[tokio::test(start_paused = true)]
async fn forced_modes_while_calls_run_keep_the_sums() {
    let breakers = Breakers::<u32>::builder(Trip::consecutive(2), RESET.call_timeout(ms(10))).capacity(4).build();
    let breaker = breaker(RESET.call_timeout(ms(10)));
    let modes = [BreakerMode::ForcedClosed, BreakerMode::ForcedOpen, BreakerMode::ObserveOnly, BreakerMode::Automatic];
    let mut running = Vec::new();
    for step in 0..400_u32 {
        let call = move || async move {
            sleep(ms(u64::from(step % 14))).await;
            if step % 3 == 0 { Err(()) } else { Ok(()) }
        };
        let (one, many) = (breaker.clone(), breakers.clone());
        running.push(tokio::spawn(async move {
            let key = step % 7;
            let _ = tokio::join!(one.call(call()), many.call(&key, call()));
        }));
        if step % 5 == 0 {
            let mode = modes[step as usize / 5 % modes.len()];
            breaker.set_mode(mode);
            breakers.set_mode(mode);
        }
        if step % 11 == 10 {
            running[step as usize / 2].abort();
            breaker.close();
            breakers.close(&(step % 7));
        }
        sleep(ms(2)).await;
    }
    for task in running {
        let _ = task.await;
    }
    for stats in [breaker.stats(), breakers.stats()] {
        assert_counts_add_up(stats);
        assert_eq!(stats.permitted + stats.rejected, 400, "{stats:?}");
    }
}
