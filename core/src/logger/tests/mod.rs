mod hostile;
mod names;
mod seed;
mod waiting;

use std::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use core::time::Duration;

use super::*;
use crate::foundation::{hash::HashSeed, time::Instant};

type Small = Logger<8>;

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn lines<const G: usize, const N: usize, const L: usize, const S: usize, const F: usize>(
    logger: &mut Logger<G, N, L, S, F>,
    now: Instant,
) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(entry) = logger.on_timeout(now) {
        lines.push(entry.line().to_string());
    }
    adds_up(&logger.stats());
    lines
}

fn adds_up(stats: &LoggerStats) {
    assert_eq!(stats.seen, stats.filtered + stats.printed + stats.waiting + stats.lost + stats.rejected, "{stats:?}");
}

fn tease(actor: &str) -> Event<'_> {
    Event::new("tease", actor).target("bob")
}

/// What a group of these actors reads like.
fn sentence(actors: &[&str]) -> String {
    let mut logger = Small::new();
    let service = logger.service("nara");
    for actor in actors {
        assert_eq!(logger.record(service, &Event::new("wave", actor), at(0)), Recorded::Grouped);
    }
    lines(&mut logger, at(3_000)).concat()
}

static LOGGER: Logger<4> = Logger::new();

#[test]
fn a_logger_can_be_a_static() {
    assert_eq!(LOGGER.stats(), LoggerStats::default());
    assert_eq!(LOGGER.next_deadline(), None);
}

#[test]
fn counts_add_up_and_the_last_message_is_kept() {
    let mut logger = Small::new();
    let stash = logger.service("stash");
    for actor in ["alice", "bob", "alice", "carol"] {
        logger.record(stash, &Event::new("store", actor).target("t").message("first"), at(0));
    }
    logger.record(stash, &Event::new("store", "bob").target("t").message("stored 2.3KB"), at(5));
    logger.record(stash, &Event::new("store", "bob").target("t").count(10), at(5));
    assert_eq!(lines(&mut logger, at(9_000)), ["• [stash] alice, bob, and carol did store to t ×15: stored 2.3KB"]);
}

#[test]
fn a_formatter_gets_the_count_behind_it_unless_it_reads_it() {
    let mut logger = Small::new();
    let gossip = logger.service("gossip");
    logger.formatter("gossip", "ping", |group, out| write!(out, "pings from {}", group.actors())).unwrap();
    let zines: Formatter = |group, out| write!(out, "zines with {} ({} events)", group.actors(), group.count());
    logger.formatter("gossip", "zine", zines).unwrap();
    for count in [5, 7] {
        logger.record(gossip, &Event::new("zine", "alice").count(count), at(0));
        logger.record(gossip, &Event::new("ping", "alice"), at(1));
    }
    assert_eq!(
        lines(&mut logger, at(9_000)),
        ["• [gossip] zines with alice (12 events)", "• [gossip] pings from alice ×2"]
    );
}

#[test]
fn a_formatter_that_fails_leaves_the_default_sentence() {
    let mut logger = Small::new();
    let social = logger.service("social");
    logger
        .formatter("social", "tease", |_, out| {
            out.write_str("half a sen")?;
            Err(core::fmt::Error)
        })
        .unwrap();
    logger.record(social, &tease("alice"), at(0));
    assert_eq!(lines(&mut logger, at(3_000)), ["• [social] alice did tease to bob"]);
}

#[test]
fn formatters_are_replaced_and_never_forgotten() {
    let mut logger: Logger<8, 160, 160, 8, 1> = Logger::new();
    logger.formatter("a", "x", |_, out| out.write_str("one")).unwrap();
    logger.formatter("a", "x", |_, out| out.write_str("two")).unwrap();
    assert_eq!(logger.formatter("a", "y", |_, out| out.write_str("three")), Err(FormattersFull));
    let a = logger.service("a");
    logger.record(a, &Event::new("x", "alice"), at(0));
    logger.record(a, &Event::new("y", "alice"), at(0));
    assert_eq!(lines(&mut logger, at(3_000)), ["• [a] two", "• [a] alice did y"]);
}

#[test]
fn targets_types_and_services_keep_groups_apart() {
    let mut logger = Small::new();
    let (a, b) = (logger.service("a"), logger.service("b"));
    for (service, kind, target) in [(a, "x", "t"), (a, "x", "u"), (a, "y", "t"), (b, "x", "t"), (a, "x", "")] {
        logger.record(service, &Event::new(kind, "alice").target(target), at(0));
    }
    assert_eq!(
        lines(&mut logger, at(3_000)),
        [
            "• [a] alice did x to t",
            "• [a] alice did x to u",
            "• [a] alice did y to t",
            "• [b] alice did x to t",
            "• [a] alice did x",
        ]
    );
}

#[test]
fn the_window_is_half_open() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.record(a, &tease("alice"), at(0));
    logger.record(a, &tease("carol"), at(2_999));
    assert_eq!(logger.next_deadline(), Some(at(5_999)));
    assert!(logger.on_timeout(at(5_998)).is_none());
    // At its deadline a group is over, drained or not: the next event begins another.
    logger.record(a, &tease("dave"), at(5_999));
    assert_eq!(lines(&mut logger, at(5_999)), ["• [a] alice and carol did tease to bob"]);
    assert_eq!(logger.next_deadline(), Some(at(8_999)));
    assert_eq!(lines(&mut logger, at(8_999)), ["• [a] dave did tease to bob"]);
    assert_eq!(logger.next_deadline(), None);
}

#[test]
fn every_logger_keeps_some_room_for_single_lines() {
    assert_eq!([Logger::<2>::RESERVED, Logger::<8>::RESERVED, Logger::<40>::RESERVED], [1, 2, 10]);
}

#[test]
fn a_window_of_nothing_groups_nothing() {
    let mut logger = Small::new().window(Duration::ZERO, Duration::MAX);
    let a = logger.service("a");
    for actor in ["alice", "carol"] {
        logger.record(a, &tease(actor), at(7));
    }
    assert_eq!(lines(&mut logger, at(7)), ["• [a] alice did tease to bob", "• [a] carol did tease to bob"]);
}

#[test]
fn a_group_has_the_highest_level_of_its_events() {
    let mut logger = Small::new();
    let a = logger.service("a");
    for level in [Level::Info, Level::Warn, Level::Info] {
        logger.record(a, &tease("alice").level(level), at(0));
    }
    let entry = logger.on_timeout(at(3_000)).unwrap();
    assert_eq!((entry.level(), entry.events()), (Level::Warn, 3));
    assert_eq!(entry.to_string(), "⚠️ [a] alice did tease to bob ×3");
}

#[test]
fn plain_lines_leave_at_once_in_order() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.set_show(a, Show::Verbose);
    for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
        assert_eq!(logger.line(a, level, "hello", at(50)), Recorded::Ready);
    }
    assert_eq!(logger.next_deadline(), Some(Instant::ZERO));
    assert_eq!(lines(&mut logger, at(0)), ["• [a] hello", "• [a] hello", "⚠️ [a] hello", "❌ [a] hello"]);
}

#[test]
fn levels_are_ordered() {
    assert!(Level::Debug < Level::Info && Level::Info < Level::Warn && Level::Warn < Level::Error);
}

#[test]
fn verbose_shows_only_the_debug_lines_of_its_service() {
    let mut logger = Small::new();
    let (a, b) = (logger.service("a"), logger.service("b"));
    logger.set_show(a, Show::Verbose);
    for service in [a, b] {
        logger.line(service, Level::Debug, "detail", at(0));
        logger.line(service, Level::Info, "news", at(0));
    }
    assert_eq!(lines(&mut logger, at(0)), ["• [a] detail", "• [a] news", "• [b] news"]);
    assert_eq!(logger.stats().filtered, 1);
}

#[test]
fn what_the_sink_refuses_is_lost_and_told() {
    let mut logger = Small::new();
    let a = logger.service("a");
    for _ in 0..3 {
        logger.record(a, &tease("alice"), at(0));
    }
    let entry = logger.on_timeout(at(3_000)).unwrap();
    logger.not_written(&entry, at(3_000));
    assert_eq!(logger.stats().lost, 3);
    let told = logger.on_timeout(at(6_000)).unwrap();
    assert_eq!(told.to_string(), "⚠️ [logger] 3 events lost");
    logger.not_written(&told, at(6_000));
    logger.record(a, &tease("alice"), at(6_000));
    assert_eq!(lines(&mut logger, at(9_000)).first().unwrap(), "⚠️ [logger] 3 events lost");
    assert_eq!(logger.stats(), LoggerStats { seen: 4, printed: 1, lost: 3, ..LoggerStats::default() });
}

#[test]
fn one_lost_event_is_one() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.line(a, Level::Info, "news", at(0));
    let entry = logger.on_timeout(at(0)).unwrap();
    logger.not_written(&entry, at(0));
    assert_eq!(lines(&mut logger, at(3_000)), ["⚠️ [logger] 1 event lost"]);
}

#[test]
fn a_clock_that_steps_back_delays_nothing_beyond_its_window() {
    let mut logger = Small::new();
    let a = logger.service("a");
    let year = 365 * 86_400_000;
    logger.record(a, &tease("alice"), at(year));
    logger.record(a, &Event::new("x", "carol"), at(1_000));
    assert_eq!(logger.next_deadline(), Some(at(4_000)));
    logger.record(a, &tease("dave"), at(2_000));
    assert_eq!(lines(&mut logger, at(4_999)), ["• [a] carol did x"]);
    assert_eq!(lines(&mut logger, at(5_000)), ["• [a] alice and dave did tease to bob"]);
}

/// Nothing but the loop that waits sees the new time: no event comes.
#[test]
fn found_e1_an_idle_logger_notices_a_step_back_by_its_time_out_alone() {
    let day = 86_400_000;
    for is_lost in [false, true] {
        let mut logger = Small::new();
        let a = logger.service("a");
        if is_lost {
            logger.line(a, Level::Info, "news", at(day));
            let entry = logger.on_timeout(at(day)).unwrap();
            // The sink took its time.
            logger.not_written(&entry, at(day + 60_000));
        } else {
            logger.record(a, &tease("alice"), at(day));
        }
        assert!(logger.on_timeout(at(1_000)).is_none());
        assert_eq!(logger.next_deadline(), Some(at(4_000)), "lost: {is_lost}");
        assert!(logger.on_timeout(at(3_999)).is_none());
        assert_eq!(lines(&mut logger, at(4_000)).len(), 1);
    }
}

/// Each reading is compared with the one before, whoever brought it.
#[test]
fn steps_back_between_time_outs_are_noticed_one_by_one() {
    let mut logger = Small::new();
    let a = logger.service("a");
    let (mut now, hour) = (36_000_000, 3_600_000);
    assert!(logger.on_timeout(at(now)).is_none());
    logger.record(a, &tease("alice"), at(now - 1_000));
    for _ in 0..5 {
        now -= hour;
        assert!(logger.on_timeout(at(now)).is_none());
        assert_eq!(logger.next_deadline(), Some(at(now + 3_000)));
    }
    assert_eq!(lines(&mut logger, at(now + 3_000)).len(), 1);
}

#[test]
fn a_closed_group_stays_closed_when_the_clock_steps_back() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.record(a, &tease("alice"), at(0));
    logger.record(a, &tease("carol"), at(3_000));
    logger.record(a, &tease("dave"), at(1_000));
    assert_eq!(lines(&mut logger, at(1_000)), ["• [a] alice did tease to bob"]);
    assert_eq!(lines(&mut logger, at(4_000)), ["• [a] carol and dave did tease to bob"]);
}

#[test]
fn a_refusing_sink_cannot_keep_a_shutdown_from_ending() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.record(a, &tease("alice"), at(0));
    logger.shutdown();
    let entry = logger.on_timeout(at(0)).unwrap();
    logger.not_written(&entry, at(0));
    assert_eq!(logger.next_deadline(), None);
    assert_eq!(logger.stats().lost, 1);
}

#[test]
fn flush_prints_what_waits_and_goes_on() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.record(a, &tease("alice"), at(0));
    logger.flush();
    logger.record(a, &tease("carol"), at(1));
    assert_eq!(lines(&mut logger, at(1)), ["• [a] alice did tease to bob"]);
    assert_eq!(lines(&mut logger, at(3_001)), ["• [a] carol did tease to bob"]);
}

#[test]
fn a_group_costs_its_line_its_names_and_little_more() {
    assert!(size_of::<slot::Slot<160, 160>>() <= 320 + 120, "{}", size_of::<slot::Slot<160, 160>>());
}

#[test]
fn a_step_back_by_the_quiet_time_is_late_threads_and_by_more_is_another_clock() {
    for (back, due_then) in [(3_000, 1), (3_001, 2)] {
        let mut logger = Small::new();
        let service = logger.service("nara");
        assert_eq!(logger.record(service, &Event::new("wave", "alice"), at(10_000)), Recorded::Grouped);
        assert_eq!(logger.record(service, &tease("alice"), at(10_000 - back)), Recorded::Grouped);
        assert_eq!(lines(&mut logger, at(10_000)).len(), due_then);
    }
}

/// 60 bytes of names are the least; a cut name is its mark alone then.
#[test]
fn found_d9_a_logger_of_few_bytes_for_names_builds_and_names_what_it_can() {
    fn sentence<const NAMES: usize>() -> String {
        let mut logger: Logger<4, NAMES, 160> = Logger::new();
        let a = logger.service("a");
        for actor in ["alice", "no room at all", "\"", "z"] {
            logger.record(a, &Event::new("x", actor).target("bob"), at(0));
        }
        lines(&mut logger, at(3_000)).concat()
    }
    assert_eq!(sentence::<60>(), "• [a] alice, …, …, and z did x to bob");
    assert_eq!(sentence::<64>(), "• [a] alice, …, …, and z did x to bob");
    assert_eq!(sentence::<70>(), "• [a] alice, \"…\", \"\\\"\", and z did x to bob");
    assert_eq!(sentence::<80>(), "• [a] alice, \"no…\", \"\\\"\", and z did x to bob");
}

#[test]
fn a_logger_is_stopped_by_its_shutdown() {
    let mut logger = Small::new();
    assert!(!logger.is_stopped());
    logger.shutdown();
    assert!(logger.is_stopped());
}

#[test]
fn a_group_tells_its_service_kind_message_and_count() {
    let mut logger = Small::new();
    let service = logger.service("nara");
    let event = tease("alice").message("again").count(3);
    for _ in 0..2 {
        assert_eq!(logger.record(service, &event, at(0)), Recorded::Grouped);
    }
    let entry = logger.on_timeout(at(3_000)).unwrap();
    let group = entry.group();
    assert_eq!((group.service(), group.kind(), group.target()), ("nara", "tease", "bob"));
    assert_eq!((group.message(), group.count(), entry.events()), ("again", 6, 2));
}

#[test]
fn a_row_of_lost_events_tells_a_formatter_how_many() {
    let mut logger = Small::new();
    let service = logger.service("nara");
    for _ in 0..2 {
        assert_eq!(logger.line(service, Level::Warn, "refused", at(0)), Recorded::Ready);
        let entry = logger.on_timeout(at(0)).unwrap();
        logger.not_written(&entry, at(0));
    }
    let entry = logger.on_timeout(at(3_000)).unwrap();
    assert_eq!((entry.group().count(), entry.events()), (2, 0));
}

#[test]
fn what_was_counted_since_an_earlier_reading_adds_up_with_what_waited_then() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.record(a, &tease("alice"), at(0));
    let earlier = logger.stats();
    assert_eq!(earlier.waiting, 1);
    logger.record(a, &Event::new("wave", "bob"), at(2_000));
    lines(&mut logger, at(3_000));
    let since = logger.stats().since(earlier);
    assert_eq!(since, LoggerStats { seen: 1, printed: 1, waiting: 1, ..LoggerStats::default() });
    assert_eq!(since.seen + earlier.waiting, since.printed + since.waiting);
}
