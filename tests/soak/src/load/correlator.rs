//! The correlator: calls to peers that behave badly, and a link that is lost at times.

use std::{future::ready, io, sync::Arc, time::Duration};

use steadfast::{
    Correlator,
    correlator::{BeginError, CallError, CallId, Resolution},
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
const CAPACITY: usize = 12;

type Answers = Correlator<u32, u64, SoakClock>;

pub(crate) struct Calls {
    of: String,
    calls: Arc<Answers>,
    network: Network<CallId>,
    replies: Arc<Replies>,
    asked: Counter,
    callers: Callers,
}

impl Desk for Answers {
    type Id = CallId;

    fn reply(&self, ask: &Ask<CallId>, from: u32, reply: u64) -> Resolution<u64> {
        self.resolve(ask.id, from, reply)
    }

    fn foreign(&self, ask: &Ask<CallId>, from: u32, reply: u64) -> Resolution<u64> {
        self.resolve(ask.id, from, reply)
    }

    fn guess(&self, bits: u64, from: u32, reply: u64) -> Resolution<u64> {
        // A slot that there is, and any number of a call.
        let slot = bits % CAPACITY as u64;
        self.resolve(CallId::from_u64(bits >> 32 << 32 | slot), from, reply)
    }
}

impl Calls {
    pub(crate) fn new(clock: &SoakClock, is_steady: bool, dice: &Dice, faults: &Arc<Faults>) -> io::Result<Self> {
        let calls = Arc::new(Correlator::builder(CAPACITY).timer(clock.clone()).build());
        let replies = Arc::default();
        Ok(Self {
            of: format!("correlator, {}", super::clock_name(is_steady)),
            network: Network::new(&calls, &replies, dice, faults)?,
            calls,
            replies,
            asked: Counter::default(),
            callers: Callers::default(),
        })
    }

    fn send(&self, to: u32, id: CallId, question: u64, worker: &Worker) -> Result<(), WireFull> {
        if worker.strikes(16, Fault::Fail) {
            return Err(WireFull);
        }
        self.network.send(to, Ask { id, question })
    }

    async fn call(&self, worker: &Worker) {
        self.asked.add(1);
        let (to, question) = (worker.dice.below(u64::from(PEERS)) as u32, worker.dice.roll());
        let call = self.calls.call(to, TIMEOUT, |id| ready(self.send(to, id, question, worker)));
        match worker.wait("correlator: call", call).await {
            Some(Ok(answer)) => {
                self.callers.answered.add(1);
                self.callers.foreign.add(u64::from(answer != answer_to(question)));
            }
            Some(Err(CallError::Full | CallError::Closed)) => self.callers.refused.add(1),
            Some(Err(_)) | None => {}
        }
    }

    /// One question to all, for three answers.
    async fn gather(&self, worker: &Worker) {
        let question = worker.dice.roll();
        let ask = |to, id| ready(self.send(to, id, question, worker));
        let gathering = self.calls.gather(0..PEERS, 3, TIMEOUT, ask);
        if let Some(Ok(answers)) = worker.wait("correlator: gather", gathering).await {
            let foreign = answers.iter().filter(|(_, answer)| *answer != answer_to(question)).count();
            self.callers.foreign.add(foreign as u64);
        }
    }

    /// Calls that nobody waits for.
    fn begin(&self, worker: &Worker) {
        self.asked.add(1);
        match self.calls.begin(0, TIMEOUT) {
            Err(BeginError::Full | BeginError::Closed) => self.callers.refused.add(1),
            Err(_) => {}
            Ok(call) => match worker.dice.below(3) {
                0 => _ = self.calls.cancel(call.id()),
                1 => {
                    self.replies.count(self.calls.resolve(call.id(), 0, 1));
                    let _ = self.calls.take(call.id());
                }
                _ => worker.hit(Fault::Hang),
            },
        }
        while self.calls.on_timeout().is_some() {}
    }
}

impl Load for Calls {
    fn name(&self) -> &'static str {
        "calls"
    }

    fn done(&self) -> u64 {
        self.asked.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            match worker.dice.below(64) {
                0 => {
                    worker.post.at("correlator: close and reopen");
                    self.calls.close();
                    self.calls.reopen();
                }
                1..8 => self.gather(worker).await,
                8..16 => self.begin(worker),
                _ => self.call(worker).await,
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("correlator: every slot is free again");
            // What has to do with deadlines only does not notice that the clock has stepped back; a call does.
            self.begin(worker);
            while !self.calls.is_empty() {
                let _ = self.calls.on_timeout();
                worker.pause(Duration::from_millis(1)).await;
            }
            worker.post.at("correlator: a call is answered after the faults");
            loop {
                self.asked.add(1);
                let call = self
                    .calls
                    .call(1, Duration::from_secs(1), |id| ready(self.network.send(1, Ask { id, question: 7 })));
                if call.await.is_ok_and(|answer| answer == answer_to(7)) {
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
