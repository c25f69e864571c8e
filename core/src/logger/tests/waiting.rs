//! Tasks that wait for lines: several, some that nobody polls, with wakers of their own.

use core::{
    cell::{Cell, RefCell},
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Wake,
};

use super::*;
use crate::{
    foundation::shared::{Clock, Shared, Timer},
    test_util::{ManualClock, Simulator, VirtualTimer, seeds},
};

type Simulated = Shared<Small, RefCell<Small>, VirtualTimer>;

#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn waker() -> (Arc<Woken>, Waker) {
    let woken = Arc::new(Woken::default());
    (woken.clone(), woken.into())
}

fn simulated(timer: &VirtualTimer) -> Simulated {
    Shared::new(RefCell::new(Small::new()), timer.clone())
}

#[test]
fn a_second_that_waits_takes_no_wake_up_from_the_first() {
    let logger = simulated(&VirtualTimer::default());
    let log = logger.service("a");
    let ((first_woken, first_waker), (_, second_waker)) = (waker(), waker());
    let mut first = pin!(logger.due());
    assert!(first.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
    {
        let mut second = pin!(logger.due());
        assert!(second.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
        assert!(second.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
    }
    log.info(format_args!("news"));
    assert_eq!(first_woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(first.as_mut().poll(&mut Context::from_waker(&first_waker)), Poll::Ready(true));
}

/// The same one that waits, moved to another task: it is known again, and woken where it is.
#[test]
fn one_that_comes_with_another_waker_is_woken_by_that() {
    let logger = simulated(&VirtualTimer::default());
    let ((_, old_waker), (woken, new_waker)) = (waker(), waker());
    let mut due = pin!(logger.due());
    assert!(due.as_mut().poll(&mut Context::from_waker(&old_waker)).is_pending());
    assert!(due.as_mut().poll(&mut Context::from_waker(&new_waker)).is_pending());
    logger.service("a").info(format_args!("news"));
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

/// Who drains finds that the clock stepped back: what is due earlier now wakes whoever sleeps until it.
#[test]
fn a_drain_that_notices_a_step_back_wakes_whoever_sleeps_longer() {
    let clock = ManualClock::new(at(86_400_000));
    let timer = VirtualTimer::default();
    let logger = Shared::new(RefCell::new(Small::new()), (clock, timer));
    logger.service("a").event("x", "alice");
    let (woken, waker) = waker();
    let mut due = pin!(logger.due());
    assert!(due.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    logger.timer().0.set(at(1_000));
    assert!(logger.on_timeout().is_none());
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
}

/// The first for the time, the second for sleeps.
impl Clock for (ManualClock, VirtualTimer) {
    fn now(&self) -> Instant {
        self.0.now()
    }
}

impl Timer for (ManualClock, VirtualTimer) {
    type Sleep = <VirtualTimer as Timer>::Sleep;
    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        self.1.sleep_until(at)
    }
}

#[test]
fn whoever_waits_gets_on_without_one_that_nobody_polls() {
    for seed in seeds(300) {
        let timer = VirtualTimer::default();
        let logger = simulated(&timer);
        let (_, unheard) = waker();
        let mut held = pin!(logger.due());
        assert!(held.as_mut().poll(&mut Context::from_waker(&unheard)).is_pending());
        let written = Cell::new(0_u64);
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        for _ in 0..3 {
            let (logger, written, timer) = (&logger, &written, &timer);
            simulator.spawn(async move {
                while logger.due().await {
                    while let Some(entry) = logger.on_timeout() {
                        let said: u64 = entry.group().message().parse().unwrap();
                        let late = timer.now().as_nanos() / 1_000_000 - said;
                        assert!(late <= 100, "{late} ms late, seed {seed}");
                        written.set(written.get() + 1);
                    }
                }
            });
        }
        simulator.spawn(async {
            let log = logger.service("a");
            for number in 1..=20 {
                timer.sleep_until(at(number * 37)).await;
                log.info(format_args!("{}", number * 37));
            }
            timer.sleep_until(at(5_000)).await;
            logger.shutdown();
        });
        simulator.run();
        drop(simulator);
        assert_eq!(written.get(), 20, "seed {seed}");
    }
}

/// A quiet time that is longer than the most that a group may wait hides no step back.
#[test]
fn found_e1_no_group_waits_for_longer_than_its_age_whatever_the_quiet_time() {
    let mut logger = Small::new().window(Duration::from_secs(3_600), Duration::from_secs(10));
    let service = logger.service("a");
    assert_eq!(logger.record(service, &tease("alice"), at(7_200_000)), Recorded::Grouped);
    assert!(logger.on_timeout(at(5_400_000)).is_none());
    assert_eq!(logger.next_deadline(), Some(at(5_410_000)));
    assert!(logger.on_timeout(at(5_410_000)).is_some());
}

#[test]
fn found_e1_an_idle_worker_does_not_wait_for_the_length_of_a_step_back() {
    /// A timer that waits as long as it would have without the step, as the trait asks for.
    struct Stepping(VirtualTimer, Cell<u64>);
    impl Clock for Stepping {
        fn now(&self) -> Instant {
            Instant::from_nanos(self.0.now().as_nanos() + at(self.1.get()).as_nanos())
        }
    }
    impl Timer for Stepping {
        type Sleep = <VirtualTimer as Timer>::Sleep;
        fn sleep_until(&self, until: Instant) -> Self::Sleep {
            self.0.sleep_until(Instant::from_nanos(until.as_nanos() - at(self.1.get()).as_nanos()))
        }
    }

    let day = 86_400_000;
    let timer = VirtualTimer::default();
    let clock = Stepping(timer.clone(), Cell::new(day));
    let logger: Shared<Small, _, _> = Shared::new(RefCell::new(Small::new()), clock);
    let mut simulator = Simulator::with_timer(1, timer.clone());
    let written_at = Cell::new(None);
    simulator.spawn(async {
        assert!(logger.due().await);
        written_at.set(Some(timer.now()));
    });
    simulator.spawn(async {
        logger.service("a").event("x", "alice");
        timer.sleep_until(at(1_000)).await;
        logger.timer().1.set(0);
    });
    simulator.run();
    drop(simulator);
    // Three seconds as they were first reckoned, and three on the new clock.
    assert_eq!(written_at.get(), Some(at(6_000)));
}

std::thread_local!(static LOGGER: Simulated = simulated(&VirtualTimer::default()));

#[test]
fn no_waker_is_dropped_inside_the_lock() {
    /// Logs when it is woken or dropped, which would panic inside the lock, a `RefCell`.
    struct Meddles;
    impl Wake for Meddles {
        fn wake(self: Arc<Self>) {
            LOGGER.with(|logger| logger.service("a").info(format_args!("woken")));
        }
    }
    impl Drop for Meddles {
        fn drop(&mut self) {
            LOGGER.with(|logger| logger.service("a").info(format_args!("dropped")));
        }
    }

    let poll = |due: core::pin::Pin<&mut dyn Future<Output = bool>>| {
        due.poll(&mut Context::from_waker(&Waker::from(Arc::new(Meddles))))
    };
    LOGGER.with(|logger| {
        let mut due = pin!(logger.due());
        assert!(poll(due.as_mut()).is_pending());
        // Replaced by a task's own, then woken.
        assert!(poll(due.as_mut()).is_pending() || logger.stats().seen > 0);
        logger.service("a").info(format_args!("news"));
        {
            let mut dropped = pin!(logger.due());
            let _ = poll(dropped.as_mut());
        }
        assert!(logger.stats().seen >= 3);
    });
}

#[test]
fn formatting_that_panics_loses_its_line_and_is_counted() {
    struct Bomb;
    impl fmt::Display for Bomb {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("the user's own fault")
        }
    }

    let logger: Shared<Small, _, _> = Shared::new(RefCell::new(Small::new()), ManualClock::default());
    logger.formatter("a", "x", |_, _| panic!("the formatter's own fault")).unwrap();
    let log = logger.service("a");
    assert!(catch_unwind(AssertUnwindSafe(|| log.info(format_args!("{Bomb}")))).is_err());
    adds_up(&logger.stats());
    assert_eq!((logger.stats().seen, logger.stats().lost), (1, 1));

    struct Panics;
    impl Sink for Panics {
        fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
            panic!("the sink's own fault")
        }
    }
    log.info(format_args!("one"));
    log.event("x", "alice").instant();
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| logger.drain(&mut Panics))).is_err());
    }
    adds_up(&logger.stats());
    assert_eq!(logger.stats(), LoggerStats { seen: 3, lost: 3, ..LoggerStats::default() });
}
