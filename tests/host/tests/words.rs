//! What errors say, and what `Debug` shows: enough to act on, and nothing of keys, items and secrets.

use std::{cell::RefCell, error::Error, num::NonZeroU32, time::Duration};

use steadfast_core::{
    BatchQueue, BatchSettings, CircuitBreaker, Gcra, HashSeed, Instant, KeyedCorrelator, Logger, Quorum, RateLimiter,
    Reset, Shared, Trip,
    batch_collector::{AddError, WorkerRuns},
    circuit_breaker::{BreakerError, CallGuard},
    correlator::CallError,
    encryptor::EncryptorError,
    logger::{Event, Level, LoggerStats, Text},
    quorum::{QuorumError, Vote},
    rate_limiter::CostExceedsBurst,
    retry::Reason,
    session::{CounterError, KeyRingError, NotStored, Replay},
    test_util::ManualClock,
};

const CAUSE: CostExceedsBurst = CostExceedsBurst { limit: 5 };

#[test]
fn every_error_says_what_happened() {
    let errors: [(&dyn Error, &str); 30] = [
        (&CAUSE, "the request asks for more than the limit of 5"),
        (&AddError::Full(7), "no room for another item"),
        (&AddError::Stopped(7), "the batch collector was stopped"),
        (&WorkerRuns, "another worker runs on this queue"),
        (&QuorumError::NoThreshold, "a threshold of zero decides on no votes"),
        (&QuorumError::OutOfReach, "the threshold is above the number of voters"),
        (&QuorumError::TooManyVoters, "more voters than places"),
        (&EncryptorError::Capacity, "the result does not fit into its buffer"),
        (&EncryptorError::Decrypt, "decryption failed: invalid ciphertext or wrong key"),
        (&EncryptorError::NonceLength, "the nonce is not 24 bytes long"),
        (&EncryptorError::Rng, "no entropy for a nonce"),
        (&EncryptorError::CountersExhausted, "the counters of this key are used up"),
        (&EncryptorError::Replay(Replay::Duplicate), "a packet with this counter was accepted before"),
        (&EncryptorError::StoreCounter, "the next counters have to be stored first"),
        (&Replay::TooOld, "the counter is older than the replay window"),
        (&Replay::Exhausted, "the counter is at its end"),
        (&CounterError::Store(7), "7 has to be stored before the next counter"),
        (&CounterError::Exhausted, "the counters of this key are used up"),
        (&NotStored, "the storage does not hold what was to be stored"),
        (&KeyRingError::Full(7), "there is a next key already"),
        (&KeyRingError::Duplicate(7), "a key with this id is in the ring"),
        (&KeyRingError::<u8>::NoNext, "there is no next key"),
        (&KeyRingError::<u8>::NotRetired, "there is no such key, or it is the current one"),
        (&EncryptorError::TooShort, "the blob is shorter than a nonce and a tag"),
        (&CallError::<CostExceedsBurst>::Cancelled, "the call was cancelled"),
        (&CallError::<CostExceedsBurst>::Duplicate, "a call with this id is pending"),
        (&CallError::<CostExceedsBurst>::Full, "too many calls are pending"),
        (&CallError::<CostExceedsBurst>::TimedOut, "no reply came in time"),
        (&CallError::Send(CAUSE), "the request could not be sent"),
        (&BreakerError::Inner(CAUSE), "the request asks for more than the limit of 5"),
    ];
    for (error, saying) in errors {
        assert_eq!(error.to_string(), saying);
    }
    let reasons = [Reason::AttemptsExhausted, Reason::BudgetExhausted, Reason::DeadlineExceeded, Reason::NotRetryable]
        .map(|reason| reason.to_string());
    let expected = ["no attempt is left", "the retry budget is used up", "no time is left", "the error is not retried"];
    assert_eq!(reasons, expected);
}

#[test]
fn a_cause_is_told_once() {
    let sent = CallError::Send(CAUSE);
    assert_eq!(sent.source().map(ToString::to_string), Some(CAUSE.to_string()));
    // A breaker's error says what its call said, so its cause is the cause of that.
    assert_eq!(BreakerError::Inner(sent).source().map(ToString::to_string), Some(CAUSE.to_string()));
    assert!(BreakerError::<CostExceedsBurst>::Open { retry_at: Instant::ZERO }.source().is_none());
}

#[test]
fn debug_shows_no_key_no_item_and_no_secret() {
    const SECRET: &str = "4242424242";
    let mut quorum: Quorum<&str, &str, 3> = Quorum::new::<2>(Instant::from_secs(9));
    assert_eq!(quorum.vote(quorum.ballot(), SECRET, SECRET, Instant::ZERO), Vote::Counted);
    let limiter: RateLimiter<&str, Gcra, 2> = RateLimiter::new(Gcra::per_second(1));
    let mut shared = Shared::new(RefCell::new(limiter), ManualClock::new(Instant::ZERO));
    assert!(shared.allow(&SECRET).is_allowed());
    let mut breaker = CircuitBreaker::new(Trip::consecutive(1), Reset::after(Duration::from_secs(1)));
    let permit = breaker.try_acquire(Instant::ZERO).expect("it is closed");
    let shown = [
        format!("{:?}", AddError::Full(SECRET)),
        format!("{:?}", AddError::Stopped(SECRET)),
        format!("{quorum:?}"),
        format!("{:?}", BatchQueue::<&str, 2, 1>::new(BatchSettings::new(Duration::from_secs(1)))),
        format!("{:?}", HashSeed::new(4_242_424_242, 4_242_424_242)),
        format!("{:?}", CallGuard::new(permit, |_, _| ())),
        format!("{:?}", &mut shared),
    ];
    let expected = [
        "Full(..)",
        "Stopped(..)",
        "Quorum { votes: 1, threshold: 2, closed: false, ",
        "BatchQueue { stats: ",
        "HashSeed(..)",
        "CallGuard { permit: ",
        "Shared { .. }",
    ];
    for (shown, expected) in shown.iter().zip(expected) {
        assert!(shown.starts_with(expected) && !shown.contains(SECRET), "{shown}");
    }
    assert_eq!(format!("{:?}", Text::<16>::format(format_args!("a\n"))), r#""a\\n""#);
}

#[test]
fn a_default_is_empty() {
    assert_eq!(Text::<8>::default().as_str(), "");
    let (logger, calls): (Logger<4>, KeyedCorrelator<u8, u8, 2>) = Default::default();
    assert_eq!((logger.stats(), calls.len()), (LoggerStats::default(), 0));
}

#[test]
fn a_shared_limiter_decides_as_its_machine_does() {
    let two = NonZeroU32::new(2).expect("two");
    let limiter: RateLimiter<u8, Gcra, 2> = RateLimiter::new(Gcra::per_second(1).burst(2));
    assert_eq!(limiter.quota(), &Gcra::per_second(1).burst(2));
    let clock = ManualClock::new(Instant::from_micros(1_000_000));
    let limiter = Shared::new(RefCell::new(limiter), &clock);
    assert!(limiter.check(&1).is_allowed());
    assert!(limiter.allow_n(&1, two).expect("it fits").is_allowed());
    assert_eq!(limiter.check(&1).retry_after(Instant::from_secs(1)), Some(Duration::from_secs(1)));
    assert_eq!(limiter.allow_n(&1, NonZeroU32::new(3).expect("three")), Err(CostExceedsBurst { limit: 2 }));
    clock.set(Instant::from_secs(2));
    assert_eq!(limiter.check(&1).retry_after(Instant::from_secs(2)), None);
}

#[test]
fn a_formatter_sees_the_whole_group() {
    let mut logger: Logger<4> = Logger::new();
    let service = logger.service("net");
    logger
        .formatter("net", "dial", |group, out| {
            write!(out, "{}.{} {:?} {}", group.service(), group.kind(), group.level(), group.message())
        })
        .expect("there is room for one");
    logger.record(service, &Event::new("dial", "bob").level(Level::Warn).message("no route"), Instant::ZERO);
    logger.flush();
    let entry = logger.on_timeout(Instant::ZERO).expect("it was flushed");
    assert_eq!(entry.line().as_str(), "⚠️ [net] net.dial Warn no route");
    assert_eq!(entry.default_line().as_str(), "⚠️ [net] bob did dial: no route");
}
