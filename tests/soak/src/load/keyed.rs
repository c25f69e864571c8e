//! The keyed correlator: calls under names that callers bring, some of them at once under the same.

use std::{future::ready, io, sync::Arc, time::Duration};

use steadfast::{
    KeyedCorrelator,
    correlator::{CallError, Resolution},
};

use super::{
    Load, Turn,
    network::{Ask, Callers, Desk, Network, PEERS, Replies, TIMEOUT, WireFull, answer_to},
};
use crate::{
    clock::SoakClock,
    count::Counter,
    dice::Dice,
    faults::{Fault, Faults},
    sums::Sums,
    worker::Worker,
};

/// So few that calls find it full.
const CAPACITY: usize = 4;

type Answers = KeyedCorrelator<(u32, u64), u64, SoakClock>;

pub(crate) struct KeyedCalls {
    of: String,
    calls: Arc<Answers>,
    network: Network<(u32, u64)>,
    replies: Arc<Replies>,
    asked: Counter,
    callers: Callers,
}

impl Desk for Answers {
    type Id = (u32, u64);

    fn reply(&self, ask: &Ask<(u32, u64)>, from: u32, reply: u64) -> Resolution<u64> {
        self.resolve(&(from, ask.id.1), reply)
    }

    fn foreign(&self, ask: &Ask<(u32, u64)>, from: u32, reply: u64) -> Resolution<u64> {
        // The number is asked of one peer at a time, so nothing of this name is pending.
        self.resolve(&(from, ask.id.1 | FORGED), reply)
    }

    fn guess(&self, bits: u64, from: u32, reply: u64) -> Resolution<u64> {
        self.resolve(&(from, bits | FORGED), reply)
    }
}

/// No call has such a number: small ones meet, so a guess among them would be right at times.
const FORGED: u64 = 1 << 63;

impl KeyedCalls {
    pub(crate) fn new(clock: &SoakClock, is_steady: bool, dice: &Dice, faults: &Arc<Faults>) -> io::Result<Self> {
        let calls = Arc::new(KeyedCorrelator::builder(CAPACITY).timer(clock.clone()).build());
        let replies = Arc::default();
        Ok(Self {
            of: format!("keyed correlator, {}", super::clock_name(is_steady)),
            network: Network::new(&calls, &replies, dice, faults)?,
            calls,
            replies,
            asked: Counter::default(),
            callers: Callers::default(),
        })
    }

    async fn call(&self, worker: &Worker) {
        self.asked.add(1);
        let to = worker.dice.below(u64::from(PEERS)) as u32;
        // Few numbers, so that calls of one name meet: the question is the number.
        let id = (to, worker.dice.below(64));
        let send = || {
            if worker.strikes(16, Fault::Fail) {
                return ready(Err(WireFull));
            }
            ready(self.network.send(to, Ask { id, question: id.1 }))
        };
        match worker.wait("keyed correlator: call", self.calls.call(id, TIMEOUT, send)).await {
            Some(Ok(answer)) => {
                self.callers.answered.add(1);
                self.callers.foreign.add(u64::from(answer != answer_to(id.1)));
            }
            Some(Err(CallError::Full | CallError::Closed | CallError::Duplicate)) => self.callers.refused.add(1),
            Some(Err(_)) | None => {}
        }
    }
}

impl Load for KeyedCalls {
    fn name(&self) -> &'static str {
        "keyed calls"
    }

    fn done(&self) -> u64 {
        self.asked.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            if worker.dice.one_in(64) {
                worker.post.at("keyed correlator: close and reopen");
                self.calls.close();
                self.calls.reopen();
            }
            self.call(worker).await;
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("keyed correlator: every slot is free again");
            // What has to do with deadlines only does not notice that the clock has stepped back; a reply does.
            self.replies.count_guess(self.calls.resolve(&(0, FORGED), 0));
            while !self.calls.is_empty() {
                let _ = self.calls.on_timeout();
                worker.pause(Duration::from_millis(1)).await;
            }
            worker.post.at("keyed correlator: a call is answered after the faults");
            loop {
                self.asked.add(1);
                let id = (1, 7);
                let send = || ready(self.network.send(1, Ask { id, question: 7 }));
                if self.calls.call(id, Duration::from_secs(1), send).await.is_ok_and(|answer| answer == answer_to(7)) {
                    self.callers.answered.add(1);
                    break;
                }
            }
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.calls.stats();
        sums.of(&self.of);
        self.replies.sums(&stats, sums);
        self.callers.sums(&stats, &self.replies, sums);
        sums.never("slots in use", self.calls.len() as u64);
        sums.some("timed out", stats.timed_out);
    }
}
