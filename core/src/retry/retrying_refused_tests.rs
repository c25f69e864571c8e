//! Refusals, which are no attempts.

use super::*;

/// Refused until 100 s, as an open breaker refuses; then it fails for ever.
fn refused(error: Option<&Result<Instant, ()>>, _: u32) -> Failure {
    match error {
        Some(Ok(at)) => Failure::RefusedUntil(*at),
        Some(Err(())) | None => Failure::Transient,
    }
}

#[test]
fn found_b10_a_refusal_is_no_attempt_and_takes_nothing_from_the_budget() {
    let budget = RefCell::new(RetryBudget::percent(0).floor_per_second(0).burst(3));
    let (made, delays) = (Cell::new(0), RefCell::new(Vec::new()));
    let result = run(async |timer| {
        let operation = || {
            let at = Instant::from_secs(100);
            if timer.now() < at {
                return ready(Err::<(), _>(Ok(at)));
            }
            made.set(made.get() + 1);
            ready(Err(Err(())))
        };
        STASH
            .max_elapsed(secs(1_000))
            .call_with(&timer, SeededRng::new(1), operation)
            .classify(refused)
            .notify(|_, attempt, delay| delays.borrow_mut().push((attempt, delay)))
            .budget(&budget)
            .await
    });
    assert_eq!(result, Err(RetryError { last: Some(Err(())), attempts: 4, reason: Reason::AttemptsExhausted }));
    assert_eq!((made.get(), budget.borrow().stats().withdrawn), (4, 3));
    let waits = [(1, secs(30)), (1, secs(30)), (1, secs(30)), (1, secs(10))];
    assert_eq!(delays.into_inner(), [&waits[..], &[(1, secs(1)), (2, secs(2)), (3, secs(4))]].concat());
}

#[test]
fn found_b10_refusals_are_bounded_in_time_and_without_a_limit_in_number() {
    let count = |policy: RetryPolicy| {
        let calls = Cell::new(0);
        let result = run(async |timer| {
            let operation = || {
                calls.set(calls.get() + 1);
                ready(Err::<(), _>(Ok(Instant::MAX)))
            };
            policy.call_with(&timer, SeededRng::new(1), operation).classify(refused).await
        });
        let error = result.unwrap_err();
        (error.reason, error.attempts, calls.get())
    };
    assert_eq!(count(STASH.max_elapsed(secs(100))), (Reason::DeadlineExceeded, 0, 4));
    assert_eq!(count(STASH), (Reason::AttemptsExhausted, 4, 4));
}

#[test]
fn a_refused_retry_that_is_cancelled_gives_back_nothing_twice() {
    let budget = RefCell::new(RetryBudget::percent(0).floor_per_second(0).burst(2));
    let calls = Cell::new(0);
    let mut simulator = Simulator::new(1);
    let timer = simulator.timer();
    let task = simulator.spawn(async {
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(if calls.get() == 1 { Err(()) } else { Ok(Instant::MAX) }))
        };
        let run = STASH.max_elapsed(secs(1_000)).call_with(timer, SeededRng::new(1), operation).classify(refused);
        let _ = run.budget(&budget).await;
    });
    while calls.get() < 3 {
        assert!(simulator.step());
    }
    simulator.abort(task);
    let stats = budget.borrow().stats();
    assert_eq!((stats.withdrawn, stats.refunded), (1, 0));
}
