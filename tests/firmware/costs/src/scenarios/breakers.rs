//! Circuit breakers.

use core::time::Duration;

use crate::operations::{breakers, circuit_breaker};
use steadfast_core::{
    Instant,
    circuit_breaker::{BreakerState, Outcome},
};

use super::{
    keys::{by_chance, colliding},
    meter::{By, Meter},
};

const START: Instant = Instant::from_secs(1_000_000);
const OPEN_FOR: Duration = Duration::from_secs(30);
/// Longer than any window.
const LONG: Duration = Duration::from_secs(1_000);

macro_rules! breaker {
    ($module:ident, $machine:literal) => {
        pub fn $module(meter: &Meter) {
            use circuit_breaker::$module::*;

            let mut closed = meter.row($machine, "acquire and record, closed");
            let mut tripping = meter.row($machine, "record, it trips");
            let mut open = meter.row($machine, "acquire, open");
            let mut probed = meter.row($machine, "acquire and record, half open");
            // Successes with a failure now and then, faster and slower than the window moves.
            for step in [1, 100, 3_000, 60_000] {
                let mut breaker = NEW;
                let mut now = START;
                for call in 0..200 {
                    let outcome = if call % 8 == 7 { Outcome::Failure } else { Outcome::Success };
                    closed.count(By::Chance, || {
                        let permit = try_acquire(&mut breaker, now).expect("it is closed");
                        record(&mut breaker, permit, outcome, now);
                    });
                    now = now.saturating_add(Duration::from_millis(step));
                }
                assert_eq!(breaker.state(), BreakerState::Closed);
                // Other outcomes, long silence, and a clock that steps back.
                for now in [now, now.saturating_add(LONG), START, Instant::from_secs(1)] {
                    for outcome in [Outcome::Ignored, Outcome::RetryAfter(Duration::ZERO), Outcome::Success] {
                        closed.count(By::Enemy, || {
                            if let Some(permit) = try_acquire(&mut breaker, now) {
                                record(&mut breaker, permit, outcome, now);
                            }
                        });
                    }
                }
            }
            for before in 0..64 {
                let mut breaker = NEW;
                (0..before).for_each(|_| breaker.record_success(START));
                let mut now = START;
                let mut failures = 0;
                while breaker.state() == BreakerState::Closed {
                    failures += 1;
                    assert!(failures < 200, "it never trips");
                    let permit = breaker.try_acquire(now).expect("it is closed");
                    let mut tripped = breaker.clone();
                    tripped.record_failure(now);
                    if tripped.state() == BreakerState::Open {
                        tripping.count(By::Chance, || record(&mut breaker, permit, Outcome::Failure, now));
                    } else {
                        closed.count(By::Enemy, || record(&mut breaker, permit, Outcome::Failure, now));
                    }
                }
                assert!(open.count(By::Chance, || try_acquire(&mut breaker, now)).is_none());
                open.count(By::Enemy, || try_acquire(&mut breaker, Instant::from_secs(1)));
                // One probe fails, and the next one succeeds.
                for outcome in [Outcome::Failure, Outcome::Success] {
                    now = now.saturating_add(OPEN_FOR);
                    probed.count(By::Chance, || {
                        let permit = try_acquire(&mut breaker, now).expect("a probe");
                        record(&mut breaker, permit, outcome, now);
                    });
                }
                assert_eq!(breaker.state(), BreakerState::Closed);
            }
            for row in [closed, tripping, open, probed] {
                row.print();
            }
        }
    };
}

breaker!(consecutive, "breaker, consecutive");
breaker!(call_window, "breaker, of 32 calls");
breaker!(time_window, "breaker, of 10 s");

pub fn by_key(meter: &Meter) {
    use breakers::*;

    const MACHINE: &str = "breakers of 8 keys";
    let mut healthy = meter.row(MACHINE, "acquire and record, a key that never failed");
    let mut known = meter.row(MACHINE, "acquire and record, a known key");
    let mut new = meter.row(MACHINE, "record, the first failure of a key");
    let mut full = meter.row(MACHINE, "record, a failure, the table full");
    let mut open = meter.row(MACHINE, "acquire, open");
    let mut cleaned = meter.row(MACHINE, "cleanup of 8 keys");
    for (by, keys) in [(By::Chance, by_chance::<u64, 16>(1)), (By::Enemy, colliding())] {
        let (keys, strangers) = keys.split_at(8);
        let mut breakers = NEW;
        for (index, key) in keys.iter().enumerate() {
            for key in keys.iter().skip(index).chain(strangers) {
                healthy.count(by, || {
                    let permit = try_acquire(&mut breakers, key, START).expect("closed");
                    record(&mut breakers, key, permit, Outcome::Success, START);
                });
            }
            let permit = breakers.try_acquire(key, START).expect("closed");
            new.count(by, || record(&mut breakers, key, permit, Outcome::Failure, START));
            for key in &keys[..=index] {
                for outcome in [Outcome::Failure, Outcome::Success, Outcome::Ignored] {
                    known.count(by, || {
                        let permit = try_acquire(&mut breakers, key, START).expect("closed");
                        record(&mut breakers, key, permit, outcome, START);
                    });
                }
                breakers.record_failure(key, START);
            }
            (0..3).for_each(|_| breakers.record_failure(key, START));
            assert!(open.count(by, || try_acquire(&mut breakers, key, START)).is_none());
            breakers.close(key);
            breakers.record_failure(key, START);
        }
        for key in keys {
            (0..3).for_each(|_| breakers.record_failure(key, START));
        }
        for (by, now) in [(by, START), (By::Enemy, START.saturating_add(LONG)), (By::Enemy, Instant::from_secs(1))] {
            for key in strangers {
                let Ok(permit) = breakers.try_acquire(key, now) else { continue };
                full.count(by, || record(&mut breakers, key, permit, Outcome::Failure, now));
            }
        }
        let mut breakers = NEW;
        for key in keys {
            breakers.record_failure(key, START);
            breakers.record_success(key, START);
        }
        cleaned.count(by, || rest::cleanup(&mut breakers, START.saturating_add(LONG)));
    }
    for row in [healthy, known, new, full, open, cleaned] {
        row.print();
    }
}
