//! Sinks and formatters that panic, log or drop the logger.

use super::*;

#[test]
fn a_sink_that_panics_in_its_write_its_drop_and_its_panics_drop_ends_nothing() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            assert!(thread::panicking(), "the payload's own fault");
        }
    }
    struct Panics(Lines);
    impl Sink for Panics {
        fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
            if line.ends_with("odd") {
                std::panic::resume_unwind(Box::new(Payload));
            }
            self.0.write(level, line)
        }
    }
    impl Drop for Panics {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("the sink's own fault"));
        }
    }

    for has_worker in [true, false] {
        let lines = Lines::default();
        let builder = Logger::builder();
        let builder = if has_worker { builder } else { builder.without_worker() };
        let logger = builder.build(Panics(lines.clone())).unwrap();
        let log = logger.service("a");
        for said in ["one", "odd", "two", "odd"] {
            log.info(format_args!("{said}"));
        }
        assert!(logger.flush_within(GENEROUS));
        assert_eq!((logger.stats().printed, logger.stats().lost), (2, 2));
        assert!(logger.shutdown_within(GENEROUS));
        adds_up(logger.stats());
        // The thread may say what was lost in one line or in two.
        let (news, losses): (Vec<_>, Vec<_>) = lines.take().into_iter().partition(|line| line.starts_with("• [a] "));
        assert_eq!(news, ["• [a] one", "• [a] two"]);
        assert!(losses.iter().all(|line| line.starts_with("⚠️ [logger] ")), "{losses:?}");
        let lost: u32 =
            losses.iter().flat_map(|line| line.split(' ')).filter_map(|word| word.parse::<u32>().ok()).sum();
        assert_eq!(lost, 2, "{losses:?}");
    }
}

/// Each line is another one, for ever: the sink's own fault, but it keeps nobody from flushing and ending.
#[test]
fn a_sink_that_logs_each_line_hangs_nobody() {
    struct Echoes(Arc<Mutex<Option<ServiceLog<Logger>>>>);
    impl Sink for Echoes {
        fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
            if let Some(log) = self.0.lock().unwrap().as_ref() {
                log.error(format_args!("{line}"));
            }
            Ok(())
        }
    }

    ends(|| {
        let place = Arc::new(Mutex::new(None));
        let logger = Logger::builder().build(Echoes(place.clone())).unwrap();
        *place.lock().unwrap() = Some(logger.service("a"));
        logger.service("a").error(format_args!("news"));
        assert!(logger.flush_within(GENEROUS));
        assert!(logger.shutdown_within(GENEROUS));
        adds_up(logger.stats());
    });
}

/// The last handle goes inside the sink: nobody waits for himself.
#[test]
fn the_last_handle_may_be_dropped_by_the_sink_or_a_formatter() {
    struct Ends {
        logger: Arc<Mutex<Option<Logger>>>,
        _dropped: mpsc::Sender<()>,
    }
    impl Sink for Ends {
        fn write(&mut self, _: Level, _: &str) -> Result<(), NotWritten> {
            let last = self.logger.lock().unwrap().take();
            if let Some(logger) = &last {
                assert!(!logger.flush_within(GENEROUS) && !logger.shutdown_within(GENEROUS));
            }
            drop(last);
            Ok(())
        }
    }

    ends(|| {
        let place = Arc::new(Mutex::new(None));
        let (sender, dropped) = mpsc::channel();
        let logger = Logger::builder().build(Ends { logger: place.clone(), _dropped: sender }).unwrap();
        let log = logger.service("a");
        *place.lock().unwrap() = Some(logger);
        log.info(format_args!("news"));
        drop(log);
        assert_eq!(dropped.recv_timeout(GENEROUS), Err(RecvTimeoutError::Disconnected));
    });
}

/// What is logged may log itself, and panic: its line is lost and counted, the panic is the caller's.
#[test]
fn what_is_logged_may_log_and_panic() {
    struct Chatty(ServiceLog<Logger>, bool);
    impl fmt::Display for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.error(format_args!("from inside"));
            assert!(!self.1, "the user's own fault");
            f.write_str("outside")
        }
    }

    let lines = Lines::default();
    let logger = Logger::builder().build(lines.clone()).unwrap();
    let log = logger.service("a");
    log.info(format_args!("{}", Chatty(log.clone(), false)));
    let panics = core::panic::AssertUnwindSafe(|| log.info(format_args!("{}", Chatty(log.clone(), true))));
    assert!(std::panic::catch_unwind(panics).is_err());
    assert!(logger.shutdown_within(GENEROUS));
    adds_up(logger.stats());
    assert_eq!((logger.stats().seen, logger.stats().lost), (4, 1));
    let lost = "⚠️ [logger] 1 event lost";
    assert_eq!(lines.take(), ["❌ [a] from inside", "• [a] outside", "❌ [a] from inside", lost]);
}
