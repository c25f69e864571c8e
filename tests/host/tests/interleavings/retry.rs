//! One budget for the retries of several operations.

use std::{convert::Infallible, future::ready, sync::Arc, time::Duration};

use rand_core::TryRng;
use steadfast_core::{
    Instant, Lock, RetryBudget, RetryPolicy,
    retry::{Jitter, Reason},
};

use super::support::{Mutex, Time, block_on, explore, poll_and_drop, spawn};

struct NoJitter;

impl TryRng for NoJitter {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

const POLICY: RetryPolicy = RetryPolicy::constant(Duration::ZERO).max_retries(2);

/// An operation that always fails: how many retries it made, and why it gave up.
fn operation(budget: &Mutex<RetryBudget>, time: &Time) -> (u32, Reason) {
    let run = POLICY.call_with(time, NoJitter, || ready(Err::<(), ()>(()))).budget(budget);
    let error = block_on(async { run.await }).unwrap_err();
    (error.attempts - 1, error.reason)
}

fn budget(retries: u32) -> Arc<Mutex<RetryBudget>> {
    Arc::new(Mutex::new(RetryBudget::percent(0).floor_per_second(0).burst(retries)))
}

#[test]
fn operations_make_no_more_retries_together_than_there_are() {
    explore(|| {
        let (budget, time) = (budget(3), Time::new());
        let others = [0; 2].map(|_| {
            let (budget, time) = (budget.clone(), time.clone());
            spawn(move || operation(&budget, &time))
        });
        let mine = operation(&budget, &time);
        let all: Vec<_> = others.map(|other| other.join().unwrap()).into_iter().chain([mine]).collect();
        assert_eq!(all.iter().map(|(retries, _)| retries).sum::<u32>(), 3, "{all:?}");
        assert!(
            all.iter().all(|(retries, reason)| (*retries == 2) == (*reason == Reason::AttemptsExhausted)),
            "{all:?}"
        );
    });
}

#[test]
fn a_retry_that_never_ran_is_there_for_others() {
    explore(|| {
        let (budget, time) = (budget(2), Time::new());
        let (other_budget, other_time) = (budget.clone(), time.clone());
        let other = spawn(move || operation(&other_budget, &other_time));
        let waiting = RetryPolicy::constant(Duration::from_secs(1)).jitter(Jitter::None);
        let run = waiting.call_with(&time, NoJitter, || ready(Err::<(), ()>(()))).budget(&*budget);
        let _ = poll_and_drop(async { run.await });
        let (retries, _) = other.join().unwrap();
        let (stats, available) = budget.with(|budget| (budget.stats(), budget.available(Instant::ZERO)));
        assert_eq!(stats.withdrawn - stats.refunded, u64::from(retries));
        assert_eq!(available, 2 - retries, "the dropped one's retry is lost");
    });
}
