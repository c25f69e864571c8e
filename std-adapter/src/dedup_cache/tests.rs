use core::sync::atomic::{AtomicUsize, Ordering};
use std::{string::String, thread};

use super::*;

const TTL: Duration = Duration::from_secs(600);

#[derive(Clone, Debug)]
struct Stopped(Instant);

impl Clock for Stopped {
    fn now(&self) -> Instant {
        self.0
    }
}

fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}

#[test]
fn vector_10_of_a_hundred_threads_exactly_one_is_first() {
    let heard = DedupCache::<String>::builder(TTL, OnFull::Refuse).build();
    is_shared(&heard);
    let fresh = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..100 {
            scope.spawn(|| {
                if heard.check("a").is_fresh() {
                    fresh.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(fresh.into_inner(), 1);
    let stats = heard.stats();
    assert_eq!((stats.fresh, stats.duplicates, stats.held), (1, 99, 1));
}

#[test]
fn threads_that_share_ids_handle_each_once() {
    let heard = DedupCache::<u64>::builder(TTL, OnFull::Refuse).capacity(20_000).build();
    let fresh: usize = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| (0..10_000_u64).filter(|id| heard.check(id).is_fresh()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((fresh, heard.len()), (10_000, 10_000));
}

#[test]
fn a_small_cache_holds_exactly_its_capacity() {
    let heard = DedupCache::<u64>::builder(TTL, OnFull::Refuse).capacity(255).build();
    assert!((0..255).all(|id| heard.check(&id).is_fresh()));
    assert_eq!(heard.check(&255), Seen::Full);
    assert_eq!((heard.len(), heard.capacity()), (255, 255));
    assert_eq!(DedupCache::<u64>::builder(TTL, OnFull::Refuse).capacity(0).build().capacity(), 1);
}

#[test]
fn a_large_cache_misses_no_duplicate_among_its_last_ids() {
    const CAPACITY: u64 = 65_536;
    let clock = Stopped(Instant::from_secs(1));
    let heard = DedupCache::<u64>::builder(TTL, OnFull::ForgetOldest);
    let heard = heard.capacity(CAPACITY as usize).clock(clock).build();
    for id in 0..3 * CAPACITY {
        assert!(heard.check(&id).is_fresh());
        if let Some(before) = id.checked_sub(CAPACITY - 1) {
            assert!(heard.seen(&before), "{before} at {id}");
        }
    }
    // Bounded, and what the shards hold beyond it is a margin.
    assert!(heard.len() <= heard.capacity() && heard.capacity() < 80_000);
    assert_eq!(heard.horizon(), Duration::ZERO);
    let stats = heard.stats();
    assert_eq!(stats.fresh, stats.held + stats.forgotten);
}

#[test]
fn a_replay_guard_refuses_and_forgets_nothing() {
    let heard = DedupCache::<u64>::builder(TTL, OnFull::Refuse).capacity(5_000).build();
    let fresh: Vec<u64> = (0..50_000).filter(|id| heard.check(id).is_fresh()).collect();
    assert!(fresh.len() >= 5_000 && fresh.len() == heard.len());
    assert!(fresh.iter().all(|id| heard.seen(id)));
    assert_eq!(heard.horizon(), TTL);
    assert_eq!(heard.stats().refused, 50_000 - fresh.len() as u64);
}

#[test]
fn texts_are_looked_up_borrowed_and_claims_commit_or_abort() {
    let heard = DedupCache::<String>::builder(TTL, OnFull::Refuse).lease(Duration::from_secs(5)).build();
    let Claim::Fresh(claim) = heard.claim("a") else { panic!() };
    assert!(heard.seen("a"));
    assert!(matches!(heard.claim("a"), Claim::InFlight));
    // A claim is no borrow: it goes along with the work, into a thread or a task.
    thread::spawn(move || drop(claim)).join().unwrap();
    assert!(!heard.seen("a"));
    let Claim::Fresh(claim) = heard.clone().claim("a") else { panic!() };
    claim.commit().unwrap();
    assert!(matches!(heard.claim("a"), Claim::Duplicate { count: 1, .. }));
    assert!(matches!(heard.mark("a"), Seen::Duplicate { count: 2, .. }));
    assert!(matches!(heard.check_at("a", heard.now()), Seen::Duplicate { count: 1, .. }));
    let stats = heard.stats();
    assert_eq!((stats.claimed, stats.committed, stats.aborted, stats.pending), (2, 1, 1, 0));
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn ids_end_with_the_clock_and_a_cancelled_task_aborts() {
    let heard = DedupCache::<u32>::builder(TTL, OnFull::Refuse).capacity(10_000).build();
    assert!((0..2_000).all(|id| heard.check(&id).is_fresh()));
    let worker = heard.clone();
    let task = tokio::spawn(async move {
        let Claim::Fresh(claim) = worker.claim(&9_999) else { panic!() };
        core::future::pending::<()>().await;
        drop(claim);
    });
    tokio::task::yield_now().await;
    assert!(heard.seen(&9_999));
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert!(!heard.seen(&9_999));

    tokio::time::advance(TTL - Duration::from_secs(1)).await;
    assert!(heard.seen(&0));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!heard.seen(&0));
    assert_eq!(heard.cleanup(), 2_000);
    assert!(heard.is_empty());
}

/// What the docs tell to do, and what becomes of it where the claim stays in the handler.
#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn found_c4_a_client_that_hangs_up_in_the_middle_pays_once() {
    for (moved, times) in [(true, 1), (false, 3)] {
        let orders = DedupCache::<u32>::builder(TTL, OnFull::Refuse).build();
        let paid = Arc::new(AtomicUsize::new(0));
        let handle = || {
            let (claim, paid) = (orders.claim(&7), paid.clone());
            async move {
                let Claim::Fresh(claim) = claim else { return };
                let pay = async move {
                    paid.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    claim.commit().unwrap();
                };
                if moved { tokio::spawn(pay).await.unwrap() } else { pay.await }
            }
        };
        for _ in 0..2 {
            // It hangs up before the answer.
            assert!(tokio::time::timeout(Duration::from_millis(500), handle()).await.is_err() || moved);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        handle().await;
        assert_eq!(paid.load(Ordering::Relaxed), times);
    }
}

#[test]
fn of_many_threads_one_works_and_all_are_given_its_answer() {
    let answers = DedupCache::<String>::builder(TTL, OnFull::Refuse).keeping::<Option<Arc<usize>>>().build();
    is_shared(&answers);
    let worked = AtomicUsize::new(0);
    let ask = || match crate::block_on(answers.until_claimed("a")) {
        Claim::Fresh(claim) => {
            let answer = Some(Arc::new(40 + worked.fetch_add(1, Ordering::Relaxed)));
            claim.commit_with(answer.clone()).unwrap();
            answer
        }
        Claim::Duplicate { value, .. } => value,
        Claim::InFlight | Claim::Full => None,
    };
    let given: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(given.iter().all(|answer| answer.as_deref() == Some(&40)), "{given:?}");
    assert!(!answers.check("a").is_fresh() && answers.check("b").is_fresh());
    assert!(matches!(answers.claim("b"), Claim::Duplicate { value: None, .. }), "it was marked without one");
    let kept = Arc::downgrade(given[0].as_ref().unwrap());
    drop(given);
    assert_eq!(kept.strong_count(), 1, "the cache's own");
    assert!(answers.forget("a"));
    assert_eq!(kept.strong_count(), 0);
}

#[test]
fn other_settings_hold_in_every_shard() {
    let ids = DedupCache::<u64>::builder(Duration::from_secs(600), OnFull::Refuse).capacity(1_000).build();
    assert!((0..100).all(|id| ids.check(&id).is_fresh()));
    ids.set_settings(Duration::from_secs(1_200), Duration::from_secs(9), OnFull::Refuse);
    assert!((0..100).all(|id| ids.seen(&id)));
    ids.set_settings(Duration::ZERO, Duration::ZERO, OnFull::ForgetOldest);
    assert!((0..100).all(|id| !ids.seen(&id)));
}

mod waiting {
    use core::cell::{Cell, RefCell};
    use std::rc::Rc;

    use steadfast_core::test_util::{Simulator, VirtualTimer};

    use super::*;

    fn orders(timer: &VirtualTimer) -> DedupCache<String, (), VirtualTimer> {
        let builder = DedupCache::<String>::builder(TTL, OnFull::Refuse).lease(Duration::from_secs(60));
        builder.clock(timer.clone()).build()
    }

    fn fresh<T, V>(claim: Claim<T, V>) -> T {
        match claim {
            Claim::Fresh(claim) => claim,
            _ => panic!("not fresh"),
        }
    }

    #[test]
    fn found_b10_whoever_waits_for_a_claim_hears_how_it_ended() {
        for (end, expected) in [("commit", 5), ("abort", 5), ("keep", 60), ("forget", 5), ("mark", 5)] {
            let timer = VirtualTimer::default();
            let orders = orders(&timer);
            let claim = fresh(orders.claim("7"));
            let answers = RefCell::new(Vec::new());
            let mut simulator = Simulator::with_timer(1, timer.clone());
            for _ in 0..2 {
                simulator.spawn(async {
                    let claim = orders.until_claimed("7").await;
                    answers.borrow_mut().push((timer.now(), matches!(claim, Claim::Fresh(_))));
                    if let Claim::Fresh(claim) = claim {
                        claim.commit().unwrap();
                    }
                });
            }
            simulator.spawn(async {
                timer.sleep_until(Instant::from_secs(5)).await;
                match end {
                    "commit" => claim.commit().unwrap(),
                    "abort" => drop(claim),
                    "keep" => claim.keep(),
                    "mark" => assert!(!orders.mark("7").is_fresh()),
                    _ => assert!(orders.forget("7")),
                }
            });
            simulator.run();
            drop(simulator);
            let at = Instant::from_secs(expected);
            let is_done = matches!(end, "commit" | "mark");
            assert_eq!(answers.into_inner(), [(at, !is_done), (at, false)], "{end}");
            assert!(orders.0.waiters.is_empty());
        }
    }

    /// At 5 s the lease of 60 s becomes one of 10 s: it ends at 10 s for who waits already, too.
    #[test]
    fn whoever_waits_for_a_claim_hears_of_a_shorter_lease() {
        let timer = VirtualTimer::default();
        let orders = orders(&timer);
        let _claim = fresh(orders.claim("7"));
        let claimed_at = Cell::new(None);
        let mut simulator = Simulator::with_timer(1, timer.clone());
        simulator.spawn(async {
            let _claim = fresh(orders.until_claimed("7").await);
            claimed_at.set(Some(timer.now()));
        });
        simulator.spawn(async {
            timer.sleep_until(Instant::from_secs(5)).await;
            orders.set_settings(TTL, Duration::from_secs(10), OnFull::Refuse);
        });
        simulator.run();
        drop(simulator);
        assert_eq!(claimed_at.get(), Some(Instant::from_secs(10)));
    }

    #[test]
    fn found_b10_those_who_wait_for_one_id_do_not_hear_of_another() {
        let timer = VirtualTimer::default();
        let orders = orders(&timer);
        let (seven, eight) = (fresh(orders.claim("7")), fresh(orders.claim("8")));
        let is_claimed = Rc::new(Cell::new(false));
        let mut simulator = Simulator::with_timer(1, timer.clone());
        simulator.spawn(async {
            let claim = fresh(orders.until_claimed("7").await);
            is_claimed.set(true);
            claim.commit().unwrap();
        });
        assert!(simulator.step());
        let before = orders.stats().in_flight;
        eight.commit().unwrap();
        assert!(!is_claimed.get() && orders.stats().in_flight == before);
        drop(seven);
        simulator.run();
        drop(simulator);
        assert!(is_claimed.get() && orders.seen("7"));
    }

    #[test]
    fn found_b10_whoever_is_dropped_while_waiting_claims_nothing() {
        for seed in 0..200 {
            let timer = VirtualTimer::default();
            let orders = orders(&timer);
            let mut simulator = Simulator::with_timer(seed, timer.clone());
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let (orders, timer) = (&orders, &timer);
                    simulator.spawn(async move {
                        let _claim = orders.until_claimed("7").await;
                        timer.sleep_until(timer.now().saturating_add(Duration::from_secs(1))).await;
                    })
                })
                .collect();
            simulator.run_dropping(&tasks);
            drop(simulator);
            let stats = orders.stats();
            assert_eq!((stats.pending, stats.claimed), (0, stats.aborted), "seed {seed}");
            assert!(orders.0.waiters.is_empty(), "seed {seed}");
        }
    }
}
