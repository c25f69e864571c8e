//! `Quorum` against a map from voters to votes, under clocks that step back and leap.

use core::num::NonZeroU64;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use steadfast_core::{
    Instant, Quorum,
    aggregate::{self, settled},
    quorum::{Ballot, BallotId, Vote},
};
use steadfast_tests::{Timed, deadline_contract};

use crate::Script;

pub const PLACES: usize = 4;
pub const SPAN: u64 = 60;

pub type Subject = Quorum<u8, i64, PLACES>;

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Vote {
        voter: u8,
        value: i64,
    },
    /// A vote for a ballot that began so many before, or for the next one.
    OtherBallot {
        voter: u8,
        back: u64,
    },
    Majority,
    SettledMajority,
    SettledMedian,
    TrimmedMean,
    TimeOut,
    Reset {
        deadline_in: Option<NonZeroU64>,
    },
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let (threshold, listed, start) = (1 + script.below(3) as usize, script.flag(), script.below(1_000));
    let steps = script.list(40, |script| {
        let op = match script.weighted(&[(8, 0), (1, 1), (2, 2), (1, 3), (1, 4), (1, 5), (1, 6), (1, 7)]) {
            0 => Op::Vote { voter: script.below(7) as u8, value: 10 + script.below(4) as i64 },
            1 => Op::Majority,
            2 => Op::SettledMajority,
            3 => Op::SettledMedian,
            4 => Op::TrimmedMean,
            5 => Op::TimeOut,
            6 => Op::OtherBallot { voter: script.below(7) as u8, back: script.below(3) },
            _ => Op::Reset { deadline_in: NonZeroU64::new(script.below(SPAN)) },
        };
        let step = match script.weighted(&[(6, 0), (2, 1), (1, 2), (1, 3)]) {
            0 => script.below(4) as i64,
            1 => script.below(SPAN) as i64,
            2 => -(script.below(100_000) as i64),
            _ => script.below(1_000_000) as i64,
        };
        (op, step)
    });
    beside_the_model(threshold, listed, start, steps);
}

/// What a quorum must do, as plainly as it can be said.
struct Model {
    list: Option<Vec<u8>>,
    threshold: usize,
    votes: BTreeMap<u8, i64>,
    over: bool,
    ends_at: Option<u64>,
    longest: Option<u64>,
    /// The earliest reading since readings are before the first one.
    behind: Option<u64>,
}

impl Model {
    fn tell_time(&mut self, now: u64) {
        if let Some(at) = self.ends_at.filter(|_| !self.over) {
            let longest = *self.longest.get_or_insert(at.saturating_sub(now));
            let is_behind = at.saturating_sub(now) > longest;
            self.behind = is_behind.then(|| self.behind.map_or(now, |behind| behind.min(now)));
            self.over = now >= at || self.behind.is_some_and(|behind| now >= behind + longest);
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        let at = self.ends_at.filter(|_| !self.over)?;
        let noticed = self.behind.zip(self.longest).map(|(behind, longest)| behind + longest);
        Some(noticed.map_or(at, |noticed| noticed.min(at)))
    }

    fn vote(&mut self, voter: u8, value: i64, now: u64) -> Vote {
        self.tell_time(now);
        match self.votes.get(&voter) {
            Some(first) if *first == value => Vote::Repeated,
            Some(_) => Vote::Conflicting,
            None if self.list.as_ref().is_some_and(|list| !list.contains(&voter)) => Vote::Stranger,
            None if self.over => Vote::Late,
            None if self.votes.len() == PLACES => Vote::Full,
            None => {
                self.votes.insert(voter, value);
                Vote::Counted
            }
        }
    }

    fn missing(&self) -> usize {
        if self.over { 0 } else { self.list.as_ref().map_or(PLACES, Vec::len) - self.votes.len() }
    }

    /// By trying every vote that may yet come, as far as it can matter: the values that are there, and the ends.
    fn can_change(&self, aggregate: fn(&mut [i64]) -> Option<i64>) -> bool {
        let mut values: Vec<i64> = self.votes.values().copied().chain([i64::MIN, i64::MAX, 0]).collect();
        values.dedup();
        let mut reached = vec![self.votes.values().copied().collect::<Vec<_>>()];
        let now = aggregate(&mut reached[0].clone());
        for _ in 0..self.missing() {
            reached =
                reached.iter().flat_map(|votes| values.iter().map(|value| [&votes[..], &[*value]].concat())).collect();
            if reached.iter().any(|votes| aggregate(&mut votes.clone()) != now) {
                return true;
            }
        }
        false
    }

    fn result(&mut self, aggregate: fn(&mut [i64]) -> Option<i64>, wait: bool, now: u64) -> Ballot<i64> {
        self.tell_time(now);
        let ballot = if self.votes.len() + self.missing() < self.threshold {
            Ballot::Failed
        } else if self.votes.len() < self.threshold {
            Ballot::Open { missing: self.threshold - self.votes.len() }
        } else if wait && self.can_change(aggregate) {
            Ballot::Open { missing: 0 }
        } else {
            match aggregate(&mut self.votes.values().copied().collect::<Vec<_>>()) {
                Some(value) => Ballot::Decided(value),
                None if wait || self.missing() == 0 => Ballot::Failed,
                None => Ballot::Open { missing: 0 },
            }
        };
        self.over |= !matches!(ballot, Ballot::Open { .. });
        ballot
    }
}

#[derive(Clone)]
struct Driven(Subject);

impl Timed for Driven {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.0.on_timeout(now)
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.votes().for_each(|vote| vote.hash(&mut hasher));
        self.0.absentees().for_each(|voter| voter.hash(&mut hasher));
        self.0.next_deadline().is_some().hash(&mut hasher);
        self.0.stats().seen().hash(&mut hasher);
        hasher.finish()
    }
}

/// A quorum of `threshold`, among three listed voters or among whoever comes first, from `start` seconds on.
pub fn beside_the_model(threshold: usize, listed: bool, start: u64, steps: Vec<(Op, i64)>) {
    let list = listed.then(|| vec![1, 2, 3]);
    let deadline = Instant::from_secs(start + SPAN);
    let mut quorum: Subject = match &list {
        Some(list) => Quorum::with_voters(threshold, list.iter().copied(), deadline).unwrap(),
        None => Quorum::try_new(threshold, deadline).unwrap(),
    };
    let mut model = Model {
        list,
        threshold,
        votes: BTreeMap::new(),
        over: false,
        ends_at: Some(start + SPAN),
        longest: None,
        behind: None,
    };
    let (mut ballot, mut number) = (quorum.ballot(), 0);
    let mut clock = start;
    let (mut seen, mut counted, mut others) = (0, 0, 0);
    for (op, step) in steps {
        clock = clock.saturating_add_signed(step);
        let now = Instant::from_secs(clock);
        match op {
            Op::Vote { voter, value } => {
                let vote = quorum.vote(ballot, voter, value, now);
                assert_eq!(vote, model.vote(voter, value, clock));
                seen += 1;
                counted += u64::from(vote == Vote::Counted);
            }
            Op::OtherBallot { voter, back } => {
                let other = BallotId::from_u64((number + 1_u64).wrapping_sub(2 * back));
                model.tell_time(clock);
                assert_eq!(quorum.vote(other, voter, 10, now), Vote::OtherBallot);
                assert_eq!(quorum.result(other, aggregate::majority, now), Ballot::Failed);
                seen += 1;
                others += 1;
            }
            Op::Majority => {
                let decided = quorum.result(ballot, aggregate::majority, now);
                assert_eq!(decided, model.result(aggregate::majority, false, clock));
            }
            Op::SettledMajority => {
                let decided = quorum.result_when_settled(ballot, aggregate::majority, settled::majority, now);
                assert_eq!(decided, model.result(aggregate::majority, true, clock));
            }
            Op::SettledMedian => {
                let decided = quorum.result_when_settled(ballot, aggregate::median, settled::median, now);
                assert_eq!(decided, model.result(aggregate::median, true, clock));
            }
            Op::TrimmedMean => {
                let decided = quorum.result(ballot, aggregate::trimmed_mean, now);
                assert_eq!(decided, model.result(aggregate::trimmed_mean, false, clock));
            }
            Op::TimeOut => {
                let was_over = model.over;
                model.tell_time(clock);
                assert_eq!(quorum.on_timeout(now), model.over && !was_over);
            }
            Op::Reset { deadline_in } => {
                model.ends_at = deadline_in.map(|deadline_in| clock + deadline_in.get());
                ballot = quorum.reset(model.ends_at.map_or(Instant::MAX, Instant::from_secs), now);
                number += 1;
                assert_eq!((ballot, ballot.as_u64()), (quorum.ballot(), number));
                (model.votes, model.over, model.behind) = (BTreeMap::new(), false, None);
                model.longest = deadline_in.map(NonZeroU64::get);
            }
        }
        if model.behind.is_none() {
            deadline_contract(&Driven(quorum.clone()));
        }
        let at = model.next_deadline();
        assert_eq!(quorum.next_deadline(), at.map(Instant::from_secs));
        if let (Some(at), Some(longest)) = (at, model.longest) {
            assert!(at <= clock + longest, "it stalls");
        }
        let mut votes: Vec<(u8, i64)> = quorum.votes().map(|(voter, value)| (*voter, *value)).collect();
        votes.sort_unstable();
        assert!(votes.into_iter().eq(model.votes.clone()));
        let stats = quorum.stats();
        assert_eq!((stats.seen(), stats.counted, stats.other_ballots), (seen, counted, others));
    }
}
