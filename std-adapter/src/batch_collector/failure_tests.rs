//! Panics of the user's code, and what failed for good.

use core::{
    future::{Future, ready},
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Waker},
};
use std::{panic::resume_unwind, task::Wake};

use super::*;

/// As a panic, without a word on standard error.
fn fail() -> ! {
    resume_unwind(Box::new("planted"))
}

/// Panics when it is dropped, whatever else is under way.
#[derive(Debug)]
struct Bomb(u32, Arc<AtomicU32>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        if self.0 == 0 {
            fail();
        }
    }
}

/// Where a flush panics.
#[derive(Clone, Copy, Debug)]
enum Where {
    Call,
    Poll,
    DropOfFuture,
    Into,
    Payload,
    Never,
}

struct Flush(Where, Option<Batch<Bomb>>);

struct Outcome(Where, Option<Batch<Bomb>>);

impl Future for Flush {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Outcome> {
        match self.0 {
            Where::Poll => fail(),
            Where::Payload => resume_unwind(Box::new(Bomb(0, Arc::default()))),
            Where::Call | Where::DropOfFuture | Where::Into | Where::Never => {}
        }
        Poll::Ready(Outcome(self.0, self.1.take()))
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        if matches!(self.0, Where::DropOfFuture) {
            fail();
        }
    }
}

impl From<Outcome> for Flushed<Bomb> {
    fn from(outcome: Outcome) -> Self {
        if matches!(outcome.0, Where::Into) {
            fail();
        }
        outcome.1.map_or(Self::Delivered, Self::Again)
    }
}

#[test]
fn found_e2_no_panic_of_the_users_code_ends_the_worker() {
    let places = [Where::Call, Where::Poll, Where::DropOfFuture, Where::Into, Where::Payload, Where::Never];
    for place in places {
        for (panicking_items, retries, letters) in [(0, 0, false), (3, 0, false), (2, 1, false), (3, 2, true)] {
            let (drops, handed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
            let mut builder = BatchCollector::builder(3, NEVER).retry(retries, Duration::ZERO);
            if letters {
                let handed = handed.clone();
                builder = builder.on_failed(move |batch: Batch<Bomb>| {
                    handed.fetch_add(u32::try_from(batch.len()).unwrap(), Ordering::Relaxed);
                    fail(); // with the items, of which each panics
                });
            }
            let mut place_now = place;
            let collector = builder.build(move |items: Batch<Bomb>| {
                let place = mem::replace(&mut place_now, Where::Never);
                if matches!(place, Where::Call) {
                    fail();
                }
                Flush(place, Some(items))
            });
            let collector = collector.unwrap();
            for batch in 0..3 {
                for item in 0..3 {
                    let id = if item < panicking_items { 0 } else { 1 };
                    assert!(collector.add_blocking(Bomb(id, drops.clone())).is_ok(), "{place:?}, batch {batch}");
                }
            }
            block_on(collector.stop());
            let stats = collector.stats();
            assert_conserved(stats);
            assert_eq!((stats.batches, stats.accepted, stats.failed), (3, 9, 9), "{place:?} {retries}: {stats:?}");
            assert_eq!(handed.load(Ordering::Relaxed), if letters { 9 } else { 0 }, "{place:?}");
            assert_eq!(drops.load(Ordering::Relaxed), 9, "each item is dropped once");
        }
    }
}

#[test]
fn found_e2_a_weight_that_panics_is_its_callers_matter() {
    let builder = BatchCollector::builder(3, NEVER).max_weight(3.try_into().unwrap(), |item: &u32| match item {
        0 => fail(),
        weight => *weight,
    });
    let collector = builder.build(|_: Batch<u32>| async {}).unwrap();
    collector.add_blocking(1).unwrap();
    let other = collector.clone();
    let _quiet = thread::spawn(move || other.add_blocking(0)).join().unwrap_err();
    collector.add_blocking(2).unwrap();
    block_on(collector.stop());
    assert_eq!((collector.stats().accepted, collector.stats().delivered), (2, 2));
}

struct PanicsWhenWoken(AtomicU32);

impl Wake for PanicsWhenWoken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
        fail();
    }
}

impl Drop for PanicsWhenWoken {
    fn drop(&mut self) {
        if !thread::panicking() {
            fail();
        }
    }
}

#[test]
fn found_e2_a_waker_that_panics_ends_nobody_else() {
    let (go, wait_for_go) = mpsc::channel::<()>();
    let collector = BatchCollector::builder(2, NEVER).build(move |_: Batch<u32>| {
        let _ = wait_for_go.recv();
        ready(())
    });
    let collector = collector.unwrap();
    for item in 0..4 {
        collector.add_blocking(item).unwrap();
    }
    let bad = Arc::new(PanicsWhenWoken(AtomicU32::new(0)));
    let waker = Waker::from(bad.clone());
    let mut cx = Context::from_waker(&waker);
    let mut adds = [4, 5].map(|item| Box::pin(collector.add(item)));
    let mut flush = Box::pin(collector.flush());
    block_on(async {
        adds.iter_mut().for_each(|add| assert!(add.as_mut().poll(&mut cx).is_pending()));
        assert!(flush.as_mut().poll(&mut cx).is_pending());
    });
    let waiting = collector.clone();
    let waiter = thread::spawn(move || waiting.add_blocking(6));
    while collector.stats().batches == 0 {
        thread::yield_now();
    }
    for _ in 0..8 {
        go.send(()).unwrap();
    }
    assert_eq!(waiter.join().unwrap(), Ok(()));
    assert!(bad.0.load(Ordering::SeqCst) >= 2);
    collector.add_blocking(7).unwrap();
    let mut stop = Box::pin(collector.stop());
    let _ = stop.as_mut().poll(&mut cx);
    block_on(collector.stop());
    let stats = collector.stats();
    assert_eq!((stats.accepted, stats.delivered, stats.failed), (6, 6, 0));
    assert_conserved(stats);
    // Whoever made it has to do with its drop: not here.
    mem::forget((adds, flush, stop, waker, bad));
}

#[test]
fn found_e4_an_empty_batch_that_is_given_back_has_all_arrived() {
    let collector = BatchCollector::builder(3, NEVER).retry(5, Duration::ZERO).build(|mut items: Batch<u32>| {
        items.clear();
        ready(Flushed::Again(items))
    });
    let collector = collector.unwrap();
    (0..3).for_each(|item| collector.add_blocking(item).unwrap());
    block_on(collector.stop());
    let stats = collector.stats();
    assert_eq!((stats.delivered, stats.failed, stats.retries), (3, 0, 0));
}

type Letters = Seen<(Vec<u32>, u32, FlushReason)>;

fn keep_letters(letters: &Letters) -> impl FnMut(Batch<u32>) + Send + 'static + use<> {
    let letters = letters.clone();
    move |batch| letters.lock().unwrap().push((batch.to_vec(), batch.attempt(), batch.reason()))
}

#[test]
fn what_failed_for_good_is_handed_over() {
    for kind in 0..4 {
        let letters = Letters::default();
        let builder = BatchCollector::builder(3, NEVER).retry(2, Duration::ZERO).on_failed(keep_letters(&letters));
        let collector = builder.build(move |mut items: Batch<u32>| async move {
            match kind {
                0 => {
                    items.retain(|item| *item != 1);
                    Flushed::Again(items)
                }
                // What was not taken out of its batch yet.
                1 => {
                    for item in items {
                        if item == 1 {
                            return Err::<(), _>("the sink is down").into();
                        }
                    }
                    Flushed::Delivered
                }
                2 => {
                    items.remove(0);
                    fail()
                }
                // Dropped on purpose, long before it fails.
                _ => {
                    drop(items);
                    SystemTimer.sleep_until(SystemTimer.now().saturating_add(Duration::from_millis(1))).await;
                    Flushed::Failed
                }
            }
        });
        let collector = collector.unwrap();
        (0..3).for_each(|item| collector.add_blocking(item).unwrap());
        block_on(collector.stop());
        let expected = match kind {
            0 => vec![(vec![0, 2], 3, FlushReason::Size)],
            1 => vec![(vec![2], 1, FlushReason::Size)],
            2 => vec![(vec![1, 2], 1, FlushReason::Size)],
            _ => vec![],
        };
        assert_eq!(*letters.lock().unwrap(), expected, "{kind}");
        let stats = collector.stats();
        assert_eq!((stats.delivered, stats.failed), if kind == 0 { (1, 2) } else { (0, 3) });
        assert_conserved(stats);
    }
}

#[cfg(feature = "tokio")]
#[test]
fn found_b9_what_is_destroyed_with_the_worker_has_failed_and_is_handed_over() {
    let letters = Letters::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let builder = BatchCollector::builder(2, NEVER).capacity(6).on_failed(keep_letters(&letters));
    let collector = {
        let _inside = runtime.enter();
        builder.build(|_: Batch<u32>| async {}).unwrap()
    };
    (0..5).for_each(|item| collector.try_add(item).unwrap());
    let mut flush = Box::pin(collector.flush());
    assert!(flush.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(runtime);
    let stats = collector.stats();
    assert_eq!((stats.accepted, stats.failed, stats.returned, stats.pending), (5, 5, 0, 0));
    let letters = mem::take(&mut *letters.lock().unwrap());
    assert_eq!(letters.iter().flat_map(|(items, ..)| items.clone()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    assert!(letters.iter().all(|(_, attempts, _)| *attempts == 0));
    assert_eq!(block_on(flush).failed, 5);
    assert_eq!(collector.try_add(9), Err(AddError::Stopped(9)));
}

#[test]
fn found_b9_a_size_without_memory_is_an_error() {
    for size in [usize::MAX, usize::MAX / 2, usize::MAX / 16, usize::MAX / 64] {
        let result = BatchCollector::builder(size, WAIT).build(|_: Batch<[u64; 8]>| async {});
        assert_eq!(result.map(drop).unwrap_err().kind(), std::io::ErrorKind::OutOfMemory);
    }
    // A capacity is memory that is taken when it is needed.
    let collector = BatchCollector::builder(2, WAIT).capacity(usize::MAX).build(|_: Batch<u64>| async {}).unwrap();
    (0..9).for_each(|item| collector.add_blocking(item).unwrap());
    block_on(collector.stop());
    assert_eq!(collector.stats().delivered, 9);
    let nothings = BatchCollector::builder(usize::MAX, WAIT).build(|_: Batch<()>| async {}).unwrap();
    nothings.add_blocking(()).unwrap();
    block_on(nothings.stop());
    assert_eq!(nothings.stats().delivered, 1);
}

/// Any flush that fails in any way, with stops and drops anywhere: every item that was accepted is accounted for once.
#[cfg(feature = "tokio")]
#[test]
fn whatever_happens_every_item_is_accounted_for_once() {
    use steadfast_core::{RetryPolicy, test_util::Simulator};

    for seed in 0..150 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut random = Simulator::new(seed);
        let mut dice = move |sides: u64| random.next_random() % sides;
        let (delivered, letters) = (Seen::<u32>::default(), Letters::default());
        let policy = RetryPolicy::exponential(Duration::from_millis(dice(100))).max_retries(dice(4) as u32);
        let policy = if dice(2) == 0 { policy } else { policy.attempt_timeout(Duration::from_millis(20)) };
        let size = 1 + dice(4) as usize;
        let builder = BatchCollector::builder(size, Duration::from_millis(dice(200)))
            .capacity(size * (1 + dice(3) as usize))
            .backoff(policy)
            .on_failed(keep_letters(&letters));
        let mut flush_dice = Simulator::new(!seed);
        let choices: Vec<_> = (0..500).map(|_| flush_dice.next_random()).collect();
        let (arrived, mut choices) = (delivered.clone(), choices.into_iter().cycle());
        let (mut accepted, mut returned) = (Vec::new(), Vec::new());
        let collector = runtime.block_on(async {
            let collector = builder.build(move |mut items: Batch<u32>| {
                let (choice, arrived) = (choices.next().unwrap(), arrived.clone());
                if choice % 16 == 0 {
                    fail();
                }
                async move {
                    if choice & 0x100 == 0 {
                        tokio::time::sleep(Duration::from_millis(choice >> 16 & 31)).await;
                    }
                    match choice >> 32 & 7 {
                        0 => fail(),
                        1 => Flushed::Failed,
                        2 | 3 => {
                            let keeps = (choice >> 40) as usize % items.len();
                            arrived.lock().unwrap().extend(items.drain(keeps..));
                            Flushed::Again(items)
                        }
                        4 => Flushed::Again(items),
                        _ => {
                            arrived.lock().unwrap().extend(items.drain(..));
                            Flushed::Delivered
                        }
                    }
                }
            });
            let collector = collector.unwrap();
            for item in 0..40 {
                let add = tokio::time::timeout(Duration::from_millis(dice(40)), collector.add(item));
                if let Ok(Ok(())) = add.await {
                    accepted.push(item);
                }
                if dice(8) == 0 {
                    collector.flush();
                }
                assert_conserved(collector.stats());
            }
            match dice(4) {
                0 => collector.stop().await,
                1 => {} // the runtime ends
                _ => returned = collector.stop_within(Duration::from_millis(dice(300))).await,
            }
            assert_conserved(collector.stats());
            if dice(2) == 0 {
                tokio::time::sleep(Duration::from_secs(60)).await;
                assert_eq!(collector.stats().in_flight, 0, "seed {seed}");
            }
            collector
        });
        drop(runtime);
        let stats = collector.stats();
        assert_conserved(stats);
        assert_eq!((stats.accepted, stats.pending, stats.in_flight), (accepted.len() as u64, 0, 0));
        assert_eq!(stats.returned, returned.len() as u64, "seed {seed}");
        let delivered = mem::take(&mut *delivered.lock().unwrap());
        let failed: Vec<_> = letters.lock().unwrap().iter().flat_map(|(items, ..)| items.clone()).collect();
        let mut all = [delivered.clone(), failed.clone(), returned].concat();
        all.sort_unstable();
        assert!(all.is_sorted_by(|one, other| one < other), "seed {seed}: one went two ways: {all:?}");
        accepted.retain(|item| all.binary_search(item).is_err());
        assert!(accepted.is_empty(), "seed {seed}: lost without a word: {accepted:?}");
    }
}
