//! The one task or thread that flushes.

use core::{
    future::Future,
    mem,
    pin::pin,
    task::{Context, Poll, Waker},
};
use std::sync::Arc;

use steadfast_core::{
    Clock, RetryPolicy, Timer,
    batch_collector::{FlushOutcome, FlushReason},
    retry::{Failure, Step},
};

use super::{
    Batch, Flushed, Inner,
    attempt::{Attempt, Call, attempt},
    batch::{Home, drop_all},
};
use crate::runtime::{SystemRng, SystemTimer, unless_it_panics};

/// Takes what failed for good.
pub(super) type OnFailed<T> = Box<dyn FnMut(Batch<T>) + Send>;

/// What the worker needs beside the flush.
///
/// However it ends, be it before it has begun, nobody waits for it afterwards, and what it leaves has failed.
pub(super) struct Worker<T> {
    pub(super) inner: Arc<Inner<T>>,
    pub(super) home: Arc<Home<T>>,
    pub(super) size: usize,
    pub(super) retry: RetryPolicy,
    pub(super) on_failed: Option<OnFailed<T>>,
}

/// Flushes until the collector is stopped and empty.
pub(super) async fn work<T, F>(mut this: Worker<T>, mut flush: impl FnMut(Batch<T>) -> F)
where
    F: Future<Output: Into<Flushed<T>>>,
{
    let (inner, home) = (this.inner.clone(), this.home.clone());
    let (size, retry) = (this.size, this.retry);
    let Ok(mut worker) = inner.queue.worker() else { return };
    worker.items().open = home.take(size);
    let (mut id, mut jitter) = (0_u64, SystemRng::jitter());
    while let Some(reason) = worker.next_batch().await {
        let mut now = SystemTimer.now();
        let mut retries = retry.start(now);
        let lost = loop {
            id = id.wrapping_add(1);
            let cut_at = retries.attempt_deadline(now);
            let keeps = (this.on_failed.is_some() || cut_at.is_some()).then_some(id);
            let batch = Batch::new(mem::take(&mut worker.items().open), reason, worker.attempt(), home.clone(), id);
            match worker.flushing(attempt(&mut flush, batch, Call { home: &home, keeps, cut_at })).await {
                Attempt::Delivered => {
                    worker.complete(FlushOutcome::Delivered, 0, false);
                    break Vec::new();
                }
                Attempt::Failed(left) => break left,
                Attempt::Again(left) => worker.items().open = left,
            }
            now = SystemTimer.now();
            let left = worker.items().open.len();
            let wants = left > 0 && !inner.pause.gave_up();
            let at = match retries.next(Failure::Transient, now, &mut jitter) {
                Step::RetryAt(at) if wants && worker.complete(FlushOutcome::Failed, left, true) => at,
                _ => break Vec::new(),
            };
            let items = mem::take(&mut worker.items().open);
            match worker.pausing(inner.pause.keep(items, SystemTimer.sleep_until(at))).await {
                Some(items) => worker.items().open = items,
                None => break Vec::new(), // they were given back, and counted so
            }
            if inner.pause.gave_up() {
                break Vec::new();
            }
            now = SystemTimer.now();
        };
        // Nobody who waits for these items goes on before the dead letters have been handed over.
        let (mut failed, attempt) = (mem::take(&mut worker.items().open), worker.attempt());
        let left = failed.len();
        failed.extend(lost);
        if !failed.is_empty() {
            worker.flushing(async { this.bury(failed, reason, attempt) }).await;
        }
        // What was delivered, or given back, is in flight no longer.
        worker.complete(FlushOutcome::Failed, left, false);
        inner.flushes.complete(|| inner.queue.stats());
        if worker.items().open.capacity() == 0 {
            worker.items().open = home.take(size);
        }
    }
}

impl<T> Worker<T> {
    /// Hands over what failed for good, or drops it.
    fn bury(&mut self, mut items: Vec<T>, reason: FlushReason, attempt: u32) {
        match &mut self.on_failed {
            Some(on_failed) if !items.is_empty() => {
                let batch = Batch::new(items, reason, attempt, self.home.clone(), 0);
                let _ = unless_it_panics(|| on_failed(batch));
            }
            _ => drop_all(&mut items),
        }
    }
}

impl<T> Drop for Worker<T> {
    fn drop(&mut self) {
        let inner = self.inner.clone();
        inner.queue.close();
        let unfinished = [inner.pause.take(), self.home.keep(None)];
        let mut lost: Vec<_> = unfinished.into_iter().flatten().map(|items| (items, FlushReason::Stop)).collect();
        // All is counted before any of it is handed over: then nothing is left to be waited for.
        while let Ok(mut worker) = inner.queue.worker()
            && let Some(reason) = at_once(worker.next_batch())
        {
            lost.push((mem::take(&mut worker.items().open), reason));
        }
        inner.flushes.complete(|| inner.queue.stats());
        for (items, reason) in lost {
            self.bury(items, reason, 0);
        }
    }
}

/// What a future gives that never waits.
fn at_once<R>(future: impl Future<Output = Option<R>>) -> Option<R> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => None,
    }
}
