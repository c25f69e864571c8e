//! Retries within one budget, of an operation that fails, hangs and is given up.

use std::time::Duration;

use steadfast::{
    Instant, RetryBudget, RetryPolicy,
    retry::Jitter,
    runtime::{Clock, SystemRng},
};

use super::{Load, Turn, breaker::service};
use crate::{clock::SoakClock, count::Counter, sums::Sums, worker::Worker};

const RETRIES: u32 = 3;
const PERCENT: u64 = 20;
const FLOOR: u64 = 10;
const BURST: u64 = 10;

const POLICY: RetryPolicy = RetryPolicy::exponential(Duration::from_micros(200))
    .max_delay(Duration::from_millis(2))
    .max_retries(RETRIES)
    .max_elapsed(Duration::from_millis(50))
    .attempt_timeout(Duration::from_millis(5))
    .jitter(Jitter::Full);

pub(crate) struct Retries {
    of: String,
    clock: SoakClock,
    /// By the clock, if that is steady.
    began: Option<Instant>,
    budget: RetryBudget,
    runs: Counter,
    called: Counter,
    gave_up: Counter,
    too_many: Counter,
}

impl Retries {
    pub(crate) fn new(clock: &SoakClock, is_steady: bool) -> Self {
        Self {
            of: format!("retry, {}", super::clock_name(is_steady)),
            clock: clock.clone(),
            began: is_steady.then(|| clock.now()),
            budget: RetryBudget::percent(PERCENT as u32).floor_per_second(FLOOR as u32).burst(BURST as u32),
            runs: Counter::default(),
            called: Counter::default(),
            gave_up: Counter::default(),
            too_many: Counter::default(),
        }
    }

    async fn run(&self, worker: &Worker) {
        let mut attempts = 0;
        self.runs.add(1);
        let run = POLICY.call_with(self.clock.clone(), SystemRng::jitter(), || {
            attempts += 1;
            self.too_many.add(u64::from(attempts > RETRIES + 1));
            service(worker, &self.called)
        });
        if let Some(Err(_)) = worker.wait("retry: run", run.budget(&self.budget).into_future()).await {
            self.gave_up.add(1);
        }
    }
}

impl Load for Retries {
    fn name(&self) -> &'static str {
        "retry"
    }

    fn done(&self) -> u64 {
        self.runs.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            for _ in 0..4 {
                self.run(worker).await;
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("retry: succeeds after the faults");
            let run = POLICY.call_with(self.clock.clone(), SystemRng::jitter(), || {
                self.called.add(1);
                std::future::ready(Ok::<_, ()>(()))
            });
            self.runs.add(1);
            self.gave_up.add(u64::from(run.budget(&self.budget).await.is_err()));
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.budget.stats();
        let retries = stats.withdrawn - stats.refunded;
        sums.of(&self.of);
        sums.adds_up(("runs", self.runs.get()), &[("shares put in", stats.deposits)]);
        sums.adds_up(("calls", self.called.get()), &[("first", stats.deposits), ("retries", retries)]);
        sums.never("attempts above the policy", self.too_many.get());
        sums.some("gave up", self.gave_up.get());
        sums.some("retries refused by the budget", stats.refused);
        if let Some(began) = self.began {
            let seconds = self.clock.now().saturating_duration_since(began).as_secs() + 1;
            sums.at_most("retries", retries, BURST + stats.deposits * PERCENT / 100 + seconds * FLOOR + 1);
        }
    }
}
