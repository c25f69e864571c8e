//! The logger: hostile names, more groups than there is room for, and a sink that fails, panics and takes its time.

use std::{io, panic::resume_unwind, sync::Arc, thread, time::Duration};

use steadfast::{
    Logger,
    logger::{Level, NotWritten, Recorder, ServiceLog, Sink},
};

use super::{Load, Turn};
use crate::{
    count::Counter,
    dice::Dice,
    faults::{Fault, Faults},
    sums::Sums,
    worker::Worker,
};

/// Names that would break a line, colour it, turn it around or pass for another's.
const HOSTILE: [&str; 8] = [
    "eve\n[stash] alice",
    "\u{1b}[31mred\u{1b}[0m",
    "\u{202e}ecila",
    "nul\0",
    "c1\u{9b}31m",
    "line\u{2028}break",
    "alice, bob, and carol",
    "alice\u{200b}",
];

pub(crate) struct Lines {
    of: String,
    logger: Logger,
    services: [ServiceLog<Logger>; 2],
    sink: Arc<Seen>,
    reported: Counter,
}

/// What the sink has seen.
struct Seen {
    /// It may block, because a thread of the logger's own writes.
    may_block: bool,
    dice: Dice,
    faults: Arc<Faults>,
    lines: Counter,
    unsafe_lines: Counter,
}

struct SoakSink(Arc<Seen>);

impl Sink for SoakSink {
    fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
        let seen = &self.0;
        if seen.dice.one_in(64) {
            seen.faults.hit(Fault::Fail);
            return Err(NotWritten);
        }
        if seen.dice.one_in(64) {
            seen.faults.hit(Fault::Panic);
            resume_unwind(Box::new("planted"));
        }
        if seen.may_block && seen.dice.one_in(256) {
            thread::sleep(Duration::from_millis(20));
        }
        seen.lines.add(1);
        seen.unsafe_lines.add(u64::from(line.chars().any(breaks_a_line)));
        Ok(())
    }
}

/// Controls of both sets, line separators, what turns text around, and what cannot be seen.
fn breaks_a_line(char: char) -> bool {
    char.is_control() || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
}

impl Lines {
    /// With a thread of its own, or with its worker on the runtime.
    pub(crate) fn new(on_thread: bool, dice: &Dice, faults: &Arc<Faults>) -> io::Result<Self> {
        let sink = Arc::new(Seen {
            may_block: on_thread,
            dice: dice.fork(),
            faults: faults.clone(),
            lines: Counter::default(),
            unsafe_lines: Counter::default(),
        });
        let seen = SoakSink(sink.clone());
        let builder = Logger::builder().window(Duration::from_millis(20), Duration::from_millis(100));
        let builder = builder.disabled(["quiet"]);
        let logger = if on_thread { builder } else { builder.without_worker() }.build(seen)?;
        drop(tokio::spawn(logger.run()));
        Ok(Self {
            of: format!("logger, {}", if on_thread { "thread" } else { "task" }),
            services: [logger.service("stash").prefix("📦"), logger.service("quiet")],
            logger,
            sink,
            reported: Counter::default(),
        })
    }

    fn report<R: Recorder>(&self, log: &ServiceLog<R>, worker: &Worker) {
        self.reported.add(1);
        let name = HOSTILE[worker.dice.below(HOSTILE.len() as u64) as usize];
        match worker.dice.below(32) {
            0 => log.warn(format_args!("store request from {name}")),
            1 => log.error(format_args!("{name} is gone")),
            2 => drop(log.event("recovered", name).instant()),
            3 => drop(log.event("tease", "alice").target(name).message(name)),
            _ => {
                let made_up = worker.made_up() % 1_000;
                log.event("store", name).target(&format!("peer {made_up}"));
            }
        }
    }
}

impl Load for Lines {
    fn name(&self) -> &'static str {
        "log"
    }

    fn done(&self) -> u64 {
        self.reported.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("logger: event");
            for log in &self.services {
                (0..16).for_each(|_| self.report(log, worker));
            }
            if worker.dice.one_in(64) {
                worker.post.at("logger: flush");
                self.logger.flush_within(Duration::from_millis(5));
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("logger: shutdown");
            self.logger.shutdown_within(Duration::from_secs(60));
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.logger.stats();
        sums.of(&self.of);
        sums.adds_up(("seen", stats.seen), &[("reported", self.reported.get())]);
        let ends = [
            ("filtered", stats.filtered),
            ("printed", stats.printed),
            ("waiting", stats.waiting),
            ("lost", stats.lost),
            ("rejected", stats.rejected),
        ];
        sums.adds_up(("seen", stats.seen), &ends);
        sums.never("waiting after the shutdown", stats.waiting);
        sums.some("lines", self.sink.lines.get());
        sums.some("lost for want of room", stats.lost);
        sums.never("lines that break or colour the log", self.sink.unsafe_lines.get());
    }
}
