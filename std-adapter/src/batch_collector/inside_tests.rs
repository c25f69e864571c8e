//! Nothing waits for itself, however it is polled, and no worker keeps a runtime.

#[cfg(feature = "tokio")]
use core::future::ready;
use core::{
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Waker},
};
use std::{sync::OnceLock, task::Wake};

use super::*;

/// Fails, rather than hangs, if `f` does not end.
fn ends(f: impl FnOnce() + Send + 'static) {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        f();
        done.send(()).unwrap();
    });
    wait.recv_timeout(Duration::from_secs(60)).expect("it waits for ever, or failed");
}

/// Runs it in a runtime of one thread, in one of two, and without one, where the worker is a thread.
fn everywhere<F: Future + 'static>(f: fn() -> F) {
    ends(move || _ = block_on(f()));
    #[cfg(feature = "tokio")]
    for threads in [None, Some(2)] {
        ends(move || {
            let mut builder = match threads {
                None => tokio::runtime::Builder::new_current_thread(),
                Some(_) => tokio::runtime::Builder::new_multi_thread(),
            };
            if let Some(threads) = threads {
                builder.worker_threads(threads);
            }
            let runtime = builder.enable_time().build().unwrap();
            runtime.block_on(async { _ = f().await });
        });
    }
}

/// Polls each part with a waker of its own.
struct Each<F>(Vec<(Pin<Box<F>>, Arc<Part>)>);

struct Part(AtomicBool, Mutex<Option<Waker>>);

impl Wake for Part {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
        self.1.lock().unwrap().take().into_iter().for_each(Waker::wake);
    }
}

fn each<F: Future>(futures: impl IntoIterator<Item = F>) -> Each<F> {
    let part = || Arc::new(Part(AtomicBool::new(true), Mutex::default()));
    Each(futures.into_iter().map(|future| (Box::pin(future), part())).collect())
}

impl<F: Future> Future for Each<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.retain_mut(|(future, part)| {
            *part.1.lock().unwrap() = Some(cx.waker().clone());
            if !part.0.swap(false, Ordering::SeqCst) {
                return true;
            }
            future.as_mut().poll(&mut Context::from_waker(&Waker::from(part.clone()))).is_pending()
        });
        if self.0.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The collector, as its own flush knows it.
type Own<T> = Arc<OnceLock<WeakBatchCollector<T>>>;

fn own<T>(own: &Own<T>) -> BatchCollector<T> {
    own.wait().upgrade().unwrap()
}

/// A collector of threes whose flush does this once, with the collector in its hands.
fn once<F: Future<Output = ()> + Send + 'static>(
    inside: impl FnOnce(BatchCollector<u32>) -> F + Send + 'static,
) -> BatchCollector<u32> {
    let known = Own::default();
    let (me, mut inside) = (known.clone(), Some(inside));
    let collector = BatchCollector::builder(3, NEVER).build(move |items: Batch<u32>| {
        let flushing = inside.take().map(|inside| inside(own(&me)));
        async move {
            if let Some(flushing) = flushing {
                flushing.await;
            }
            drop(items);
        }
    });
    let collector = collector.unwrap();
    known.set(collector.downgrade()).unwrap();
    collector
}

/// Fills a batch, waits until it was flushed with all that it brought about, and checks the sums.
async fn flush_once(collector: BatchCollector<u32>) -> BatchQueueStats {
    for item in 0..3 {
        collector.add(item).await.unwrap();
    }
    while collector.stats().batches == 0 || collector.stats().in_flight > 0 {
        SystemTimer.sleep_until(SystemTimer.now().saturating_add(Duration::from_millis(1))).await;
    }
    collector.stop().await;
    assert_conserved(collector.stats());
    collector.stats()
}

fn full(errors: &[Result<(), AddError<u32>>]) -> usize {
    errors.iter().filter(|result| matches!(result, Err(AddError::Full(_)))).count()
}

#[test]
fn found_b1_a_set_of_adds_inside_the_flush() {
    everywhere(|| async {
        for adds in [1, 3, 4, 30, 31, 32, 200] {
            let results = Seen::default();
            let seen = results.clone();
            let collector = once(move |own| async move {
                let seen = &seen;
                let own = &own;
                each((0..adds).map(|item| async move {
                    let result = own.add(item).await;
                    seen.lock().unwrap().push(result);
                }))
                .await;
            });
            assert_eq!(flush_once(collector).await.delivered, 3 + u64::from(adds.min(3)));
            let results = results.lock().unwrap();
            assert_eq!((results.len(), full(&results)), (adds as usize, adds.saturating_sub(3) as usize));
        }
    });
}

#[test]
fn found_b1_blocking_adds_inside_the_flush_and_before_its_future() {
    everywhere(|| async {
        let collector = once(|own| {
            // In the call of the closure.
            let before: Vec<_> = (0..5).map(|item| own.add_blocking(item)).collect();
            assert_eq!(full(&before), 2);
            async move {
                let inside: Vec<_> = (0..5).map(|item| own.add_blocking(item)).collect();
                assert_eq!(full(&inside), 5);
                block_on(each([async { assert_eq!(own.add(9).await, Err(AddError::Full(9))) }]));
            }
        });
        let stats = flush_once(collector).await;
        assert_eq!((stats.delivered, stats.failed), (6, 0));
    });
}

#[test]
fn found_b1_stop_and_flush_inside_the_flush_under_any_waker() {
    everywhere(|| async {
        let collector = once(|own| async move {
            let own = &own;
            own.try_add(7).unwrap();
            each((0..40).map(|_| async move { assert_eq!(own.flush().await, FlushReport::default()) })).await;
            assert!(block_on(own.flush()).is_delivered());
            assert!(block_on(own.stop_within(Duration::from_secs(3_600))).is_empty());
            each((0..40).map(|_| own.stop())).await;
            block_on(own.stop());
            assert_eq!(own.add_blocking(8), Err(AddError::Stopped(8)));
        });
        assert_eq!(flush_once(collector).await.delivered, 4);
    });
}

/// The items, the future of the flush and the dead letters add when they are dropped or handed over.
#[test]
fn found_b1_what_drops_and_dead_letters_add() {
    struct Adds(Own<Self>, Arc<Mutex<u32>>);
    impl Drop for Adds {
        fn drop(&mut self) {
            let mut left = self.1.lock().unwrap();
            let Some(next) = left.checked_sub(1) else { return };
            *left = next;
            drop(left);
            if let Some(own) = self.0.get().and_then(WeakBatchCollector::upgrade) {
                for _ in 0..3 {
                    let added = own.add_blocking(Self(self.0.clone(), self.1.clone()));
                    drop(added); // the item, too, if it did not go in
                }
            }
        }
    }
    everywhere(|| async {
        for fails in [false, true] {
            for has_letters in [false, true] {
                let known = Own::default();
                let mut builder = BatchCollector::builder(2, Duration::ZERO);
                if has_letters {
                    builder = builder.on_failed(|letters: Batch<Adds>| drop(letters));
                }
                let collector = builder.build(move |items: Batch<Adds>| {
                    let fails = fails.then_some(());
                    async move {
                        drop(items.into_vec());
                        if fails.is_some() { Err(()) } else { Ok(()) }
                    }
                });
                let collector = collector.unwrap();
                known.set(collector.downgrade()).unwrap();
                let left = Arc::new(Mutex::new(50));
                collector.add(Adds(known.clone(), left.clone())).await.ok().unwrap();
                while *left.lock().unwrap() > 0 {
                    SystemTimer.sleep_until(SystemTimer.now().saturating_add(Duration::from_millis(1))).await;
                }
                collector.stop().await;
                assert_conserved(collector.stats());
            }
        }
    });
}

/// A task, or a thread, is not inside: it is refused once the flush has stalled.
#[cfg(feature = "tokio")]
#[test]
fn found_b1_a_spawned_task_that_the_flush_awaits() {
    for is_thread in [false, true] {
        for flavor in 0..2 {
            ends(move || {
                let mut builder = match flavor {
                    0 => tokio::runtime::Builder::new_current_thread(),
                    _ => tokio::runtime::Builder::new_multi_thread(),
                };
                let runtime = builder.enable_time().build().unwrap();
                runtime.block_on(async move {
                    let known = Own::default();
                    let (me, (sender, mut results)) = (known.clone(), tokio::sync::mpsc::unbounded_channel());
                    let builder = BatchCollector::builder(3, NEVER).stall_timeout(Duration::from_millis(50));
                    let collector = builder.build(move |items: Batch<u32>| {
                        let (own, sender) = (own(&me), sender.clone());
                        async move {
                            let adds: Vec<_> = (3..8)
                                .filter(|_| items.contains(&0))
                                .map(|item| {
                                    let own = own.clone();
                                    if is_thread {
                                        tokio::task::spawn_blocking(move || own.add_blocking(item))
                                    } else {
                                        tokio::spawn(async move { own.add(item).await })
                                    }
                                })
                                .collect();
                            for add in adds {
                                sender.send(add.await.unwrap()).unwrap();
                            }
                        }
                    });
                    let collector = collector.unwrap();
                    known.set(collector.downgrade()).unwrap();
                    for item in 0..3 {
                        collector.add(item).await.unwrap();
                    }
                    let mut seen = Vec::new();
                    while seen.len() < 5 {
                        seen.push(results.recv().await.unwrap());
                    }
                    assert_eq!(full(&seen), 2);
                    collector.stop().await;
                    assert_eq!(collector.stats().delivered, 6);
                });
            });
        }
    }
}

/// A thread that the flush joins, which stops the worker's timer too.
#[test]
fn found_b1_a_thread_that_the_flush_joins() {
    ends(|| {
        let known = Own::default();
        let me = known.clone();
        let builder = BatchCollector::builder(1, NEVER).stall_timeout(Duration::from_millis(50));
        let collector = builder.build(move |items: Batch<u32>| {
            if items[0] == 0 {
                let own = own(&me);
                let thread = thread::spawn(move || [1, 2].map(|item| own.add_blocking(item)));
                assert_eq!(full(&thread.join().unwrap()), 1);
            }
            async {}
        });
        let collector = collector.unwrap();
        known.set(collector.downgrade()).unwrap();
        collector.add_blocking(0).unwrap();
        block_on(collector.flush());
        block_on(collector.stop());
        assert_eq!(collector.stats().delivered, 2);
    });
}

/// The runtime ends in the middle of a flush whose future adds when it is dropped.
#[cfg(feature = "tokio")]
#[test]
fn found_b1_what_a_flush_adds_that_is_dropped_with_its_runtime() {
    struct AddsWhenDropped(BatchCollector<u32>);
    impl Drop for AddsWhenDropped {
        fn drop(&mut self) {
            (10..15).for_each(|item| _ = self.0.add_blocking(item));
            block_on(self.0.stop());
            block_on(self.0.flush());
        }
    }
    ends(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let (collector, letters) = runtime.block_on(async {
            let (known, letters) = (Own::default(), Seen::<u32>::default());
            let (me, dead) = (known.clone(), letters.clone());
            let builder = BatchCollector::builder(3, NEVER).on_failed(move |batch: Batch<u32>| {
                dead.lock().unwrap().extend(batch.iter());
            });
            let collector = builder.build(move |items: Batch<u32>| {
                let adds = AddsWhenDropped(own(&me));
                async move {
                    let _held = (adds, items);
                    core::future::pending::<()>().await;
                }
            });
            let collector = collector.unwrap();
            known.set(collector.downgrade()).unwrap();
            for item in 0..4 {
                collector.add(item).await.unwrap();
            }
            while collector.stats().in_flight == 0 {
                tokio::task::yield_now().await;
            }
            (collector, letters)
        });
        drop(runtime);
        let stats = collector.stats();
        assert_conserved(stats);
        assert_eq!((stats.failed, stats.delivered, stats.returned), (stats.accepted, 0, 0));
        assert_eq!(letters.lock().unwrap().len() as u64, stats.failed, "all of them were handed over");
    });
}

#[cfg(feature = "tokio")]
#[test]
fn found_b5_a_flush_that_is_ready_at_once_does_not_keep_the_runtime() {
    for kind in 0..4 {
        ends(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            runtime.block_on(async move {
                let known = Own::default();
                let me = known.clone();
                let mut builder = BatchCollector::builder(1, Duration::ZERO);
                builder = match kind {
                    0 => builder.retry(u32::MAX, Duration::ZERO),
                    1 => builder.retry(u32::MAX, Duration::from_nanos(1)),
                    2 => builder.backoff(steadfast_core::RetryPolicy::constant(Duration::ZERO).max_retries(u32::MAX)),
                    _ => builder,
                };
                let collector = builder.build(move |items: Batch<u32>| {
                    if kind == 3 {
                        own(&me).try_add(1).unwrap(); // there is always another one
                        return ready(None);
                    }
                    ready(Some(items))
                });
                let collector = collector.unwrap();
                known.set(collector.downgrade()).unwrap();
                collector.add(1).await.unwrap();
                // Others go on, and time passes.
                for _ in 0..5 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                let stats = collector.stats();
                assert!(stats.retries + stats.batches > 1);
                drop(collector.stop_within(Duration::ZERO).await);
            });
        });
    }
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn found_a1_adders_that_are_held_and_not_polled_stop_nobody() {
    let (sender, mut go) = tokio::sync::mpsc::unbounded_channel();
    let collector = BatchCollector::builder(2, NEVER).build(move |_: Batch<u32>| {
        let turn = go.try_recv();
        async move {
            if let Ok(wait) = turn {
                tokio::time::sleep(wait).await;
            }
        }
    });
    let collector = collector.unwrap();
    sender.send(Duration::from_secs(5)).unwrap();
    for item in 0..4 {
        collector.add(item).await.unwrap();
    }
    let mut held: Vec<_> = (10..20).map(|item| Box::pin(collector.add(item))).collect();
    for add in &mut held {
        assert!(add.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let start = tokio::time::Instant::now();
    for item in 4..8 {
        collector.add(item).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_millis(5_100), "{:?}", start.elapsed());
    collector.stop().await;
    for (add, item) in held.into_iter().zip(10..) {
        assert_eq!(add.await, Err(AddError::Stopped(item)));
    }
    assert_eq!(collector.stats().delivered, 8);
}

#[cfg(feature = "tokio")]
#[tokio::test(start_paused = true)]
async fn found_b5_adders_do_not_spin_between_two_flushes_however_soon_one_stalls() {
    for stall_timeout in [Duration::ZERO, Duration::from_nanos(1)] {
        let hour = Duration::from_secs(3_600);
        let builder = BatchCollector::builder(1, Duration::ZERO).retry(1, hour).stall_timeout(stall_timeout);
        let collector = builder.build(|items: Batch<u32>| ready((items.attempt() == 1).then_some(items))).unwrap();
        collector.add(1).await.unwrap();
        tokio::time::sleep(Duration::from_secs(3_599)).await;
        collector.add(2).await.unwrap();
        // There is room when the second try is over, in a second.
        let (mut add, mut polls) = (pin!(collector.add(3)), 0);
        let added = poll_fn(|cx| {
            polls += 1;
            if polls > 1_000 { Poll::Ready(None) } else { add.as_mut().poll(cx).map(Some) }
        });
        assert_eq!(added.await, Some(Ok(())));
    }
}
