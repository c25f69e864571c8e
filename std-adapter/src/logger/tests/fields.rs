//! What `tracing` and `log` are told beside the line.

use core::fmt;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use log::kv::{Key, Value, VisitSource};
use serde_json::json;

use super::*;

/// A group, an event without actor and target, and a plain line of each level.
fn say(sink: impl Sink + Send + 'static) {
    let logger = Logger::builder().verbose(["a"]).without_worker().build(sink).unwrap();
    let log = logger.service("a");
    for actor in ["al ice", "bob", "bob"] {
        log.event("store", actor).target("carol").message("2.3KB").level(Level::Warn);
    }
    logger.flush();
    log.event("start", "").count(3).instant();
    log.debug(format_args!("hello"));
    log.info(format_args!("hello"));
    log.warn(format_args!("hello"));
    log.error(format_args!("hello"));
    logger.drain();
}

const HEADS: [&str; 4] = ["DEBUG •", "INFO •", "WARN ⚠️", "ERROR ❌"];

#[derive(Clone, Default)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl io::Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn tracing_is_told_the_fields_of_a_group_and_no_empty_ones() {
    let written = Bytes::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt().json().without_time().with_writer(move || writer.clone());
    tracing::subscriber::with_default(subscriber.with_max_level(tracing::Level::TRACE).finish(), || say(TracingSink));

    let written = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["target"] == "steadfast"));
    let told: Vec<_> = lines.iter().map(|line| (line["level"].as_str().unwrap(), line["fields"].clone())).collect();
    let group = json!({
        "message": "⚠️ [a] \"al ice\" and bob did store to carol ×3: 2.3KB", "service": "a", "kind": "store",
        "actors": "\"al ice\" and bob", "event_target": "carol", "count": 3, "text": "2.3KB",
    });
    let start = json!({ "message": "• [a] start ×3", "service": "a", "kind": "start", "count": 3 });
    assert_eq!(told[..2], [("WARN", group), ("INFO", start)]);
    for ((level, fields), head) in told[2..].iter().zip(HEADS) {
        let (expected, mark) = head.split_once(' ').unwrap();
        assert_eq!((*level, fields), (expected, &json!({ "message": format!("{mark} [a] hello"), "service": "a" })));
    }
    assert_eq!(told.len(), 6);
}

#[test]
fn log_is_told_them_too() {
    struct Facade(Mutex<Vec<(String, String)>>);
    struct Pairs(String);
    impl<'a> VisitSource<'a> for Pairs {
        fn visit_pair(&mut self, key: Key<'a>, value: Value<'a>) -> Result<(), log::kv::Error> {
            fmt::write(&mut self.0, format_args!("{key}={value};"))?;
            Ok(())
        }
    }
    impl log::Log for Facade {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            if record.target() != "steadfast" {
                return;
            }
            let mut pairs = Pairs(String::new());
            record.key_values().visit(&mut pairs).unwrap();
            self.0.lock().unwrap().push((format!("{} {}", record.level(), record.args()), pairs.0));
        }
        fn flush(&self) {}
    }
    static FACADE: Facade = Facade(Mutex::new(Vec::new()));

    log::set_logger(&FACADE).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    say(LogSink);
    let told = FACADE.0.lock().unwrap();
    let pairs = "service=a;kind=store;actors=\"al ice\" and bob;event_target=carol;count=3;text=2.3KB;";
    assert_eq!(told[0].1, pairs);
    assert_eq!(told[1].1, "service=a;kind=start;actors=;event_target=;count=3;text=;");
    let lines = HEADS.map(|head| (format!("{head} [a] hello"), "service=a;".to_owned()));
    assert_eq!(told[2..], lines);
}
