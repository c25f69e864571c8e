use core::{
    future::{poll_fn, ready},
    pin::pin,
    sync::atomic::AtomicUsize,
    task::Waker,
    time::Duration,
};
use std::{sync::Arc, task::Wake};

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use super::*;
use crate::{
    Correlator, KeyedCorrelator,
    correlator::{CallError, CallId},
    runtime::block_on,
};

const SECOND: Duration = Duration::from_secs(1);

type Calls = Correlator<u32, u64, SweptTimer>;

fn calls(capacity: usize) -> Calls {
    Correlator::builder(capacity).build_swept()
}

fn sent(_: CallId) -> core::future::Ready<Result<(), ()>> {
    ready(Ok(()))
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Polls it once, as whoever looks at it now and then does.
fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn every_call_times_out_when_it_is_due() {
    for capacity in [1, 32, 33, 1_000] {
        let calls = calls(capacity);
        let start = SystemTimer.now();
        let mut all = JoinSet::new();
        for index in 0..capacity as u64 {
            // In no order, some at one time.
            let timeout = SECOND * (1 + (index.wrapping_mul(7_919) % 100) as u32);
            let calls = calls.clone();
            all.spawn(async move {
                assert_eq!(calls.call(1, timeout, sent).await, Err(CallError::TimedOut));
                (timeout, SystemTimer.now().saturating_duration_since(start))
            });
        }
        for (timeout, took) in all.join_all().await {
            assert!(took >= timeout && took < timeout + Duration::from_millis(5), "{took:?} for {timeout:?}");
        }
        assert_eq!((calls.len(), calls.stats().timed_out), (0, capacity as u64));
    }
}

#[tokio::test(start_paused = true)]
async fn an_earlier_deadline_that_comes_later_is_kept() {
    let calls = calls(8);
    let (start, mut long) = (SystemTimer.now(), pin!(calls.call(1, SECOND * 3_600, sent)));
    assert!(poll_once(long.as_mut()).is_pending());
    tokio::time::sleep(SECOND).await; // the task sleeps for an hour
    assert_eq!(calls.call(1, SECOND, sent).await, Err(CallError::TimedOut));
    assert!(SystemTimer.now().saturating_duration_since(start) < SECOND * 3);
    assert_eq!(long.await, Err(CallError::TimedOut));
    assert!(SystemTimer.now().saturating_duration_since(start) >= SECOND * 3_600);
}

#[tokio::test(start_paused = true)]
async fn replies_come_as_ever_and_a_keyed_call_times_out_too() {
    let keyed: KeyedCorrelator<String, u64, SweptTimer> = KeyedCorrelator::builder(4).build_swept();
    let answer = keyed.call("a".to_owned(), SECOND, || {
        assert!(keyed.resolve("a", 7).is_matched());
        ready(Ok::<_, ()>(()))
    });
    assert_eq!(answer.await, Ok(7));
    let silent = keyed.call("b".to_owned(), SECOND, || ready(Ok::<_, ()>(())));
    assert_eq!(silent.await, Err(CallError::TimedOut));
    assert_eq!((keyed.stats().resolved, keyed.stats().timed_out), (1, 1));
}

/// What nobody waits for is its owner's to time out, however often the task looks.
#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_waits_for_is_left_to_its_owner() {
    for capacity in [4, 64] {
        let calls = calls(capacity);
        let begun = calls.begin(7, SECOND).unwrap();
        for _ in 0..3 {
            assert_eq!(calls.call(1, SECOND * 2, sent).await, Err(CallError::TimedOut));
        }
        assert_eq!(calls.on_timeout().map(|expired| expired.id), Some(begun.id()));
        assert_eq!(calls.on_timeout(), None);
    }
}

/// Another runtime than that of the task, and none at all, see to their own sleeps.
#[test]
fn a_call_in_another_runtime_or_in_none_times_out_while_that_of_the_task_stands_still() {
    let calls = calls(8);
    let first = runtime();
    let mut held = Box::pin(calls.call(1, SECOND * 60, sent));
    first.block_on(async { assert!(poll_once(held.as_mut()).is_pending()) });
    assert_eq!(runtime().block_on(calls.call(1, SECOND, sent)), Err(CallError::TimedOut));
    assert_eq!(block_on(calls.call(1, Duration::from_millis(3), sent)), Err(CallError::TimedOut));
    // Moved from the runtime whose task watched over it.
    assert_eq!(runtime().block_on(held), Err(CallError::TimedOut));
}

#[test]
fn the_task_ends_with_its_runtime_and_begins_anew_in_the_next() {
    let calls = calls(8);
    for _ in 0..3 {
        let runtime = runtime();
        let waiting = calls.clone();
        runtime.spawn(async move { waiting.call(1, SECOND * 3_600, sent).await });
        runtime.block_on(async {
            assert_eq!(calls.call(1, SECOND, sent).await, Err(CallError::TimedOut));
            assert_eq!(calls.len(), 1);
        });
        drop(runtime);
        assert_eq!((calls.len(), calls.timer().0.owner.load(SeqCst)), (0, NOBODY));
    }
}

#[tokio::test(start_paused = true)]
async fn the_task_keeps_no_correlator_and_ends_with_it() {
    let calls = calls(8);
    let mut call = Box::pin(calls.call(1, SECOND * 3_600, sent));
    assert!(poll_once(call.as_mut()).is_pending());
    tokio::task::yield_now().await;
    let sweep = calls.timer().0.clone();
    drop(call);
    drop(calls);
    while sweep.owner.load(SeqCst) != NOBODY {
        tokio::task::yield_now().await;
    }
    assert_eq!(Arc::strong_count(&sweep), 1);
}

struct Panicking(AtomicUsize);

impl Wake for Panicking {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
        panic!("a waker of the user's");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waker_that_panics_ends_no_other_call_and_not_the_task() {
    let calls = calls(8);
    let woken = Arc::new(Panicking(AtomicUsize::new(0)));
    let mut bad = Box::pin(calls.call(1, SECOND, sent));
    assert!(bad.as_mut().poll(&mut Context::from_waker(&Waker::from(woken.clone()))).is_pending());
    for _ in 0..2 {
        assert_eq!(calls.call(1, SECOND, sent).await, Err(CallError::TimedOut));
    }
    assert_eq!(woken.0.load(SeqCst), 1);
    assert_eq!(poll_once(bad.as_mut()), Poll::Ready(Err(CallError::TimedOut)));
}

/// A future that nobody polls delays no other.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_held_and_not_polled_delays_no_other() {
    let calls = calls(64);
    let start = SystemTimer.now();
    let mut held: Vec<_> = (0..40).map(|_| Box::pin(calls.call(1, SECOND, sent))).collect();
    held.iter_mut().for_each(|call| assert!(poll_once(call.as_mut()).is_pending()));
    assert_eq!(calls.call(1, SECOND * 2, sent).await, Err(CallError::TimedOut));
    assert!(SystemTimer.now().saturating_duration_since(start) < SECOND * 3);
    for call in &mut held {
        assert_eq!(poll_once(call.as_mut()), Poll::Ready(Err(CallError::TimedOut)));
    }
}

/// Threads that call and answer while others time out: each call ends, and once.
#[test]
fn calls_of_many_threads_all_end() {
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_time().build().unwrap();
    let calls = calls(256);
    let outcomes = runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for index in 0..2_000_u64 {
            let calls = calls.clone();
            tasks.spawn(async move {
                let (answers, answer) = (index % 3 == 0, calls.clone());
                let timeout = if answers { SECOND * 3_600 } else { Duration::from_micros(500 + index % 7 * 300) };
                let call = calls.call(1, timeout, move |id| {
                    poll_fn(move |_| {
                        if answers {
                            let _ = answer.resolve(id, 1, index);
                        }
                        Poll::Ready(Ok::<_, ()>(()))
                    })
                });
                call.await
            });
        }
        tasks.join_all().await
    });
    let stats = calls.stats();
    assert_eq!(outcomes.len(), 2_000);
    assert_eq!(stats.begun + stats.refused, 2_000);
    assert_eq!((stats.pending, stats.begun), (0, stats.resolved + stats.timed_out));
    let answered = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    assert_eq!(answered, stats.resolved);
}
