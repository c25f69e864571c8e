//! Breakers by key: a few peers that fail, and a flood of made-up ones that do too.

use std::time::Duration;

use steadfast::{
    Breakers, Reset, Trip,
    circuit_breaker::{BreakerError, CallWindow, Percent},
};

use super::{
    Load, Turn,
    breaker::{Failed, service},
};
use crate::{clock::SoakClock, count::Counter, faults::Fault, sums::Sums, worker::Worker};

const KNOWN: u64 = 16;
const OPEN_FOR: Duration = Duration::from_millis(5);

pub(crate) struct ByKey {
    of: String,
    breakers: Breakers<u64, CallWindow<8>, SoakClock>,
    asked: Counter,
    called: Counter,
}

impl ByKey {
    pub(crate) fn new(clock: &SoakClock, is_steady: bool) -> Self {
        let trip = Trip::call_window::<8>(Percent::new(50));
        Self {
            of: format!("breakers by key, {}", super::clock_name(is_steady)),
            breakers: Breakers::builder(trip, Reset::after(OPEN_FOR).call_timeout(4 * OPEN_FOR))
                .capacity(128)
                .timer(clock.clone())
                .build(),
            asked: Counter::default(),
            called: Counter::default(),
        }
    }

    async fn call(&self, worker: &Worker) {
        self.asked.add(1);
        let key = worker.dice.below(KNOWN);
        let call = self.breakers.call(&key, service(worker, &self.called));
        let _ = worker.wait("breakers: call", call).await;
    }

    fn flood(&self, worker: &Worker) {
        for _ in 0..16 {
            self.asked.add(1);
            let key = worker.made_up();
            worker.hit(Fault::Fail);
            let _ = self.breakers.call_blocking(&key, || {
                self.called.add(1);
                Err::<(), _>(Failed)
            });
        }
    }
}

impl Load for ByKey {
    fn name(&self) -> &'static str {
        "breakers"
    }

    fn done(&self) -> u64 {
        self.asked.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("breakers: run");
            self.flood(worker);
            for _ in 0..16 {
                self.call(worker).await;
            }
            if worker.dice.one_in(64) {
                worker.post.at("breakers: cleanup");
                self.breakers.cleanup();
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("breakers: every known peer can be called after the flood");
            for key in 0..KNOWN {
                loop {
                    self.asked.add(1);
                    let called = async {
                        self.called.add(1);
                        Ok::<(), Failed>(())
                    };
                    match self.breakers.call(&key, called).await {
                        Err(BreakerError::Open { .. }) => worker.pause(OPEN_FOR).await,
                        Ok(()) | Err(_) => break,
                    }
                }
            }
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.breakers.stats();
        sums.of(&self.of);
        let parts = [("permitted", stats.permitted), ("refused", stats.rejected)];
        sums.adds_up(("asked", self.asked.get()), &parts);
        let ends = [
            ("successes", stats.successes),
            ("failures", stats.failures),
            ("ignored", stats.ignored),
            ("stale", stats.stale),
        ];
        sums.adds_up(("permitted", stats.permitted), &ends);
        sums.adds_up(("called", self.called.get()), &[("permitted", stats.permitted)]);
        sums.at_most("keys held", self.breakers.len() as u64, self.breakers.capacity() as u64);
        sums.some("not judged for want of room", self.breakers.untracked());
    }
}
