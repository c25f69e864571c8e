//! Who may work on an id.

use std::sync::Arc;

use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use steadfast_core::{
    DedupCache, Instant,
    dedup_cache::{Claim, OnFull},
};

use super::support::{SECOND, Threads, Time, explore, spawn, threads};

type Cache = DedupCache<u8, 2>;

fn cache(time: &Time) -> Threads<Cache> {
    threads(Cache::new(60 * SECOND, OnFull::Refuse).with_lease(SECOND), time)
}

/// Works on an id, if it may; true if it was this one who did the work.
fn work(cache: &Threads<Cache>, holders: &AtomicUsize, succeeds: bool) -> bool {
    let Claim::Fresh(claim) = cache.claim(&7) else { return false };
    assert_eq!(holders.fetch_add(1, SeqCst), 0, "two work on one id");
    holders.fetch_sub(1, SeqCst);
    succeeds && claim.commit().is_ok()
}

fn three_workers(succeed: [bool; 3]) -> (Threads<Cache>, usize) {
    let (cache, holders) = (cache(&Time::new()), Arc::new(AtomicUsize::new(0)));
    let [mine, others @ ..] = succeed;
    let others = others.map(|succeeds| {
        let (cache, holders) = (cache.clone(), holders.clone());
        spawn(move || work(&cache, &holders, succeeds))
    });
    let mine = work(&cache, &holders, mine);
    let done = others.map(|other| other.join().unwrap()).into_iter().chain([mine]).filter(|is| *is).count();
    let stats = cache.stats();
    assert_eq!(stats.claimed, stats.committed + stats.aborted, "{stats:?}");
    (cache, done)
}

#[test]
fn the_work_is_done_once() {
    explore(|| {
        let (cache, done) = three_workers([true; 3]);
        assert_eq!(done, 1);
        assert!(matches!(cache.claim(&7), Claim::Duplicate { .. }));
    });
}

#[test]
fn work_that_failed_may_be_done_again() {
    explore(|| {
        let (cache, done) = three_workers([false, true, false]);
        match cache.claim(&7) {
            Claim::Duplicate { .. } => assert_eq!(done, 1),
            Claim::Fresh(_) => assert_eq!(done, 0),
            other => panic!("{other:?}"),
        };
    });
}

#[test]
fn of_an_abandoned_claim_and_its_successor_one_commits() {
    explore(|| {
        let time = Time::new();
        let cache = cache(&time);
        let Claim::Fresh(slow) = cache.claim(&7) else { panic!("it is new") };
        spawn(move || time.set(Instant::from_secs(1)));
        let next = cache.clone();
        let next = spawn(move || match next.claim(&7) {
            Claim::Fresh(claim) => claim.commit().is_ok(),
            Claim::InFlight | Claim::Duplicate { .. } => false,
            Claim::Full => panic!("there is room"),
        });
        let slow = slow.commit().is_ok();
        assert!(!(slow && next.join().unwrap()), "both have done the work");
        assert!(cache.stats().committed <= 1);
    });
}
