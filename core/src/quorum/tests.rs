use core::time::Duration;
use std::{sync::Mutex, vec, vec::Vec};

use super::*;
use crate::aggregate::{majority, median, settled, trimmed_mean};

const NOW: Instant = Instant::from_secs(1_000);
const END: Instant = Instant::from_secs(1_060);
const FIRST: BallotId = BallotId::from_u64(0);

static IN_A_STATIC: Mutex<Quorum<u32, i64, 8>> = Mutex::new(Quorum::new::<5>(Instant::MAX));

fn quorum() -> Quorum<u32, i64, 8> {
    Quorum::new::<3>(END)
}

fn votes(quorum: &mut Quorum<u32, i64, 8>, votes: &[(u32, i64)]) {
    for (voter, value) in votes {
        assert_eq!(quorum.vote(FIRST, *voter, *value, NOW), Vote::Counted);
    }
}

#[test]
fn it_lives_in_a_static() {
    let mut quorum = IN_A_STATIC.lock().unwrap();
    assert_eq!(quorum.result(FIRST, median, NOW), Ballot::Open { missing: 5 });
    assert_eq!((quorum.next_deadline(), quorum.threshold()), (None, 5));
}

#[test]
fn a_vote_takes_the_place_of_its_voter_and_value() {
    assert_eq!(size_of::<Quorum<u64, i64, 100>>() - size_of::<Quorum<u64, i64, 0>>(), 100 * 16);
}

/// The seed's own example, with the vote that it would have replaced.
#[test]
fn seed_8_3_the_helpers_vectors() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10), (2, 12)]);
    assert_eq!(quorum.result(FIRST, trimmed_mean, NOW), Ballot::Open { missing: 1 });
    votes(&mut quorum, &[(3, 11)]);
    assert_eq!(quorum.vote(FIRST, 1, 1_000, NOW), Vote::Conflicting);
    assert_eq!(quorum.len(), 3);
    assert_eq!(quorum.result(FIRST, trimmed_mean, NOW), Ballot::Decided(11));
    let next = quorum.reset(END, NOW);
    assert!(quorum.is_empty());
    assert_eq!(quorum.result(next, trimmed_mean, NOW), Ballot::Open { missing: 3 });
}

#[test]
fn seed_8_4_one_voter_does_not_fill_the_quorum() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10)]);
    for _ in 0..5 {
        assert_eq!(quorum.vote(FIRST, 1, 10, NOW), Vote::Repeated);
    }
    assert_eq!(quorum.result(FIRST, trimmed_mean, NOW), Ballot::Open { missing: 2 });
}

#[test]
fn seed_8_4_a_round_that_five_leave_undecided_is_decided_by_the_sixth() {
    let mut quorum: Quorum<u32, i64, 8> = Quorum::new::<5>(END);
    votes(&mut quorum, &[(1, 10), (2, 10), (3, 10), (4, 12), (5, 12), (6, 12)]);
    assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Open { missing: 0 });
    votes(&mut quorum, &[(7, 10)]);
    assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Decided(10));
}

#[test]
fn seed_8_4_an_old_timer_does_not_end_the_next_round() {
    let mut quorum = quorum();
    let next_end = END.saturating_add(Duration::from_secs(60));
    let next = quorum.reset(next_end, NOW);
    assert!(!quorum.on_timeout(END));
    assert_eq!(quorum.vote(next, 1, 10, END), Vote::Counted);
    assert_eq!(quorum.next_deadline(), Some(next_end));
}

#[test]
fn a_decision_is_final() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10), (2, 12), (3, 11)]);
    assert_eq!(quorum.result(FIRST, median, NOW), Ballot::Decided(11));
    assert_eq!(quorum.vote(FIRST, 4, 99, NOW), Vote::Late);
    assert_eq!(quorum.vote(FIRST, 3, 12, NOW), Vote::Conflicting, "what is evidence stays evidence");
    assert_eq!(quorum.result(FIRST, median, END), Ballot::Decided(11));
    assert_eq!(quorum.result(FIRST, median, Instant::MAX), Ballot::Decided(11));
    assert_eq!(quorum.next_deadline(), None);
    assert!(!quorum.on_timeout(Instant::MAX));
}

#[test]
fn a_failure_is_final() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10), (2, 12)]);
    assert_eq!(quorum.result(FIRST, median, END), Ballot::Failed);
    assert_eq!(quorum.vote(FIRST, 3, 11, NOW), Vote::Late, "even if the clock steps back");
    assert_eq!(quorum.result(FIRST, median, NOW), Ballot::Failed);
}

#[test]
fn the_deadline_is_reached_at_its_instant() {
    let just_before = END.saturating_sub(Duration::from_nanos(1));
    let mut quorum = quorum();
    assert_eq!(quorum.vote(FIRST, 1, 10, just_before), Vote::Counted);
    assert_eq!(quorum.vote(FIRST, 2, 10, END), Vote::Late);

    let mut quorum = self::quorum();
    assert!(!quorum.on_timeout(just_before));
    assert!(quorum.on_timeout(END));
    assert!(!quorum.on_timeout(END), "it ends once");
    assert_eq!(quorum.vote(FIRST, 1, 10, just_before), Vote::Late);
}

#[test]
fn the_deadline_decides_with_what_there_is() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10), (2, 10), (3, 12), (4, 12)]);
    assert_eq!(quorum.result_when_settled(FIRST, median, settled::median, NOW), Ballot::Open { missing: 0 });
    assert_eq!(quorum.clone().result_when_settled(FIRST, median, settled::median, END), Ballot::Decided(11));
    assert_eq!(quorum.result_when_settled(FIRST, majority, settled::majority, END), Ballot::Failed);
}

#[test]
fn it_decides_early_once_no_missing_vote_can_change_it() {
    let mut quorum = Quorum::<u32, i64, 8>::with_voters(2, 1..=5, END).unwrap();
    votes(&mut quorum, &[(1, 10), (2, 10)]);
    assert_eq!(quorum.result_when_settled(FIRST, majority, settled::majority, NOW), Ballot::Open { missing: 0 });
    votes(&mut quorum, &[(3, 10)]);
    assert_eq!(quorum.result_when_settled(FIRST, majority, settled::majority, NOW), Ballot::Decided(10));
}

#[test]
fn once_all_have_voted_it_is_settled_whoever_is_asked() {
    let mut quorum = Quorum::<u32, i64, 8>::with_voters(2, [1, 2], END).unwrap();
    votes(&mut quorum, &[(1, 10)]);
    assert_eq!(quorum.result_when_settled(FIRST, median, |_, _| true, NOW), Ballot::Open { missing: 1 });
    votes(&mut quorum, &[(2, 10)]);
    assert_eq!(quorum.result_when_settled(FIRST, median, |_, _| false, NOW), Ballot::Decided(10));
}

#[test]
fn it_fails_early_once_no_missing_vote_can_help() {
    let mut quorum = Quorum::<u32, i64, 8>::with_voters(2, 1..=5, END).unwrap();
    votes(&mut quorum, &[(1, 10), (2, 11), (3, 12)]);
    assert_eq!(quorum.result_when_settled(FIRST, majority, settled::majority, NOW), Ballot::Open { missing: 0 });
    votes(&mut quorum, &[(4, 13)]);
    assert_eq!(quorum.result_when_settled(FIRST, majority, settled::majority, NOW), Ballot::Failed);
}

#[test]
fn it_fails_once_all_have_voted_for_nothing() {
    let mut quorum = Quorum::<u32, i64, 8>::with_voters(2, [1, 2], END).unwrap();
    votes(&mut quorum, &[(1, 10), (2, 12)]);
    assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Failed);
}

#[test]
fn a_full_table_refuses_newcomers_alone() {
    let mut quorum = Quorum::<u32, i64, 2>::new::<2>(END);
    assert_eq!(quorum.vote(FIRST, 1, 10, NOW), Vote::Counted);
    assert_eq!(quorum.vote(FIRST, 2, 10, NOW), Vote::Counted);
    assert_eq!(quorum.vote(FIRST, 3, 10, NOW), Vote::Full);
    assert_eq!(quorum.vote(FIRST, 2, 10, NOW), Vote::Repeated);
    assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Decided(10));
}

#[test]
fn those_on_the_list_may_vote_in_any_order() {
    let mut quorum = Quorum::<u32, i64, 4>::with_voters(2, [1, 2, 3, 2], END).unwrap();
    assert_eq!(quorum.vote(FIRST, 4, 7, NOW), Vote::Stranger);
    assert_eq!(quorum.vote(FIRST, 3, 30, NOW), Vote::Counted);
    assert_eq!(quorum.vote(FIRST, 3, 30, NOW), Vote::Repeated);
    assert_eq!(quorum.vote(FIRST, 2, 20, NOW), Vote::Counted);
    assert!(quorum.absentees().eq(&[1]));
    assert!(quorum.votes().eq([(&3, &30), (&2, &20)]));
    assert_eq!(quorum.vote(FIRST, 1, 10, NOW), Vote::Counted);
    assert_eq!(quorum.absentees().count(), 0);

    let next = quorum.reset(END, NOW);
    assert_eq!(quorum.vote(next, 4, 7, NOW), Vote::Stranger, "the list outlives the round");
    let mut absent: Vec<u32> = quorum.absentees().copied().collect();
    absent.sort_unstable();
    assert_eq!(absent, [1, 2, 3]);
}

#[test]
fn an_impossible_quorum_cannot_be_made() {
    type Four = Quorum<u32, i64, 4>;
    assert_eq!(Four::try_new(0, END).unwrap_err(), QuorumError::NoThreshold);
    assert_eq!(Four::try_new(5, END).unwrap_err(), QuorumError::OutOfReach);
    assert_eq!(Four::try_new(4, END).unwrap().threshold(), 4);
    assert_eq!(Four::with_voters(3, [1, 2, 2], END).unwrap_err(), QuorumError::OutOfReach);
    assert_eq!(Four::with_voters(3, 0..5, END).unwrap_err(), QuorumError::TooManyVoters);
    assert_eq!(Four::with_voters(0, 0..4, END).unwrap_err(), QuorumError::NoThreshold);
}

#[test]
fn dissenters_are_those_beyond_the_tolerance() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10), (2, 900), (3, 11), (4, -5)]);
    let agreed = quorum.result(FIRST, median, NOW).decided().unwrap();
    let dissenters: Vec<u32> = quorum.dissenters(|vote| vote.abs_diff(agreed) <= 5).map(|(voter, _)| *voter).collect();
    assert_eq!(dissenters, [2, 4]);
}

#[test]
fn a_clock_that_steps_back_keeps_the_ballot_open_no_longer_than_it_was_to_be() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10)]);
    let back = Instant::from_secs(10);
    assert_eq!(quorum.vote(FIRST, 2, 10, back), Vote::Counted);
    let end = back.saturating_add(Duration::from_secs(60));
    assert_eq!(quorum.next_deadline(), Some(end));
    assert_eq!(quorum.vote(FIRST, 3, 10, end), Vote::Late);
}

#[test]
fn no_deadline_is_never() {
    let mut quorum: Quorum<u32, i64, 8> = Quorum::new::<2>(Instant::MAX);
    for now in [NOW, Instant::ZERO, Instant::MAX] {
        assert_eq!(quorum.result(FIRST, median, now), Ballot::Open { missing: 2 });
        assert_eq!(quorum.next_deadline(), None);
    }
    assert_eq!(quorum.vote(FIRST, 1, 10, Instant::MAX), Vote::Counted);
}

#[test]
fn every_vote_is_counted_once() {
    let mut quorum = Quorum::<u32, i64, 4>::with_voters(2, [1, 2, 3], END).unwrap();
    let _ = [(1, 5), (1, 5), (1, 6), (9, 5), (2, 5)].map(|(voter, value)| quorum.vote(FIRST, voter, value, NOW));
    let _ = quorum.vote(FIRST, 3, 5, END);
    let stats = quorum.stats();
    assert_eq!((stats.counted, stats.repeated, stats.conflicting), (2, 1, 1));
    assert_eq!((stats.strangers, stats.late, stats.full), (1, 1, 0));
    assert_eq!(stats.seen(), 6);
    quorum.reset(END, NOW);
    assert_eq!(quorum.stats(), stats, "the counts outlive the round");
}

#[test]
fn values_need_not_be_numbers() {
    let mut quorum: Quorum<u32, Vec<u8>, 4> = Quorum::new::<2>(END);
    assert_eq!(quorum.vote(FIRST, 1, vec![1, 2], NOW), Vote::Counted);
    assert_eq!(quorum.vote(FIRST, 2, vec![1, 2], NOW), Vote::Counted);
    assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Decided(vec![1, 2]));
}

#[test]
fn lists_of_ones_own_need_a_threshold_within_their_capacity() {
    type Own = QuorumIn<u32, i64, Inline<4>>;
    let quorum = |threshold| Own::try_with_lists(heapless::Vec::new(), heapless::Vec::new(), threshold, END);
    assert_eq!(quorum(0).err(), Some(QuorumError::NoThreshold));
    for threshold in 1..=4 {
        assert_eq!(quorum(threshold).map(|quorum| quorum.threshold()), Ok(threshold));
    }
    assert_eq!(quorum(5).err(), Some(QuorumError::OutOfReach));
}

#[test]
fn a_vote_ends_its_being_empty() {
    let mut quorum = quorum();
    assert!(quorum.is_empty());
    votes(&mut quorum, &[(1, 10)]);
    assert!(!quorum.is_empty());
}

#[test]
fn found_b4_a_late_vote_of_the_former_ballot_decides_nothing() {
    let mut quorum = quorum();
    votes(&mut quorum, &[(1, 10), (2, 10)]);
    let second = quorum.reset(END, NOW);
    for voter in 1..=3 {
        assert_eq!(quorum.vote(FIRST, voter, 10, NOW), Vote::OtherBallot);
    }
    assert!(quorum.is_empty());
    for voter in 1..=3 {
        assert_eq!(quorum.vote(second, voter, 20, NOW), Vote::Counted, "the first vote is that of this ballot");
    }
    assert_eq!(quorum.result(FIRST, median, NOW), Ballot::Failed);
    assert_eq!(quorum.result_when_settled(FIRST, median, settled::all_voted, NOW), Ballot::Failed);
    assert_eq!(quorum.result(second, median, NOW), Ballot::Decided(20));
    assert_eq!(quorum.vote(FIRST, 9, 10, NOW), Vote::OtherBallot, "not late: it never was for this one");
    let stats = quorum.stats();
    assert_eq!((stats.other_ballots, stats.counted, stats.conflicting, stats.seen()), (4, 5, 0, 9));
}

#[test]
fn found_b4_a_protocol_numbers_its_ballots_itself() {
    let [seven, eight] = [7, 8].map(BallotId::from_u64);
    let mut quorum = quorum();
    assert!(quorum.reset_to(seven, END, NOW));
    assert_eq!(quorum.vote(seven, 1, 10, NOW), Vote::Counted);
    assert!(!quorum.reset_to(seven, END, NOW), "whoever hears of it twice begins it once");
    assert_eq!(quorum.len(), 1);
    assert!(quorum.reset_to(eight, END, NOW));
    assert_eq!(quorum.ballot(), eight);
    assert_eq!(quorum.vote(seven, 2, 10, NOW), Vote::OtherBallot);
    assert_eq!(quorum.vote(BallotId::from_u64(9), 2, 10, NOW), Vote::OtherBallot, "nor one that is to come");
    assert_eq!(quorum.vote(eight, 2, 10, NOW), Vote::Counted);
    assert_eq!(quorum.reset(END, NOW).as_u64(), 9);
}

#[test]
fn found_a11_a_late_reading_shortens_no_ballot() {
    for late in [1, 30, 60, 900] {
        let mut quorum = quorum();
        assert_eq!(quorum.vote(FIRST, 1, 10, NOW), Vote::Counted);
        for voter in 2..4 {
            let _ = quorum.vote(FIRST, voter, 10, NOW.saturating_sub(Duration::from_secs(late)));
        }
        let just_before = END.saturating_sub(Duration::from_nanos(1));
        assert_eq!(quorum.vote(FIRST, 4, 10, just_before), Vote::Counted, "{late}");
        assert_eq!(quorum.vote(FIRST, 5, 10, END), Vote::Late, "{late}");
    }
}

#[test]
fn found_e1_a_time_out_alone_notices_a_step_back() {
    let minute = Duration::from_secs(60);
    let back = Instant::from_secs(10);
    let mut reset = quorum();
    reset.reset(END, NOW);
    let mut told = quorum();
    assert!(!told.on_timeout(NOW));
    for mut quorum in [reset, told] {
        assert!(!quorum.on_timeout(back));
        assert_eq!(quorum.next_deadline(), Some(back.saturating_add(minute)));
        assert!(!quorum.on_timeout(back.saturating_add(minute / 2)));
        assert!(quorum.on_timeout(back.saturating_add(minute)));
        assert_eq!(quorum.next_deadline(), None);
    }
}

#[test]
fn a_new_threshold_is_that_of_the_next_ballot_and_changes_nothing_else() {
    let mut quorum: Quorum<u32, i64, 8> = Quorum::new::<2>(Instant::MAX);
    votes(&mut quorum, &[(1, 7)]);
    for threshold in [1, 3, 4] {
        assert_eq!(quorum.set_threshold(threshold), Ok(()));
        assert_eq!(quorum.threshold(), 2, "nothing but the old one decides what has begun");
        assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Open { missing: 1 });
    }
    votes(&mut quorum, &[(2, 7)]);
    assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Decided(7));
    assert_eq!(quorum.set_threshold(3), Ok(()));
    assert_eq!(quorum.result(FIRST, majority, NOW), Ballot::Decided(7), "a decision is for good");

    let second = quorum.reset(END, NOW);
    assert_eq!((quorum.threshold(), quorum.stats().counted), (3, 2));
    for voter in [1, 2] {
        assert_eq!(quorum.vote(second, voter, 8, NOW), Vote::Counted);
    }
    assert_eq!(quorum.result(second, majority, NOW), Ballot::Open { missing: 1 });
    assert_eq!(quorum.vote(second, 3, 8, NOW), Vote::Counted);
    assert_eq!(quorum.result(second, majority, NOW), Ballot::Decided(8));
}

#[test]
fn an_impossible_threshold_is_refused_and_changes_nothing() {
    let mut quorum: Quorum<u32, i64, 8> = Quorum::with_voters(2, [1, 2, 3], Instant::MAX).unwrap();
    assert_eq!(quorum.set_threshold(0), Err(QuorumError::NoThreshold));
    assert_eq!(quorum.set_threshold(4), Err(QuorumError::OutOfReach), "there are three on the list");
    quorum.reset(Instant::MAX, NOW);
    assert_eq!(quorum.threshold(), 2);
    let mut open: Quorum<u32, i64, 8> = Quorum::new::<2>(Instant::MAX);
    assert_eq!((open.set_threshold(8), open.set_threshold(9)), (Ok(()), Err(QuorumError::OutOfReach)));
    open.reset_to(BallotId::from_u64(9), Instant::MAX, NOW);
    assert_eq!(open.threshold(), 8);
}
