//! The one task or thread that flushes.

use core::{future::poll_fn, mem, panic::AssertUnwindSafe, pin::pin, task::Poll};
use std::{panic::catch_unwind, sync::Arc};

use steadfast_core::FlushOutcome;

use super::{
    Inner,
    batch::{Batch, Home},
};

/// What became of a flush.
///
/// Made from what the flush returns: nothing; a `Result`, whose error counts the items as failed; or the batch, with what
/// has not arrived still in it, to be tried again.
#[derive(Debug)]
pub enum Flushed<T> {
    /// These have not arrived, and are to be [tried again](super::BatchCollectorBuilder::retry).
    Again(Batch<T>),
    /// All items have arrived.
    Delivered,
    /// They have not, and cannot be tried again.
    Failed,
}

impl<T> From<()> for Flushed<T> {
    fn from((): ()) -> Self {
        Self::Delivered
    }
}

impl<T, O, E> From<Result<O, E>> for Flushed<T> {
    fn from(result: Result<O, E>) -> Self {
        if result.is_ok() { Self::Delivered } else { Self::Failed }
    }
}

impl<T> From<Option<Batch<T>>> for Flushed<T> {
    fn from(again: Option<Batch<T>>) -> Self {
        again.map_or(Self::Delivered, Self::Again)
    }
}

/// Flushes until the collector is stopped and empty.
pub(super) async fn work<T, F>(inner: Ends<T>, size: usize, mut flush: impl FnMut(Batch<T>) -> F)
where
    F: Future<Output: Into<Flushed<T>>>,
{
    let home = Arc::new(Home::new());
    let Ok(mut worker) = inner.0.queue.worker() else { return };
    while let Some(reason) = worker.next_batch().await {
        loop {
            let batch = Batch::new(mem::take(&mut worker.items().0), reason, home.clone());
            let outcome = match worker.flushing(unless_it_panics(&mut flush, batch)).await {
                Flushed::Again(batch) => {
                    worker.items().0 = batch.into_vec();
                    FlushOutcome::Failed
                }
                Flushed::Delivered => FlushOutcome::Delivered,
                Flushed::Failed => FlushOutcome::Failed,
            };
            if !worker.settle(outcome).await {
                break;
            }
        }
        if worker.items().0.capacity() == 0 {
            worker.items().0 = home.take(size);
        }
    }
}

/// A panic of the flush is a failure, and ends nothing else.
async fn unless_it_panics<T, F>(flush: &mut impl FnMut(Batch<T>) -> F, batch: Batch<T>) -> Flushed<T>
where
    F: Future<Output: Into<Flushed<T>>>,
{
    let Ok(flushing) = catch_unwind(AssertUnwindSafe(|| flush(batch))) else { return Flushed::Failed };
    let mut flushing = pin!(flushing);
    let polled = poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| flushing.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    });
    polled.await.map_or(Flushed::Failed, Into::into)
}

/// However the worker ends, be it before it has begun, nobody waits for it afterwards.
pub(super) struct Ends<T>(pub(super) Arc<Inner<T>>);

impl<T> Drop for Ends<T> {
    fn drop(&mut self) {
        drop(self.0.queue.abandon());
    }
}
