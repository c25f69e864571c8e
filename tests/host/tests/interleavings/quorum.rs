//! Waiting for a decision.

use steadfast_core::{
    Instant, Quorum,
    aggregate::median,
    quorum::{BallotId, Vote},
};

use super::support::{SECOND, Threads, Time, block_on, explore, poll_and_drop, spawn, threads};

type Votes = Quorum<u8, i64, 4>;

const FIRST: BallotId = BallotId::from_u64(0);

fn votes(time: &Time) -> Threads<Votes> {
    threads(Votes::new::<2>(Instant::from_secs(1)), time)
}

#[test]
fn the_last_vote_wakes_the_one_who_waits() {
    explore(|| {
        let votes = votes(&Time::new());
        for voter in [1, 2] {
            let votes = votes.clone();
            spawn(move || assert_eq!(votes.vote(FIRST, voter, 5), Vote::Counted));
        }
        assert_eq!(block_on(votes.decided(FIRST, median)), Some(5));
    });
}

#[test]
fn two_who_wait_learn_the_same() {
    explore(|| {
        let votes = votes(&Time::new());
        assert_eq!(votes.vote(FIRST, 1, 5), Vote::Counted);
        let (other, voter) = (votes.clone(), votes.clone());
        let other = spawn(move || block_on(other.decided(FIRST, median)));
        spawn(move || assert_eq!(voter.vote(FIRST, 2, 7), Vote::Counted));
        let mine = block_on(votes.decided(FIRST, median));
        assert!(mine.is_some());
        assert_eq!(other.join().unwrap(), mine);
    });
}

#[test]
fn a_dropped_future_takes_nobodys_wake_up() {
    explore(|| {
        let votes = votes(&Time::new());
        assert_eq!(votes.vote(FIRST, 1, 5), Vote::Counted);
        let (other, voter) = (votes.clone(), votes.clone());
        let other = spawn(move || block_on(other.decided(FIRST, median)));
        spawn(move || assert_eq!(voter.vote(FIRST, 2, 7), Vote::Counted));
        let _ = poll_and_drop(votes.decided(FIRST, median));
        assert!(other.join().unwrap().is_some());
    });
}

#[test]
fn a_reset_and_the_deadline_end_the_wait() {
    explore(|| {
        let time = Time::new();
        let votes = votes(&time);
        let (resetting, voter) = (votes.clone(), votes.clone());
        spawn(move || {
            resetting.reset(SECOND);
            time.set(Instant::from_secs(2)); // ends the new ballot, should the wait have begun only now
        });
        let voter = spawn(move || voter.vote(FIRST, 1, 5));
        assert_eq!(block_on(votes.decided(FIRST, median)), None);
        assert!(matches!(voter.join().unwrap(), Vote::Counted | Vote::Late | Vote::OtherBallot));
    });
}
