//! Many events, one line, and none that a peer can forge.

use steadfast_core::{
    Instant, Lock, Logger,
    logger::{Event, Level, Recorded},
};

use crate::{
    deadline::{Timed, deadline_contract},
    locks::{Locks, at, before},
};

type Small = Logger<4, 96, 80, 2, 2>;

/// [`Logger`]: groups, lines, escapes, and counts that add up.
pub fn logger_contract<L: Locks>() {
    let logger = L::lock(Small::new());
    let stash = logger.with(|logger| logger.service("stash"));
    let record = |event: Event<'_>, now: Instant| logger.with(|logger| logger.record(stash, &event, now));
    let expect = |now: Instant, line: &str| {
        let entry = logger.with(|logger| logger.on_timeout(now)).expect("something is due");
        assert!(entry.line().ends_with(line), "{}", entry.line());
    };

    assert_eq!(record(Event::new("store", "alice").target("bob"), at(10)), Recorded::Grouped);
    assert_eq!(record(Event::new("store", "carol").target("bob"), at(11)), Recorded::Grouped);
    assert!(logger.with(|logger| logger.on_timeout(before(14))).is_none());
    expect(at(14), "[stash] alice and carol did store to bob");

    // A line of its own, at once; what a peer sends cannot look like a line of ours.
    let hostile = Event::new("greet", "eve\n[stash] \u{1b}[2Jforged").instant();
    assert_eq!(record(hostile, at(20)), Recorded::Ready);
    let entry = logger.with(|logger| logger.on_timeout(at(20))).expect("it is instant");
    assert!(entry.line().chars().all(|c| !c.is_control()), "{}", entry.line());

    // A flood of targets is counted, not kept; a warning still finds its place.
    let targets = ["a", "b", "c", "d", "e", "f"];
    let lost =
        targets.iter().filter(|target| record(Event::new("scan", "eve").target(target), at(30)) == Recorded::Lost);
    assert_eq!(lost.count(), 3);
    let warning = Event::new("battery", "board").level(Level::Warn).instant();
    assert_eq!(record(warning, at(30)), Recorded::Ready);
    logger.with(Logger::flush);
    while logger.with(|logger| logger.on_timeout(at(31))).is_some() {}
    let stats = logger.with(|logger| logger.stats());
    assert_eq!((stats.seen, stats.printed, stats.lost, stats.waiting, stats.filtered), (10, 7, 3, 0, 0));
}

#[derive(Clone)]
struct Grouping(Small);

impl Timed for Grouping {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.0.on_timeout(now).is_some()
    }

    fn digest(&self) -> u64 {
        self.0.stats().printed << 32 | self.0.stats().waiting
    }
}

/// [`deadline_contract`] of a logger with groups of several ages.
pub fn logger_deadline_contract() {
    let mut grouping = Grouping(Small::new());
    deadline_contract(&grouping);
    let service = grouping.0.service("stash");
    for (second, target) in [(10, "bob"), (11, "dave"), (12, "bob")] {
        assert_eq!(
            grouping.0.record(service, &Event::new("store", "alice").target(target), at(second)),
            Recorded::Grouped
        );
        deadline_contract(&grouping);
    }
}
