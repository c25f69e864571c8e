//! The caching rate limiter: pings of peers, some of which hang.

use std::time::Duration;

use steadfast::{CachedRateLimiter, Gcra, rate_limiter::AllowOrCached};

use super::{Load, Turn};
use crate::{clock::SoakClock, count::Counter, faults::Fault, sums::Sums, worker::Worker};

const KNOWN: u64 = 16;
const EVERY: Duration = Duration::from_millis(5);
const LEASE: Duration = Duration::from_millis(3);

pub(crate) struct Cached {
    of: String,
    limiter: CachedRateLimiter<u64, u64, Gcra, SoakClock>,
    asked: Counter,
    allowed: Counter,
    answered: Counter,
    completed: Counter,
    refunded: Counter,
    foreign: Counter,
}

/// What the ping of a key brings.
const fn value_of(key: u64) -> u64 {
    key.wrapping_mul(3)
}

impl Cached {
    pub(crate) fn new(clock: &SoakClock, is_steady: bool) -> Self {
        let limiter = CachedRateLimiter::builder(Gcra::every(EVERY), LEASE).capacity(256).clock(clock.clone()).build();
        Self {
            of: format!("cached rate limiter, {}", super::clock_name(is_steady)),
            limiter,
            asked: Counter::default(),
            allowed: Counter::default(),
            answered: Counter::default(),
            completed: Counter::default(),
            refunded: Counter::default(),
            foreign: Counter::default(),
        }
    }

    async fn ping(&self, key: u64, worker: &Worker) {
        self.asked.add(1);
        match self.limiter.allow_or_cached(&key) {
            AllowOrCached::Allowed(attempt) => {
                self.allowed.add(1);
                if worker.strikes(4, Fault::Fail) {
                    return;
                }
                if worker.dice.one_in(16) {
                    // The peer turned out to be ourselves.
                    attempt.refund();
                    self.refunded.add(1);
                    return;
                }
                if worker.strikes(8, Fault::Hang) && worker.wait("cached: ping", worker.pause(LEASE)).await.is_none() {
                    return;
                }
                match attempt.complete(value_of(key)) {
                    Ok(()) => self.completed.add(1),
                    Err(_lost) => worker.hit(Fault::Late),
                }
            }
            AllowOrCached::Cached { value, .. } => {
                self.answered.add(1);
                self.foreign.add(u64::from(value != value_of(key)));
            }
            AllowOrCached::InFlight | AllowOrCached::Denied { .. } => {}
        }
    }
}

impl Load for Cached {
    fn name(&self) -> &'static str {
        "cached"
    }

    fn done(&self) -> u64 {
        self.asked.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            for _ in 0..32 {
                worker.post.at("cached: allow_or_cached");
                let key = if worker.dice.one_in(2) { worker.dice.below(KNOWN) } else { worker.made_up() };
                self.ping(key, worker).await;
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("cached: allows an attempt after the flood");
            loop {
                self.asked.add(1);
                match self.limiter.allow_or_cached(&0) {
                    AllowOrCached::Allowed(attempt) => {
                        self.allowed.add(1);
                        self.completed.add(u64::from(attempt.complete(value_of(0)).is_ok()));
                        return;
                    }
                    AllowOrCached::Cached { .. } => self.answered.add(1),
                    AllowOrCached::InFlight | AllowOrCached::Denied { .. } => {}
                }
                worker.pause(EVERY).await;
            }
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.limiter.stats();
        sums.of(&self.of);
        let parts = [
            ("allowed", stats.allowed),
            ("cached", stats.cached),
            ("in flight", stats.in_flight),
            ("denied", stats.denied),
        ];
        sums.adds_up(("asked", self.asked.get()), &parts);
        sums.adds_up(("allowed", stats.allowed), &[("told so", self.allowed.get())]);
        sums.adds_up(("completed", stats.completed), &[("told so", self.completed.get())]);
        sums.adds_up(("cached", stats.cached), &[("told so", self.answered.get())]);
        sums.at_most("ended", stats.completed + stats.released + stats.refunded, stats.allowed);
        sums.never("values of another key", self.foreign.get());
        sums.at_most("keys held", self.limiter.len() as u64, self.limiter.capacity() as u64);
    }
}
