//! The quorum: four honest voters, a liar, strangers, and a crowd of made-up names.

use std::time::Duration;

use steadfast::{Quorum, aggregate, quorum::Vote};

use super::{Load, Turn};
use crate::{clock::SoakClock, count::Counter, faults::Fault, sums::Sums, worker::Worker};

const HONEST: [&str; 4] = ["alice", "bob", "carol", "dave"];
const LIAR: &str = "mallory";
/// Twice the liars and one, so that they are never most of those who decide.
const THRESHOLD: usize = 3;
const TRUTH: u64 = 7;
const LIE: u64 = u64::MAX;
const TIMEOUT: Duration = Duration::from_millis(10);

pub(crate) struct Voting {
    of: String,
    /// Open to those on a list.
    listed: Quorum<String, u64, SoakClock>,
    /// Open to whoever comes first.
    open: Quorum<u64, u64, SoakClock>,
    listed_votes: Counter,
    open_votes: Counter,
    truths: Counter,
    lies: Counter,
}

impl Voting {
    pub(crate) fn new(clock: &SoakClock, is_steady: bool) -> Self {
        let voters = HONEST.into_iter().chain([LIAR]).map(String::from);
        let listed = Quorum::builder(THRESHOLD).voters(voters).timeout(TIMEOUT).timer(clock.clone()).build();
        let open = Quorum::builder(8).max_voters(16).timeout(TIMEOUT).timer(clock.clone()).build();
        Self {
            of: format!("quorum, {}", super::clock_name(is_steady)),
            listed: listed.expect("three of five can be reached"),
            open: open.expect("eight of sixteen can be reached"),
            listed_votes: Counter::default(),
            open_votes: Counter::default(),
            truths: Counter::default(),
            lies: Counter::default(),
        }
    }

    fn vote(&self, voter: &str, value: u64) -> Vote {
        self.listed_votes.add(1);
        self.listed.vote(self.listed.ballot(), voter, value)
    }

    fn vote_all(&self, worker: &Worker) {
        worker.hit(Fault::Forged);
        let _ = self.vote(LIAR, LIE);
        for voter in HONEST {
            if worker.strikes(4, Fault::Hang) {
                continue;
            }
            if self.vote(voter, TRUTH) == Vote::Late {
                worker.hit(Fault::Late);
            }
        }
        worker.hit(Fault::Twice);
        let _ = self.vote(LIAR, TRUTH);
        worker.hit(Fault::Flood);
        let _ = self.vote("nobody", LIE);
        for _ in 0..16 {
            self.open_votes.add(1);
            let _ = self.open.vote(self.open.ballot(), &worker.made_up(), LIE);
        }
    }

    async fn decide(&self, worker: &Worker) {
        let ballot = self.listed.ballot();
        let decided = if worker.dice.one_in(2) {
            worker.wait("quorum: decided", self.listed.decided(ballot, aggregate::majority)).await
        } else {
            let settled = aggregate::settled::majority;
            let waiting = self.listed.decided_when_settled(ballot, aggregate::majority, settled);
            worker.wait("quorum: decided_when_settled", waiting).await
        };
        match decided.flatten() {
            Some(TRUTH) => self.truths.add(1),
            Some(_) => self.lies.add(1),
            None => {}
        }
    }
}

impl Load for Voting {
    fn name(&self) -> &'static str {
        "votes"
    }

    fn done(&self) -> u64 {
        self.listed_votes.get() + self.open_votes.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("quorum: vote");
            match worker.dice.below(4) {
                0 => {
                    let former = self.listed.ballot();
                    self.listed.reset(TIMEOUT);
                    self.open.reset(TIMEOUT);
                    // A lie that was held up in the network.
                    worker.hit(Fault::Late);
                    self.listed_votes.add(1);
                    let _ = self.listed.vote(former, HONEST[0], LIE);
                }
                1 => self.decide(worker).await,
                _ => self.vote_all(worker),
            }
            let _ = (self.listed.absentees(), self.listed.dissenters(|value| *value == TRUTH));
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("quorum: decides after the faults");
            let ballot = self.listed.reset(Duration::from_secs(3_600));
            HONEST.iter().for_each(|voter| _ = self.vote(voter, TRUTH));
            match self.listed.decided(ballot, aggregate::majority).await {
                Some(TRUTH) => self.truths.add(1),
                _ => self.lies.add(1),
            }
        })
    }

    fn sums(&self, sums: &mut Sums) {
        for (of, stats, votes) in [
            (format!("{}, listed", self.of), self.listed.stats(), &self.listed_votes),
            (format!("{}, open", self.of), self.open.stats(), &self.open_votes),
        ] {
            sums.of(of);
            let answers = [
                ("counted", stats.counted),
                ("repeated", stats.repeated),
                ("conflicting", stats.conflicting),
                ("late", stats.late),
                ("full", stats.full),
                ("for another ballot", stats.other_ballots),
                ("strangers", stats.strangers),
            ];
            sums.adds_up(("votes", votes.get()), &answers);
        }
        sums.of(&self.of);
        sums.some("ballots told the truth", self.truths.get());
        sums.never("ballots told a lie", self.lies.get());
    }
}
