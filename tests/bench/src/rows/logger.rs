//! An event that joins a group which is there already; the peers write a line for each.

use std::{collections::HashMap, hint::black_box, io, sync::Mutex};

use ahash::RandomState;
use slog::Drain;
use slog_async::OverflowStrategy;
use steadfast::{
    Instant, Logger,
    logger::{Event, WriteSink},
    runtime::{Clock, SystemTimer},
};
use tracing::{Dispatch, dispatcher, info};

use super::{Plan, limiter::AHASH};
use crate::{
    run::{Goal::Within, Row},
    slice::{Work, repeat},
    work::{Given, mix},
};

pub(super) fn rows() -> Vec<Plan> {
    vec![
        Plan::new("a log event, own clocks", || {
            Row::new(ours())
                .peer("tracing-subscriber", None, tracing(true))
                .peer("tracing-subscriber, no time", None, tracing(false))
                .peer("slog-async", None, slog())
                .hashing("-")
                .floor("map of names, one lock", Within(1.0), names(Given))
                .floor("map of names and clock, one lock", None, names(SystemTimer))
                .hashing(AHASH)
        }),
        Plan::new("a log event, `now` given", || {
            let mut machine = Box::new(steadfast_core::Logger::<256, 320, 512, 64, 64>::new());
            let (service, mut who) = (machine.service("stash"), actors());
            Row::new(repeat(move || {
                let event = Event::new("store", who()).target("bob").message("stored 2.3KB");
                black_box(machine.record(service, black_box(&event), Given::NOW));
            }))
            .floor("map of names, one lock", Within(1.0), names(Given))
            .hashing(AHASH)
        }),
    ]
}

/// Eight who do the same, in no order.
fn actors() -> impl FnMut() -> &'static str {
    const NAMES: [&str; 8] = ["alice", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan"];
    let mut index = 0;
    move || {
        index += 1;
        black_box(NAMES[(mix(index) % 8) as usize])
    }
}

/// With its worker, a thread that writes one line for many events.
fn ours() -> Work {
    let logger = Logger::builder().build(WriteSink::new(io::sink())).expect("there is a thread for its worker");
    let (log, mut who) = (logger.service("stash"), actors());
    repeat(move || {
        log.event("store", who()).target("bob").message("stored 2.3KB");
    })
}

/// One line an event, to nowhere, without colours.
fn tracing(has_time: bool) -> Work {
    let builder = tracing_subscriber::fmt().with_writer(io::sink);
    let dispatch =
        if has_time { Dispatch::new(builder.finish()) } else { Dispatch::new(builder.without_time().finish()) };
    let mut who = actors();
    let mut work = repeat(move || info!(target: "stash", actor = who(), target = "bob", "stored 2.3KB"));
    Box::new(move |n| dispatcher::with_default(&dispatch, || work(n)))
}

/// One line an event, which its own thread formats; here is only what the caller's computes, for it has to wait too.
fn slog() -> Work {
    let decorator = slog_term::PlainDecorator::new(io::sink());
    let lines = slog_term::FullFormat::new(decorator).build().fuse();
    let lines =
        slog_async::Async::new(lines).chan_size(1 << 12).overflow_strategy(OverflowStrategy::Block).build().fuse();
    let (log, mut who) = (slog::Logger::root(lines, slog::o!("service" => "stash")), actors());
    repeat(move || slog::info!(log, "stored 2.3KB"; "actor" => who(), "target" => "bob"))
}

/// The least for a group: find it by names that live for ever, count, and note when. With aHash, though ours takes `SipHash`.
fn names(clock: impl Clock + 'static) -> Work {
    let (groups, mut who) =
        (Mutex::new(HashMap::<[&'static str; 3], (u64, Instant), RandomState>::default()), actors());
    repeat(move || {
        let mut groups = groups.lock().unwrap();
        let (count, last_at) = groups.entry(["stash", "store", who()]).or_default();
        (*count, *last_at) = (*count + 1, clock.now());
    })
}
