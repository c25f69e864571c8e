//! Sinks that are slow or hang, and who may not wait for them.

#[path = "panicking.rs"]
mod panicking;

#[cfg(feature = "tokio")]
use core::sync::atomic::AtomicU32;
use core::sync::atomic::{AtomicBool, Ordering};
use std::{sync::mpsc::RecvTimeoutError, time::Instant};

use super::*;

/// A sink that writes when it is let, and tells when it is dropped.
struct Gate {
    entered: mpsc::Sender<String>,
    /// One message lets one line pass; a closed channel all.
    open: mpsc::Receiver<()>,
    written: Lines,
    _dropped: mpsc::Sender<()>,
}

struct Keeper {
    entered: mpsc::Receiver<String>,
    open: Option<mpsc::Sender<()>>,
    written: Lines,
    dropped: mpsc::Receiver<()>,
}

impl Sink for Gate {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        let _nobody_looks = self.entered.send(line.to_owned());
        let _all_may_pass = self.open.recv();
        self.written.write(level, line)
    }
}

fn gate() -> (Gate, Keeper) {
    let (entered, looks) = mpsc::channel();
    let (open, opened) = mpsc::channel();
    let (is_dropped, dropped) = mpsc::channel();
    let written = Lines::default();
    let gate = Gate { entered, open: opened, written: written.clone(), _dropped: is_dropped };
    (gate, Keeper { entered: looks, open: Some(open), written, dropped })
}

impl Keeper {
    fn until_entered(&self) -> String {
        self.entered.recv_timeout(GENEROUS).expect("a line at the sink")
    }

    fn let_all_pass(&mut self) {
        self.open.take();
    }

    fn is_dropped_within(&self, time: Duration) -> bool {
        self.dropped.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }
}

/// Fails, rather than hangs, if `f` does not end.
fn ends(f: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    let thread = thread::spawn(move || {
        f();
        let _ = done.send(());
    });
    if wait.recv_timeout(GENEROUS) == Err(RecvTimeoutError::Timeout) {
        panic!("it waits for ever");
    }
    thread.join().unwrap();
}

#[cfg(feature = "tokio")]
#[test]
fn found_b2_a_sink_that_hangs_stops_no_runtime() {
    ends(|| {
        let (gate, mut keeper) = gate();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let logger = Logger::builder().build(gate).unwrap();
            let log = logger.service("a");
            log.info(format_args!("news"));
            keeper.until_entered();
            log.error(format_args!("more of them"));
            // Another task runs, and time passes.
            tokio::spawn(tokio::time::sleep(Duration::from_millis(1))).await.unwrap();
            keeper.let_all_pass();
            drop((log, logger));
        });
    });
}

/// Neither a timer nor anything else of the runtime is needed.
#[cfg(feature = "tokio")]
#[test]
fn a_logger_built_in_a_runtime_without_a_timer_works() {
    ends(|| {
        let lines = Lines::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let logger = Logger::builder().build(lines.clone()).unwrap();
            let log = logger.service("a");
            log.event("x", "alice");
            assert!(logger.flush_within(GENEROUS));
            log.error(format_args!("gone"));
            assert!(logger.shutdown_within(GENEROUS));
        });
        assert_eq!(lines.take(), ["• [a] alice did x", "❌ [a] gone"]);
    });
}

#[test]
fn found_b2_an_error_writes_no_lines_of_others_and_is_lost_and_counted_when_full() {
    ends(|| {
        let (gate, mut keeper) = gate();
        let logger = Logger::builder().build(gate).unwrap();
        let log = logger.service("a");
        log.info(format_args!("first"));
        keeper.until_entered();
        let start = Instant::now();
        for number in 0..10_000 {
            log.error(format_args!("{number}"));
        }
        // Not one has waited for longer than its own bound, or it would take minutes.
        assert!(start.elapsed() < GENEROUS, "{:?}", start.elapsed());
        assert_eq!(keeper.written.take(), Vec::<String>::new(), "somebody else has written");
        assert_eq!(logger.stats().lost, 10_000 - GROUPS as u64);
        keeper.let_all_pass();
        assert!(logger.shutdown_within(GENEROUS));
        adds_up(logger.stats());
        let written = keeper.written.take();
        assert_eq!(written.len(), 1 + GROUPS + 1);
        assert!(written.iter().any(|line| line.ends_with("events lost")));
    });
}

/// Its line is written when the call returns, by the thread, and after what was there before.
#[test]
fn an_error_is_written_when_its_call_returns_if_the_sink_is_quick() {
    let lines = Lines::default();
    let logger = Logger::builder().build(lines.clone()).unwrap();
    let log = logger.service("a");
    let mut in_time = 0;
    for number in 0..200 {
        log.info(format_args!("before"));
        log.error(format_args!("{number}"));
        in_time += u32::from(lines.take().ends_with(&[format!("❌ [a] {number}")]));
    }
    // A busy machine may be late for some.
    assert!(in_time > 0, "none of 200 was there");
    assert!(logger.shutdown_within(GENEROUS));
}

#[test]
fn found_b2_whoever_waits_for_a_sink_that_hangs_waits_so_long_and_no_longer() {
    ends(|| {
        let (gate, mut keeper) = gate();
        let logger = Logger::builder().build(gate).unwrap();
        let log = logger.service("a");
        log.info(format_args!("first"));
        keeper.until_entered();
        log.info(format_args!("second"));
        assert!(!logger.flush_within(Duration::ZERO));
        assert!(!logger.flush_within(Duration::from_millis(1)));
        logger.flush();
        assert_eq!(logger.drain(), 0);
        assert!(!logger.shutdown_within(Duration::from_millis(1)));
        logger.shutdown();
        let stats = logger.stats();
        drop((log, logger));
        assert_eq!((stats.seen, stats.waiting), (2, 1));
        assert!(!keeper.is_dropped_within(Duration::ZERO), "the thread still has it");
        // When it goes on after all, nothing was lost, and it goes.
        keeper.let_all_pass();
        assert!(keeper.is_dropped_within(GENEROUS));
        assert_eq!(keeper.written.take(), ["• [a] first", "• [a] second"]);
    });
}

#[test]
fn a_sink_whose_drop_hangs_is_not_waited_for_either() {
    struct Stays {
        held: mpsc::Receiver<()>,
        _dropped: mpsc::Sender<()>,
    }
    impl Sink for Stays {
        fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
            Ok(())
        }
    }
    impl Drop for Stays {
        fn drop(&mut self) {
            let _let_go = self.held.recv();
        }
    }

    ends(|| {
        let (hold, held) = mpsc::channel();
        let (alive, dropped) = mpsc::channel();
        let logger = Logger::builder().build(Stays { held, _dropped: alive }).unwrap();
        logger.service("a").info(format_args!("news"));
        assert!(!logger.shutdown_within(Duration::from_millis(1)));
        logger.shutdown();
        assert_eq!(logger.stats().printed, 1);
        drop(logger);
        drop(hold);
        assert_eq!(dropped.recv_timeout(GENEROUS), Err(RecvTimeoutError::Disconnected));
    });
}

#[test]
fn a_slow_sink_is_waited_for_to_the_last_line() {
    ends(|| {
        let (gate, keeper) = gate();
        let logger = Logger::builder().build(gate).unwrap();
        let log = logger.service("a");
        for number in 0..20 {
            log.info(format_args!("{number}"));
        }
        let opens = thread::spawn(move || {
            for _ in 0..20 {
                keeper.until_entered();
                keeper.open.as_ref().unwrap().send(()).unwrap();
            }
            keeper
        });
        assert!(logger.flush_within(GENEROUS));
        assert_eq!(logger.stats().printed, 20);
        let keeper = opens.join().unwrap();
        assert_eq!(keeper.written.take().len(), 20);
    });
}

#[test]
fn found_b9_the_sink_is_dropped_with_the_logger() {
    for has_worker in [true, false] {
        let (gate, mut keeper) = gate();
        keeper.let_all_pass();
        let builder = Logger::builder();
        let builder = if has_worker { builder } else { builder.without_worker() };
        let logger = builder.build(gate).unwrap();
        let running = logger.run();
        let log = logger.service("a");
        log.event("x", "alice");
        drop(logger);
        assert!(!matches!(keeper.dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected)));
        assert!(log.clone().show(Show::Verbose));
        drop(log);
        assert!(keeper.is_dropped_within(GENEROUS), "with a worker: {has_worker}");
        assert_eq!(keeper.written.take(), ["• [a] alice did x"]);
        drop(running);
    }
}

#[test]
fn a_shut_down_logger_has_dropped_its_sink_and_flushes_at_once() {
    for has_worker in [true, false] {
        let (gate, mut keeper) = gate();
        keeper.let_all_pass();
        let builder = Logger::builder();
        let logger = if has_worker { builder } else { builder.without_worker() }.build(gate).unwrap();
        logger.service("a").info(format_args!("news"));
        assert!(logger.shutdown_within(GENEROUS));
        assert!(keeper.is_dropped_within(Duration::ZERO), "with a worker: {has_worker}");
        assert!(logger.flush_within(Duration::ZERO) && logger.shutdown_within(Duration::ZERO));
        assert_eq!(logger.drain(), 0);
        logger.service("a").error(format_args!("late"));
        assert_eq!(logger.stats().rejected, 1);
    }
}

/// Without a worker: one thread is at a sink that hangs, the others come back.
#[test]
fn without_a_worker_a_sink_that_hangs_holds_only_whoever_writes() {
    ends(|| {
        let (gate, mut keeper) = gate();
        let logger = Logger::builder().without_worker().build(gate).unwrap();
        let log = logger.service("a");
        log.error(format_args!("first"));
        let drains = {
            let logger = logger.clone();
            thread::spawn(move || logger.drain())
        };
        keeper.until_entered();
        log.error(format_args!("second"));
        assert!(!logger.flush_within(Duration::from_millis(1)));
        logger.flush();
        assert_eq!(logger.drain(), 0);
        assert!(!logger.shutdown_within(Duration::ZERO));
        keeper.let_all_pass();
        assert_eq!(drains.join().unwrap(), 2);
        assert!(keeper.is_dropped_within(GENEROUS), "the last who wrote has dropped it");
    });
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn the_worker_of_a_runtime_lets_others_run_while_lines_keep_coming() {
    struct Echoes(Arc<Mutex<Option<ServiceLog<Logger>>>>, Arc<AtomicU32>);
    impl Sink for Echoes {
        fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
            self.1.fetch_add(1, Ordering::Relaxed);
            if let Some(log) = self.0.lock().unwrap().as_ref() {
                log.info(format_args!("again"));
            }
            Ok(())
        }
    }

    let (place, written) = (Arc::new(Mutex::new(None)), Arc::new(AtomicU32::new(0)));
    let logger = Logger::builder().without_worker().build(Echoes(place.clone(), written.clone())).unwrap();
    let (log, task) = (logger.service("a"), tokio::spawn(logger.run()));
    *place.lock().unwrap() = Some(log.clone());
    log.info(format_args!("news"));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(written.load(Ordering::Relaxed) > 32);
    place.lock().unwrap().take();
    assert!(logger.shutdown_within(GENEROUS));
    task.await.unwrap();
}

#[test]
fn found_b7_and_b8_what_has_no_room_says_so() {
    static NAMES: [&str; 66] = {
        const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_@/#=%~";
        let mut names = [""; 66];
        let mut at = 0;
        while at < 66 {
            names[at] = LETTERS.split_at(at).1.split_at(1).0;
            at += 1;
        }
        names
    };

    let (logger, lines) = without_worker();
    assert!(logger.set_show(NAMES[0], Show::Silent) && logger.set_show("late", Show::Silent));
    for name in &NAMES[..64] {
        let log = logger.service(name);
        assert!(log.has_settings() && log.show(Show::Verbose));
    }
    // Before and after it is asked for.
    assert!(!logger.set_show("payments", Show::Silent) && !logger.set_show("late", Show::Verbose));
    let payments = logger.service("payments").prefix("💰");
    assert!(!payments.has_settings() && !payments.show(Show::Silent) && !logger.set_show("payments", Show::Silent));
    assert!(logger.set_show(NAMES[0], Show::Silent), "known ones may be changed");
    payments.error(format_args!("money is gone"));
    logger.drain();
    assert_eq!(lines.take(), ["❌ [other] money is gone"]);

    // Made-up names: bounded, and what is refused changes nothing.
    let (logger, _) = without_worker();
    let kept = (0..30_000).filter(|number| logger.set_show(&format!("made up {number}"), Show::Silent)).count();
    assert_eq!(kept, 64);
    assert!(logger.set_show("made up 7", Show::Silent) && !logger.set_show("stash", Show::Verbose));
    let log = logger.service("stash");
    assert!(log.has_settings() && log.show(Show::Verbose), "they keep nobody out");
    assert!(!logger.set_show("another", Show::Silent), "there is no room");
    assert!(logger.set_show("made up 7", Show::Normal) && logger.set_show("another", Show::Silent), "now there is");

    let many: Vec<String> = (0..65).map(|number| number.to_string()).collect();
    let error = Logger::builder().disabled(many).without_worker().build(Lines::default()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[test]
fn lines_of_all_threads_are_written_by_one() {
    struct Watches(Arc<AtomicBool>, Option<thread::ThreadId>);
    impl Sink for Watches {
        fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
            let me = thread::current().id();
            self.0.fetch_or(*self.1.get_or_insert(me) != me, Ordering::Relaxed);
            Ok(())
        }
    }

    let is_other = Arc::new(AtomicBool::new(false));
    let logger = Logger::builder().build(Watches(is_other.clone(), None)).unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let log = logger.service("a");
                for number in 0..50 {
                    log.error(format_args!("{number}"));
                    assert!(logger.flush_within(GENEROUS));
                }
            });
        }
    });
    assert!(logger.shutdown_within(GENEROUS));
    assert!(!is_other.load(Ordering::Relaxed));
    adds_up(logger.stats());
}
