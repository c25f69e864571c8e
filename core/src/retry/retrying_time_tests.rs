//! The limits of time, and clocks that step or are late.

use super::*;

#[test]
fn the_whole_ends_with_the_elapsed_time_even_inside_an_attempt() {
    let (result, slept) = run(async |timer| {
        let policy = STASH.max_elapsed(secs(4));
        let result = policy.call_with(&timer, SeededRng::new(1), pending::<Result<(), ()>>).await;
        (result, elapsed(&timer))
    });
    assert_eq!(result, Err(RetryError { last: None, attempts: 1, reason: Reason::DeadlineExceeded }));
    assert_eq!(slept, secs(4));
}

#[test]
fn the_elapsed_time_is_never_slept_past() {
    let (result, slept) = run(async |timer| {
        let policy = STASH.max_elapsed(secs(7));
        (policy.call_with(&timer, SeededRng::new(1), || ready(Err::<(), _>(()))).await, elapsed(&timer))
    });
    // 1 s and 2 s fit; 4 s more would end exactly at 7 s.
    assert_eq!(result, Err(RetryError { last: Some(()), attempts: 3, reason: Reason::DeadlineExceeded }));
    assert_eq!(slept, secs(3));
}

#[test]
fn a_timer_that_is_late_starts_no_attempt_after_the_end() {
    let budget = RefCell::new(RetryBudget::percent(0));
    let calls = Cell::new(0);
    let mut simulator = Simulator::new(1);
    let timer = simulator.timer();
    simulator.spawn(async {
        let policy = STASH.max_elapsed(secs(60));
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>("busy"))
        };
        let error = policy.call_with(timer, SeededRng::new(1), operation).budget(&budget).await.unwrap_err();
        assert_eq!(error, RetryError { last: Some("busy"), attempts: 1, reason: Reason::DeadlineExceeded });
    });
    assert!(simulator.step());
    simulator.timer().advance(secs(60)); // the machine was asleep
    simulator.run();
    assert_eq!(calls.get(), 1);
    assert_eq!(budget.borrow().stats().refunded, 1);
}

#[test]
fn a_first_attempt_without_any_time_is_still_made() {
    let result = run(async |timer| {
        let policy = STASH.max_elapsed(Duration::ZERO).attempt_timeout(Duration::ZERO);
        policy.call_with(&timer, SeededRng::new(1), || ready(Ok::<_, ()>(()))).await
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn only_a_policy_with_a_limit_of_time_reads_the_clock_before_the_first_attempt() {
    let policy = RetryPolicy::exponential(secs(1));
    for (policy, read) in [(policy, 0), (policy.max_elapsed(secs(60)), 1), (policy.attempt_timeout(secs(60)), 1)] {
        run(async |timer| {
            let timer = Read { timer, times: Cell::new(0) };
            assert_eq!(
                policy.call_with(&timer, SeededRng::new(1), || ready(Ok::<_, ()>(timer.times.get()))).await,
                Ok(read)
            );
        });
    }
}

#[test]
fn the_time_of_an_operation_begins_with_it() {
    let policy = RetryPolicy::constant(secs(1)).max_elapsed(secs(10)).max_retries(3).jitter(Jitter::None);
    let calls = Cell::new(0);
    let (result, slept) = run(async |timer| {
        timer.sleep_until(Instant::from_secs(1_000)).await;
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>("busy"))
        };
        (policy.call_with(&timer, SeededRng::new(1), operation).await, elapsed(&timer))
    });
    let error = RetryError { last: Some("busy"), attempts: 4, reason: Reason::AttemptsExhausted };
    assert_eq!((result, calls.get(), slept), (Err(error), 4, secs(1_003)));
}

/// The clock steps back by a day while others wait: each run still makes its attempts, and ends.
#[test]
fn a_step_back_while_it_sleeps_ends_no_run_early_and_keeps_the_budget() {
    let timer = VirtualTimer::default();
    timer.set(Instant::from_secs(100_000));
    let budget = RefCell::new(RetryBudget::percent(0).floor_per_second(1).burst(10));
    let ended = Cell::new(0);
    let mut simulator = Simulator::with_timer(1, timer.clone());
    for task in 0..3 {
        let (timer, budget, ended) = (&timer, &budget, &ended);
        simulator.spawn(async move {
            let policy = RetryPolicy::constant(secs(2)).jitter(Jitter::None).max_elapsed(secs(60));
            let operation = || {
                if task == 0 {
                    timer.set(Instant::from_secs(10));
                }
                ready(Err::<(), _>("busy"))
            };
            let error = policy.call_with(timer, SeededRng::new(1), operation).budget(budget).await.unwrap_err();
            assert!(matches!(error.reason, Reason::AttemptsExhausted | Reason::DeadlineExceeded), "{error:?}");
            ended.set(ended.get() + 1);
        });
    }
    simulator.run();
    drop(simulator);
    let stats = budget.borrow().stats();
    assert_eq!((ended.get(), stats.refused), (3, 0));
    assert!(stats.withdrawn - stats.refunded <= 9);
}
