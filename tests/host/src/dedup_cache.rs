//! Known for one life, to the nanosecond, and never forgotten silently.

use core::time::Duration;

use steadfast_core::{
    DedupCache, Instant, Lock,
    dedup_cache::{Claim, OnFull, Seen},
};

use crate::{
    deadline::{Timed, deadline_contract},
    locks::{Locks, at, before},
};

const LIFE: Duration = Duration::from_secs(60);

/// [`DedupCache`]: life, claims, what it does when it is full.
pub fn dedup_cache_contract<L: Locks>() {
    let cache = L::lock(DedupCache::<u64, 2>::new(LIFE, OnFull::Refuse));
    let check = |key: u64, now: Instant| cache.with(|cache| cache.check(&key, now));
    assert_eq!(check(1, at(100)), Seen::Fresh);
    assert_eq!(check(1, before(160)), Seen::Duplicate { first_seen_at: at(100), count: 1 });
    assert_eq!(check(2, at(110)), Seen::Fresh);
    assert_eq!(check(3, at(120)), Seen::Full);
    assert_eq!(check(1, at(160)), Seen::Fresh, "its life is over, and a duplicate did not extend it");

    let claim = |now: Instant| cache.with(|cache| cache.claim(&9, now));
    let Claim::Fresh(first) = claim(at(170)) else { panic!("the life of 2 is over") };
    assert_eq!(claim(at(171)), Claim::InFlight);
    cache.with(|cache| cache.abort(first, at(171)));
    let Claim::Fresh(second) = claim(at(172)) else { panic!("it was given up") };
    assert!(cache.with(|cache| cache.commit(second, at(173))).is_ok());
    assert!(matches!(claim(at(174)), Claim::Duplicate { first_seen_at, .. } if first_seen_at == at(173)));

    let gossip = L::lock(DedupCache::<u64, 2>::new(LIFE, OnFull::ForgetOldest));
    for key in 0..5 {
        assert!(gossip.with(|cache| cache.check(&key, at(100 + key))).is_fresh());
    }
    assert_eq!(gossip.with(|cache| (cache.len(), cache.stats().forgotten)), (2, 3));
    assert_eq!(gossip.with(|cache| cache.horizon(at(104))), Duration::from_secs(2), "102 was forgotten, 103 is held");
}

#[derive(Clone)]
struct Held(DedupCache<u64, 4>);

impl Timed for Held {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.0.on_timeout(now);
        false
    }

    fn digest(&self) -> u64 {
        self.0.stats().held << 32 | self.0.stats().expired << 16 | self.0.stats().given_up
    }
}

/// [`deadline_contract`] of a cache with a life and a lease under way.
pub fn dedup_deadline_contract() {
    let mut held = Held(DedupCache::new(LIFE, OnFull::Refuse).with_lease(Duration::from_secs(5)));
    deadline_contract(&held);
    for key in 0..3 {
        assert!(held.0.check(&key, at(10 * key)).is_fresh());
    }
    assert!(matches!(held.0.claim(&9, at(30)), Claim::Fresh(_)));
    deadline_contract(&held);
}
