//! The rate limiter: known keys that ask too much, in a flood of made-up ones.

use std::{num::NonZeroU32, time::Duration};

use steadfast::{
    Gcra, Instant, RateLimiter, SlidingLog,
    rate_limiter::{Decision, Quota},
};

use super::{Load, Turn};
use crate::{clock::SoakClock, count::Counter, sums::Sums, worker::Worker};

/// Keys that are asked for all the time.
const KNOWN: u64 = 8;

const WINDOW: Duration = Duration::from_millis(100);
const GCRA_EVERY: Duration = Duration::from_millis(100);
const GCRA_BURST: u32 = 3;

/// Known keys as text, so that asking for them allocates nothing.
const NAMES: [&str; KNOWN as usize] = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi"];

pub(crate) struct Limiter<A: Quota> {
    name: &'static str,
    of: String,
    limiter: RateLimiter<String, A, SoakClock>,
    /// By its clock, if that is steady.
    began: Option<Instant>,
    /// How much one key may do, in so much time.
    most: fn(Duration) -> u64,
    allowed: Counter,
    denied: Counter,
    waited: Counter,
    known_allowed: Counter,
}

impl Limiter<Gcra> {
    /// With shards, and a quota that fills them.
    pub(crate) fn gcra(clock: &SoakClock, is_steady: bool) -> Self {
        let quota = Gcra::every(GCRA_EVERY).burst(GCRA_BURST);
        let most = |time: Duration| u64::from(GCRA_BURST) + 1 + (time.as_nanos() / GCRA_EVERY.as_nanos()) as u64;
        Self::new("gcra", quota, 512, most, clock, is_steady)
    }
}

impl Limiter<SlidingLog<4>> {
    /// In one piece.
    pub(crate) fn window(clock: &SoakClock, is_steady: bool) -> Self {
        let most = |time: Duration| 4 * (2 + (time.as_nanos() / WINDOW.as_nanos()) as u64);
        Self::new("window", SlidingLog::new(WINDOW), 255, most, clock, is_steady)
    }
}

impl<A: Quota<Beside: Send, Count: Send> + Clone + Send + Sync> Limiter<A> {
    fn new(
        name: &'static str,
        quota: A,
        capacity: usize,
        most: fn(Duration) -> u64,
        clock: &SoakClock,
        is_steady: bool,
    ) -> Self {
        let limiter = RateLimiter::builder(quota).capacity(capacity).timer(clock.clone()).build();
        Self {
            name,
            of: format!("rate limiter, {name}, {}", super::clock_name(is_steady)),
            began: is_steady.then(|| limiter.now()),
            limiter,
            most,
            allowed: Counter::default(),
            denied: Counter::default(),
            waited: Counter::default(),
            known_allowed: Counter::default(),
        }
    }

    fn ask(&self, key: &str, is_known: bool) {
        match self.limiter.allow(key) {
            Decision::Allow => {
                self.allowed.add(1);
                self.known_allowed.add(u64::from(is_known));
            }
            Decision::Deny { .. } => self.denied.add(1),
        }
    }

    async fn wait(&self, worker: &Worker) {
        let key = NAMES[worker.dice.below(KNOWN) as usize];
        if worker.wait("rate limiter: until_allowed", self.limiter.until_allowed(key)).await.is_some() {
            self.waited.add(1);
            self.known_allowed.add(1);
        }
    }

    fn serve(&self, worker: &Worker) {
        worker.post.at("rate limiter: allow");
        for _ in 0..64 {
            if worker.dice.one_in(4) {
                let key = NAMES[worker.dice.below(KNOWN) as usize];
                self.ask(key, true);
            } else {
                self.ask(&format!("{:016x}", worker.made_up()), false);
            }
        }
        let key = format!("{:016x}", worker.made_up());
        self.ask(&key, false);
        self.limiter.refund(&key, NonZeroU32::MIN);
        let (_, _, _) = (self.limiter.check(&key), self.limiter.remaining(&key), self.limiter.reset_at(&key));
    }
}

impl<A: Quota<Beside: Send, Count: Send> + Clone + Send + Sync> Load for Limiter<A> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn done(&self) -> u64 {
        self.allowed.get() + self.denied.get() + self.waited.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async { if worker.dice.one_in(8) { self.wait(worker).await } else { self.serve(worker) } })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            for key in NAMES {
                worker
                    .wait_out("rate limiter: serves known keys after the flood", self.limiter.until_allowed(key))
                    .await;
                self.waited.add(1);
                self.known_allowed.add(1);
            }
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.limiter.stats();
        sums.of(&self.of);
        sums.adds_up(("allowed", stats.allowed), &[("at once", self.allowed.get()), ("waited", self.waited.get())]);
        // Whoever waits asks in between, and is denied.
        sums.at_most("denied to callers", self.denied.get(), stats.denied);
        sums.at_most("keys held", self.limiter.len() as u64, self.limiter.capacity() as u64);
        sums.some("evicted, or without an entry", stats.evicted + stats.overflowed);
        if let Some(began) = self.began {
            let time = self.limiter.now().saturating_duration_since(began);
            // Whatever becomes of its entry.
            let most = KNOWN * (self.most)(time);
            sums.at_most("allowed to known keys", self.known_allowed.get(), most);
        }
    }
}
