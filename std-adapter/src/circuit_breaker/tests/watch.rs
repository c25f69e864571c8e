//! Hooks, and those who wait for an open breaker.

use core::cell::{Cell, RefCell};
use std::sync::{Arc, Mutex};

use steadfast_core::test_util::Simulator;

use super::*;

type Told<K> = Arc<Mutex<Vec<(K, BreakerState, BreakerState)>>>;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn found_b10_each_change_of_state_is_told_outside_the_lock() {
    let told = Told::default();
    let clock: &Seconds = Box::leak(Box::default());
    let breaker = CircuitBreaker::builder(Trip::consecutive(2), RESET).timer(clock).build();
    let (heard, asks) = (told.clone(), breaker.state());
    assert_eq!(asks, BreakerState::Closed);
    let weak = Arc::downgrade(&breaker.0);
    breaker.on_transition(move |change| {
        // It may ask the breaker itself.
        let state = CircuitBreaker(weak.upgrade().unwrap()).state();
        heard.lock().unwrap().push((state, change.from, change.to));
    });
    for _ in 0..2 {
        assert!(breaker.call_blocking(|| Err::<(), _>(())).is_err());
    }
    clock.0.store(30, Ordering::Relaxed);
    assert_eq!(breaker.call_blocking(|| Ok::<_, ()>(())), Ok(()));
    breaker.open();
    breaker.close();
    breaker.close();
    let expected = [
        (BreakerState::Open, BreakerState::Closed, BreakerState::Open),
        (BreakerState::HalfOpen, BreakerState::Open, BreakerState::HalfOpen),
        (BreakerState::Closed, BreakerState::HalfOpen, BreakerState::Closed),
        (BreakerState::Open, BreakerState::Closed, BreakerState::Open),
        (BreakerState::Closed, BreakerState::Open, BreakerState::Closed),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

#[test]
fn found_b10_a_hook_that_panics_ends_only_its_own_call() {
    let breaker = CircuitBreaker::new(Trip::consecutive(1), RESET);
    breaker.on_transition(|_| panic!("on purpose"));
    assert_eq!(breaker.call_blocking(|| Err::<(), _>("down")), Err(BreakerError::Inner("down")));
    assert_eq!(breaker.state(), BreakerState::Open);
    breaker.on_transition(|_| ());
    breaker.close();
}

#[test]
fn found_b10_changes_of_a_key_are_told_with_it() {
    let told = Told::default();
    let timer = VirtualTimer::default();
    let breakers = Breakers::<String>::builder(Trip::consecutive(1), RESET).timer(timer.clone()).build();
    let heard = told.clone();
    breakers.on_transition(move |key, change| {
        heard.lock().unwrap().push((key.clone(), change.from, change.to));
    });
    assert!(breakers.call_blocking("called", || Err::<(), _>(())).is_err());
    breakers.record_failure("bare");
    breakers.try_acquire("guarded").unwrap().record(Outcome::Failure);
    assert!(breakers.open("opened") && breakers.open("opened"));
    timer.advance(Duration::from_secs(30));
    assert!(breakers.allow_request("bare"));
    breakers.try_acquire("guarded").unwrap().record(Outcome::Success);
    assert!(breakers.close("called") && !breakers.close("never"));
    let expected = [
        ("called", BreakerState::Closed, BreakerState::Open),
        ("bare", BreakerState::Closed, BreakerState::Open),
        ("guarded", BreakerState::Closed, BreakerState::Open),
        ("opened", BreakerState::Closed, BreakerState::Open),
        ("bare", BreakerState::Open, BreakerState::HalfOpen),
        ("guarded", BreakerState::Open, BreakerState::HalfOpen),
        ("guarded", BreakerState::HalfOpen, BreakerState::Closed),
        ("called", BreakerState::Open, BreakerState::Closed),
    ];
    assert_eq!(*told.lock().unwrap(), expected.map(|(key, from, to)| (key.to_owned(), from, to)));
    assert_eq!(breakers.window("never").calls, 0);
}

/// Two wait; the first is let through at the end of the open time, the second when the first has succeeded, and not
/// before.
#[test]
fn found_b10_whoever_waits_is_let_through_when_the_breaker_lets_calls_through() {
    let timer = VirtualTimer::default();
    let breaker = CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(timer.clone()).build();
    breaker.record_failure();
    let (through, probes) = (RefCell::new(Vec::new()), Cell::new(0));
    let mut simulator = Simulator::with_timer(1, timer.clone());
    for _ in 0..2 {
        simulator.spawn(async {
            let permit = breaker.until_permitted().await;
            through.borrow_mut().push(timer.now());
            probes.set(probes.get() + 1);
            timer.sleep_until(timer.now().saturating_add(SECOND)).await;
            permit.record(Outcome::Success);
        });
    }
    simulator.run();
    drop(simulator);
    assert_eq!(through.into_inner(), [30, 31].map(Instant::from_secs));
}

/// When one who waits from the beginning for an open breaker is let through, if it is changed at `secs`.
fn let_through(breaker: &CircuitBreaker<Consecutive, VirtualTimer>, secs: u64, change: impl Fn()) -> Option<Instant> {
    let timer = breaker.0.clock();
    let through = Cell::new(None);
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async {
        drop(breaker.until_permitted().await);
        through.set(Some(timer.now()));
    });
    simulator.spawn(async {
        timer.sleep_until(Instant::from_secs(secs)).await;
        change();
    });
    simulator.run();
    drop(simulator);
    through.get()
}

#[test]
fn found_b10_whoever_waits_hears_of_close_and_of_the_mode() {
    for mode in [BreakerMode::Automatic, BreakerMode::ForcedClosed] {
        let breaker = CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(VirtualTimer::default()).build();
        breaker.record_failure();
        breaker.set_mode(BreakerMode::ForcedOpen);
        let through = let_through(&breaker, 100, || {
            breaker.close();
            breaker.set_mode(mode);
        });
        assert_eq!(through, Some(Instant::from_secs(100)));
    }
}

/// At 5 s the open time of 30 s becomes one of 5 s: it ends at 10 s for who waits already, too.
#[test]
fn whoever_waits_hears_of_an_open_time_that_ends_sooner() {
    let breaker = CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(VirtualTimer::default()).build();
    breaker.record_failure();
    let through = let_through(&breaker, 5, || breaker.set_settings(Trip::consecutive(1), Reset::after(5 * SECOND)));
    assert_eq!(through, Some(Instant::from_secs(10)));
}

#[test]
fn found_b10_a_probes_place_that_becomes_free_is_given_to_whoever_waits() {
    let timer = VirtualTimer::default();
    let breaker = CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(timer.clone()).build();
    breaker.record_failure();
    let through = Cell::new(None);
    let mut simulator = Simulator::with_timer(1, timer.clone());
    simulator.spawn(async {
        let probe = breaker.until_permitted().await;
        timer.sleep_until(Instant::from_secs(40)).await;
        drop(probe); // says nothing
    });
    simulator.spawn(async {
        timer.sleep_until(Instant::from_secs(35)).await;
        breaker.until_permitted().await.record(Outcome::Success);
        through.set(Some(timer.now()));
    });
    simulator.run();
    drop(simulator);
    assert_eq!(through.get(), Some(Instant::from_secs(40)));
    assert_eq!(breaker.state(), BreakerState::Closed);
}

/// Dropped while they wait, they leave nothing: neither a waker nor a taken permit.
#[test]
fn found_b10_whoever_is_dropped_while_waiting_takes_nothing() {
    for seed in 0..200 {
        let timer = VirtualTimer::default();
        let breaker = CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(timer.clone()).build();
        breaker.record_failure();
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                let (breaker, timer) = (&breaker, &timer);
                simulator.spawn(async move {
                    let permit = breaker.until_permitted().await;
                    timer.sleep_until(timer.now().saturating_add(SECOND)).await;
                    permit.record(if task == 0 { Outcome::Failure } else { Outcome::Success });
                })
            })
            .collect();
        simulator.run_dropping(&tasks);
        drop(simulator);
        timer.advance(Duration::from_secs(1_000));
        breaker.try_acquire().unwrap_or_else(|_| panic!("seed {seed}: a permit is lost")).record(Outcome::Success);
        assert!(breaker.0.waiters.is_empty(), "seed {seed}");
    }
}

#[cfg(feature = "tracing")]
mod traced {
    use core::fmt;

    use tracing::{Event, Metadata, Subscriber, field, span, subscriber};

    use super::*;

    /// Keeps what each event of a breaker says; panics at one of this number.
    #[derive(Clone, Default)]
    struct Heard {
        lines: Arc<Mutex<Vec<String>>>,
        panics_at: Option<u64>,
    }

    #[derive(Default)]
    struct Line(String, Option<u64>);

    impl field::Visit for Line {
        fn record_u64(&mut self, field: &field::Field, value: u64) {
            self.1 = Some(value);
            self.record_debug(field, &value);
        }
        fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
            self.0 += &format!(" {}={value:?}", field.name());
        }
    }

    impl Subscriber for Heard {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() == "steadfast::circuit_breaker"
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = Line::default();
            event.record(&mut line);
            self.lines.lock().unwrap().push(format!("{}{}", event.metadata().level(), line.0));
            assert!(line.1 != self.panics_at, "on purpose");
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    /// What is heard of a breaker that opens, probes, and closes again, with ten calls in each state that lets them pass.
    fn heard_of(heard: &Heard, breaker: &CircuitBreaker<Consecutive, VirtualTimer>) -> Vec<String> {
        subscriber::with_default(heard.clone(), || {
            (0..10).for_each(|_| breaker.record_success());
            (0..10).for_each(|_| assert!(breaker.call_blocking(|| Err::<(), _>(())).is_err()));
            breaker.0.clock().advance(30 * SECOND);
            (0..10).for_each(|_| assert_eq!(breaker.call_blocking(|| Ok::<_, ()>(())), Ok(())));
        });
        core::mem::take(&mut *heard.lines.lock().unwrap())
    }

    fn breaker() -> CircuitBreaker<Consecutive, VirtualTimer> {
        CircuitBreaker::builder(Trip::consecutive(1), RESET).timer(VirtualTimer::default()).build()
    }

    const LINES: [&str; 3] = [
        r#"WARN message=a circuit breaker opened from="closed" to="open" number=1"#,
        r#"INFO message=a circuit breaker probes from="open" to="half_open" number=2"#,
        r#"INFO message=a circuit breaker closed from="half_open" to="closed" number=3"#,
    ];

    #[test]
    fn each_change_is_an_event_and_no_call_is() {
        assert_eq!(heard_of(&Heard::default(), &breaker()), LINES);
    }

    #[test]
    fn a_subscriber_that_panics_ends_no_call() {
        let breaker = breaker();
        assert_eq!(heard_of(&Heard { panics_at: Some(1), ..Heard::default() }, &breaker), LINES);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_hook_takes_the_place_of_the_events() {
        let breaker = breaker();
        let told = Arc::new(Mutex::new(0));
        let count = told.clone();
        breaker.on_transition(move |_| *count.lock().unwrap() += 1);
        assert_eq!(heard_of(&Heard::default(), &breaker), Vec::<String>::new());
        assert_eq!(*told.lock().unwrap(), 3);
    }

    #[test]
    fn a_change_of_a_key_is_an_event() {
        let heard = Heard::default();
        let breakers = || Breakers::<u8>::builder(Trip::consecutive(1), RESET).build();
        subscriber::with_default(heard.clone(), || {
            let breakers = breakers();
            breakers.record_failure(&1);
            breakers.record_success(&2);
        });
        assert_eq!(core::mem::take(&mut *heard.lines.lock().unwrap()), LINES[..1]);
        // The outcome of a call that owns its key makes the entry, which opens at once.
        subscriber::with_default(heard.clone(), || {
            let call = breakers().call_owned(1, ready(Err::<(), _>("busy")), OkOrErr);
            assert_eq!(block_on(call), Err(BreakerError::Inner("busy")));
        });
        assert_eq!(*heard.lines.lock().unwrap(), LINES[..1]);
    }
}
