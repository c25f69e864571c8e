//! A ballot of 8 voters.

use steadfast_core::{
    Instant, Quorum, aggregate,
    quorum::{Ballot, Vote},
};

pub type Ballots = Quorum<u32, i64, 8>;

pub const NEW: Ballots = Quorum::new::<5>(Instant::MAX);

operations! {
    fn vote(quorum: &mut Ballots, voter: u32, value: i64, now: Instant) -> Vote {
        quorum.vote(quorum.ballot(), voter, value, now)
    }
    fn result(quorum: &mut Ballots, now: Instant) -> Ballot<i64> {
        quorum.result(quorum.ballot(), aggregate::trimmed_mean, now)
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn result_when_settled(quorum: &mut Ballots, now: Instant) -> Ballot<i64> {
            quorum.result_when_settled(quorum.ballot(), aggregate::majority, aggregate::settled::majority, now)
        }
    }
}
