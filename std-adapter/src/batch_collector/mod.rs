//! Batching: items are gathered and flushed together, by size, weight, age and idle gap, in the background.
//!
//! [`BatchCollector`] has a worker that flushes, with backpressure, retries with backoff, dead letters and a stop with
//! a deadline (graceful shutdown). [`BatchCollectorBuilder`] has the settings.
//!
//! **Outcomes**: [`Batch`] with its [`FlushReason`] goes in, [`Flushed`] comes out of your flush; [`FlushReport`] of a
//! flush that was asked for. **Errors**: [`AddError`], which gives the item back. **Counts**: [`BatchQueueStats`].
//!
//! Next: [`dedup_cache`](crate::dedup_cache) before it, so that a repeated item is not written twice.

mod add;
mod attempt;
mod batch;
mod builder;
mod flush;
mod flushed;
mod list;
mod pause;
mod stop;
#[cfg(test)]
mod tests;
mod weak;
mod worker;

use core::{fmt, time::Duration};
use std::sync::Arc;

use steadfast_core::{Shared, batch_collector::BatchQueueIn};

pub use add::{BatchAdd, BatchAddOwned};
pub use batch::{Batch, BatchIntoIter};
pub use builder::BatchCollectorBuilder;
use flush::Flushes;
pub use flush::{BatchFlush, FlushReport};
pub use flushed::Flushed;
use list::List;
use pause::Pause;
pub use stop::{BatchStop, BatchStopWithin};
pub use weak::WeakBatchCollector;

use crate::{
    generation::Generation,
    runtime::{Mutex, SystemTimer, block_on},
    storage::Heap,
};

#[doc(inline)]
pub use steadfast_core::batch_collector::{AddError, BatchQueueStats, BatchSettings, FlushReason};

/// A batch collector (batching, bulk insert) with backpressure and dead letters: it gathers items and flushes them
/// together in the background, when there are many, or when the first has waited long enough.
///
/// Clones share everything. Batches are flushed in order and one at a time, by a task of the tokio runtime in which the
/// collector is built, else by a thread. A flush that fails or panics does not end the collector.
///
/// Call [`stop`](Self::stop) or [`stop_within`](Self::stop_within) before `main` returns. Dropping the last handle only
/// stops the collector: the worker flushes what is left if the process and its runtime live on, and nobody waits for
/// that.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{BatchCollector, batch_collector::Batch, block_on};
///
/// let news = BatchCollector::builder(64, Duration::from_secs(10)).build(|items: Batch<String>| async move {
///     println!("{} because of {:?}: {}", items.len(), items.reason(), items.join(", "));
/// })?;
///
/// news.add_blocking("alice is back".to_owned())?; // in async code: `add(item).await?`
/// block_on(news.stop());
/// assert_eq!(news.stats().delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Inside the flush
///
/// The flush may use the collector; it best holds a [weak handle](Self::downgrade), so that it does not keep it alive.
/// What would wait for the flush that it is in does not: `add` and `add_blocking` take the item if there is room, else
/// they fail with [`AddError::Full`]; `flush` and `stop` are ready at once. Inside is whatever is called or polled, on
/// the worker's thread, while the flush is called, polled or dropped: sets of futures, a `block_on` and the drop of an
/// item too. So is what is given to [`on_failed`](BatchCollectorBuilder::on_failed).
///
/// A task or thread that the flush starts and waits for is not inside, because it cannot be told from any other. There,
/// use `try_add`, or expect `add` to fail with [`AddError::Full`] once the flush has taken as long as
/// [`stall_timeout`](BatchCollectorBuilder::stall_timeout); and `stop_within` in place of `stop`.
///
/// # What became of one item
///
/// Let the item bring its own way back: whoever adds it keeps the other end, and hears nothing if the item is lost.
///
/// ```
/// use std::{sync::mpsc, time::Duration};
/// use steadfast::{BatchCollector, batch_collector::Batch, block_on};
///
/// type Row = (String, mpsc::Sender<usize>); // in async code: a `tokio::sync::oneshot::Sender`
///
/// let rows = BatchCollector::builder(64, Duration::ZERO).build(|rows: Batch<Row>| async move {
///     let written = rows.len(); // one statement for all of them
///     rows.iter().for_each(|(_, receipt)| drop(receipt.send(written)));
/// })?;
/// let (receipt, written) = mpsc::channel();
/// rows.add_blocking(("alice".to_owned(), receipt))?;
/// assert_eq!(written.recv(), Ok(1));
/// # block_on(rows.stop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # When it is full
///
/// While a batch is being flushed the next is filled. When that is full too, [`add`](Self::add) waits (backpressure),
/// in order of arrival, and [`try_add`](Self::try_add) gives the item back (load shedding).
///
/// # Cancellation
///
/// Dropping the future of [`add`](Self::add) adds nothing. Dropping that of [`flush`](Self::flush) or
/// [`stop`](Self::stop) only ends the wait.
///
/// # Cost
///
/// Two batches of the given size are in memory, or as many as [`capacity`](BatchCollectorBuilder::capacity) says and
/// one, and 24 bytes for each adder that waits. Nothing is allocated for a batch, unless the flush keeps its memory or
/// fails. An adder that waits and is not polled when its turn comes delays those behind it by 10 ms at most, any number
/// of them by 10 ms for each doubling; a flush that blocks its thread, instead of being pending, adds as long as it
/// blocks. A worker that is a task lets other tasks have their turn between two batches and between two tries.
#[doc(alias("Buffer", "recv_many"))]
pub struct BatchCollector<T>(Arc<Handle<T>>);

/// What all clones share, and the worker does not: the last one ends the collector.
struct Handle<T>(Arc<Inner<T>>);

struct Inner<T> {
    queue: Queue<T>,
    weigh: Option<Weigh<T>>,
    flushes: Flushes,
    pause: Pause<T>,
    generation: Generation,
}

type Machine<T> = BatchQueueIn<List<T>, Heap>;
type Queue<T> = Shared<Machine<T>, Mutex<Machine<T>>, SystemTimer>;
type Weigh<T> = Box<dyn Fn(&T) -> u32 + Send + Sync>;

impl<T> BatchCollector<T> {
    /// The settings of a collector with batches of `size`, at least 1, whose items wait at most `max_wait`.
    ///
    /// The wait runs from the first item of a batch; zero flushes each item as soon as the worker has time.
    #[doc(alias("batch.size", "chunks_timeout", "linger.ms", "ready_chunks"))]
    #[doc(alias = "NewBatchCollector")]
    pub const fn builder(size: usize, max_wait: Duration) -> BatchCollectorBuilder<T> {
        BatchCollectorBuilder::new(size, max_wait)
    }

    /// Adds an item as soon as there is room.
    ///
    /// A future that is dropped before it is ready has added nothing.
    ///
    /// # Errors
    ///
    /// [`AddError::Stopped`] with the item, once the collector is stopped. [`AddError::Full`] with the item, if there
    /// is no room and this is [inside the flush](Self#inside-the-flush), or the flush under way has taken longer than
    /// [`stall_timeout`](BatchCollectorBuilder::stall_timeout).
    pub fn add(&self, item: T) -> BatchAdd<'_, T> {
        BatchAdd::new(self, item)
    }

    /// [`add`](Self::add) in a future that borrows nothing, for a struct or a `tower` service. It keeps the collector.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn add_owned(&self, item: T) -> BatchAddOwned<T> {
        BatchAddOwned::new(self.clone(), item)
    }

    /// [`add`](Self::add) outside async code: this thread waits.
    ///
    /// # Errors
    ///
    /// Those of [`add`](Self::add).
    pub fn add_blocking(&self, item: T) -> Result<(), AddError<T>> {
        match self.try_add(item) {
            Err(AddError::Full(item)) => block_on(self.add(item)),
            done => done,
        }
    }

    /// Adds an item if there is room now, and nobody waits for it.
    ///
    /// # Errors
    ///
    /// [`AddError`] with the item; nothing has changed.
    pub fn try_add(&self, item: T) -> Result<(), AddError<T>> {
        let weight = self.weight(&item);
        self.inner().queue.try_add_weighted(item, weight)
    }

    /// Has what is pending flushed as soon as the worker has time, whether it is due or not.
    ///
    /// That is asked for by the call itself. What it returns may be dropped, or awaited to learn when the items that
    /// were pending have been flushed, and how.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use steadfast::{BatchCollector, batch_collector::Batch, block_on};
    /// # let news = BatchCollector::builder(64, Duration::from_secs(10)).build(|_: Batch<&str>| async {})?;
    /// news.add_blocking("alice is back")?;
    /// news.flush(); // soon
    /// let report = block_on(news.flush()); // now
    /// assert!(report.is_delivered());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn flush(&self) -> BatchFlush<T> {
        BatchFlush::new(&self.0.0)
    }

    /// Other settings from now on, for the batch being filled too, which is flushed if it is due by them. Size and
    /// capacity stay, and what the builder says of retries.
    ///
    /// A new idle gap is counted from now at the earliest. Without
    /// [`max_weight`](BatchCollectorBuilder::max_weight) in the builder an item weighs 1.
    pub fn set_settings(&self, settings: BatchSettings) {
        self.inner().queue.set_settings(settings);
        self.inner().generation.next();
    }

    /// How often other settings were taken since it was built, counted when they are in force: see
    /// [`observe`](crate::observe).
    #[must_use]
    pub fn settings_generation(&self) -> u64 {
        self.inner().generation.get()
    }

    /// Takes no more items, and waits until what is pending has been flushed, the flush under way included.
    ///
    /// Stopping again only waits; if the future is dropped, the collector stays stopped. Inside the flush it does not
    /// wait. It waits as long as flushes and retries take: see [`stop_within`](Self::stop_within).
    pub fn stop(&self) -> BatchStop<T> {
        BatchStop::new(&self.0.0)
    }

    /// [`stop`](Self::stop) with a deadline: after `wait`, gives back the items that have not been flushed, oldest
    /// first.
    ///
    /// There are no retries after that; items that wait for one are given back. A flush that is under way is not cut
    /// off: its items are in [`stats`](Self::stats)`.in_flight` until it ends, and what it gives back then has failed.
    /// Empty if all was flushed, and inside the flush. `wait` is counted from the first poll.
    #[doc(alias = "graceful shutdown")]
    pub fn stop_within(&self, wait: Duration) -> BatchStopWithin<T> {
        BatchStopWithin::new(&self.0.0, wait)
    }

    /// True once it takes no more items.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.inner().queue.is_stopped()
    }

    /// What has gone through so far.
    #[must_use]
    pub fn stats(&self) -> BatchQueueStats {
        self.inner().queue.stats()
    }

    /// A handle that does not keep the collector from being stopped by the drop of the last other one.
    #[must_use]
    pub fn downgrade(&self) -> WeakBatchCollector<T> {
        WeakBatchCollector::new(&self.0)
    }

    fn inner(&self) -> &Inner<T> {
        &self.0.0
    }

    fn weight(&self, item: &T) -> u32 {
        self.inner().weigh.as_ref().map_or(1, |weigh| weigh(item))
    }
}

impl<T> Clone for BatchCollector<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Drop for Handle<T> {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl<T> fmt::Debug for BatchCollector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchCollector").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
