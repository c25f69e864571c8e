//! The dedup cache.

use crate::operations::dedup_cache::{Cache, FORGETS, Id, REFUSES, TTL, check, rest};
use steadfast_core::{
    Instant,
    dedup_cache::{Claim, Seen},
};

use super::{
    keys::{by_chance, colliding},
    meter::{By, Meter},
};

const MACHINE: &str = "dedup cache";
const START: Instant = Instant::from_secs(1_000_000);

pub fn dedup_cache(meter: &Meter) {
    let mut fresh = meter.row(MACHINE, "check, a new id");
    let mut duplicate = meter.row(MACHINE, "check, a duplicate");
    let mut forgets = meter.row(MACHINE, "check, a new id in place of the oldest");
    let mut refuses = meter.row(MACHINE, "check, a new id refused");
    let mut expired = meter.row(MACHINE, "check, a new id, all 64 expired");
    let mut seen = meter.row(MACHINE, "seen");
    let mut claimed = meter.row(MACHINE, "claim and commit");
    let mut aborted = meter.row(MACHINE, "claim and abort");
    let mut timed_out = meter.row(MACHINE, "on_timeout of 64 ids");
    let mut cleaned = meter.row(MACHINE, "cleanup of 64 ids");
    for (by, ids) in [(By::Chance, by_chance::<Id, 128>(1)), (By::Enemy, colliding())] {
        let (ids, strangers) = ids.split_at(64);
        let end = START.saturating_add(TTL);
        let fill = |mut cache: Cache| {
            ids.iter().for_each(|id| assert!(cache.check(id, START).is_fresh()));
            cache
        };
        let mut cache = FORGETS;
        for (index, id) in ids.iter().enumerate() {
            assert!(fresh.count(by, || check(&mut cache, id, START)).is_fresh());
            // A duplicate of each age, and one that is as far along its chain as it can be.
            for id in [id, &ids[index / 2], &ids[0]] {
                assert!(!duplicate.count(by, || check(&mut cache, id, START)).is_fresh());
                assert!(seen.count(by, || rest::seen(&mut cache, id, START)));
            }
        }
        for id in strangers {
            assert!(forgets.count(by, || check(&mut cache, id, START)).is_fresh());
        }
        assert_eq!(cache.stats().forgotten, 64);
        // The clock steps back under a full cache.
        let back = Instant::from_secs(1);
        fresh.count(By::Enemy, || check(&mut cache, &ids[0], back));
        fresh.count(By::Enemy, || check(&mut cache, &ids[1], back.saturating_add(TTL)));

        let mut cache = fill(REFUSES);
        for id in strangers {
            assert_eq!(refuses.count(by, || check(&mut cache, id, START)), Seen::Full);
        }
        for (id, times) in strangers.iter().zip(1..) {
            let mut cache = fill(FORGETS);
            let now = Instant::from_nanos(end.as_nanos() + times);
            assert!(expired.count(by, || check(&mut cache, id, now)).is_fresh());
        }

        let mut cache = FORGETS;
        for id in ids {
            for is_done in [false, true] {
                let row = if is_done { &mut claimed } else { &mut aborted };
                row.count(by, || {
                    let Claim::Fresh(ticket) = rest::claim(&mut cache, id, START) else { panic!("nobody else has it") };
                    if is_done {
                        assert!(rest::commit(&mut cache, ticket, START));
                    } else {
                        rest::abort(&mut cache, ticket, START);
                    }
                });
            }
        }
        assert_eq!((cache.stats().aborted, cache.len()), (64, 64));
        timed_out.count(by, || rest::on_timeout(&mut cache, end));
        assert!(cache.is_empty());
        let mut cache = fill(FORGETS);
        assert_eq!(cleaned.count(by, || rest::cleanup(&mut cache, end)), 64);
    }
    for row in [fresh, duplicate, forgets, refuses, expired, seen, claimed, aborted, timed_out, cleaned] {
        row.print();
    }
}
