//! The worker that writes, against those who report, flush and shut down.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use steadfast_core::{
    Instant, Logger,
    logger::{Event, Level, NotWritten, Recorded, Recorder, Sink},
};

use super::support::{SECOND, Threads, Time, block_on, explore, poll_and_drop, spawn, threads};

type Small = Logger<2, 65, 64, 1, 1>;

#[derive(Default)]
struct Lines(Vec<String>);

impl Sink for Lines {
    fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
        self.0.push(line.to_owned());
        Ok(())
    }
}

/// Shuts down once this was called twice.
fn end(logger: &Threads<Small>, done: &AtomicUsize) {
    if done.fetch_add(1, SeqCst) == 1 {
        logger.shutdown();
    }
}

fn report(logger: &Threads<Small>) {
    let service = logger.with(|logger, _| logger.service("a"));
    assert_eq!(logger.record(service, &Event::new("x", "alice")), Recorded::Grouped);
}

fn assert_all_written(logger: &Threads<Small>, lines: &Lines, events: u64) {
    let stats = logger.stats();
    assert_eq!((stats.seen, stats.printed, stats.waiting, stats.lost), (events, events, 0, 0), "{stats:?}");
    let counted: u64 =
        lines.0.iter().map(|line| line.rsplit_once('×').map_or(1, |(_, count)| count.parse().unwrap())).sum();
    assert_eq!(counted, events, "{:?}", lines.0);
}

#[test]
fn an_event_is_written_once_whatever_is_flushed_meanwhile() {
    explore(|| {
        let (logger, done) = (threads(Small::new(), &Time::new()), Arc::new(AtomicUsize::new(0)));
        let (reporting, reporter_done) = (logger.clone(), done.clone());
        spawn(move || {
            report(&reporting);
            end(&reporting, &reporter_done);
        });
        let flushing = logger.clone();
        spawn(move || {
            flushing.flush();
            end(&flushing, &done);
        });
        let mut lines = Lines::default();
        block_on(logger.run(&mut lines));
        assert_all_written(&logger, &lines, 1);
    });
}

#[test]
fn two_who_report_and_a_worker_that_is_dropped_lose_nothing() {
    explore(|| {
        let (logger, done) = (threads(Small::new(), &Time::new()), Arc::new(AtomicUsize::new(0)));
        for _ in 0..2 {
            let (logger, done) = (logger.clone(), done.clone());
            spawn(move || {
                report(&logger);
                end(&logger, &done);
            });
        }
        let mut lines = Lines::default();
        let _ = poll_and_drop(logger.run(&mut lines));
        block_on(logger.run(&mut lines));
        assert_all_written(&logger, &lines, 2);
    });
}

/// It looks once and goes; had the worker come second, it looks again in time.
#[test]
fn one_more_that_waits_and_goes_takes_no_wake_up_from_the_worker() {
    explore(|| {
        let time = Time::new();
        let logger = threads(Small::new(), &time);
        let other = logger.clone();
        spawn(move || {
            let _ = poll_and_drop(other.due());
            report(&other);
            other.shutdown();
            time.set(Instant::ZERO.saturating_add(SECOND));
        });
        let mut lines = Lines::default();
        block_on(logger.run(&mut lines));
        assert_all_written(&logger, &lines, 1);
    });
}
