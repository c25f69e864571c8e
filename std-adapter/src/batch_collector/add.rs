//! Adding as soon as there is room.

use core::{
    fmt,
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use steadfast_core::batch_collector::{self, AddError};

use super::{BatchCollector, Queue};

pin_project! {
    /// The future of [`BatchCollector::add`].
    #[must_use = "nothing is added until it is awaited"]
    pub struct BatchAdd<'a, T> {
        #[pin]
        add: batch_collector::BatchAdd<&'a Queue<T>>,
    }
}

pin_project! {
    /// The future of [`BatchCollector::add_owned`]. It borrows nothing.
    #[must_use = "nothing is added until it is awaited"]
    pub struct BatchAddOwned<T> {
        #[pin]
        add: batch_collector::BatchAdd<QueueOf<T>>,
    }
}

/// The queue of a collector, which lives as long as this.
struct QueueOf<T>(BatchCollector<T>);

impl<T> Deref for QueueOf<T> {
    type Target = Queue<T>;

    fn deref(&self) -> &Queue<T> {
        &self.0.inner().queue
    }
}

impl<'a, T> BatchAdd<'a, T> {
    pub(super) fn new(collector: &'a BatchCollector<T>, item: T) -> Self {
        let weight = collector.weight(&item);
        Self { add: collector.inner().queue.add_weighted(item, weight) }
    }
}

impl<T> BatchAddOwned<T> {
    pub(super) fn new(collector: BatchCollector<T>, item: T) -> Self {
        let weight = collector.weight(&item);
        Self { add: batch_collector::BatchAdd::new(QueueOf(collector), item, weight) }
    }
}

impl<T> Future for BatchAdd<'_, T> {
    type Output = Result<(), AddError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().add.poll(cx)
    }
}

impl<T> Future for BatchAddOwned<T> {
    type Output = Result<(), AddError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().add.poll(cx)
    }
}

impl<T> fmt::Debug for BatchAdd<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchAdd").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for BatchAddOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchAddOwned").finish_non_exhaustive()
    }
}
