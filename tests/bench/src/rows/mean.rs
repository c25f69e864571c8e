//! The trimmed mean of some votes, which stay as they are: ours sorts a copy, as does its peer.

use std::{hint::black_box, sync::Arc};

use steadfast::aggregate;

use super::{Plan, count};
use crate::{
    run::{Goal::Faster, Row},
    work::{mix, over},
};

pub(super) fn rows() -> Vec<Plan> {
    [(5, 6.0), (1_000, 3.5)]
        .map(|(votes, faster)| {
            Plan::new(
                format!("trimmed mean of {}", if votes < 1_000 { votes.to_string() } else { count(votes) }),
                move || {
                    let ballots = ballots(votes);
                    let mut copy = vec![0; votes];
                    let ours = move |ballot: &Vec<i64>| {
                        copy.copy_from_slice(ballot);
                        black_box(aggregate::trimmed_mean(&mut copy)).is_some()
                    };
                    Row::new(over(&ballots, ours))
                        .peer(
                            "clone and sort",
                            Faster(faster),
                            over(&ballots, |ballot| black_box(sorted(ballot)).is_some()),
                        )
                        .floor("sum", None, over(&ballots, |ballot| black_box(ballot.iter().sum::<i64>()) != i64::MIN))
                },
            )
        })
        .into()
}

/// Readings that agree within a few percent, and a liar now and then: enough sets of them that no branch is learnt.
fn ballots(votes: usize) -> Arc<[Vec<i64>]> {
    let vote =
        |i| if mix(i).is_multiple_of(16) { mix(!i) as i64 / 1_024 } else { 100_000 + (mix(i ^ 1) % 4_096) as i64 };
    let sets = (1 << 16) / votes as u64 + 64;
    (0..sets).map(|set| (0..votes as u64).map(|i| vote(set << 32 | i)).collect()).collect()
}

/// What is written everywhere: exact only while the sum fits.
fn sorted(ballot: &[i64]) -> Option<i64> {
    let mut votes = ballot.to_vec();
    votes.sort();
    let median = *votes.get(votes.len() / 2)?;
    let (near, far) = (median / 5, median.saturating_mul(5));
    let kept = votes.iter().filter(|vote| (near.min(far)..=near.max(far)).contains(vote));
    let (sum, count) = kept.fold((0_i64, 0_i64), |(sum, count), vote| (sum.saturating_add(*vote), count + 1));
    sum.checked_div(count)
}
