use core::{fmt::Write, time::Duration};

use steadfast_core::{
    Logger,
    logger::{Event, Group, Level, Show, compact},
};

use super::rounds;
use crate::{Fold, HostileClock, Script};

const LEVELS: [Level; 4] = [Level::Debug, Level::Info, Level::Warn, Level::Error];
const NAMES: [&str; 12] = [
    "alice",
    "bob",
    "carol",
    "node-7",
    "10.0.0.7:80",
    "Zoë",
    "a \"name\", quoted",
    "line\nbreak",
    "\u{202e}evil",
    "",
    "a name that is much longer than what a group can keep of all of its names together, and than a line",
    "東京",
];
const TEXTS: [&str; 4] =
    ["", "stored 2.3KB", "back\\slash and \t tab", "…and more than fits into a line of so few bytes: €€€€€€"];

/// Every line, byte by byte.
pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    rounds(operations, |_, operations| {
        let mut logger: Logger<8, 96, 96> = Logger::new();
        let services = [logger.service("stash"), logger.service("net"), logger.service("a service of odd name")];
        logger.formatter("net", "fetch", compact).expect("there is room");
        logger.formatter("stash", "store", own_words).expect("there is room");
        fold.answer(&logger.set_prefix(services[1], "→"));
        let mut clock = HostileClock::new(Duration::from_millis(500));
        for _ in 0..operations {
            let now = clock.tick(script);
            let service = script.one_of(&services);
            match script.below(64) {
                0..36 => {
                    let kind = script.one_of(&["store", "fetch", "greet"]);
                    let event = Event::new(kind, script.one_of(&NAMES))
                        .target(script.one_of(&NAMES[..4]))
                        .message(script.one_of(&TEXTS))
                        .level(script.one_of(&LEVELS))
                        .count(script.below(5));
                    let event = if script.below(8) == 0 { event.instant() } else { event };
                    fold.number(logger.record(service, &event, now) as u64);
                }
                36..40 => {
                    let level = script.one_of(&LEVELS);
                    fold.number(logger.line(service, level, script.one_of(&TEXTS), now) as u64);
                }
                40..61 => {
                    if let Some(entry) = logger.on_timeout(now) {
                        fold.bytes(entry.line().as_bytes());
                        fold.bytes(entry.default_line().as_bytes());
                        fold.answer(&(entry.level(), entry.events()));
                        if script.below(16) == 0 {
                            logger.not_written(&entry, now);
                        }
                    }
                }
                61 => logger.flush(),
                _ => {
                    let show = script.one_of(&[Show::Normal, Show::Verbose, Show::OnlyErrors, Show::Silent]);
                    fold.answer(&logger.set_show(service, show));
                }
            }
            fold.answer(&(logger.next_deadline(), logger.stats()));
        }
    });
}

fn own_words(group: &Group<'_>, out: &mut dyn Write) -> core::fmt::Result {
    write!(out, "{} times by {} (at least {})", group.count(), group.actors(), group.actors().at_least())
}
