//! The logger: hostile names, more groups than there is room for, and a sink that fails and panics.

use std::{io, panic::resume_unwind, sync::Arc, time::Duration};

use steadfast::{Level, Logger, NotWritten, Recorder, ServiceLog, Sink};

use super::{Load, Turn};
use crate::{
    count::Counter,
    dice::Dice,
    faults::{Fault, Faults},
    sums::Sums,
    worker::Worker,
};

/// Names that would break a line, colour it, turn it around or pass for another's.
const HOSTILE: [&str; 6] =
    ["eve\n[stash] alice", "\u{1b}[31mred\u{1b}[0m", "\u{202e}ecila", "nul\0", "c1\u{9b}31m", "line\u{2028}break"];

pub(crate) struct Lines {
    of: String,
    logger: Logger,
    services: [ServiceLog<Logger>; 2],
    sink: Arc<Seen>,
    reported: Counter,
}

/// What the sink has seen.
struct Seen {
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
        seen.lines.add(1);
        seen.unsafe_lines.add(u64::from(line.chars().any(breaks_a_line)));
        Ok(())
    }
}

/// Controls of both sets, line separators, and what turns text around.
fn breaks_a_line(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Lines {
    /// With its worker on the runtime, or on a thread.
    pub(crate) fn new(on_thread: bool, dice: &Dice, faults: &Arc<Faults>) -> io::Result<Self> {
        let sink = Arc::new(Seen {
            dice: dice.fork(),
            faults: faults.clone(),
            lines: Counter::default(),
            unsafe_lines: Counter::default(),
        });
        let seen = SoakSink(sink.clone());
        let builder = Logger::builder().window(Duration::from_millis(20), Duration::from_millis(100));
        let start = || builder.disabled(["quiet"]).build(seen);
        let logger = if on_thread { super::outside_the_runtime(start)? } else { start()? };
        Ok(Self {
            of: format!("logger, {}", if on_thread { "thread" } else { "task" }),
            services: [logger.service("stash").emoji("📦"), logger.service("quiet")],
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
                self.logger.flush();
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("logger: shutdown");
            self.logger.shutdown();
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
