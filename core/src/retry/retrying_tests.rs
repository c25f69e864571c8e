#[path = "retrying_refused_tests.rs"]
mod refused;
#[path = "retrying_time_tests.rs"]
mod time;

use super::{
    tests::{STASH, secs},
    *,
};
use crate::{
    circuit_breaker::BreakerError,
    foundation::shared::{Clock, Lock, Timer},
    test_util::{Simulator, VirtualTimer, seeds},
};
use alloc::{boxed::Box, format, string::ToString};
use core::{
    cell::{Cell, RefCell},
    error::Error,
    future::{IntoFuture, pending, ready},
};
use std::{sync::Mutex, vec::Vec};

/// Runs one task to its end, and gives what it gave.
fn run<V>(task: impl AsyncFnOnce(VirtualTimer) -> V) -> V {
    let result = RefCell::new(None);
    let mut simulator = Simulator::new(1);
    let timer = simulator.timer();
    simulator.spawn(async { *result.borrow_mut() = Some(task(timer).await) });
    simulator.run();
    drop(simulator);
    result.into_inner().expect("the task has ended")
}

fn elapsed(timer: &VirtualTimer) -> Duration {
    timer.now().saturating_duration_since(Instant::ZERO)
}

#[test]
fn seed_6_3_two_failures_then_success_are_three_calls_and_3_s() {
    let calls = Cell::new(0);
    let (result, slept) = run(async |timer| {
        let operation = || {
            calls.set(calls.get() + 1);
            ready(if calls.get() < 3 { Err("busy") } else { Ok("stored") })
        };
        (STASH.call_with(&timer, SeededRng::new(1), operation).await, elapsed(&timer))
    });
    assert_eq!((result, calls.get(), slept), (Ok("stored"), 3, secs(3)));
}

#[test]
fn seed_6_3_failing_for_ever_is_four_calls_7_s_and_the_last_error() {
    let calls = Cell::new(0);
    let (result, slept) = run(async |timer| {
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(calls.get()))
        };
        (STASH.call_with(&timer, SeededRng::new(1), operation).await, elapsed(&timer))
    });
    let error = RetryError { last: Some(4), attempts: 4, reason: Reason::AttemptsExhausted };
    assert_eq!((result, calls.get(), slept), (Err(error), 4, secs(7)));
}

#[test]
fn seed_6_3_boot_recovery_is_three_calls_and_90_s() {
    let calls = Cell::new(0);
    let policy = RetryPolicy::linear(secs(30)).max_retries(2).jitter(Jitter::None);
    let slept = run(async |timer| {
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(()))
        };
        assert!(policy.call_with(&timer, SeededRng::new(1), operation).await.is_err());
        elapsed(&timer)
    });
    assert_eq!((calls.get(), slept), (3, secs(90)));
}

#[test]
fn seed_6_3_dropped_before_it_is_awaited_calls_nothing() {
    let calls = Cell::new(0);
    let simulator = Simulator::new(1);
    let budget = RefCell::new(RetryBudget::percent(100));
    let operation = || {
        calls.set(calls.get() + 1);
        ready(Err::<(), _>(()))
    };
    let run = STASH.call_with(simulator.timer(), SeededRng::new(1), operation).budget(&budget);
    drop(run.into_future());
    assert_eq!(calls.get(), 0);
    assert_eq!(budget.borrow().stats(), RetryBudgetStats::default());
}

#[test]
fn seed_6_3_dropped_while_it_waits_calls_nothing_more_and_refunds() {
    let calls = Cell::new(0);
    let budget = RefCell::new(RetryBudget::percent(0));
    let mut simulator = Simulator::new(1);
    let timer = simulator.timer();
    let task = simulator.spawn(async {
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(()))
        };
        let _ = STASH.call_with(timer, SeededRng::new(1), operation).budget(&budget).await;
    });
    assert!(simulator.step());
    assert_eq!((calls.get(), budget.borrow().stats().withdrawn), (1, 1));
    simulator.abort(task);
    assert!(!simulator.step(), "no timer is left behind");
    assert_eq!(calls.get(), 1);
    assert_eq!(budget.borrow().stats().refunded, 1);
}

#[test]
fn seed_6_3_a_permanent_error_stops_at_once() {
    let (result, slept) = run(async |timer| {
        let run = STASH.call_with(&timer, SeededRng::new(1), || ready(Err::<(), _>(7))).retry_if(|error| *error != 7);
        (run.await, elapsed(&timer))
    });
    assert_eq!(result, Err(RetryError { last: Some(7), attempts: 1, reason: Reason::NotRetryable }));
    assert_eq!(slept, Duration::ZERO);
}

#[test]
fn an_error_that_is_worth_another_attempt_gets_one() {
    let calls = Cell::new(0);
    let result = run(async |timer| {
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(calls.get()))
        };
        STASH.call_with(&timer, SeededRng::new(1), operation).retry_if(|error| *error < 3).await
    });
    assert_eq!(result, Err(RetryError { last: Some(3), attempts: 3, reason: Reason::NotRetryable }));
}

#[test]
fn d5_a_hint_counts_only_within_the_caps() {
    let delays = RefCell::new(Vec::new());
    let result = run(async |timer| {
        STASH
            .call_with(&timer, SeededRng::new(1), || ready(Err::<(), _>(secs(3_600))))
            .hint(|error| Some(*error))
            .notify(|_, _, delay| delays.borrow_mut().push(delay))
            .await
    });
    assert_eq!(result.unwrap_err().reason, Reason::AttemptsExhausted);
    assert_eq!(delays.into_inner(), [secs(30); 3]);
}

#[test]
fn an_attempt_that_hangs_is_cut_off_and_tried_again() {
    let calls = Cell::new(0);
    let (result, slept) = run(async |timer| {
        let operation = || {
            calls.set(calls.get() + 1);
            let is_stuck = calls.get() < 3;
            async move {
                if is_stuck {
                    pending::<()>().await;
                }
                Ok::<_, ()>("stored")
            }
        };
        let policy = STASH.attempt_timeout(secs(5));
        (policy.call_with(&timer, SeededRng::new(1), operation).await, elapsed(&timer))
    });
    assert_eq!((result, calls.get(), slept), (Ok("stored"), 3, secs(5 + 1 + 5 + 2)));
}

#[test]
fn found_b10_an_attempt_that_is_cut_off_keeps_the_error_of_the_one_before() {
    let calls = Cell::new(0);
    let operation = || {
        calls.set(calls.get() + 1);
        let number = calls.get();
        async move {
            if number > 2 {
                pending::<()>().await;
            }
            Err::<(), _>(number)
        }
    };
    let policy = STASH.attempt_timeout(secs(5));
    let told = RefCell::new(Vec::new());
    let result = run(async |timer| {
        let notify = |error: Option<&i32>, attempt, _| told.borrow_mut().push((error.copied(), attempt));
        policy.call_with(&timer, SeededRng::new(1), operation).notify(notify).await
    });
    assert_eq!(result, Err(RetryError { last: Some(2), attempts: 4, reason: Reason::AttemptTimedOut }));
    assert_eq!(told.into_inner(), [(Some(1), 1), (Some(2), 2), (None, 3)], "a cut-off has no error of its own");

    calls.set(0);
    let result = run(async |timer| policy.max_elapsed(secs(7)).call_with(&timer, SeededRng::new(1), operation).await);
    assert_eq!(result, Err(RetryError { last: Some(2), attempts: 3, reason: Reason::DeadlineExceeded }));
}

#[test]
fn found_b10_a_delay_is_a_function_of_attempt_and_error() {
    let (mut delays, mut errors, calls) = (Vec::new(), Vec::new(), Cell::new(0));
    let result = run(async |timer| {
        let operation = || {
            calls.set(calls.get() + 1);
            ready(Err::<(), _>(calls.get()))
        };
        STASH
            .max_retries(6)
            .call_with(&timer, SeededRng::new(1), operation)
            .classify(|error, attempt| {
                errors.push(error.copied());
                match attempt {
                    1..=4 => Failure::Delay([secs(1), secs(1), secs(2), secs(3)][attempt as usize - 1]),
                    5 => Failure::Delay(Duration::MAX),
                    _ => Failure::Permanent,
                }
            })
            .notify(|_, _, delay| delays.push(delay))
            .await
    });
    assert_eq!(result, Err(RetryError { last: Some(6), attempts: 6, reason: Reason::NotRetryable }));
    assert_eq!(delays, [secs(1), secs(1), secs(2), secs(3), secs(30)], "never above the maximum");
    assert_eq!(errors, [1, 2, 3, 4, 5, 6].map(Some), "all errors pass by, the last one too");
}

#[test]
fn retry_if_is_asked_before_classify() {
    let result = run(async |timer| {
        let run = STASH.call_with(&timer, SeededRng::new(1), || ready(Err::<(), _>(7))).retry_if(|error| *error != 7);
        run.classify(|_, _| unreachable!("it is known to be permanent")).await
    });
    assert_eq!(result.unwrap_err().reason, Reason::NotRetryable);
}

#[test]
fn an_empty_budget_stops_before_the_attempts_do() {
    let budget = RefCell::new(RetryBudget::percent(0).floor_per_second(0).burst(2));
    let result =
        run(async |timer| STASH.call_with(&timer, SeededRng::new(1), || ready(Err::<(), _>(()))).budget(&budget).await);
    assert_eq!(result, Err(RetryError { last: Some(()), attempts: 3, reason: Reason::BudgetExhausted }));
}

#[test]
fn two_layers_share_one_budget_and_charge_each_call_once() {
    let budget = RefCell::new(RetryBudget::percent(20).floor_per_second(0).burst(100));
    let calls = Cell::new(0);
    run(async |timer| {
        let inner = || {
            STASH
                .max_retries(2)
                .call_with(&timer, SeededRng::new(1), || {
                    calls.set(calls.get() + 1);
                    ready(Err::<(), _>(()))
                })
                .nested_budget(&budget)
                .into_future()
        };
        STASH.call_with(&timer, SeededRng::new(2), inner).budget(&budget).await.unwrap_err();
    });
    let stats = budget.borrow().stats();
    assert_eq!(calls.get(), 4 * 3);
    assert_eq!((stats.deposits, stats.withdrawn), (1, calls.get() - 1));
}

#[test]
fn a_run_is_send_if_its_parts_are() {
    struct Now;
    impl Clock for Now {
        fn now(&self) -> Instant {
            Instant::ZERO
        }
    }
    impl Timer for Now {
        type Sleep = core::future::Ready<()>;

        fn sleep_until(&self, _: Instant) -> Self::Sleep {
            ready(())
        }
    }
    struct Locked(Mutex<RetryBudget>);
    impl Lock for Locked {
        type Target = RetryBudget;

        fn with<R>(&self, f: impl FnOnce(&mut RetryBudget) -> R) -> R {
            f(&mut self.0.lock().unwrap())
        }
    }
    fn spawn<F: Future<Output = Result<(), RetryError<()>>> + Send>(future: F) -> F {
        future
    }
    let budget = Locked(Mutex::new(RetryBudget::percent(20)));
    let run = STASH
        .call_with(Now, SeededRng::new(1), || async { Err::<(), _>(()) })
        .retry_if(|_| true)
        .hint(|_| None)
        .notify(|_, _, _| ())
        .budget(&budget);
    let _boxed: Box<dyn Future<Output = _> + Send + '_> = Box::new(spawn(run.into_future()));
    let plain = async { STASH.call_with(Now, SeededRng::new(1), || async { Err::<(), _>(()) }).await };
    drop(spawn(plain));
}

#[test]
fn dropped_at_every_await_it_leaks_no_retry() {
    for seed in seeds(1_000) {
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
                        let timer = timer.clone();
                        async move {
                            let at = timer.now().saturating_add(Duration::from_millis(100 * task));
                            timer.sleep_until(at).await;
                            Err::<(), _>(())
                        }
                    };
                    let policy = STASH.jitter(Jitter::Full).attempt_timeout(Duration::from_millis(350));
                    let _ = policy.call_with(&timer, SeededRng::new(seed ^ task), operation).budget(budget).await;
                })
            })
            .collect();
        simulator.run_dropping(&tasks);
        let stats = budget.borrow().stats();
        let retries = calls.get() - starts.get();
        assert_eq!(stats.withdrawn - stats.refunded, retries, "seed {seed}");
        assert_eq!(stats.deposits, starts.get(), "seed {seed}");
    }
}

#[test]
fn an_error_tells_all_of_it() {
    let inner = "12a".parse::<u8>().unwrap_err();
    let error = RetryError { last: Some(inner.clone()), attempts: 4, reason: Reason::AttemptsExhausted };
    assert_eq!(error.to_string(), format!("gave up after 4 attempts, no attempt is left: {inner}"));
    assert!(error.source().is_none(), "it would say the same once more");
    let cut_off = RetryError::<core::num::ParseIntError> { last: None, attempts: 1, reason: Reason::DeadlineExceeded };
    assert_eq!(cut_off.to_string(), "gave up after 1 attempt, no time is left: timed out");
    assert!(cut_off.source().is_none());
    let unmade = RetryError::<core::num::ParseIntError> { last: None, attempts: 0, reason: Reason::DeadlineExceeded };
    assert_eq!(unmade.to_string(), "gave up after 0 attempts, no time is left: none was made");
}

/// A clock that tells how often it was read.
struct Read {
    timer: VirtualTimer,
    times: Cell<u32>,
}

impl Clock for Read {
    fn now(&self) -> Instant {
        self.times.set(self.times.get() + 1);
        self.timer.now()
    }
}

impl Timer for Read {
    type Sleep = <VirtualTimer as Timer>::Sleep;

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        self.timer.sleep_until(at)
    }
}

/// What `anyhow` and its like print: an error and all its sources.
fn chain(error: &dyn Error) -> std::string::String {
    let source = error.source().map(chain);
    source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

#[test]
fn found_b9_a_chain_of_errors_says_everything_once() {
    #[derive(Debug)]
    struct Refused;
    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("connection refused")
        }
    }
    impl Error for Refused {}
    #[derive(Debug)]
    struct Fetch(Refused);
    impl fmt::Display for Fetch {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("no orders")
        }
    }
    impl Error for Fetch {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }
    let error =
        RetryError { last: Some(BreakerError::Inner(Fetch(Refused))), attempts: 2, reason: Reason::AttemptsExhausted };
    let text = "gave up after 2 attempts, no attempt is left: no orders: connection refused";
    assert_eq!(chain(&error), text);
}

/// A callback that panics ends its own run, and what was taken out of the budget for it goes back.
#[test]
fn panics_in_callbacks_leave_no_retry_charged() {
    let budget = RefCell::new(RetryBudget::percent(0).floor_per_second(0).burst(5));
    let panics = |at: &str| {
        let is_at = |other: &str| assert_ne!(other, at, "on purpose");
        let budget = &budget;
        let operation = || async move {
            is_at("operation");
            Err::<(), _>("busy")
        };
        let attempt = std::panic::AssertUnwindSafe(|| {
            run(async |timer| {
                STASH
                    .call_with(&timer, SeededRng::new(1), operation)
                    .retry_if(|_| {
                        is_at("retry_if");
                        true
                    })
                    .hint(|_| {
                        is_at("hint");
                        None
                    })
                    .notify(|_, _, _| is_at("notify"))
                    .budget(budget)
                    .await
            })
        });
        std::panic::catch_unwind(attempt).is_err()
    };
    for at in ["operation", "retry_if", "hint", "notify"] {
        assert!(panics(at), "{at}");
        let stats = budget.borrow().stats();
        assert_eq!(stats.withdrawn, stats.refunded, "{at}");
    }
    assert_eq!(budget.borrow().available(Instant::ZERO), 5);
    assert!(!panics("nowhere"));
}

#[test]
fn a_future_that_has_ended_stays_quiet_and_its_error_passes_another_on() {
    let timer = VirtualTimer::default();
    let policy = RetryPolicy::constant(secs(1)).max_retries(0);
    let retrying = policy.call_with(&timer, SeededRng::new(1), || ready(Err::<(), _>(7_u8)));
    let mut future = core::pin::pin!(retrying.into_future());
    assert!(format!("{future:?}").starts_with("RetryFuture"));
    let mut cx = core::task::Context::from_waker(core::task::Waker::noop());
    let core::task::Poll::Ready(Err(error)) = future.as_mut().poll(&mut cx) else { panic!("no attempt is left") };
    assert!(future.as_mut().poll(&mut cx).is_pending());
    let other = error.map_inner(u16::from);
    assert_eq!((other.last, other.attempts, other.reason), (Some(7_u16), 1, Reason::AttemptsExhausted));
}
