//! Aggregates of five votes, and a ballot of eight.

use crate::operations::{
    aggregate::{rest, trimmed_mean},
    quorum::{self, result, vote},
};
use steadfast_core::{
    Instant,
    quorum::{Ballot, Vote},
};

use super::{
    keys::mix,
    meter::{By, Meter},
};

const MACHINE: &str = "aggregate of 5";

/// Votes of honest voters: around a thousand, all in any order.
fn around_a_thousand(round: u64) -> [i64; 5] {
    core::array::from_fn(|voter| 1_000 + (mix(round * 5 + voter as u64) % 100) as i64)
}

pub fn functions(meter: &Meter) {
    let mut trimmed = meter.row(MACHINE, "trimmed_mean");
    let mut median = meter.row(MACHINE, "median");
    let mut clustered = meter.row(MACHINE, "cluster");
    let mut majority = meter.row(MACHINE, "majority");
    let mut settled = meter.row(MACHINE, "settled::majority");
    let mut all = |by, votes: [i64; 5]| {
        trimmed.count(by, || trimmed_mean(&mut { votes }));
        median.count(by, || rest::median(&mut { votes }));
        clustered.count(by, || rest::cluster(&mut { votes }, 20));
        majority.count(by, || rest::majority(&mut { votes }));
        settled.count(by, || rest::settled_majority(&mut { votes }, 2));
    };
    for round in 0..200 {
        all(By::Chance, around_a_thousand(round));
    }
    // Every order of extreme and equal votes.
    const EXTREMES: [i64; 6] = [i64::MIN, -1, 0, 1_000, 1_010, i64::MAX];
    for number in 0..6_usize.pow(5) {
        all(By::Enemy, core::array::from_fn(|voter| EXTREMES[number / 6_usize.pow(voter as u32) % 6]));
    }
    for row in [trimmed, median, clustered, majority, settled] {
        row.print();
    }

    let mut trimmed = meter.row("aggregate of 64", "trimmed_mean");
    for round in 0..50 {
        let mut votes: [i64; 64] = core::array::from_fn(|voter| 1_000 + (mix(round * 64 + voter as u64) % 100) as i64);
        trimmed.count(By::Chance, || trimmed_mean(&mut votes));
    }
    type Shape = fn(i64) -> i64;
    const SHAPES: [Shape; 8] = [
        |voter| voter,
        |voter| -voter,
        |_| 7,
        |voter| if voter % 2 == 0 { i64::MAX } else { i64::MIN },
        |voter| (voter - 32).abs(),
        |voter| -(voter - 32).abs(),
        |voter| voter % 8,
        |voter| i64::MAX - voter * 31 % 64,
    ];
    for shape in SHAPES {
        let mut votes: [i64; 64] = core::array::from_fn(|voter| shape(voter as i64));
        trimmed.count(By::Enemy, || trimmed_mean(&mut votes));
    }
    trimmed.print();
}

pub fn quorum(meter: &Meter) {
    const MACHINE: &str = "quorum of 8";
    let mut voted = meter.row(MACHINE, "vote");
    let mut decided = meter.row(MACHINE, "result, trimmed mean");
    let mut settled = meter.row(MACHINE, "result_when_settled, majority");
    for round in 0..50 {
        let now = Instant::from_secs(1);
        let votes: [i64; 8] = core::array::from_fn(|voter| 1_000 + (mix(round * 8 + voter as u64) % 100) as i64);
        let mut ballots = quorum::NEW;
        for (voter, value) in (0..).zip(votes) {
            assert_eq!(voted.count(By::Chance, || vote(&mut ballots, voter, value, now)), Vote::Counted);
            assert_eq!(voted.count(By::Enemy, || vote(&mut ballots, voter, 0, now)), Vote::Conflicting);
            let by = if voter == 7 { By::Chance } else { By::Enemy };
            settled.count(by, || quorum::rest::result_when_settled(&mut ballots.clone(), now));
            let ballot = decided.count(by, || result(&mut ballots.clone(), now));
            assert_eq!(voter >= 4, matches!(ballot, Ballot::Decided(_)));
        }
    }
    for row in [voted, decided, settled] {
        row.print();
    }
}
