//! One vote each, decided once, with a mean that no liar moves far.

use core::time::Duration;

use steadfast_core::{
    Instant, Lock, Quorum,
    aggregate::trimmed_mean,
    quorum::{Ballot, Vote},
};

use crate::{
    deadline::{Timed, deadline_contract},
    locks::{Locks, at, before},
};

/// [`Quorum`] with [`trimmed_mean`].
pub fn quorum_contract<L: Locks>() {
    let votes = L::lock(Quorum::<u8, i64, 5>::new::<4>(at(100)));
    let vote = |voter: u8, value: i64, now: Instant| votes.with(|votes| votes.vote(votes.ballot(), voter, value, now));
    let result = |now: Instant| votes.with(|votes| votes.result(votes.ballot(), trimmed_mean, now));

    assert_eq!(vote(1, 100, at(10)), Vote::Counted);
    assert_eq!(vote(1, 100, at(10)), Vote::Repeated);
    assert_eq!(vote(1, 99, at(10)), Vote::Conflicting);
    assert_eq!(result(at(10)), Ballot::Open { missing: 3 });
    assert_eq!(vote(2, 102, at(11)), Vote::Counted);
    assert_eq!(vote(3, i64::MAX, at(11)), Vote::Counted);
    assert_eq!(vote(4, 104, before(100)), Vote::Counted);
    assert_eq!(result(before(100)), Ballot::Decided(102), "the liar's vote was not left out");
    assert_eq!(vote(5, 0, before(100)), Vote::Late, "decided is for good");

    let former = votes.with(|votes| votes.ballot());
    votes.with(|votes| votes.reset(at(200), at(100)));
    assert_eq!(votes.with(|votes| votes.vote(former, 2, 100, at(150))), Vote::OtherBallot);
    assert_eq!(vote(1, 1, at(150)), Vote::Counted);
    assert_eq!(vote(2, 1, at(200)), Vote::Late);
    assert_eq!(result(at(200)), Ballot::Failed);

    // Sums that an `i64` does not hold.
    assert_eq!(trimmed_mean(&mut [i64::MAX, i64::MAX, i64::MAX]), Some(i64::MAX));
    assert_eq!(trimmed_mean(&mut [i64::MIN, i64::MIN, i64::MIN]), Some(i64::MIN));
}

#[derive(Clone)]
struct Election(Quorum<u8, i64, 5>);

impl Timed for Election {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.0.on_timeout(now)
    }

    fn digest(&self) -> u64 {
        let is_open = self.0.next_deadline().is_some();
        self.0.len() as u64 | u64::from(is_open) << 32
    }
}

/// [`deadline_contract`] of a ballot before and after its votes.
pub fn quorum_deadline_contract() {
    let mut election = Election(Quorum::new::<3>(at(60).saturating_add(Duration::from_nanos(1))));
    deadline_contract(&election);
    for voter in 0..2 {
        assert_eq!(election.0.vote(election.0.ballot(), voter, 7, at(1)), Vote::Counted);
        deadline_contract(&election);
    }
    deadline_contract(&Election(Quorum::new::<3>(Instant::MAX)));
}
