//! The logger's lines through `defmt`: what leaves the board holds the line, at its level.
#![no_std]
#![no_main]

use core::{hash::BuildHasher, time::Duration};

use cortex_m_rt::entry;
use firmware_tests::{board, harness};
use heapless::Vec;
use steadfast_embassy::{
    CircuitBreaker, DefmtSink, HashSeed, Lock, Logger, Mutex, Reset, Shared, Trip,
    logger::{Event, Level, Sink},
    shared,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// What `defmt` has sent.
static SENT: Mutex<Vec<u8, 1024>> = Mutex::new(Vec::new());

#[defmt::global_logger]
struct Memory;

// SAFETY: nothing here logs in an interrupt handler, so no frame is begun inside another.
unsafe impl defmt::Logger for Memory {
    fn acquire() {}

    unsafe fn flush() {}

    unsafe fn release() {}

    unsafe fn write(bytes: &[u8]) {
        SENT.with(|sent| sent.extend_from_slice(bytes).expect("one line at a time"));
    }
}

/// What was sent since the last time; the first two bytes say which format string, and so the level.
fn sent() -> ([u8; 2], Vec<u8, 1024>) {
    let frame = SENT.with(core::mem::take);
    (frame[..2].try_into().expect("a frame begins with its index"), frame)
}

fn holds(frame: &[u8], text: &str) -> bool {
    frame.windows(text.len()).any(|part| part == text.as_bytes())
}

fn a_line_is_sent_at_its_level() {
    let mut seen: Vec<[u8; 2], 4> = Vec::new();
    for level in [Level::Debug, Level::Info, Level::Warn, Level::Error] {
        DefmtSink.write(level, "battery at 20 %").expect("defmt takes every line");
        let (format, frame) = sent();
        assert!(holds(&frame, "battery at 20 %"), "{frame:?}");
        assert!(!seen.contains(&format), "two levels look the same");
        seen.push(format).expect("four levels");
    }
}

fn a_logger_drains_into_it() {
    static LOGGER: Shared<Logger<4>> = shared(Logger::new());
    let log = LOGGER.service("stash");
    log.event("store", "alice").target("bob");
    log.event("store", "carol").target("bob");
    LOGGER.flush();
    assert_eq!(LOGGER.drain(&mut DefmtSink), 1);
    assert!(holds(&sent().1, "[stash] alice and carol did store to bob"));
}

fn what_a_peer_sends_is_escaped_there_too() {
    static LOGGER: Shared<Logger<4>> = shared(Logger::new());
    let log = LOGGER.service("stash");
    log.event("greet", "eve\n[stash] forged").instant();
    assert_eq!(LOGGER.drain(&mut DefmtSink), 1);
    let (_, frame) = sent();
    assert!(holds(&frame, "eve\\n[stash] forged") && !holds(&frame, "eve\n"));
}

fn values_can_be_sent() {
    defmt::info!("{} {}", Event::new("store", "alice"), Logger::<4>::new().stats());
    assert!(holds(&sent().1, "alice"));
}

fn a_machine_can_be_sent_even_by_whoever_has_its_lock() {
    static LOGGER: Shared<Logger<4>> = shared(Logger::new());
    static BREAKER: Shared<CircuitBreaker> = shared(CircuitBreaker::new(Trip::consecutive(1), Reset::after(HOUR)));
    LOGGER.with(|logger, _| defmt::info!("{} {}", LOGGER, logger.service("stash")));
    assert!(holds(&sent().1, "Shared { .. }"));
    BREAKER.with(|breaker, now| {
        breaker.record_failure(now);
        defmt::info!("{}", breaker);
    });
    assert!(holds(&sent().1, "state: Open"));
}

fn a_seed_is_sent_without_its_secret() {
    // The letters "secret", should they be sent as they lie in memory.
    let seed = HashSeed::new(u64::from_le_bytes(*b"\0\0secret"), 0);
    defmt::info!("{} {}", seed, seed.build_hasher());
    let (_, frame) = sent();
    assert!(holds(&frame, "HashSeed(..)") && holds(&frame, "SeededHasher(..)"));
    assert!(!holds(&frame, "cret"), "{frame:?}");
}

#[entry]
fn main() -> ! {
    board::start();
    let tests: [(&str, fn()); 6] = [
        ("a_line_is_sent_at_its_level", a_line_is_sent_at_its_level),
        ("a_logger_drains_into_it", a_logger_drains_into_it),
        ("what_a_peer_sends_is_escaped_there_too", what_a_peer_sends_is_escaped_there_too),
        ("values_can_be_sent", values_can_be_sent),
        ("a_machine_can_be_sent_even_by_whoever_has_its_lock", a_machine_can_be_sent_even_by_whoever_has_its_lock),
        ("a_seed_is_sent_without_its_secret", a_seed_is_sent_without_its_secret),
    ];
    for (name, test) in tests {
        harness::test("defmt", name, test);
    }
    harness::finish()
}
