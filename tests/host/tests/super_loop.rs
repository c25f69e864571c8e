//! The core without any runtime: `RefCell` for a lock, and a loop that sleeps until the earliest deadline.
//!
//! The loop of the test is the loop of a board; its sleep moves the clock instead of stopping the processor.

use std::{cell::RefCell, time::Duration};

use steadfast_core::{
    BatchCollector, BatchSettings, Clock, Correlator, DedupCache, Instant, Lock, Logger, Quorum, Shared,
    correlator::Resolution,
    dedup_cache::{OnFull, Seen},
    earliest,
    logger::{Level, NotWritten, Sink},
    quorum::Vote,
    test_util::ManualClock,
};

struct Lines(Vec<(Instant, String)>, Instant);

impl Sink for Lines {
    fn write(&mut self, _: Level, line: &str) -> Result<(), NotWritten> {
        self.0.push((self.1, line.to_owned()));
        Ok(())
    }
}

/// What comes from outside, and when: a sensor's values every 400 ms for 4 s, and one reply.
fn next_input(now: Instant) -> Option<Instant> {
    let step = now.as_nanos() / 400_000_000 + 1;
    (step <= 10).then(|| Instant::from_millis(step * 400))
}

#[test]
fn a_super_loop_needs_a_ref_cell_and_the_next_deadline() {
    let clock = ManualClock::new(Instant::ZERO);
    let calls = Shared::new(RefCell::new(Correlator::<u8, u32, 4>::new(1)), &clock);
    let heard = Shared::new(RefCell::new(DedupCache::<u64, 8>::new(Duration::from_secs(3), OnFull::Refuse)), &clock);
    let batch = RefCell::new(BatchCollector::<u64, 4>::new(BatchSettings::new(Duration::from_secs(1))));
    let votes = RefCell::new(Quorum::<u8, i64, 3>::new::<2>(Instant::from_secs(2)));
    let logger: Shared<Logger<4>, _, _> = Shared::new(RefCell::new(Logger::new()), &clock);
    let log = logger.service("board");

    let answered = calls.begin(1, Duration::from_secs(2)).unwrap();
    let unanswered = calls.begin(2, Duration::from_secs(3)).unwrap();
    let (mut sent, mut expired, mut lines) = (Vec::new(), Vec::new(), Lines(Vec::new(), Instant::ZERO));
    let (mut input_at, mut wakeups) = (next_input(Instant::ZERO), 0);
    loop {
        let now = clock.now();
        if input_at.is_some_and(|at| now >= at) {
            let value = now.as_nanos();
            log.event("sample", "sensor");
            if let Some(full) = batch.with(|batch| batch.push(value, now).map(|full| full.to_vec())) {
                sent.push((now, full));
            }
            if now == Instant::from_millis(1_200) {
                assert_eq!(calls.resolve(answered.id(), 1, 7), Resolution::Matched);
                assert_eq!(calls.take(answered.id()), Some(7));
                assert_eq!(votes.with(|votes| votes.vote(votes.ballot(), 1, 5, now)), Vote::Counted);
                assert!(!heard.seen(&9) && !matches!(heard.check(&9), Seen::Duplicate { .. }));
            }
            input_at = next_input(now);
        }
        if let Some(due) = batch.with(|batch| batch.on_timeout(now).map(|due| due.to_vec())) {
            sent.push((now, due));
        }
        while let Some(call) = calls.on_timeout() {
            expired.push((now, call.id));
        }
        votes.with(|votes| votes.on_timeout(now));
        heard.with(DedupCache::on_timeout);
        lines.1 = now;
        logger.drain(&mut lines);

        wakeups += 1;
        let deadlines = [
            input_at,
            calls.next_deadline(),
            batch.with(|batch| batch.next_deadline()),
            votes.with(|votes| votes.next_deadline()),
            heard.with_lock(|heard| heard.next_deadline()),
            logger.with_lock(|logger| logger.next_deadline()),
        ];
        let Some(at) = earliest(deadlines) else { break };
        assert!(at > now, "the loop would spin: {deadlines:?}");
        clock.set(at);
    }

    // Ten values: three times one second after the first of its batch, then the last one alone.
    let batches: Vec<_> = sent.iter().map(|(at, items)| (at.as_nanos() / 1_000_000, items.len())).collect();
    assert_eq!(batches, [(1_400, 3), (2_600, 3), (3_800, 3), (5_000, 1)]);
    assert_eq!(expired, [(Instant::from_secs(3), unanswered.id())]);
    assert_eq!(calls.stats().timed_out, 1);
    assert_eq!(heard.with_lock(|heard| heard.len()), 0);
    assert_eq!(lines.0.len(), 1, "{:?}", lines.0);
    assert_eq!(lines.0[0].0, Instant::from_secs(7), "three quiet seconds after the last sample");
    assert!(wakeups < 30, "{wakeups} wake-ups for ten values and a handful of deadlines");
}
