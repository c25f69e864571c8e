//! Retry and its budget.

use core::time::Duration;

use crate::operations::{
    Dice,
    retry::{budget, next, start},
};
use steadfast_core::{
    Instant, RetryBudget, RetryPolicy,
    retry::{Failure, Jitter, Step},
};

use super::meter::{By, Meter};

const MACHINE: &str = "retry";
const START: Instant = Instant::from_secs(1_000_000);

pub fn retry(meter: &Meter) {
    let mut begun = meter.row(MACHINE, "start");
    let mut step = meter.row(MACHINE, "next");
    let mut over = meter.row(MACHINE, "next, it gives up");
    let mut deposited = meter.row(MACHINE, "budget: deposit");
    let mut withdrawn = meter.row(MACHINE, "budget: withdraw");
    let base = Duration::from_millis(200);
    let mut dice = Dice(0x5eed);
    for (policy, by) in [
        (RetryPolicy::exponential(base), By::Chance),
        (RetryPolicy::linear(base), By::Enemy),
        (RetryPolicy::constant(base), By::Enemy),
        (RetryPolicy::exponential(Duration::MAX), By::Enemy),
    ] {
        for (jitter, by) in [
            (Jitter::Full, by),
            (Jitter::Decorrelated, By::Enemy),
            (Jitter::Equal, By::Enemy),
            (Jitter::None, By::Enemy),
        ] {
            let policy =
                policy.max_retries(64).max_delay(Duration::from_secs(60)).max_elapsed(Duration::from_secs(9_000));
            let policy = policy.jitter(jitter);
            let mut retry = begun.count(by, || start(&policy, START));
            for failure in [Failure::Transient, Failure::RetryAfter(base)] {
                let by = if failure == Failure::Transient { by } else { By::Enemy };
                for _ in 0..32 {
                    let now = START;
                    let next = step.count(by, || next(&mut retry, failure, now, &mut dice));
                    assert!(matches!(next, Step::RetryAt(_)));
                }
            }
            assert!(matches!(
                over.count(by, || next(&mut retry, Failure::Transient, START, &mut dice)),
                Step::GiveUp(_)
            ));
            let mut retry = policy.start(START);
            for (failure, now) in [(Failure::Permanent, START), (Failure::Transient, Instant::MAX)] {
                let step = over.count(by, || next(&mut retry, failure, now, &mut dice));
                assert!(matches!(step, Step::GiveUp(_)));
            }
        }
    }
    for (policy, by) in [(RetryBudget::percent(20), By::Chance), (RetryBudget::percent(u32::MAX), By::Enemy)] {
        let mut budget = policy.floor_per_second(1).burst(10);
        for second in 0..60 {
            let now = START.saturating_add(Duration::from_secs(second));
            deposited.count(by, || budget::deposit(&mut budget));
            for _ in 0..3 {
                withdrawn.count(by, || budget::withdraw(&mut budget, now));
            }
        }
        for now in [Instant::MAX, Instant::ZERO] {
            withdrawn.count(By::Enemy, || budget::withdraw(&mut budget, now));
            deposited.count(By::Enemy, || budget::deposit(&mut budget));
        }
    }
    for row in [begun, step, over, deposited, withdrawn] {
        row.print();
    }
}
