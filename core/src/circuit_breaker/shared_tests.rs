use alloc::{string::ToString, vec::Vec};
use core::{
    cell::{Cell, RefCell},
    error::Error,
    fmt,
    future::{pending, ready},
    time::Duration,
};

use super::*;
use crate::{
    circuit_breaker::{Breakers, Consecutive, Reset, Trip},
    foundation::{shared::Timer, time::Instant},
    test_util::{Simulator, VirtualTimer, seeds},
};

const RESET: Reset = Reset::after(Duration::from_secs(30)).lease(Duration::from_secs(3_600));

type Single<T> = Shared<CircuitBreaker, RefCell<CircuitBreaker>, T>;

fn single<T: Clock>(failures: u32, reset: Reset, timer: T) -> Single<T> {
    Shared::new(RefCell::new(CircuitBreaker::new(Trip::consecutive(failures), reset)), timer)
}

/// Runs a simulation of one task to its end.
fn simulate(future: impl Future<Output = ()>) {
    let mut simulator = Simulator::new(0);
    simulator.spawn(future);
    simulator.run();
}

#[test]
fn seed_7_3_03_an_open_breaker_does_not_run_the_call() {
    simulate(async {
        let breaker = single(3, RESET, VirtualTimer::default());
        let calls = Cell::new(0);
        let failing = async || {
            calls.set(calls.get() + 1);
            Err::<(), _>("down")
        };
        for _ in 0..3 {
            assert_eq!(breaker.call(failing()).await, Err(BreakerError::Inner("down")));
        }
        let open = BreakerError::Open { retry_at: Instant::from_secs(30) };
        assert_eq!(breaker.call(failing()).await, Err(open));
        assert_eq!(breaker.call_blocking(|| Err::<(), _>("down")), Err(open));
        assert_eq!(calls.get(), 3);
    });
}

#[test]
fn the_breaker_is_asked_when_the_call_begins() {
    simulate(async {
        let breaker = single(1, RESET, VirtualTimer::default());
        let prepared = breaker.call(ready(Ok::<_, ()>(())));
        assert_eq!(breaker.stats().permitted, 0);
        let _ = breaker.call_blocking(|| Err::<(), _>(()));
        assert!(prepared.await.unwrap_err().is_open());
    });
}

#[test]
fn seed_7_3_12_a_dropped_call_gives_its_place_back_and_counts_as_ignored() {
    let clock = VirtualTimer::default();
    let breaker = single(1, RESET, &clock);
    breaker.record_failure();
    clock.advance(Duration::from_secs(30));
    let probe = breaker.try_acquire().unwrap();
    assert!(breaker.try_acquire().is_err());
    drop(probe);
    assert_eq!((breaker.state(), breaker.stats().ignored), (BreakerState::HalfOpen, 1));
    breaker.try_acquire().unwrap().record(Outcome::Success);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_call_that_panics_gives_its_place_back() {
    let clock = VirtualTimer::default();
    let breaker = single(1, RESET, &clock);
    breaker.record_failure();
    clock.advance(Duration::from_secs(30));
    let call = std::panic::AssertUnwindSafe(|| breaker.call_blocking(|| -> Result<(), ()> { panic!("on purpose") }));
    assert!(std::panic::catch_unwind(call).is_err());
    assert_eq!(breaker.call_blocking(|| Ok::<_, ()>(7)), Ok(7));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn the_caller_tells_what_is_a_failure() {
    simulate(async {
        let breaker = single(1, RESET.up_to(Duration::from_secs(60)), VirtualTimer::default());
        let classify = |result: &Result<u16, &str>| match result {
            Ok(503) => Outcome::RetryAfter(Duration::from_secs(45)),
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Ignored,
        };
        assert_eq!(breaker.call_with(ready(Err("cancelled")), classify).await, Err(BreakerError::Inner("cancelled")));
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.call_with(ready(Ok(503)), classify).await, Ok(503));
        let open = BreakerError::Open { retry_at: Instant::from_secs(45) };
        assert_eq!(breaker.call_with(ready(Ok(200)), classify).await, Err(open));
    });
}

#[test]
fn each_key_has_its_own_breaker() {
    simulate(async {
        let clock = VirtualTimer::default();
        let machine: Breakers<u8, 4> = Breakers::new(Trip::consecutive(1), RESET);
        let breakers = Shared::new(RefCell::new(machine), &clock);
        assert_eq!(breakers.call(&1, ready(Err::<(), _>("down"))).await, Err(BreakerError::Inner("down")));
        assert!(breakers.call_blocking(&1, || Ok::<_, ()>(())).unwrap_err().is_open());
        assert_eq!(breakers.call_blocking(&2, || Ok::<_, ()>(7)), Ok(7));
        assert_eq!((breakers.state(&1), breakers.state(&2)), (BreakerState::Open, BreakerState::Closed));
        clock.advance(Duration::from_secs(30));
        drop(breakers.try_acquire(&1).unwrap());
        let ignored = |_: &Result<(), ()>| Outcome::Ignored;
        assert_eq!(breakers.call_with(&1, ready(Ok(())), ignored).await, Ok(()));
        assert_eq!((breakers.state(&1), breakers.stats().ignored), (BreakerState::HalfOpen, 2));
        assert!(breakers.close(&1));
        breakers.set_mode(BreakerMode::ForcedOpen);
        assert_eq!(breakers.try_acquire(&1).map(drop), Err(Open { retry_at: Instant::MAX }));
    });
}

#[test]
fn an_operator_decides_through_the_lock_too() {
    let breaker = single(1, RESET, VirtualTimer::default());
    breaker.set_mode(BreakerMode::ForcedOpen);
    assert!(!breaker.allow_request());
    breaker.set_mode(BreakerMode::Automatic);
    assert!(breaker.allow_request());
    breaker.record_success();
    breaker.record_failure();
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker.close();
    assert!(breaker.allow_request());
}

#[test]
fn dropped_at_any_await_no_place_leaks_and_never_more_probes_than_configured() {
    const PROBES: u8 = 2;
    for seed in seeds(1_000) {
        let timer = VirtualTimer::default();
        let breaker: Single<_> = single(1, RESET.probes(PROBES), timer.clone());
        breaker.record_failure();
        let (running, most) = (Cell::new(0_u8), Cell::new(0_u8));
        let mut simulator = Simulator::with_timer(seed, timer);
        let mut tasks = Vec::new();
        for task in 0..6_u64 {
            let (breaker, running, most) = (&breaker, &running, &most);
            tasks.push(simulator.spawn(async move {
                for step in 0..3_u64 {
                    let pause = Duration::from_secs(10 + (task + step) % 3);
                    breaker.timer().sleep_until(breaker.timer().now().saturating_add(pause)).await;
                    let _ = breaker
                        .call(async {
                            let _running = Running::enter(running, most, breaker.state());
                            let end = breaker.timer().now().saturating_add(Duration::from_secs(task));
                            breaker.timer().sleep_until(end).await;
                            if (task + step) % 4 == 0 { Err(()) } else { Ok(()) }
                        })
                        .await;
                }
            }));
        }
        simulator.run_dropping(&tasks);
        drop(simulator);
        assert!(most.get() <= PROBES, "seed {seed}: {} probes at once", most.get());
        let stats = breaker.stats();
        // One failure came without a permit. Every other result belongs to a permit: none is still out.
        let results = stats.successes + stats.failures + stats.ignored + stats.stale;
        assert_eq!(stats.permitted + 1, results, "seed {seed}");
        // No place is taken, so it closes without waiting for the lease.
        let clock = breaker.timer();
        clock.advance(Duration::from_secs(30));
        for _ in 0..PROBES {
            assert_eq!(breaker.call_blocking(|| Ok::<_, ()>(())), Ok(()), "seed {seed}");
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}

/// Counts the calls that run while the breaker is half-open.
struct Running<'a>(Option<&'a Cell<u8>>);

impl<'a> Running<'a> {
    fn enter(running: &'a Cell<u8>, most: &Cell<u8>, state: BreakerState) -> Self {
        if state != BreakerState::HalfOpen {
            return Self(None);
        }
        running.set(running.get() + 1);
        most.set(most.get().max(running.get()));
        Self(Some(running))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.0 {
            running.set(running.get() - 1);
        }
    }
}

#[test]
fn found_a6_a_hanging_service_opens_the_breaker() {
    let timer = VirtualTimer::default();
    let reset = RESET.call_timeout(Duration::from_millis(10));
    let breaker = single(3, reset, timer.clone());
    let machine: Breakers<u8, 4> = Breakers::new(Trip::consecutive(3), reset);
    let breakers = Shared::new(RefCell::new(machine), timer.clone());
    let mut simulator = Simulator::with_timer(1, timer);
    simulator.spawn(async {
        for _ in 0..3 {
            assert_eq!(breaker.call(pending::<Result<(), ()>>()).await, Err(BreakerError::TimedOut));
            assert_eq!(breakers.call(&7, pending::<Result<(), ()>>()).await, Err(BreakerError::TimedOut));
        }
        assert!(breaker.call(pending::<Result<(), ()>>()).await.unwrap_err().is_open());
        assert!(breakers.call(&7, pending::<Result<(), ()>>()).await.unwrap_err().is_open());
        assert_eq!(breaker.timer().now(), Instant::from_millis(60));
    });
    simulator.run();
    drop(simulator);
    assert_eq!((breaker.state(), breakers.state(&7)), (BreakerState::Open, BreakerState::Open));
}

/// Hangs, time limits of the callers and drops by chance: no more probes than configured, sums that add up, and once
/// the service answers again the breaker closes within the longest time that it may take.
#[test]
fn found_a6_calls_that_hang_and_are_dropped_at_any_await() {
    let limit = Duration::from_secs(2);
    for seed in seeds(500) {
        let timer = VirtualTimer::default();
        let breaker: Single<_> = single(2, Reset::after(Duration::from_secs(5)).call_timeout(limit), timer.clone());
        let (running, most) = (Cell::new(0_u8), Cell::new(0_u8));
        let mut simulator = Simulator::with_timer(seed, timer);
        let mut tasks = Vec::new();
        for task in 0..6_u64 {
            let (breaker, running, most) = (&breaker, &running, &most);
            tasks.push(simulator.spawn(async move {
                for step in 0..4_u64 {
                    let pause = Duration::from_secs((task + step) % 3);
                    breaker.timer().sleep_until(breaker.timer().now().saturating_add(pause)).await;
                    let began_at = breaker.timer().now();
                    let result = breaker
                        .call(async {
                            let _running = Running::enter(running, most, breaker.state());
                            pending::<Result<(), ()>>().await
                        })
                        .await;
                    let took = breaker.timer().now().saturating_duration_since(began_at);
                    match result {
                        Err(BreakerError::TimedOut) => assert_eq!(took, limit),
                        Err(BreakerError::Open { .. }) => assert_eq!(took, Duration::ZERO),
                        ended => panic!("{ended:?} of a call that hangs"),
                    }
                }
            }));
        }
        simulator.run_dropping(&tasks);
        drop(simulator);
        assert!(most.get() <= 1, "seed {seed}: {} probes at once", most.get());
        let stats = breaker.stats();
        assert_eq!(stats.permitted, stats.failures + stats.ignored + stats.stale, "seed {seed}");
        breaker.timer().advance(Duration::from_secs(5) + 2 * limit);
        assert_eq!(breaker.call_blocking(|| Ok::<_, ()>(())), Ok(()), "seed {seed}");
        assert_eq!(breaker.state(), BreakerState::Closed);
    }
}

/// The permits of a shared breaker have types that can be written down.
#[test]
fn found_c3_permits_can_be_kept_in_a_struct() {
    type Keyed = Shared<Breakers<u8, 4>, RefCell<Breakers<u8, 4>>, VirtualTimer>;
    struct Jobs<'a> {
        one: CallGuard<&'a Single<VirtualTimer>>,
        by_key: CallGuard<(&'a Keyed, u8)>,
    }

    let breaker = single(1, RESET, VirtualTimer::default());
    let breakers: Keyed =
        Shared::new(RefCell::new(Breakers::new(Trip::consecutive(1), RESET)), VirtualTimer::default());
    let jobs = Jobs { one: breaker.try_acquire().unwrap(), by_key: breakers.try_acquire(&7).unwrap() };
    jobs.one.record(Outcome::Failure);
    jobs.by_key.record(Outcome::Failure);
    assert_eq!((breaker.state(), breakers.state(&7)), (BreakerState::Open, BreakerState::Open));
}

/// The future of a service must have a name, so it is written by hand.
#[test]
fn found_c3_a_future_with_a_name_reports_its_outcome() {
    use core::{
        pin::Pin,
        task::{Context, Poll},
    };
    struct Guarded<'a, F> {
        call: Pin<&'a mut F>,
        guard: CallGuard<&'a Single<VirtualTimer>>,
    }
    impl<F: Future<Output = Result<u8, ()>>> Future for Guarded<'_, F> {
        type Output = Result<u8, ()>;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let this = &mut *self;
            this.guard.poll_call(this.call.as_mut(), cx, Outcome::of)
        }
    }

    let breaker = single(1, RESET.on_panic(Outcome::Failure), VirtualTimer::default());
    let timer = breaker.timer();
    simulate(async {
        let takes_a_second = async {
            timer.advance(Duration::from_secs(1));
            Ok(7)
        };
        let call = core::pin::pin!(takes_a_second);
        assert_eq!(Guarded { call, guard: breaker.try_acquire().unwrap() }.await, Ok(7));
    });
    assert_eq!((breaker.stats().successes, breaker.stats().ignored), (1, 0));
    let panics = std::panic::AssertUnwindSafe(|| {
        let call = core::pin::pin!(async { panic!("on purpose") });
        let mut guarded = Guarded { call, guard: breaker.try_acquire().unwrap() };
        let _ = Pin::new(&mut guarded).poll(&mut Context::from_waker(core::task::Waker::noop()));
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    assert_eq!((breaker.state(), breaker.stats().failures), (BreakerState::Open, 1));
}

#[test]
fn an_error_speaks_for_itself() {
    #[derive(Clone, Copy, Debug)]
    struct Down;
    impl fmt::Display for Down {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("down")
        }
    }
    impl Error for Down {}
    let open = BreakerError::<Down>::from(Open { retry_at: Instant::MAX });
    assert_eq!(open.to_string(), "the circuit breaker is open");
    assert_eq!(BreakerError::Inner(Down).to_string(), "down");
    assert!(open.into_inner().is_none() && BreakerError::Inner(Down).into_inner().is_some());
    assert!(open.is_open() && !BreakerError::Inner(Down).is_open());
    let timed_out = BreakerError::<Down>::TimedOut;
    assert_eq!(timed_out.to_string(), "the call timed out");
    assert!(!timed_out.is_open() && timed_out.source().is_none() && timed_out.into_inner().is_none());
    assert_eq!(timed_out.retry_after(Instant::ZERO), None);
    let open = BreakerError::<Down>::from(Open { retry_at: Instant::from_secs(30) });
    assert_eq!(open.retry_after(Instant::from_secs(10)), Some(Duration::from_secs(20)));
    assert_eq!(BreakerError::Inner(Down).retry_after(Instant::ZERO), None);
}

#[test]
fn a_shared_breaker_can_be_a_static() {
    struct Never;
    impl Clock for Never {
        fn now(&self) -> Instant {
            Instant::ZERO
        }
    }
    impl Timer for Never {
        type Sleep = core::future::Pending<()>;
        fn sleep_until(&self, _: Instant) -> core::future::Pending<()> {
            pending()
        }
    }
    struct Locked(std::sync::Mutex<CircuitBreaker<Consecutive>>);
    impl Lock for Locked {
        type Target = CircuitBreaker;
        fn with<R>(&self, f: impl FnOnce(&mut CircuitBreaker) -> R) -> R {
            f(&mut self.0.lock().unwrap())
        }
    }
    static BREAKER: Shared<CircuitBreaker, Locked, Never> =
        Shared::new(Locked(std::sync::Mutex::new(CircuitBreaker::new(Trip::consecutive(3), RESET))), Never);
    fn is_send<F: Send>(future: F) -> F {
        future
    }
    simulate(async {
        let call = is_send(BREAKER.call(ready(Ok::<_, ()>(7))));
        assert_eq!(call.await, Ok(7));
    });
}

#[test]
fn a_success_without_a_permit_counts_and_a_key_without_an_entry_cannot_be_reset() {
    let breaker = single(2, RESET, VirtualTimer::default());
    breaker.record_failure();
    breaker.record_success();
    breaker.record_failure();
    assert!(breaker.allow_request(), "a success lay between");
    let machine = Breakers::<u32, 4>::new(Trip::consecutive(1), RESET);
    let breakers: Shared<Breakers<u32, 4>, _, _> = Shared::new(RefCell::new(machine), VirtualTimer::default());
    assert!(!breakers.close(&1));
    breakers.with_lock(|breakers| breakers.record_failure(&1, Instant::ZERO));
    assert!(breakers.close(&1));
}

#[test]
fn a_permit_in_hand_reports_what_its_call_came_to() {
    let breaker = single(9, RESET, VirtualTimer::default());
    let permit = || breaker.try_acquire().expect("it is closed");
    assert_eq!(permit().call_blocking(|| Ok::<_, ()>(1)), Ok(1));
    assert_eq!(permit().call_blocking(|| Err::<(), _>(2)), Err(2));
    assert_eq!(permit().call_blocking_with(|| Err::<(), _>(3), |_| Outcome::Ignored), Err(3));
    simulate(async {
        assert_eq!(permit().call(ready(Ok::<_, ()>(4))).await, Ok(4));
        assert_eq!(permit().call_with(ready(Err::<(), _>(5)), |_| Outcome::Success).await, Err(5));
    });
    permit()
        .report_to(|permit, outcome| breaker.with(|machine, now| machine.record(permit, outcome, now)))
        .record(Outcome::Failure);
    let stats = breaker.stats();
    assert_eq!((stats.permitted, stats.successes, stats.failures, stats.ignored), (6, 3, 2, 1));
}

#[test]
fn futures_of_calls_can_be_shown() {
    let breaker = single(1, RESET, VirtualTimer::default());
    assert_eq!(alloc::format!("{:?}", breaker.call(ready(Ok::<(), ()>(())))), "GuardedCall { .. }");
    let permit = breaker.try_acquire().unwrap();
    assert_eq!(alloc::format!("{:?}", permit.call(ready(Ok::<(), ()>(())))), "PermittedCall { .. }");
}
