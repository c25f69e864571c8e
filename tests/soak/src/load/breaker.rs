//! The circuit breaker: one service that is well for a time, then fails, hangs, and answers late.

use std::time::Duration;

use steadfast::{
    CircuitBreaker, Reset, Trip,
    circuit_breaker::{BreakerError, BreakerState, CallWindow, Consecutive, Outcome, Percent, TripPolicy},
};

use super::{Load, Turn};
use crate::{clock::SoakClock, count::Counter, faults::Fault, sums::Sums, worker::Worker};

const OPEN_FOR: Duration = Duration::from_millis(2);

/// For so many calls the service is well or ill; of four such times it is ill in one.
const MOOD: u64 = 4_096;

pub(crate) struct Breaker<P: TripPolicy> {
    of: String,
    breaker: CircuitBreaker<P, SoakClock>,
    asked: Counter,
    refused: Counter,
    called: Counter,
}

#[derive(Debug)]
pub(crate) struct Failed;

/// A service that fails, hangs and answers late; on the average it is well.
pub(crate) async fn service(worker: &Worker, called: &Counter) -> Result<(), Failed> {
    called.add(1);
    if worker.strikes(3, Fault::Fail) {
        return Err(Failed);
    }
    if worker.strikes(32, Fault::Hang) {
        // As long as its caller bears it.
        worker.pause(Duration::from_millis(20)).await;
    } else if worker.strikes(16, Fault::Late) {
        worker.pause(OPEN_FOR).await;
    }
    Ok(())
}

impl Breaker<Consecutive> {
    pub(crate) fn consecutive(clock: &SoakClock, is_steady: bool) -> Self {
        Self::new("consecutive failures", Trip::consecutive(3), clock, is_steady)
    }
}

impl Breaker<CallWindow<16>> {
    pub(crate) fn window(clock: &SoakClock, is_steady: bool) -> Self {
        Self::new("window of calls", Trip::call_window(Percent::new(30)), clock, is_steady)
    }
}

impl<P: TripPolicy> Breaker<P> {
    fn new(how: &str, trip: P, clock: &SoakClock, is_steady: bool) -> Self {
        let reset = Reset::after(OPEN_FOR).probes(2).call_timeout(Duration::from_millis(10));
        Self {
            of: format!("circuit breaker, {how}, {}", super::clock_name(is_steady)),
            breaker: CircuitBreaker::builder(trip, reset).timer(clock.clone()).build(),
            asked: Counter::default(),
            refused: Counter::default(),
            called: Counter::default(),
        }
    }

    fn is_well(&self) -> bool {
        !(self.asked.get() / MOOD).is_multiple_of(4)
    }

    async fn serve(&self, worker: &Worker) -> Result<(), Failed> {
        if self.is_well() {
            self.called.add(1);
            return Ok(());
        }
        service(worker, &self.called).await
    }

    async fn call(&self, worker: &Worker) {
        self.asked.add(1);
        let call = self.breaker.call(self.serve(worker));
        if let Some(Err(BreakerError::Open { .. })) = worker.wait("breaker: call", call).await {
            self.refused.add(1);
        }
    }

    /// A permit that goes to another task, and what becomes of it there.
    fn acquire(&self, worker: &Worker) {
        self.asked.add(1);
        match self.breaker.try_acquire() {
            Err(_open) => self.refused.add(1),
            Ok(permit) => {
                self.called.add(1);
                if worker.dice.one_in(2) {
                    let hint = Outcome::RetryAfter(Duration::from_millis(worker.dice.below(5)));
                    worker.hit(Fault::Fail);
                    permit.record(hint);
                } else {
                    worker.hit(Fault::Dropped);
                }
            }
        }
    }
}

impl<P> Load for Breaker<P>
where
    P: TripPolicy + Send + Sync,
    P::Window: Send,
{
    fn name(&self) -> &'static str {
        "breaker"
    }

    fn done(&self) -> u64 {
        self.asked.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            for _ in 0..16 {
                match worker.dice.below(if self.is_well() { 64 } else { 8 }) {
                    0 => self.acquire(worker),
                    _ => self.call(worker).await,
                }
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("breaker: closes after the faults");
            while self.breaker.state() != BreakerState::Closed {
                self.asked.add(1);
                let called = async {
                    self.called.add(1);
                    Ok::<(), Failed>(())
                };
                if self.breaker.call(called).await.is_err() {
                    self.refused.add(1);
                    worker.pause(OPEN_FOR).await;
                }
            }
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.breaker.stats();
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
        sums.at_most("told that it is open", self.refused.get(), stats.rejected);
        sums.some("times open", stats.opened);
    }
}
