use core::num::NonZeroU32;

use steadfast_core::{
    Quorum,
    aggregate::{self, settled},
    quorum::BallotId,
};

use crate::{any, limiters::cost, now, see, see_all};

pub fn probe() {
    functions();
    quorum(Quorum::new::<5>(now()));
    if let Ok(votes) = Quorum::try_new(any(), now()) {
        quorum(votes);
    }
    if let Ok(votes) = Quorum::with_voters(any(), [any(), any()], now()) {
        quorum(votes);
    }
    if let Ok(votes) = Quorum::new::<1>(now()).listing([any(), any(), any()]) {
        quorum(votes);
    }
}

/// Of any number of votes.
#[inline(never)]
fn functions() {
    type Function = fn(&mut [i64]) -> Option<i64>;

    let mut votes = [0; 64];
    let functions: [Function; 8] = [
        aggregate::trimmed_mean,
        aggregate::trimmed_mean_positive,
        aggregate::median,
        aggregate::majority,
        aggregate::plurality,
        |votes| aggregate::cluster(any())(votes),
        |votes| aggregate::mean_without_extremes(any())(votes),
        |votes| aggregate::mean_within_mad(cost())(votes),
    ];
    let settled: [fn(&mut [i64], usize) -> bool; 4] =
        [settled::all_voted, settled::majority, settled::plurality, settled::median];
    for _ in 0..any::<u32>() {
        votes.iter_mut().for_each(|vote| *vote = any());
        let Some(votes) = votes.get_mut(..any()) else { continue };
        functions.iter().for_each(|function| see(function(votes)));
        settled.iter().for_each(|settled| see(settled(votes, any())));
    }
}

#[inline(never)]
fn quorum(mut votes: Quorum<u32, i64, 8>) {
    for _ in 0..any::<u32>() {
        let ballot = if any() { votes.ballot() } else { BallotId::from_u64(any()) };
        see(votes.vote(ballot, any(), any(), now()));
        let (mut voter, mut value) = (any::<bool>().then(any), any::<bool>().then(any));
        see(votes.vote_with(ballot, |voter| *voter == 7, &mut voter, &mut value, now()));
        see(votes.count_again(any()));
        see(votes.result(ballot, aggregate::trimmed_mean, now()).decided());
        see(votes.result(ballot, aggregate::mean_within_mad(NonZeroU32::MIN), now()));
        see(votes.result_when_settled(ballot, aggregate::median, settled::median, now()));
        see(votes.result_when_settled(ballot, aggregate::majority, settled::majority, now()));
        see((
            votes.next_deadline(),
            votes.on_timeout(now()),
            votes.stats().since(votes.stats()).seen(),
            votes.threshold(),
        ));
        see((votes.len(), votes.is_empty(), votes.set_threshold(any())));
        see_all(votes.votes());
        see_all(votes.dissenters(|vote| *vote == 7));
        see_all(votes.absentees());
        if any() {
            see(votes.reset(now(), now()).as_u64());
            see(votes.reset_to(ballot, now(), now()));
        }
    }
}
