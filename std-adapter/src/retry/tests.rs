use super::*;
use crate::runtime::block_on;
use core::{
    future::ready,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::collections::HashSet;

#[test]
fn a_program_without_a_runtime_retries() {
    let policy = RetryPolicy::constant(Duration::from_micros(50)).attempt_timeout(Duration::from_secs(60));
    let mut calls = 0;
    let result = block_on(policy.call(|| {
        calls += 1;
        ready(if calls < 3 { Err("busy") } else { Ok(calls) })
    }));
    assert_eq!(result, Ok(3));
}

#[test]
fn d7_each_operation_draws_its_own_jitter() {
    let policy = RetryPolicy::constant(Duration::from_micros(10)).max_retries(4);
    let sessions: HashSet<Vec<Duration>> = (0..20)
        .map(|_| {
            let mut delays = Vec::new();
            let run = policy.call(async || Err::<(), _>(())).notify(|_, _, delay| delays.push(delay));
            assert!(block_on(run).is_err());
            delays
        })
        .collect();
    assert_eq!(sessions.len(), 20);
}

#[test]
fn a_static_budget_serves_many_threads() {
    static BUDGET: Mutex<BudgetMachine> = Mutex::new(BudgetMachine::percent(0).floor_per_second(0).burst(10));
    let calls = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let policy = RetryPolicy::constant(Duration::from_micros(10));
                let operation = || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    ready(Err::<(), _>(()))
                };
                assert!(block_on(policy.call(operation).budget(&BUDGET)).is_err());
            });
        }
    });
    assert_eq!(calls.into_inner(), 8 + 10, "eight first attempts, and no retry beyond the budget");
    assert_eq!(BUDGET.with(|budget| budget.stats().withdrawn), 10);
}

#[test]
fn settings_of_a_budget_are_those_of_the_machine() {
    let budget = RetryBudget::percent(50).floor_per_second(0).burst(1);
    assert_eq!(budget.available(), 1);
    assert!(budget.withdraw() && !budget.withdraw());
    budget.refund();
    let clone = budget.clone();
    assert!(clone.withdraw());
    clone.deposit();
    assert!(!budget.withdraw());
    clone.deposit();
    assert!(budget.withdraw());
    assert_eq!(clone.stats(), budget.stats());
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use super::*;
    use core::future::{IntoFuture, pending};
    use std::sync::Arc;
    use steadfast_core::{
        Instant,
        retry::{Jitter, Reason},
    };

    const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_secs(1))
        .max_delay(Duration::from_secs(30))
        .max_retries(3)
        .jitter(Jitter::Full);

    /// A wrapper as programs have them: generic, and spawned.
    async fn with_policy<O, F, V, E>(budget: RetryBudget, operation: O) -> Result<V, RetryError<E>>
    where
        O: FnMut() -> F,
        F: Future<Output = Result<V, E>>,
    {
        POLICY.call(operation).budget(&budget).await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn operations_run_on_many_threads() {
        let budget = RetryBudget::percent(100).burst(100);
        let calls = Arc::new(AtomicU64::new(0));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (budget, calls) = (budget.clone(), calls.clone());
                tokio::spawn(async move {
                    let policy = RetryPolicy::constant(Duration::from_micros(10));
                    let operation = async || {
                        calls.fetch_add(1, Ordering::Relaxed);
                        tokio::task::yield_now().await;
                        Err::<(), _>("busy")
                    };
                    policy.call(operation).retry_if(|error| *error == "busy").hint(|_| None).budget(&budget).await
                })
            })
            .collect();
        for task in tasks {
            let error = task.await.unwrap().unwrap_err();
            assert_eq!((error.attempts, error.reason), (4, Reason::AttemptsExhausted));
        }
        assert_eq!(calls.load(Ordering::Relaxed), 80);
        let spawned = tokio::spawn(with_policy(budget, || ready(Ok::<_, ()>("stored"))));
        assert_eq!(spawned.await.unwrap(), Ok("stored"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_shows_the_whole_schedule() {
        let start = SystemTimer.now();
        let mut delays = Vec::new();
        let policy = POLICY.jitter(Jitter::None).attempt_timeout(Duration::from_secs(5));
        let run = policy.call(pending::<Result<(), ()>>).notify(|error, _, delay| {
            assert!(error.is_none());
            delays.push(delay.as_secs());
        });
        let error = run.await.unwrap_err();
        assert_eq!((error.last, error.attempts, error.reason), (None, 4, Reason::AttemptTimedOut));
        assert_eq!(delays, [1, 2, 4]);
        let took = SystemTimer.now().saturating_duration_since(start);
        assert!(took >= Duration::from_secs(4 * 5 + 7) && took < Duration::from_secs(28), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn seed_6_3_cancelled_during_a_wait_returns_promptly_and_calls_nothing_more() {
        let budget = RetryBudget::percent(0);
        let mut calls = 0;
        let policy = RetryPolicy::constant(Duration::from_secs(30)).jitter(Jitter::None);
        let run = policy.call(|| {
            calls += 1;
            ready(Err::<(), _>(()))
        });
        let cancelled = tokio::time::timeout(Duration::from_secs(10), run.budget(&budget).into_future()).await;
        assert!(cancelled.is_err());
        assert!(SystemTimer.now() > Instant::ZERO);
        assert_eq!(calls, 1);
        assert_eq!((budget.stats().withdrawn, budget.stats().refunded), (1, 1));
    }
}

#[cfg(feature = "tokio")]
#[test]
fn found_b5_retries_without_a_delay_do_not_keep_the_runtime() {
    use core::sync::atomic::AtomicBool;

    let policy = RetryPolicy::constant(Duration::ZERO).max_retries(100_000);
    for has_timer in [false, true] {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        if has_timer {
            builder.enable_time();
        }
        let has_run = Arc::new(AtomicBool::new(false));
        let ran = has_run.clone();
        let result = builder.build().unwrap().block_on(async {
            tokio::spawn(async move { ran.store(true, Ordering::Relaxed) });
            policy.call(|| ready(if has_run.load(Ordering::Relaxed) { Ok(()) } else { Err(()) })).await
        });
        assert_eq!(result, Ok(()), "with a timer: {has_timer}");
    }
}
