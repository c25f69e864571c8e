use super::{
    tests::{STASH, secs},
    *,
};
use crate::{
    foundation::{
        deadline::Deadline,
        shared::{Clock, Timer},
    },
    test_util::{Simulator, VirtualTimer, seeds},
};
use core::{
    cell::{Cell, RefCell},
    future::{pending, ready},
};

use std::vec::Vec;

const START: Instant = Instant::from_secs(1_000);

fn by(seconds: u64) -> Deadline {
    Deadline::within(secs(seconds), START)
}

/// Runs one task from `START` on to its end: what it gave, and how long it took.
fn run<V>(task: impl AsyncFnOnce(VirtualTimer) -> V) -> (V, Duration) {
    let result = RefCell::new(None);
    let timer = VirtualTimer::default();
    timer.set(START);
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async { *result.borrow_mut() = Some(task(timer.clone()).await) });
    simulator.run();
    drop(simulator);
    (result.into_inner().expect("the task has ended"), timer.now().saturating_duration_since(START))
}

#[test]
fn the_whole_ends_by_the_deadline_even_inside_an_attempt() {
    for policy in [STASH, STASH.max_elapsed(secs(60)), STASH.attempt_timeout(secs(60))] {
        let (result, slept) = run(async |timer| {
            policy.call_with(&timer, SeededRng::new(1), pending::<Result<(), ()>>).deadline(by(4)).await
        });
        assert_eq!(result, Err(RetryError { last: None, attempts: 1, reason: Reason::DeadlineExceeded }));
        assert_eq!(slept, secs(4));
    }
}

#[test]
fn whichever_is_earlier_ends_it() {
    for (policy, deadline, ends) in [
        (STASH.max_elapsed(secs(3)), by(9), 3),
        (STASH.max_elapsed(secs(9)), by(3), 3),
        (STASH.max_elapsed(secs(9)), Deadline::NEVER, 9),
        (STASH.attempt_timeout(secs(2)).max_retries(0), by(9), 2),
    ] {
        let (result, slept) = run(async |timer| {
            policy.call_with(&timer, SeededRng::new(1), pending::<Result<(), ()>>).deadline(deadline).await
        });
        assert_eq!((result.unwrap_err().attempts, slept), (1, secs(ends)));
    }
}

#[test]
fn a_delay_that_would_end_at_the_deadline_is_not_slept() {
    for (deadline, attempts, reason, slept) in [
        (by(3), 2, Reason::DeadlineExceeded, 1),
        (Deadline::within(secs(3) + Duration::from_nanos(1), START), 3, Reason::DeadlineExceeded, 3),
        (by(8), 4, Reason::AttemptsExhausted, 7),
    ] {
        let (result, took) = run(async |timer| {
            STASH.call_with(&timer, SeededRng::new(1), || ready(Err::<(), _>("busy"))).deadline(deadline).await
        });
        assert_eq!(result, Err(RetryError { last: Some("busy"), attempts, reason }));
        assert_eq!(took, secs(slept));
    }
}

#[test]
fn once_it_is_over_nothing_is_tried_and_nothing_put_into_the_budget() {
    let (calls, budget) = (Cell::new(0), RefCell::new(RetryBudget::percent(100)));
    for (deadline, made) in [(by(0), 0), (Deadline::at(Instant::ZERO), 0), (by(1), 1)] {
        calls.set(0);
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Ok::<_, ()>(()))
        };
        let (result, _) = run(async |timer| {
            STASH.call_with(&timer, SeededRng::new(1), operation).budget(&budget).deadline(deadline).await
        });
        let error = RetryError { last: None, attempts: 0, reason: Reason::DeadlineExceeded };
        assert_eq!((calls.get(), result), (made, if made == 0 { Err(error) } else { Ok(()) }));
    }
    assert_eq!(budget.borrow().stats().deposits, 1);
}

#[test]
fn refusals_end_by_it_and_are_no_attempts() {
    let (result, took) = run(async |timer| {
        let refused = |_: Option<&()>, _: u32| Failure::RefusedUntil(timer.now().saturating_add(secs(2)));
        let call = STASH.call_with(&timer, SeededRng::new(1), || ready(Err::<(), ()>(())));
        call.classify(refused).deadline(by(100)).await
    });
    assert_eq!(result, Err(RetryError { last: Some(()), attempts: 0, reason: Reason::DeadlineExceeded }));
    assert_eq!(took, secs(98));
}

#[test]
fn a_retry_that_the_caller_drives_ends_by_it_too() {
    let policy = STASH.attempt_timeout(secs(10)).until(by(4), START);
    let mut retry = policy.start(START);
    assert_eq!(retry.attempt_deadline(START), Some(by(4).instant()));
    let later = START.saturating_add(secs(3));
    assert_eq!(retry.next(Failure::Transient, later, &mut SeededRng::new(1)), Step::GiveUp(Reason::DeadlineExceeded));
    assert_eq!(STASH.until(Deadline::NEVER, START), STASH);
}

/// The naive reference: the same policy, whose elapsed time is what remains.
#[test]
fn a_deadline_does_as_the_elapsed_time_that_remains() {
    for seed in seeds(500) {
        let remaining = Duration::from_millis(seed % 20_000 + 1);
        let policy = STASH.jitter(Jitter::Full).max_retries(9).attempt_timeout(secs(2));
        let go = |by_deadline: bool| {
            run(async |timer| {
                let calls = Cell::new(0);
                let operation = || {
                    calls.set(calls.get() + 1);
                    let at = timer.now().saturating_add(Duration::from_millis(seed.rotate_left(calls.get()) % 4_000));
                    let sleep = timer.sleep_until(at);
                    async move {
                        sleep.await;
                        Err::<(), _>("busy")
                    }
                };
                let deadline = Deadline::within(remaining, timer.now());
                match by_deadline {
                    true => policy.call_with(&timer, SeededRng::new(seed), operation).deadline(deadline).await,
                    false => policy.max_elapsed(remaining).call_with(&timer, SeededRng::new(seed), operation).await,
                }
            })
        };
        assert_eq!(go(true), go(false), "seed {seed}");
    }
}

/// Safety: no attempt begins at the deadline, and each step back gives no more time than there was in the beginning.
/// Liveness: it ends, and without a step not before it has to.
#[test]
fn a_clock_that_steps_back_prolongs_it_by_what_there_was_at_most() {
    let mut prolonged = 0;
    for seed in seeds(1_000) {
        let remaining = Duration::from_millis(1 + seed * 7 % 9_000);
        let deadline = Deadline::within(remaining, START);
        let (mut dice, steps, back) = (SeededRng::new(seed), Cell::new(0_u32), Cell::new(Duration::ZERO));
        let begun: RefCell<Vec<Instant>> = RefCell::default();
        let ((), shown) = run(async |timer| {
            let operation = || {
                begun.borrow_mut().push(timer.now());
                let step = Duration::from_millis(u64::from(dice.next_u32() % 12_000));
                let is_step = steps.get() < 3 && dice.next_u32() % 3 == 0;
                let (timer, steps, back) = (timer.clone(), &steps, &back);
                async move {
                    timer.sleep_until(timer.now().saturating_add(Duration::from_millis(200))).await;
                    if is_step {
                        steps.set(steps.get() + 1);
                        back.set(back.get() + step);
                        timer.set(timer.now().saturating_sub(step));
                    }
                    Err::<(), _>("busy")
                }
            };
            let policy = RetryPolicy::constant(Duration::from_millis(100)).jitter(Jitter::None).max_retries(u32::MAX);
            let error = policy.call_with(&timer, SeededRng::new(seed), operation).deadline(deadline).await.unwrap_err();
            assert_eq!(error.reason, Reason::DeadlineExceeded, "seed {seed}");
            // From `START` on, the clock shows the time less the steps.
            timer.set(timer.now().saturating_add(back.get()));
        });
        assert!(begun.borrow().iter().all(|at| !deadline.is_over(*at)), "seed {seed}");
        assert!(shown <= remaining * (1 + steps.get()), "seed {seed}: {shown:?} of {remaining:?}, {steps:?} steps");
        prolonged += u32::from(shown > remaining + Duration::from_secs(1));
        let delay = Duration::from_millis(100);
        assert!(shown + delay >= remaining, "seed {seed}: it gave up after {shown:?} of {remaining:?}");
    }
    assert!(prolonged > 0, "no step was felt");
}

#[test]
fn dropped_at_every_await_it_leaks_no_retry_and_no_sleep() {
    for seed in seeds(500) {
        let budget = RefCell::new(RetryBudget::percent(50).floor_per_second(1).burst(4));
        let (starts, calls) = (Cell::new(0), Cell::new(0));
        let mut simulator = Simulator::new(seed);
        let tasks: Vec<_> = (0..6)
            .map(|task| {
                let timer = simulator.timer();
                let (budget, starts, calls) = (&budget, &starts, &calls);
                simulator.spawn(async move {
                    let is_first = Cell::new(true);
                    let operation = || {
                        calls.set(calls.get() + 1);
                        starts.set(starts.get() + u64::from(is_first.take()));
                        let at = timer.now().saturating_add(Duration::from_millis(100 * task));
                        let sleep = timer.sleep_until(at);
                        async move {
                            sleep.await;
                            Err::<(), _>(())
                        }
                    };
                    let deadline = Deadline::within(Duration::from_millis(900), timer.now());
                    let call = STASH.jitter(Jitter::Full).call_with(&timer, SeededRng::new(seed ^ task), operation);
                    let _ = call.budget(budget).deadline(deadline).await;
                })
            })
            .collect();
        simulator.run_dropping(&tasks);
        assert!(!simulator.step(), "seed {seed}: a sleep is left behind");
        let stats = budget.borrow().stats();
        assert_eq!(stats.withdrawn - stats.refunded, calls.get() - starts.get(), "seed {seed}");
        assert_eq!(stats.deposits, starts.get(), "seed {seed}");
    }
}
