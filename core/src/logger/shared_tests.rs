use core::{
    cell::RefCell,
    fmt,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};
use std::{
    format,
    string::{String, ToString},
    sync::{Arc, atomic::AtomicU32, atomic::Ordering},
    task::Wake,
    vec::Vec,
};

use super::*;
use crate::{
    foundation::{
        shared::{Clock, Lock, Shared, Timer},
        time::Instant,
    },
    test_util::{ManualClock, Simulator, VirtualTimer, seeds},
};

type Machine = Logger<8>;
type Simulated = Shared<Machine, RefCell<Machine>, VirtualTimer>;

/// Notes every line with the millisecond at which it was written.
struct Notes<'a> {
    timer: VirtualTimer,
    lines: &'a RefCell<Vec<(u64, String)>>,
}

impl Sink for Notes<'_> {
    fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
        let millis = self.timer.now().as_nanos() / 1_000_000;
        self.lines.borrow_mut().push((millis, line.to_string()));
        Ok(())
    }
}

struct Lines(Vec<String>);

impl Sink for Lines {
    fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
        self.0.push(line.to_string());
        Ok(())
    }
}

fn simulated(timer: &VirtualTimer) -> Simulated {
    Shared::new(RefCell::new(Logger::new()), timer.clone())
}

/// Whether one that waits has left its waker.
fn has_waker<L: Lock<Target = Machine>, T: Clock>(logger: &Shared<Machine, L, T>) -> bool {
    logger
        .with(|machine, now| matches!(machine.clone().wait(worker::Waiter::default(), now), worker::Wait::LookAgain(_)))
}

async fn sleep(timer: &VirtualTimer, millis: u64) {
    timer.sleep_until(timer.now().saturating_add(Duration::from_millis(millis))).await;
}

#[test]
fn it_reads_like_the_design() {
    let logger: Shared<Machine, _, _> = Shared::new(RefCell::new(Logger::new()), ManualClock::default());
    let (peer, owner) = (String::from("alice"), String::from("bob"));

    let log = logger.service("stash").prefix("📦");
    log.show(Show::Verbose);
    log.debug(format_args!("store request from {peer}"));
    log.event("store", &peer).target(&owner).message("stored 2.3KB");
    log.event("store", &peer).target(&owner).message(&format!("stored {}KB", 5)).count(2);
    log.event("recovered", &owner).instant();
    let social = logger.service("social").prefix("😈");
    logger
        .formatter("social", "tease", |group, out| write!(out, "{} teased {}", group.actors(), group.target()))
        .unwrap();
    for nara in ["alice", "carol", "dave"] {
        social.event("tease", nara).target("bob");
    }
    social.info(format_args!("hello"));
    social.warn(format_args!("hello {}", 2));
    social.error(format_args!("hello"));
    social.event("fire", "alice").level(Level::Error);

    let mut lines = Lines(Vec::new());
    assert_eq!(logger.drain(&mut lines), 5);
    logger.flush();
    assert_eq!(logger.drain(&mut lines), 3);
    assert_eq!(
        lines.0,
        [
            "📦 [stash] store request from alice",
            "📦 [stash] bob did recovered",
            "😈 [social] hello",
            "😈 [social] hello 2",
            "😈 [social] hello",
            "📦 [stash] alice did store to bob ×3: stored 5KB",
            "😈 [social] alice, carol, and dave teased bob",
            "😈 [social] alice did fire",
        ]
    );
    assert_eq!(logger.stats().printed, 11);
}

#[test]
fn what_is_not_shown_is_not_formatted_but_counted() {
    struct Untouchable;
    impl fmt::Display for Untouchable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("nobody wants to see this")
        }
    }

    let logger: Shared<Machine, _, _> = Shared::new(RefCell::new(Logger::new()), ManualClock::default());
    let log = logger.service("a");
    log.debug(format_args!("{Untouchable}"));
    logger.shutdown();
    log.error(format_args!("{Untouchable}"));
    assert_eq!(logger.stats(), LoggerStats { seen: 2, filtered: 1, rejected: 1, ..LoggerStats::default() });
}

#[test]
fn formatting_happens_outside_the_lock() {
    let logger: Shared<Machine, _, _> = Shared::new(RefCell::new(Logger::new()), ManualClock::default());
    struct Asks<'a>(&'a Shared<Machine, RefCell<Machine>, ManualClock>);
    impl fmt::Display for Asks<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // Would panic inside the lock, which is a `RefCell` here.
            write!(f, "{} seen", self.0.stats().seen)
        }
    }
    logger.service("a").info(format_args!("{}", Asks(&logger)));
    let mut lines = Lines(Vec::new());
    logger.drain(&mut lines);
    assert_eq!(lines.0, ["• [a] 0 seen"]);
}

#[test]
fn lines_are_written_when_they_are_due() {
    let lines = RefCell::new(Vec::new());
    let timer = VirtualTimer::default();
    let logger = simulated(&timer);
    let mut simulator = Simulator::with_timer(3, timer.clone());
    simulator.spawn(async {
        let mut notes = Notes { timer: timer.clone(), lines: &lines };
        logger.run(&mut notes).await;
    });
    simulator.spawn(async {
        let log = logger.service("a");
        sleep(&timer, 500).await;
        for _ in 0..6 {
            log.event("x", "alice").target("steady");
            sleep(&timer, 2_000).await;
        }
        log.info(format_args!("now"));
        log.event("y", "bob");
        sleep(&timer, 5_000).await;
        log.event("z", "bob");
        logger.shutdown();
    });
    simulator.run();
    drop(simulator);
    let expected = [
        (10_500, "• [a] alice did x to steady ×5"),
        (12_500, "• [a] now"),
        (13_500, "• [a] alice did x to steady"),
        (15_500, "• [a] bob did y"),
        (17_500, "• [a] bob did z"),
    ];
    assert_eq!(lines.into_inner(), expected.map(|(millis, line)| (millis, line.to_string())));
}

#[test]
fn whatever_the_order_nothing_is_late_lost_or_doubled() {
    for seed in seeds(1_000) {
        let lines = RefCell::new(Vec::new());
        let timer = VirtualTimer::default();
        let logger = simulated(&timer);
        let mut notes = Notes { timer: timer.clone(), lines: &lines };
        let arrivals = RefCell::new(Vec::new());
        let mut source = Simulator::new(seed);
        let random: Vec<u64> = (0..24).map(|_| source.next_random()).collect();
        let mut simulator = Simulator::with_timer(seed, timer.clone());

        let (logger_ref, arrivals_ref, timer_ref) = (&logger, &arrivals, &timer);
        for (task, random) in random.chunks(8).enumerate() {
            simulator.spawn(async move {
                let log = logger_ref.service("a");
                for random in random {
                    sleep(timer_ref, random % 4_000).await;
                    let millis = timer_ref.now().as_nanos() / 1_000_000;
                    arrivals_ref.borrow_mut().push(millis);
                    match random >> 32 & 3 {
                        0 => log.info(format_args!("line of {task}")),
                        1 => drop(log.event("x", "alice").instant()),
                        2 => drop(log.event("x", "alice")),
                        _ => drop(log.event("y", "bob").target("carol")),
                    }
                    if random >> 40 & 15 == 0 {
                        logger_ref.flush();
                    }
                }
            });
        }
        simulator.spawn(async {
            sleep(&timer, 60_000).await;
            logger.shutdown();
        });
        simulator.spawn(async { logger.run(&mut notes).await });
        simulator.run();
        drop(simulator);

        let stats = logger.stats();
        assert_eq!((stats.seen, stats.printed, stats.waiting, stats.lost), (24, 24, 0, 0), "seed {seed}");
        let lines = lines.into_inner();
        let counted: u64 =
            lines.iter().map(|(_, line)| line.rsplit_once('×').map_or(1, |(_, count)| count.parse().unwrap())).sum();
        assert_eq!(counted, 24, "seed {seed}: {lines:?}");
        let last = arrivals.into_inner().into_iter().max().unwrap();
        assert!(lines.iter().all(|(millis, _)| *millis <= last + 3_000), "seed {seed}: {lines:?}");
    }
}

#[test]
fn a_worker_may_be_dropped_at_any_await() {
    for seed in seeds(1_000) {
        let lines = RefCell::new(Vec::new());
        let timer = VirtualTimer::default();
        let logger = simulated(&timer);
        let worker = async || {
            let mut notes = Notes { timer: timer.clone(), lines: &lines };
            logger.run(&mut notes).await;
        };
        let mut simulator = Simulator::with_timer(seed, timer.clone());
        simulator.spawn(async {
            let log = logger.service("a");
            for number in 0..10 {
                sleep(&timer, 700).await;
                log.event("x", "alice").target(if number % 3 == 0 { "bob" } else { "carol" });
            }
        });
        let mut running = simulator.spawn(worker());
        for _ in 0..simulator.next_random() % 30 {
            simulator.step();
            if simulator.next_random().is_multiple_of(3) {
                simulator.abort(running);
                assert!(!has_waker(&logger), "a dropped worker leaves its waker behind");
                running = simulator.spawn(worker());
            }
        }
        simulator.spawn(async {
            sleep(&timer, 60_000).await;
            logger.shutdown();
        });
        simulator.run();
        drop(simulator);
        let stats = logger.stats();
        assert_eq!((stats.seen, stats.printed), (10, 10), "seed {seed}");
    }
}

struct Wakes(AtomicU32);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn only_an_earlier_deadline_wakes_the_worker() {
    let clock = ManualClock::default();
    let logger: Shared<Machine, _, _> = Shared::new(RefCell::new(Logger::new()), clock.clone());
    let log = logger.service("a");
    let wakes = Arc::new(Wakes(AtomicU32::new(0)));
    let waker = Waker::from(wakes.clone());
    let mut waiter = worker::Waiter::default();
    let mut sleep = |until| {
        logger.with(|machine, _| machine.sleep(&mut waiter, until, &waker, &mut Some(waker.clone())))
            == worker::Sleep::Yes
    };
    let woken = || wakes.0.swap(0, Ordering::Relaxed);

    assert!(sleep(None));
    log.event("x", "alice");
    assert_eq!(woken(), 1, "an idle worker sleeps for ever");
    assert!(!sleep(None), "what happened before the worker slept is not forgotten");
    let at = |seconds| Some(Instant::from_secs(seconds));
    assert!(sleep(at(3)));
    log.event("x", "bob");
    log.event("y", "bob");
    log.debug(format_args!("not shown"));
    assert_eq!(woken(), 0, "it wakes early enough by itself");
    log.event("z", "bob").instant();
    log.info(format_args!("again"));
    assert_eq!(woken(), 1, "once is enough");

    logger.drain(&mut Lines(Vec::new()));
    assert!(sleep(at(3)));
    logger.flush();
    assert_eq!(woken(), 1);
    logger.drain(&mut Lines(Vec::new()));
    assert!(sleep(None));
    logger.shutdown();
    assert_eq!(woken(), 1);
    assert!(!sleep(None), "it must end");
}

#[test]
fn a_refusing_sink_costs_a_count() {
    struct Refuses;
    impl Sink for Refuses {
        fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
            Err(NotWritten)
        }
    }

    let clock = ManualClock::default();
    let logger: Shared<Machine, _, _> = Shared::new(RefCell::new(Logger::new()), clock.clone());
    logger.service("a").info(format_args!("news"));
    assert_eq!(logger.drain(&mut Refuses), 0);
    assert_eq!(logger.stats(), LoggerStats { seen: 1, lost: 1, ..LoggerStats::default() });
    logger.flush();
    let mut lines = Lines(Vec::new());
    assert_eq!(logger.drain(&mut &mut lines), 1);
    assert_eq!(lines.0, ["⚠️ [logger] 1 event lost"]);
    assert!(!NotWritten.to_string().is_empty() && !FormattersFull.to_string().is_empty());
}

struct StdLock(std::sync::Mutex<Logger<4>>);

impl Lock for StdLock {
    type Target = Logger<4>;

    fn with<R>(&self, f: impl FnOnce(&mut Logger<4>) -> R) -> R {
        f(&mut self.0.lock().unwrap())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Instant {
        Instant::ZERO
    }
}

static LOGGER: Shared<Logger<4>, StdLock, Stopped> =
    Shared::new(StdLock(std::sync::Mutex::new(Logger::new())), Stopped);

#[test]
fn a_shared_logger_can_be_a_static() {
    let log = LOGGER.service("stash").prefix("📦");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || (0..100).for_each(|_| drop(log.event("store", "alice"))));
        }
    });
    LOGGER.flush();
    let mut lines = Lines(Vec::new());
    LOGGER.drain(&mut lines);
    assert_eq!(lines.0, ["📦 [stash] alice did store ×400"]);
}

struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn what_is_due_at_once_lets_other_tasks_run_first_and_what_was_waited_for_does_not() {
    let timer = VirtualTimer::default();
    let logger = simulated(&timer);
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);

    let log = logger.service("a");
    log.warn(format_args!("due"));
    {
        let mut due = pin!(logger.due());
        assert!(due.as_mut().poll(&mut cx).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "it comes back by itself");
        assert_eq!(due.as_mut().poll(&mut cx), Poll::Ready(true));
    }
    assert!(logger.on_timeout().is_some());
    let mut due = pin!(logger.due());
    assert!(due.as_mut().poll(&mut cx).is_pending());
    log.warn(format_args!("due"));
    assert_eq!(count.0.load(Ordering::Relaxed), 2);
    assert_eq!(due.as_mut().poll(&mut cx), Poll::Ready(true));
}

#[test]
fn a_worker_that_is_dropped_leaves_no_waker_behind() {
    let logger = simulated(&VirtualTimer::default());
    let count = Arc::new(Count(AtomicU32::new(0)));
    {
        let waker = Waker::from(count.clone());
        assert!(pin!(logger.due()).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(Arc::strong_count(&count), 1);
}

/// What the sink refuses is told after the quiet time: who sleeps for longer is woken, who does not is not.
#[test]
fn a_line_that_was_refused_wakes_whoever_sleeps_beyond_its_row() {
    let (now, told_at) = (Instant::from_secs(10), Instant::from_secs(13));
    for (until, wakes) in [(None, true), (Some(Instant::from_secs(14)), true), (Some(told_at), false)] {
        let mut logger = Machine::new();
        let service = logger.service("a");
        assert_eq!(logger.line(service, Level::Warn, "refused", now), Recorded::Ready);
        let entry = logger.on_timeout(now).unwrap();
        let (mut waiter, mut own) = (worker::Waiter::default(), Some(Waker::noop().clone()));
        assert_eq!(logger.sleep(&mut waiter, until, Waker::noop(), &mut own), worker::Sleep::Yes);
        logger.not_written(&entry, now);
        assert_eq!(logger.next_deadline(), Some(told_at));
        assert_eq!(logger.take_waker().is_some(), wakes, "until {until:?}");
    }
}
