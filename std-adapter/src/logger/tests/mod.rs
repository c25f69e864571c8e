use core::time::Duration;
use std::{
    io,
    sync::{Arc, Mutex, mpsc},
    thread,
};

use steadfast_core::logger::{Level, NotWritten, Show, Sink};

use super::*;

mod blocking;
#[cfg(all(feature = "log", feature = "tracing"))]
mod fields;
#[cfg(feature = "tracing-layer")]
mod layer;

/// Keeps the lines for the test.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn take(&self) -> Vec<String> {
        core::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Sink for Lines {
    fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
        self.0.lock().unwrap().push(line.to_owned());
        Ok(())
    }
}

/// Hands the lines to another thread.
struct Channel(mpsc::Sender<String>);

impl Sink for Channel {
    fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
        self.0.send(line.to_owned()).map_err(|_error| NotWritten)
    }
}

/// Bounds a hang, and nothing else.
const GENEROUS: Duration = Duration::from_secs(60);

fn without_worker() -> (Logger, Lines) {
    let lines = Lines::default();
    let logger = Logger::builder().without_worker().build(lines.clone()).unwrap();
    (logger, lines)
}

fn adds_up(stats: LoggerStats) {
    assert_eq!(stats.seen, stats.filtered + stats.printed + stats.waiting + stats.lost + stats.rejected, "{stats:?}");
}

#[test]
fn it_can_be_shared_between_threads() {
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<Logger>();
    is_shared::<ServiceLog<Logger>>();
    fn is_send<T: Send>(_: T) {}
    let (logger, _) = without_worker();
    is_send(logger.run());
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_task_writes_what_is_due() {
    let (logger, lines) = without_worker();
    tokio::spawn(logger.run());
    logger
        .formatter("social", "tease", |group, out| write!(out, "{} teased {}", group.actors(), group.target()))
        .unwrap();
    let log = logger.service("social").prefix("😈");
    for nara in ["alice", "carol", "dave"] {
        log.event("tease", nara).target("bob");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    log.event("arrived", "erin").instant();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(lines.take(), ["😈 [social] erin did arrived"]);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(lines.take(), ["😈 [social] alice, carol, and dave teased bob"]);
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn the_task_ends_with_the_logger() {
    let (logger, _) = without_worker();
    let task = tokio::spawn(logger.run());
    tokio::task::yield_now().await;
    drop(logger);
    task.await.unwrap();
}

#[test]
fn a_thread_writes_what_is_due() {
    let (sender, lines) = mpsc::channel();
    let logger = Logger::builder().window(Duration::from_millis(2), Duration::from_secs(1)).build(Channel(sender));
    let logger = logger.unwrap();
    let log = logger.service("stash").prefix("📦");
    log.info(format_args!("up"));
    assert_eq!(lines.recv().unwrap(), "📦 [stash] up");
    log.event("store", "alice").message("stored 2.3KB");
    assert_eq!(lines.recv().unwrap(), "📦 [stash] alice did store: stored 2.3KB");
    drop((log, logger));
    assert!(lines.recv().is_err(), "the thread has dropped the sink");
}

#[test]
fn d3_dropping_the_last_handle_prints_what_waits() {
    let lines = Lines::default();
    let logger = Logger::builder().window(Duration::MAX, Duration::MAX).build(lines.clone()).unwrap();
    let log = logger.clone().service("a");
    log.event("x", "alice");
    drop(logger);
    assert_eq!(lines.take(), Vec::<String>::new());
    drop(log);
    assert_eq!(lines.take(), ["• [a] alice did x"]);
}

#[test]
fn d4_a_sink_that_fails_once_is_used_again() {
    #[derive(Clone, Default)]
    struct Flaky(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if bytes.ends_with(b"one\n") {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let written = Flaky::default();
    let logger = Logger::builder().without_worker().build(WriteSink::new(written.clone())).unwrap();
    let log = logger.service("a");
    log.info(format_args!("one"));
    log.info(format_args!("two"));
    assert_eq!(logger.drain(), 1);
    let stats = logger.stats();
    assert_eq!((stats.lost, stats.printed), (1, 1));
    logger.flush();
    assert_eq!(*written.0.lock().unwrap(), "• [a] two\n⚠️ [logger] 1 event lost\n".as_bytes());
}

#[test]
fn seed_4_4_shutdown_prints_everything_once_and_nothing_after() {
    let lines = Lines::default();
    let logger = Logger::builder().build(lines.clone()).unwrap();
    let log = logger.service("a");
    log.event("x", "alice");
    assert!(logger.flush_within(GENEROUS));
    assert_eq!(lines.take(), ["• [a] alice did x"]);
    log.event("x", "bob");
    assert!(logger.shutdown_within(GENEROUS));
    log.event("x", "carol");
    log.error(format_args!("late"));
    drop((log, logger.clone()));
    assert_eq!(lines.take(), ["• [a] bob did x"]);
    assert_eq!(logger.stats().rejected, 2);
    adds_up(logger.stats());
}

#[test]
fn seed_4_4_a_formatter_that_panics_costs_nothing() {
    let (logger, lines) = without_worker();
    logger.formatter("a", "x", |_, _| panic!("the formatter's own fault")).unwrap();
    logger.service("a").event("x", "alice");
    logger.flush();
    assert_eq!(lines.take(), ["• [a] alice did x"]);
}

#[test]
fn a_sink_that_panics_loses_its_line_and_no_more() {
    struct Panics(Lines, bool);
    impl Sink for Panics {
        fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
            assert!(core::mem::replace(&mut self.1, true), "the sink's own fault");
            self.0.write(level, line)
        }
    }

    let lines = Lines::default();
    let logger = Logger::builder().without_worker().build(Panics(lines.clone(), false)).unwrap();
    let log = logger.service("a");
    log.info(format_args!("one"));
    log.info(format_args!("two"));
    assert_eq!(logger.drain(), 1);
    logger.flush();
    assert_eq!(lines.take(), ["• [a] two", "⚠️ [logger] 1 event lost"]);
}

#[test]
fn a_sink_may_log() {
    struct Logs(Arc<Mutex<Option<ServiceLog<Logger>>>>);
    impl Sink for Logs {
        fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
            if let Some(log) = self.0.lock().unwrap().take() {
                log.error(format_args!("from inside"));
            }
            Ok(())
        }
    }

    let place = Arc::new(Mutex::new(None));
    let logger = Logger::builder().without_worker().build(Logs(place.clone())).unwrap();
    let log = logger.service("a");
    *place.lock().unwrap() = Some(log.clone());
    log.error(format_args!("from outside"));
    assert_eq!(logger.drain(), 2);
    assert_eq!(logger.stats().printed, 2);
}

/// As a panic hook does that flushes: the formatter's panic is on its way while the sink is locked.
#[test]
fn a_formatter_or_a_sink_may_flush_and_shut_down() {
    static LOGGER: Mutex<Option<Logger>> = Mutex::new(None);

    fn logger() -> Option<Logger> {
        LOGGER.lock().unwrap().clone()
    }

    struct Flushes(Lines);

    impl Sink for Flushes {
        fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
            self.0.write(level, line)?;
            if line.contains("last") {
                logger().unwrap().shutdown();
            }
            drop(LOGGER.lock().unwrap().take_if(|_| line.contains("last")));
            Ok(())
        }
    }

    let (done, wait) = mpsc::channel();
    let lines = Lines::default();
    let sink = Flushes(lines.clone());
    thread::spawn(move || {
        let writes = Logger::builder().without_worker().build(sink).unwrap();
        *LOGGER.lock().unwrap() = Some(writes.clone());
        writes
            .formatter("social", "tease", |_, _| {
                logger().unwrap().flush();
                assert_eq!(logger().unwrap().drain(), 0);
                panic!("after it has flushed");
            })
            .unwrap();
        let log = writes.service("social");
        log.event("tease", "alice");
        log.event("wave", "bob");
        writes.flush();
        log.event("last", "carol");
        log.event("wave", "dave");
        drop(log);
        writes.flush();
        drop(writes);
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(60)).expect("it waits for itself");
    let written = lines.take();
    let heads = ["alice did tease", "bob did wave", "carol did last", "dave did wave"];
    assert_eq!(written, heads.map(|head| format!("• [social] {head}")));
}

#[test]
fn services_are_configured_by_name_before_and_after_they_exist() {
    let lines = Lines::default();
    let builder =
        Logger::builder().disabled(["presence", "social"]).verbose(vec![String::from("stash"), "social".into()]);
    let logger = builder.without_worker().build(lines.clone()).unwrap();
    let say = |name: &'static str| {
        let log = logger.service(name);
        log.debug(format_args!("debug"));
        log.info(format_args!("info"));
        log.error(format_args!("error"));
        logger.drain();
        let levels = lines.take().iter().map(|line| line.rsplit_once(' ').unwrap().1.to_owned()).collect::<Vec<_>>();
        levels.join(" ")
    };
    assert_eq!(say("presence"), "error", "a disabled service still prints errors");
    assert_eq!(say("stash"), "debug info error");
    assert_eq!(say("social"), "debug info error", "the last setting counts");
    assert_eq!(say("http"), "info error");
    assert!(logger.set_show("presence", Show::Normal));
    assert!(logger.set_show("mesh", Show::Verbose));
    assert!(logger.set_show("mesh", Show::Silent));
    assert!(logger.service("http").show(Show::Verbose));
    assert_eq!(say("presence"), "info error");
    assert_eq!(say("mesh"), "", "silenced on purpose");
    assert_eq!(say("http"), "debug info error");
}

#[test]
fn seed_4_4_threads_may_log_and_change_settings_at_once() {
    const THREADS: u64 = 8;
    const EACH: u64 = 2_000;

    let lines = Lines::default();
    let logger = Logger::builder().build(lines.clone()).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let logger = &logger;
            scope.spawn(move || {
                let log = logger.service(["a", "b"][thread as usize % 2]);
                for number in 0..EACH {
                    match number % 10 {
                        0 => log.info(format_args!("{number}")),
                        1 => _ = log.show(if number % 20 == 1 { Show::OnlyErrors } else { Show::Verbose }),
                        2 => _ = logger.set_show("a", Show::Normal),
                        3 if number % 400 == 3 => logger.flush(),
                        _ => drop(log.event("x", "alice").target(["t", "u"][number as usize % 2])),
                    }
                }
            });
        }
    });
    assert!(logger.shutdown_within(GENEROUS));
    let stats = logger.stats();
    adds_up(stats);
    assert_eq!((stats.seen, stats.waiting), (THREADS * (EACH / 10 * 8 - EACH / 400), 0));
    let count_of = |line: &String| match line.rsplit_once('×') {
        _ if line.contains("lost") => 0,
        Some((_, count)) => count.parse::<u64>().unwrap(),
        None => 1,
    };
    assert_eq!(lines.take().iter().map(count_of).sum::<u64>(), stats.printed);
}

#[test]
fn long_names_are_kept_to_their_end() {
    let (logger, lines) = without_worker();
    let key = "0123456789abcdef".repeat(4);
    let log = logger.service("a");
    log.event("x", &key[..63]);
    log.event("y", &key);
    logger.flush();
    assert_eq!(lines.take(), [format!("• [a] {} did x", &key[..63]), format!("• [a] {}… did y", &key[..52])]);
}
