//! The logger.

use core::time::Duration;

use crate::operations::logger::{NEW, record, rest, service, write_due};
use steadfast_core::{
    Instant,
    logger::{Event, Level, Recorded},
};

use super::meter::{By, Meter};

const MACHINE: &str = "logger of 8 groups";
const START: Instant = Instant::from_secs(1_000_000);
const NAMES: [&str; 6] = ["alice", "bob", "carol", "dave", "erin", "frank"];
/// Texts of 200 bytes, more than a line has: what has to be hashed to be kept, and what has to be escaped, all of it.
const LONG: &str = match core::str::from_utf8(&[b'n'; 200]) {
    Ok(text) => text,
    Err(_) => "",
};
const VILE: &str = match core::str::from_utf8(&[0x1b; 200]) {
    Ok(text) => text,
    Err(_) => "",
};

pub fn logger(meter: &Meter) {
    let mut named = meter.row(MACHINE, "service, a known name");
    let mut grouped = meter.row(MACHINE, "record, into an existing group");
    let mut new = meter.row(MACHINE, "record, a new group");
    let mut lost = meter.row(MACHINE, "record, no group free");
    let mut lined = meter.row(MACHINE, "line");
    let mut early = meter.row(MACHINE, "on_timeout, nothing due");
    let mut written = meter.row(MACHINE, "on_timeout and format a line");
    for round in 0..6 {
        let mut log = NEW;
        let stash = log.service("stash");
        named.count(By::Chance, || service(&mut log, "stash"));
        for target in NAMES {
            let event = Event::new("store", "zoe").target(target);
            assert_eq!(new.count(By::Chance, || record(&mut log, stash, &event, START)), Recorded::Grouped);
            for actor in NAMES.into_iter().skip(round).chain(NAMES) {
                let event = Event::new("store", actor).target(target).message("1,024 bytes");
                let now = START.saturating_add(Duration::from_millis(round as u64));
                assert_eq!(grouped.count(By::Chance, || record(&mut log, stash, &event, now)), Recorded::Grouped);
            }
            assert_eq!(early.count(By::Chance, || write_due(&mut log, START)), 0);
        }
        let event = Event::new("fetch", "zoe").target("gina");
        assert_eq!(lost.count(By::Chance, || record(&mut log, stash, &event, START)), Recorded::Lost);
        let text = "connected to 4 peers";
        assert_eq!(lined.count(By::Chance, || rest::line(&mut log, stash, text, START)), Recorded::Ready);
        let late = START.saturating_add(Duration::from_secs(100));
        while log.next_deadline().is_some() {
            assert_ne!(written.count(By::Chance, || write_due(&mut log, late)), 0);
        }
    }

    for text in [LONG, VILE] {
        let mut log = NEW;
        let stash = log.service("stash");
        for name in ["a", "b", "c", "d", "e", "f", "g", "one more than there is room for"] {
            named.count(By::Enemy, || service(&mut log, name));
        }
        let event = Event::new("store", text).message(text).level(Level::Error);
        for target in 0..6 {
            let event = event.target(&text[target..]);
            assert_eq!(new.count(By::Enemy, || record(&mut log, stash, &event, START)), Recorded::Grouped);
            for actor in [text, &text[1..], &text[2..], &text[3..], &text[4..], "bob", text] {
                let event = Event::new("store", actor).target(&text[target..]).message(text).level(Level::Error);
                assert_eq!(grouped.count(By::Enemy, || record(&mut log, stash, &event, START)), Recorded::Grouped);
            }
        }
        for target in 6..10 {
            // An error without a group is a line.
            let event = event.target(&text[target..]);
            lined.count(By::Enemy, || record(&mut log, stash, &event, START));
            lined.count(By::Enemy, || rest::line(&mut log, stash, text, START));
            let event = event.level(Level::Info);
            assert_eq!(lost.count(By::Enemy, || record(&mut log, stash, &event, START)), Recorded::Lost);
        }
        while log.next_deadline().is_some() {
            written.count(By::Enemy, || write_due(&mut log, Instant::MAX));
        }
    }
    for row in [named, grouped, new, lost, lined, early, written] {
        row.print();
    }
}
