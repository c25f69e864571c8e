//! The dedup cache: every id comes twice, work on some fails, and made-up ids flood it.

use std::time::Duration;

use steadfast::{
    DedupCache, Instant,
    dedup_cache::{Claim, OnFull, Seen},
};

use super::{Load, Turn};
use crate::{clock::SoakClock, count::Counter, faults::Fault, sums::Sums, worker::Worker};

const TTL: Duration = Duration::from_millis(200);
const LEASE: Duration = Duration::from_millis(5);

pub(crate) struct Dedup {
    of: String,
    cache: DedupCache<u64, (), SoakClock>,
    is_steady: bool,
    asked: Counter,
    committed: Counter,
    forgotten_silently: Counter,
}

impl Dedup {
    pub(crate) fn new(on_full: OnFull, clock: &SoakClock, is_steady: bool) -> Self {
        let policy = match on_full {
            OnFull::ForgetOldest => "forgets",
            OnFull::Refuse => "refuses",
        };
        let capacity = if on_full == OnFull::Refuse { 255 } else { 256 };
        let cache = DedupCache::builder(TTL, on_full).lease(LEASE).capacity(capacity).clock(clock.clone()).build();
        Self {
            of: format!("dedup cache that {policy}, {}", super::clock_name(is_steady)),
            cache,
            is_steady,
            asked: Counter::default(),
            committed: Counter::default(),
            forgotten_silently: Counter::default(),
        }
    }

    fn check(&self, id: u64) -> Seen {
        self.asked.add(1);
        self.cache.check(&id)
    }

    /// The same id twice: the second time it is known, unless its life is over or the cache tells a shorter horizon.
    fn twice(&self, worker: &Worker) {
        let before = self.cache.now();
        let id = worker.made_up();
        let first = self.check(id);
        worker.hit(Fault::Twice);
        let second = self.check(id);
        if self.is_steady && first.is_fresh() && second.is_fresh() && !self.may_forget(before) {
            self.forgotten_silently.add(1);
        }
    }

    /// True if the cache does not claim to know what was marked at `at` or later.
    fn may_forget(&self, at: Instant) -> bool {
        let horizon = self.cache.horizon();
        let age = self.cache.now().saturating_duration_since(at);
        age >= horizon.min(TTL)
    }

    async fn claim(&self, worker: &Worker) {
        self.asked.add(1);
        // Few ids, so that claims of one meet.
        let id = worker.dice.below(64);
        let Claim::Fresh(claim) = self.cache.claim(&id) else { return };
        if worker.strikes(4, Fault::Fail) {
            return;
        }
        if worker.strikes(4, Fault::Hang) && worker.wait("dedup: work on a claim", worker.pause(LEASE)).await.is_none()
        {
            return;
        }
        if claim.commit().is_ok() {
            self.committed.add(1);
        } else {
            worker.hit(Fault::Late);
        }
    }
}

impl Load for Dedup {
    fn name(&self) -> &'static str {
        "dedup"
    }

    fn done(&self) -> u64 {
        self.asked.get()
    }

    fn turn<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            for _ in 0..16 {
                worker.post.at("dedup: check");
                self.twice(worker);
                self.claim(worker).await;
            }
            if worker.dice.one_in(8) {
                worker.post.at("dedup: cleanup");
                self.cache.cleanup();
            }
        })
    }

    fn calm<'a>(&'a self, worker: &'a Worker) -> Turn<'a> {
        Box::pin(async {
            worker.post.at("dedup: takes a new id after the flood");
            while !self.check(worker.dice.roll()).is_fresh() {
                worker.pause(TTL / 10).await;
            }
        })
    }

    fn sums(&self, sums: &mut Sums) {
        let stats = self.cache.stats();
        sums.of(&self.of);
        let answers = [
            ("fresh", stats.fresh),
            ("duplicates", stats.duplicates),
            ("in flight", stats.in_flight),
            ("refused", stats.refused),
        ];
        sums.adds_up(("asked", self.asked.get()), &answers);
        let ends = [
            ("held", stats.held),
            ("expired", stats.expired),
            ("forgotten", stats.forgotten),
            ("aborted", stats.aborted),
            ("given up", stats.given_up),
        ];
        sums.adds_up(("fresh", stats.fresh), &ends);
        let claims = [
            ("pending", stats.pending),
            ("committed", stats.committed),
            ("aborted", stats.aborted),
            ("given up", stats.given_up),
        ];
        sums.adds_up(("claimed", stats.claimed), &claims);
        sums.at_most("commits that counted", self.committed.get(), stats.committed);
        sums.at_most("ids held", self.cache.len() as u64, self.cache.capacity() as u64);
        sums.some("that found the cache full", stats.refused + stats.forgotten);
        if self.is_steady {
            sums.never("forgotten within the horizon", self.forgotten_silently.get());
        }
    }
}
