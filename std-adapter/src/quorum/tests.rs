use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::{
    aggregate::{majority, trimmed_mean},
    runtime::block_on,
};

#[test]
fn it_is_shared_between_threads_and_counts_exactly() {
    let quorum = Quorum::<u64, i64>::builder(400).max_voters(400).build().unwrap();
    thread::scope(|scope| {
        for first in 0..4_u64 {
            let quorum = quorum.clone();
            scope.spawn(move || {
                for voter in 0..200 {
                    // Two threads each vote for the same voter.
                    let _ = quorum.vote(quorum.ballot(), &(voter + 200 * (first % 2)), 7);
                }
            });
        }
        assert_eq!(block_on(quorum.decided(quorum.ballot(), trimmed_mean)), Some(7));
    });
    let stats = quorum.stats();
    assert_eq!((stats.counted, stats.repeated, stats.seen()), (400, 400, 800));
    assert_eq!(quorum.vote(quorum.ballot(), &1_000, 7), Vote::Late);
}

#[test]
fn text_voters_are_looked_up_borrowed() {
    let quorum = Quorum::<String, u8>::builder(2).voters(["bob", "carol", "bob"].map(String::from)).build().unwrap();
    assert_eq!(quorum.vote(quorum.ballot(), "mallory", 1), Vote::Stranger);
    assert_eq!(quorum.vote(quorum.ballot(), "bob", 1), Vote::Counted);
    assert_eq!(quorum.vote(quorum.ballot(), "bob", 2), Vote::Conflicting);
    assert_eq!(quorum.absentees(), ["carol"]);
    assert_eq!(quorum.vote(quorum.ballot(), "carol", 2), Vote::Counted);
    assert_eq!(quorum.dissenters(|value| *value == 1), [("carol".to_owned(), 2)]);
    assert_eq!(quorum.votes().len(), 2);
    assert_eq!(quorum.result(quorum.ballot(), majority), Ballot::Failed);
    quorum.reset(Duration::MAX);
    assert!(quorum.is_empty());
    assert_eq!(quorum.next_deadline(), None);
}

#[test]
fn an_impossible_quorum_cannot_be_built() {
    let build = |threshold, places| Quorum::<u8, u8>::builder(threshold).max_voters(places).build().map(|_| ());
    assert_eq!(build(0, 3), Err(QuorumError::NoThreshold));
    assert_eq!(build(4, 3), Err(QuorumError::OutOfReach));
    let listed = Quorum::<u8, u8>::builder(2).voters([1, 1]).build();
    assert_eq!(listed.map(|_| ()), Err(QuorumError::OutOfReach));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn waiting_ends_with_the_deciding_vote_or_at_the_deadline() {
    let timeout = Duration::from_secs(60);
    let quorum = Quorum::<u8, u8>::builder(2).voters(1..=3).timeout(timeout).build().unwrap();
    let waiting = quorum.clone();
    let decided = tokio::spawn(async move {
        waiting.decided_when_settled(waiting.ballot(), majority, crate::aggregate::settled::majority).await
    });
    tokio::task::yield_now().await;
    assert_eq!(quorum.vote(quorum.ballot(), &1, 7), Vote::Counted);
    assert_eq!(quorum.vote(quorum.ballot(), &2, 7), Vote::Counted);
    assert_eq!(decided.await.unwrap(), Some(7));

    quorum.reset(timeout);
    let start = tokio::time::Instant::now();
    assert_eq!(quorum.vote(quorum.ballot(), &1, 7), Vote::Counted);
    assert_eq!(quorum.decided(quorum.ballot(), majority).await, None);
    let took = start.elapsed();
    assert!(took >= timeout && took < timeout + Duration::from_secs(1), "{took:?}");
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn a_reset_ends_the_wait_for_the_former_ballot() {
    let quorum = Quorum::<u8, u8>::builder(2).build().unwrap();
    let waiting = quorum.clone();
    let former = tokio::spawn(async move { waiting.decided(waiting.ballot(), majority).await });
    tokio::task::yield_now().await;
    quorum.reset(Duration::MAX);
    assert_eq!(former.await.unwrap(), None);
}

#[test]
fn found_b4_a_late_vote_of_the_former_ballot_decides_nothing() {
    let quorum = Quorum::<String, u64>::builder(2).voters(["bob", "carol", "dave"].map(String::from)).build().unwrap();
    assert_ne!(quorum.ballot(), Quorum::<u8, u8>::builder(1).build().unwrap().ballot(), "a random number");
    let seven = quorum.ballot();
    let eight = quorum.reset(Duration::MAX);
    for voter in ["bob", "carol", "dave"] {
        assert_eq!(quorum.vote(seven, voter, 7), Vote::OtherBallot);
    }
    for voter in ["bob", "carol"] {
        assert_eq!(quorum.vote(eight, voter, 8), Vote::Counted);
    }
    assert_eq!(block_on(quorum.decided(seven, majority)), None);
    assert_eq!(block_on(quorum.decided(eight, majority)), Some(8));
    assert_eq!((quorum.stats().other_ballots, quorum.stats().counted), (3, 2));
    let term = BallotId::from_u64(9);
    assert!(quorum.reset_to(term, Duration::MAX) && !quorum.reset_to(term, Duration::MAX));
    assert_eq!(quorum.vote(eight, "bob", 8), Vote::OtherBallot);
}

/// However often the threshold changes meanwhile.
#[test]
fn a_ballot_is_decided_by_the_threshold_that_it_began_with_and_nothing_else() {
    let quorum = Quorum::<u8, u8>::builder(1).max_voters(4).build().unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut thresholds = (1..=4).cycle();
            while !is_over.load(Ordering::Relaxed) {
                quorum.set_threshold(thresholds.next().unwrap()).unwrap();
                thread::yield_now();
            }
        });
        for _ in 0..2_000 {
            let (ballot, threshold) = (quorum.reset(Duration::MAX), quorum.threshold());
            for voter in 1..threshold as u8 {
                assert_eq!(quorum.vote(ballot, &voter, 7), Vote::Counted);
                assert_eq!(quorum.result(ballot, majority), Ballot::Open { missing: threshold - usize::from(voter) });
            }
            assert_eq!(quorum.vote(ballot, &(threshold as u8), 7), Vote::Counted);
            assert_eq!(quorum.result(ballot, majority), Ballot::Decided(7));
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(quorum.stats().counted >= 2_000);
}
