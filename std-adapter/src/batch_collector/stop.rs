//! Waiting for the end, in futures that can be named.

use core::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::sync::Arc;

use pin_project_lite::pin_project;
use steadfast_core::{Clock, Timer, batch_collector};

use super::{Inner, Queue};
use crate::runtime::SystemTimer;

pin_project! {
    /// The future of [`BatchCollector::stop`](super::BatchCollector::stop), for a struct. It borrows nothing.
    #[must_use = "nothing is stopped until it is awaited"]
    pub struct BatchStop<T> {
        #[pin]
        stop: batch_collector::BatchStop<QueueOf<T>>,
    }
}

pin_project! {
    /// The future of [`BatchCollector::stop_within`](super::BatchCollector::stop_within), for a struct. It borrows
    /// nothing. What it gives are the items that have not been flushed, oldest first.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::{BatchCollector, batch_collector::{Batch, BatchStopWithin}, block_on};
    ///
    /// struct Shutdown {
    ///     rows: BatchStopWithin<u32>,
    /// }
    ///
    /// let rows = BatchCollector::builder(64, Duration::from_secs(1)).build(|_: Batch<u32>| async {})?;
    /// rows.add_blocking(7)?;
    /// let shutdown = Shutdown { rows: rows.stop_within(Duration::from_secs(5)) };
    /// let left = block_on(shutdown.rows);
    /// assert!(left.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "nothing is stopped until it is awaited"]
    pub struct BatchStopWithin<T> {
        // Until it is over.
        #[pin]
        stop: Option<BatchStop<T>>,
        // Made by the first poll.
        #[pin]
        sleep: Option<<SystemTimer as Timer>::Sleep>,
        inner: Arc<Inner<T>>,
        wait: Duration,
    }
}

/// The queue of a collector, which does not keep it from being stopped.
struct QueueOf<T>(Arc<Inner<T>>);

impl<T> Deref for QueueOf<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0.queue
    }
}

impl<T> BatchStop<T> {
    pub(super) fn new(inner: &Arc<Inner<T>>) -> Self {
        Self { stop: batch_collector::BatchStop::new(QueueOf(inner.clone())) }
    }
}

impl<T> BatchStopWithin<T> {
    pub(super) fn new(inner: &Arc<Inner<T>>, wait: Duration) -> Self {
        Self { stop: Some(BatchStop::new(inner)), sleep: None, inner: inner.clone(), wait }
    }
}

impl<T> Future for BatchStop<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().stop.poll(cx)
    }
}

impl<T> Future for BatchStopWithin<T> {
    type Output = Vec<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<T>> {
        let mut this = self.project();
        let Some(stop) = this.stop.as_mut().as_pin_mut() else { return Poll::Pending };
        if stop.poll(cx).is_ready() {
            this.stop.set(None);
            this.sleep.set(None);
            return Poll::Ready(Vec::new());
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(SystemTimer.sleep_until(SystemTimer.now().saturating_add(*this.wait))));
        }
        match this.sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
            Some(Poll::Ready(())) => this.sleep.set(None),
            _ => return Poll::Pending,
        }
        this.stop.set(None);
        let Inner { queue, flushes, pause, .. } = &**this.inner;
        let mut items = pause.give_up(|| queue.abandon_in_flight()).unwrap_or_default();
        items.append(&mut queue.abandon().into_items());
        flushes.complete(|| queue.stats());
        Poll::Ready(items)
    }
}

impl<T> fmt::Debug for BatchStop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStop").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for BatchStopWithin<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchStopWithin").finish_non_exhaustive()
    }
}
