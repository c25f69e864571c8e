//! Correlators.

use core::time::Duration;

use crate::operations::{correlator, keyed_correlator};
use steadfast_core::{
    Instant,
    correlator::{CallId, Resolution},
};

use super::{
    keys::{by_chance, colliding, mix},
    meter::{By, Meter},
};

const START: Instant = Instant::from_secs(1_000_000);
const TIMEOUT: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(200);
const REPLY: [u8; 8] = [7; 8];

pub fn correlator(meter: &Meter) {
    use correlator::*;

    const MACHINE: &str = "correlator of 8";
    let mut answered = meter.row(MACHINE, "begin and resolve");
    let mut taken = meter.row(MACHINE, "take");
    let mut cancelled = meter.row(MACHINE, "begin and cancel");
    let mut full = meter.row(MACHINE, "begin, full");
    let mut refused = meter.row(MACHINE, "resolve, not matched");
    let mut waited = meter.row(MACHINE, "next_deadline");
    let mut early = meter.row(MACHINE, "on_timeout, nothing due");
    let mut one = meter.row(MACHINE, "on_timeout of 1 call");
    let mut all = meter.row(MACHINE, "on_timeout of 8 calls");
    // With as many other calls as there can be, whose deadlines lie in any order.
    for others in 0..8 {
        let mut calls = NEW;
        for other in 0..others {
            let timeout = Duration::from_millis(1_000 + mix(other) % 10_000);
            calls.begin(other as u32, timeout, START).expect("room");
        }
        for round in 0..20 {
            let now = START.saturating_add(Duration::from_millis(round));
            let id = answered.count(By::Chance, || {
                let id = begin(&mut calls, 7, TIMEOUT, now).expect("room");
                assert!(resolve(&mut calls, id, 7, REPLY, now).is_matched());
                id
            });
            assert!(matches!(
                refused.count(By::Chance, || resolve(&mut calls, id, 7, REPLY, now)),
                Resolution::Duplicate(_)
            ));
            assert_eq!(taken.count(By::Chance, || take(&mut calls, id)), Some(REPLY));
            refused.count(By::Chance, || resolve(&mut calls, id, 7, REPLY, now));
            let unknown = CallId::from_u64(mix(round));
            assert!(matches!(
                refused.count(By::Chance, || resolve(&mut calls, unknown, 7, REPLY, now)),
                Resolution::Unknown(_)
            ));
            cancelled.count(By::Chance, || {
                let id = begin(&mut calls, 7, TIMEOUT, now).expect("room");
                assert!(rest::cancel(&mut calls, id));
            });
            waited.count(By::Chance, || rest::next_deadline(&calls));
            assert_eq!(early.count(By::Chance, || on_timeout(&mut calls, now)), 0);
        }
        // A clock that steps back.
        answered.count(By::Enemy, || {
            let id = begin(&mut calls, 7, TIMEOUT, Instant::from_secs(1)).expect("room");
            resolve(&mut calls, id, 7, REPLY, Instant::from_secs(1)).is_matched()
        });
        early.count(By::Enemy, || on_timeout(&mut calls, Instant::from_secs(1)));
    }
    for round in 0..20 {
        let mut calls = NEW;
        for call in 0..8 {
            let timeout = Duration::from_millis(1_000 + mix(round * 8 + call) % 10_000);
            calls.begin(call as u32, timeout, START).expect("room");
        }
        assert_eq!(full.count(By::Chance, || begin(&mut calls, 9, TIMEOUT, START)), None);
        waited.count(By::Chance, || rest::next_deadline(&calls));
        let mut later = calls.next_deadline().expect("eight calls");
        while let Some(next) = calls.next_deadline() {
            later = next;
            assert_eq!(one.count(By::Chance, || on_timeout(&mut calls, next)), 1);
        }
        for (by, mut calls) in [(By::Chance, calls), (By::Enemy, NEW)] {
            for call in 0..8 {
                let timeout = LONG.saturating_sub(Duration::from_secs(call));
                calls.begin(call as u32, timeout, later).expect("room");
            }
            assert_eq!(all.count(by, || on_timeout(&mut calls, Instant::MAX)), 8);
        }
    }
    for row in [answered, taken, cancelled, full, refused, waited, early, one, all] {
        row.print();
    }
}

pub fn keyed_correlator(meter: &Meter) {
    use keyed_correlator::*;

    const MACHINE: &str = "keyed correlator of 8";
    let mut answered = meter.row(MACHINE, "begin and resolve");
    let mut taken = meter.row(MACHINE, "take");
    let mut cancelled = meter.row(MACHINE, "begin and cancel");
    let mut refused = meter.row(MACHINE, "resolve, not matched");
    let mut all = meter.row(MACHINE, "on_timeout of 8 calls");
    for (by, ids) in [(By::Chance, by_chance::<Id, 10>(1)), (By::Enemy, colliding())] {
        let (others, [mine, stranger]) = ids.split_at(8) else { panic!("ten ids") };
        for len in 0..8 {
            let mut calls = NEW;
            for (other, millis) in others[..len].iter().zip(0..) {
                calls.begin(*other, Duration::from_millis(1_000 + mix(millis) % 10_000), START).expect("room");
            }
            for _ in 0..4 {
                answered.count(by, || {
                    assert!(begin(&mut calls, mine, TIMEOUT, START));
                    assert!(resolve(&mut calls, mine, REPLY, START).is_matched());
                });
                assert_eq!(taken.count(by, || take(&mut calls, mine)), Some(REPLY));
                cancelled.count(by, || {
                    assert!(begin(&mut calls, mine, TIMEOUT, START));
                    assert!(rest::cancel(&mut calls, mine));
                });
                assert!(!refused.count(by, || resolve(&mut calls, stranger, REPLY, START)).is_matched());
            }
        }
        let mut calls = NEW;
        others.iter().for_each(|id| assert!(calls.begin(*id, TIMEOUT, START).is_ok()));
        assert!(!answered.count(By::Enemy, || begin(&mut calls, mine, TIMEOUT, START)));
        assert!(!answered.count(By::Enemy, || begin(&mut calls, &others[7], TIMEOUT, START)));
        assert_eq!(all.count(by, || on_timeout(&mut calls, Instant::MAX)), 8);
    }
    for row in [answered, taken, cancelled, refused, all] {
        row.print();
    }
}
