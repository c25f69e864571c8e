use core::{
    future::{pending, ready},
    time::Duration,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
};

use super::*;
use crate::{correlator::BeginError, runtime::block_on};

const SECOND: Duration = Duration::from_secs(1);
const SENT: Result<(), ()> = Ok(());

/// Longer than any test takes: what waits for it would be noticed.
const HOURS: Duration = Duration::from_secs(100_000);

fn conserved(stats: CorrelatorStats) -> bool {
    stats.begun == stats.resolved + stats.timed_out + stats.cancelled + stats.closed + stats.pending
}

#[test]
fn clones_go_to_other_threads_and_so_do_futures() {
    fn is_send_sync<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn is_send<T: Send>(_: &T) {}
    let calls = Correlator::<u32, String>::new(4);
    is_send_sync(&calls);
    is_send(&calls.call(1, SECOND, |_| ready(SENT)));
    is_send(&calls.gather(vec![1, 2], 1, SECOND, |_, _| ready(SENT)));
    let keyed = KeyedCorrelator::<String, String>::new(4);
    is_send_sync(&keyed);
    is_send(&keyed.call("a".into(), SECOND, || ready(SENT)));
}

#[test]
fn ids_differ_between_correlators() {
    let ids = [(); 2].map(|()| Correlator::<u32, ()>::new(1).begin(1, SECOND).unwrap().id());
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn the_capacity_is_exact_and_at_least_one() {
    for (asked, given) in [(0, 1), (1, 1), (1_000, 1_000)] {
        let calls = Correlator::<u32, ()>::new(asked);
        assert_eq!(calls.capacity(), given);
        (0..given).for_each(|_| assert!(calls.begin(1, HOURS).is_ok()));
        assert_eq!(calls.begin(1, HOURS), Err(BeginError::Full));
    }
}

#[test]
fn threads_wait_without_a_runtime() {
    let calls = Correlator::<u32, u64>::new(8);
    let (wire, peer) = mpsc::channel();
    let receiver = calls.clone();
    let answering = thread::spawn(move || {
        for id in peer {
            assert!(receiver.resolve(id, 7, id.as_u64()).is_matched());
        }
    });
    let askers: Vec<_> = (0..4)
        .map(|_| {
            let (calls, wire) = (calls.clone(), wire.clone());
            thread::spawn(move || {
                for _ in 0..200 {
                    let mut asked = None;
                    let reply = block_on(calls.call(7, HOURS, |id| {
                        asked = Some(id.as_u64());
                        ready(wire.send(id))
                    }));
                    assert_eq!(reply.ok(), asked);
                }
            })
        })
        .collect();
    askers.into_iter().for_each(|asker| asker.join().unwrap());
    drop(wire);
    answering.join().unwrap();
    let stats = calls.stats();
    assert!(conserved(stats));
    assert_eq!((stats.begun, stats.resolved, stats.pending), (800, 800, 0));
    assert_eq!(calls.round_trips().unwrap().count, 800);
}

#[test]
fn a_silent_peer_times_a_thread_out() {
    let calls = Correlator::<u32, ()>::new(1);
    let reply = block_on(calls.call(1, Duration::from_millis(2), |_| ready(SENT)));
    assert_eq!((reply, calls.stats().timed_out), (Err(CallError::TimedOut), 1));
}

#[test]
fn seed_1_13_a_thousand_calls_with_four_racing_replies_each_match_once() {
    let calls = Correlator::<u32, usize>::new(1_000);
    let ids: Vec<_> = (0..1_000).map(|_| calls.begin(1, HOURS).unwrap().id()).collect();
    let matched = AtomicU32::new(0);
    thread::scope(|scope| {
        for racer in 0..4 {
            let (calls, ids, matched) = (&calls, &ids, &matched);
            scope.spawn(move || {
                for id in ids {
                    matched.fetch_add(u32::from(calls.resolve(*id, 1, racer).is_matched()), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(matched.into_inner(), 1_000);
    let stats = calls.stats();
    assert_eq!((stats.resolved, stats.duplicates), (1_000, 3_000));
    assert!(ids.iter().all(|id| calls.take(*id).is_some()));
}

#[test]
fn seed_defect_no_background_work_outlives_the_correlator() {
    let calls = Correlator::<u32, ()>::new(4);
    let _ = calls.begin(1, HOURS);
    let machine = Arc::downgrade(&calls.0);
    drop(calls);
    assert_eq!(machine.strong_count(), 0);
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_time_out_follows_the_paused_clock() {
        let calls = Correlator::<u32, ()>::new(2);
        let start = tokio::time::Instant::now();
        let reply = calls.call(1, SECOND * 3_600, |_| ready(SENT)).await;
        assert_eq!(reply, Err(CallError::TimedOut));
        let waited = start.elapsed();
        assert!(waited >= SECOND * 3_600 && waited < SECOND * 3_601, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn seed_1_15_a_slow_send_does_not_outlast_the_deadline() {
        let calls = Correlator::<u32, ()>::new(1);
        let start = tokio::time::Instant::now();
        let send = |_| async {
            tokio::time::sleep(SECOND * 25 / 10).await;
            Err("no route")
        };
        assert_eq!(calls.call(1, SECOND / 10, send).await, Err(CallError::TimedOut));
        assert!(start.elapsed() < SECOND);
        assert_eq!((calls.stats().timed_out, calls.stats().pending), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_outer_time_out_frees_the_slot() {
        let calls = Correlator::<u32, ()>::new(1);
        let reply = calls.call(1, HOURS, |_| pending::<Result<(), ()>>());
        assert!(tokio::time::timeout(SECOND, reply).await.is_err());
        assert_eq!((calls.stats().cancelled, calls.stats().pending), (1, 0));
        assert!(calls.begin(1, SECOND).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn gather_recovers_from_a_dead_and_a_lying_peer() {
        let calls = Correlator::<u32, &str>::new(8);
        let network = calls.clone();
        let ask = |peer, id| {
            let network = network.clone();
            async move {
                tokio::spawn(async move {
                    tokio::time::sleep(SECOND * peer).await;
                    match peer {
                        1 => {}
                        // Answers in the name of 3.
                        2 => assert!(!network.resolve(id, 3, "forged").is_matched()),
                        _ => assert!(network.resolve(id, peer, "mine").is_matched()),
                    }
                });
                SENT
            }
        };
        let answers = calls.gather([1, 2, 3, 4], 2, SECOND * 10, ask).await.unwrap();
        assert_eq!(answers, [(3, "mine"), (4, "mine")]);
        let none: Vec<(u32, &str)> = calls.gather([1, 2], 0, SECOND, |_, _| ready(SENT)).await.unwrap();
        assert!(none.is_empty());
        assert_eq!(calls.gather(0..9, 1, SECOND, |_, _| ready(SENT)).await, Err(CallError::Full));
        let stats = calls.stats();
        assert_eq!((stats.begun, stats.resolved, stats.wrong_peer, stats.cancelled), (12, 2, 1, 10));
        assert!(conserved(stats));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_tasks_on_many_threads_get_their_own_replies() {
        let calls = Correlator::<u32, u64>::new(64);
        let (wire, mut peer) = tokio::sync::mpsc::channel::<CallId>(64);
        let receiver = calls.clone();
        let answering = tokio::spawn(async move {
            while let Some(id) = peer.recv().await {
                let _ = receiver.resolve(id, 6, 0);
                let _ = receiver.resolve(id, 7, id.as_u64());
                let _ = receiver.resolve(id, 7, 0);
            }
        });
        let askers: Vec<_> = (0..32)
            .map(|_| {
                let (calls, wire) = (calls.clone(), wire.clone());
                tokio::spawn(async move {
                    for round in 0..50 {
                        let mut asked = None;
                        let reply = calls.call(7, HOURS, |id| {
                            asked = Some(id.as_u64());
                            wire.send(id)
                        });
                        if round % 10 == 9 {
                            // Given up sooner or later, at whatever await it stands.
                            let _ = tokio::time::timeout(Duration::from_micros(round), reply).await;
                        } else {
                            assert_eq!(reply.await.ok(), asked);
                        }
                    }
                })
            })
            .collect();
        for asker in askers {
            asker.await.unwrap();
        }
        drop(wire);
        answering.await.unwrap();
        let stats = calls.stats();
        assert!(conserved(stats) && stats.pending == 0, "{stats:?}");
        assert!(stats.resolved >= 32 * 45);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn close_ends_every_waiter_on_every_thread() {
        let calls = Correlator::<u32, ()>::new(100);
        let keyed = KeyedCorrelator::<u32, ()>::new(100);
        let waiters: Vec<_> = (0..100)
            .map(|number| {
                let (calls, keyed) = (calls.clone(), keyed.clone());
                tokio::spawn(async move {
                    if number % 2 == 0 {
                        calls.call(number, HOURS, |_| ready(SENT)).await
                    } else {
                        keyed.call(number, HOURS, || ready(SENT)).await
                    }
                })
            })
            .collect();
        while calls.stats().pending + keyed.stats().pending < 100 {
            tokio::task::yield_now().await;
        }
        calls.close();
        keyed.close();
        for waiter in waiters {
            assert_eq!(waiter.await.unwrap(), Err(CallError::Closed));
        }
        assert_eq!((calls.stats().closed, keyed.stats().closed), (50, 50));
        assert_eq!(
            (calls.begin(1, SECOND), keyed.begin(1, SECOND).map(drop)),
            (Err(BeginError::Closed), Err(BeginError::Closed))
        );
        calls.reopen();
        keyed.reopen();
        assert!(calls.begin(1, SECOND).is_ok() && keyed.begin(1, SECOND).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_nobody_waits_for_are_driven_by_hand() {
        let calls = Correlator::<u32, u32>::new(4);
        let keyed = KeyedCorrelator::<String, u32>::new(4);
        let (answered, silent, gone) =
            (calls.begin(1, SECOND).unwrap(), calls.begin(2, SECOND).unwrap(), calls.begin(3, SECOND).unwrap());
        for id in ["answered", "silent", "gone"] {
            assert!(keyed.begin(id.into(), SECOND).is_ok());
        }
        assert_eq!(calls.resolve_at(answered.id(), 1, 7, answered.expires_at()), Resolution::Late(7));
        assert_eq!(keyed.resolve_at("answered", 7, answered.expires_at()), Resolution::Late(7));
        assert!(calls.resolve(answered.id(), 1, 7).is_matched() && keyed.resolve("answered", 7).is_matched());
        assert_eq!((calls.take(answered.id()), keyed.take("answered")), (Some(7), Some(7)));
        assert!(calls.cancel(gone.id()) && keyed.cancel("gone"));
        assert!(calls.on_timeout().is_none() && keyed.on_timeout().is_none());
        let due = calls.next_deadline().unwrap();
        assert_eq!((Some(due), due), (keyed.next_deadline(), silent.expires_at()));
        tokio::time::sleep(SECOND).await;
        assert!(calls.now() >= due && keyed.now() >= due);
        assert_eq!(calls.on_timeout(), Some(Expired { id: silent.id(), peer: 2 }));
        assert_eq!(keyed.on_timeout().as_deref(), Some("silent"));
        assert_eq!((calls.round_trips().unwrap().count, keyed.round_trips().unwrap().count), (1, 1));
        assert_eq!(keyed.capacity(), 4);
        assert!(conserved(calls.stats()) && conserved(keyed.stats()));
    }
}

#[test]
fn seed_1_6_a_retry_with_the_same_id_is_refused_and_the_first_is_served() {
    let calls = KeyedCorrelator::<String, u32>::new(4);
    let reply = block_on(calls.call("A4dC".into(), HOURS, || {
        let again = block_on(calls.call("A4dC".into(), HOURS, pending::<Result<(), ()>>));
        assert_eq!(again, Err(CallError::Duplicate));
        assert!(calls.resolve("A4dC", 7).is_matched());
        ready(SENT)
    }));
    assert_eq!(reply, Ok(7));
    assert!(format!("{calls:?} {:?}", Correlator::<u32, u32>::new(1)).contains("KeyedCorrelator"));
}
