//! The batch collector for servers.

mod batch;
mod builder;
#[cfg(test)]
mod tests;
mod worker;

use core::{fmt, mem, time::Duration};
use std::sync::Arc;

use steadfast_core::{AddError, BatchBuffer, BatchQueueIn, BatchQueueStats, Shared};

pub use batch::{Batch, BatchIntoIter};
pub use builder::BatchCollectorBuilder;
pub use worker::Flushed;

use crate::{Heap, Mutex, SystemTimer, block_on};

/// Gathers items, and flushes them together: so many at once, or when the first has waited long enough.
///
/// Cloning is cheap and shares everything. Batches are flushed in order and one at a time, by a task of the tokio runtime
/// that it is started in, else by a thread. While a batch is being flushed the next is filled; when that is full too,
/// adders wait, in the order in which they came. A flush that fails or panics does not end the collector. Dropping the last
/// handle flushes what is left; [`stop`](Self::stop) also waits for that.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{Batch, BatchCollector, block_on};
///
/// let news = BatchCollector::builder(64, Duration::from_secs(10)).spawn(|items: Batch<String>| async move {
///     println!("{} because of {:?}: {}", items.len(), items.reason(), items.join(", "));
/// })?;
///
/// news.add_blocking("alice is back".to_owned())?; // in async code: `add(item).await?`
/// block_on(news.stop());
/// assert_eq!(news.stats().delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Bounds
///
/// Two batches of the given size are in memory, and 16 bytes for each adder that waits. Nothing is allocated for a batch,
/// unless the flush keeps its memory.
pub struct BatchCollector<T>(Arc<Handle<T>>);

/// What all clones share, and the worker does not: the last one ends the collector.
struct Handle<T>(Arc<Inner<T>>);

struct Inner<T> {
    queue: Shared<Machine<T>, Mutex<Machine<T>>, SystemTimer>,
    weigh: Option<Weigh<T>>,
}

type Machine<T> = BatchQueueIn<List<T>, Heap>;
type Weigh<T> = Box<dyn Fn(&T) -> u32 + Send + Sync>;

impl<T> BatchCollector<T> {
    /// The settings of a collector with batches of `size`, at least 1, whose items wait at most `max_wait`.
    ///
    /// The wait runs from the first item of a batch; zero flushes each item as soon as the worker has time.
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
    /// [`AddError::Stopped`] with the item, once the collector is stopped. [`AddError::Full`] with the item, if this is
    /// called inside the flush and there is no room: room comes with the next flush, which would wait for this one.
    pub async fn add(&self, item: T) -> Result<(), AddError<T>> {
        let weight = self.weight(&item);
        self.inner().queue.add_weighted(item, weight).await
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

    /// Has what is pending flushed as soon as the worker has time, without waiting for that.
    pub fn flush(&self) {
        self.inner().queue.flush();
    }

    /// Takes no more items, and waits until what is pending has been flushed, the flush under way included.
    ///
    /// Stopping again only waits. Inside the flush it does not wait.
    pub async fn stop(&self) {
        self.inner().queue.stop().await;
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

/// Items on the heap; moving a batch swaps two pointers.
struct List<T>(Vec<T>);

impl<T> BatchBuffer for List<T> {
    type Item = T;

    fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn append(&mut self, item: T) -> Result<(), T> {
        self.0.push(item);
        Ok(())
    }

    fn remove_all(&mut self) {
        self.0.clear();
    }

    fn move_into(&mut self, empty: &mut Self) {
        mem::swap(self, empty);
    }
}
