//! A request is sent and its reply matched, with a limit of time.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::ready,
    hash::Hash,
    hint::black_box,
    sync::{Arc, Mutex},
    time::Duration,
};

use ahash::RandomState;
use slab::Slab;
use steadfast::{
    Correlator, KeyedCorrelator,
    correlator::{CallId, SweptTimer},
    runtime::{Clock, SystemTimer, Timer},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};

use super::{Plan, limiter::AHASH};
use crate::{
    run::{Goal::Faster, Row},
    slice::{Work, on_runtime, repeat, repeat_async},
    work::{Given, mix, text},
};

const LIMIT: Duration = Duration::from_secs(30);
const PEER: u32 = 1;
const REPLY: u64 = 7;
/// How many calls wait at once where many do.
const AT_ONCE: u64 = 64;

pub(super) fn rows() -> Vec<Plan> {
    vec![
        Plan::new("correlator, one task, own clocks", || {
            Row::new(ours(swept()))
                .peer("hash map, oneshot, timeout", Faster(2.2), by_hand())
                .hashing(AHASH)
                .peer("ours, a sleep a call", None, ours(Correlator::new(1_024)))
                .floor("slab, one lock", None, slab())
                .floor("oneshot", None, repeat_async(async || one_shot().await))
                .floor("three locks, two clocks", None, locks_and_clocks())
        }),
        Plan::new("correlator, one task, text ids, own clocks", || {
            Row::new(ours_text()).peer("hash map, oneshot, timeout", Faster(2.2), by_hand_text()).hashing(AHASH).floor(
                "three locks, two clocks",
                None,
                locks_and_clocks(),
            )
        }),
        Plan::new("correlator, nobody waits, `now` given", || {
            Row::new(ours_given()).floor("slab, one lock", None, slab())
        }),
        Plan::new("correlator, 64 at once, responder task, own clocks", || {
            Row::new(ours_at_once(swept()))
                .peer("hash map, oneshot, timeout", Faster(2.0), by_hand_at_once())
                .hashing(AHASH)
                .peer("ours, a sleep a call", None, ours_at_once(Correlator::new(1_024)))
                .floor("oneshot in the message", None, one_shot_at_once(async |waiting| waiting.await.ok()))
                .floor("oneshot in the message, timeout", None, one_shot_at_once(in_time))
                .step(AT_ONCE)
        }),
    ]
}

/// One timer for all calls.
fn swept() -> Correlator<u32, u64, SweptTimer> {
    Correlator::builder(1_024).build_swept()
}

fn ours(calls: Correlator<u32, u64, impl Timer + 'static>) -> Work {
    repeat_async(async move || {
        let send = |id| {
            assert!(calls.resolve(id, PEER, REPLY).is_matched());
            ready(Ok::<_, Infallible>(()))
        };
        assert_eq!(calls.call(PEER, LIMIT, send).await, Ok(REPLY));
    })
}

/// The ids are long enough to be random, and made before.
fn ids() -> Vec<String> {
    (0..1_024).map(|i| text(mix(i))).collect()
}

fn ours_text() -> Work {
    let (calls, ids) = (KeyedCorrelator::<String, u64, _>::builder(1_024).build_swept(), ids());
    on_runtime(async move |n| {
        for id in ids.iter().cycle().take(n as usize) {
            let send = || {
                assert!(calls.resolve(id.as_str(), REPLY).is_matched());
                ready(Ok::<_, Infallible>(()))
            };
            assert_eq!(calls.call(id.clone(), LIMIT, send).await, Ok(REPLY));
        }
    })
}

fn ours_given() -> Work {
    let calls: Correlator<u32, u64, Given> = Correlator::builder(1_024).timer(Given).build();
    repeat(move || {
        let call = calls.begin(PEER, LIMIT).expect("there is room");
        assert!(calls.resolve_at(call.id(), PEER, REPLY, Given::NOW).is_matched());
        assert_eq!(calls.take(call.id()), Some(REPLY));
    })
}

/// What one writes without a library; it bounds nothing, and any peer can answer.
struct ByHand<Id>(Mutex<HashMap<Id, oneshot::Sender<u64>, RandomState>>);

impl<Id: Eq + Hash> ByHand<Id> {
    fn new() -> Self {
        Self(Mutex::new(HashMap::with_capacity_and_hasher(1_024, RandomState::new())))
    }

    async fn call(&self, id: Id, send: impl FnOnce()) -> Option<u64> {
        let (reply, wait) = oneshot::channel();
        self.0.lock().unwrap().insert(id, reply);
        send();
        timeout(LIMIT, wait).await.ok()?.ok() // the entry of a call that times out is left behind
    }

    fn resolve<Q: Eq + Hash + ?Sized>(&self, id: &Q, reply: u64) -> bool
    where
        Id: std::borrow::Borrow<Q>,
    {
        let waiting = self.0.lock().unwrap().remove(id);
        waiting.is_some_and(|waiting| waiting.send(reply).is_ok())
    }
}

fn by_hand() -> Work {
    let calls = ByHand::new();
    on_runtime(async move |n| {
        for id in 0..n {
            let reply = calls.call(id, || assert!(calls.resolve(&id, REPLY))).await;
            assert_eq!(reply, Some(REPLY));
        }
    })
}

fn by_hand_text() -> Work {
    let (calls, ids) = (ByHand::new(), ids());
    on_runtime(async move |n| {
        for id in ids.iter().cycle().take(n as usize) {
            let reply = calls.call(id.clone(), || assert!(calls.resolve(id.as_str(), REPLY))).await;
            assert_eq!(reply, Some(REPLY));
        }
    })
}

/// The least for a match: a place, and its number.
fn slab() -> Work {
    let slab = Mutex::new(Slab::with_capacity(1_024));
    repeat(move || {
        let id = slab.lock().unwrap().insert(black_box(REPLY));
        assert_eq!(slab.lock().unwrap().remove(black_box(id)), REPLY);
    })
}

/// The least for a call that a task waits for: it begins, it is answered, and the task takes the answer; how long that took,
/// and whether it was in time, two readings tell.
fn locks_and_clocks() -> Work {
    let calls = Mutex::new(0);
    repeat(move || {
        *calls.lock().unwrap() = SystemTimer.now().as_nanos();
        let now = SystemTimer.now().as_nanos();
        *calls.lock().unwrap() += now;
        assert!(*calls.lock().unwrap() > 0);
    })
}

/// The least that tokio takes to hand over a reply.
async fn one_shot() {
    let (reply, wait) = oneshot::channel();
    assert!(reply.send(black_box(REPLY)).is_ok());
    assert_eq!(wait.await, Ok(REPLY));
}

fn ours_at_once(calls: Correlator<u32, u64, impl Timer<Sleep: Send> + Send + Sync + 'static>) -> Work {
    on_runtime(async move |n| {
        let calls = calls.clone();
        let (wire, mut requests) = mpsc::unbounded_channel::<CallId>();
        let receiver = calls.clone();
        let responder = tokio::spawn(async move {
            while let Some(id) = requests.recv().await {
                assert!(receiver.resolve(id, PEER, REPLY).is_matched());
            }
        });
        let task = move || async move {
            for _ in 0..n / AT_ONCE {
                let reply = calls.call(PEER, LIMIT, |id| ready(wire.send(id))).await;
                assert_eq!(reply.ok(), Some(REPLY));
            }
        };
        at_once(task).await;
        responder.await.unwrap();
    })
}

fn by_hand_at_once() -> Work {
    on_runtime(async |n| {
        let calls = Arc::new(ByHand::new());
        let (wire, mut requests) = mpsc::unbounded_channel::<u64>();
        let receiver = calls.clone();
        let responder = tokio::spawn(async move {
            while let Some(id) = requests.recv().await {
                assert!(receiver.resolve(&id, REPLY));
            }
        });
        let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let task = move || async move {
            for _ in 0..n / AT_ONCE {
                let id = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let reply = calls.call(id, || wire.send(id).unwrap()).await;
                assert_eq!(reply, Some(REPLY));
            }
        };
        at_once(task).await;
        responder.await.unwrap();
    })
}

/// No ids: the message carries who waits, which no network can.
fn one_shot_at_once<W>(wait: impl Fn(oneshot::Receiver<u64>) -> W + Copy + Send + 'static) -> Work
where
    W: Future<Output = Option<u64>> + Send,
{
    on_runtime(async move |n| {
        let (wire, mut requests) = mpsc::unbounded_channel::<oneshot::Sender<u64>>();
        let responder = tokio::spawn(async move {
            while let Some(waiting) = requests.recv().await {
                assert!(waiting.send(REPLY).is_ok());
            }
        });
        let task = move || async move {
            for _ in 0..n / AT_ONCE {
                let (reply, waiting) = oneshot::channel();
                wire.send(reply).unwrap();
                assert_eq!(wait(waiting).await, Some(REPLY));
            }
        };
        at_once(task).await;
        responder.await.unwrap();
    })
}

/// What a limit of time adds.
async fn in_time(waiting: oneshot::Receiver<u64>) -> Option<u64> {
    timeout(LIMIT, waiting).await.ok()?.ok()
}

/// So many tasks that each have a clone of the work.
async fn at_once<F: Future<Output = ()> + Send + 'static>(task: impl FnOnce() -> F + Clone) {
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        tasks.spawn(task.clone()());
    }
    drop(task); // its channel closes with the last of them
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}
