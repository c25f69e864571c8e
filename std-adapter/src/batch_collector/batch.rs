//! The items of one batch, in memory that is used again.

use core::{
    fmt,
    iter::FusedIterator,
    mem,
    ops::{Deref, DerefMut},
};
use std::sync::{Arc, Mutex, PoisonError};

use steadfast_core::batch_collector::FlushReason;

use crate::runtime::unless_it_panics;

/// The items of one batch, in the order in which they were added: a `Vec` whose memory goes back to the collector.
///
/// It can be kept and sent; the collector then makes a new one. Dropped, it drops its items one by one: if one of them
/// panics in that, the others are dropped all the same, and the panic goes no further.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{BatchCollector, batch_collector::Batch, block_on};
///
/// # async fn insert(_rows: &[u32]) {}
/// let rows = BatchCollector::builder(64, Duration::from_secs(1)).build(|rows: Batch<u32>| async move {
///     println!("{} rows because of {:?}, attempt {}", rows.len(), rows.reason(), rows.attempt());
///     insert(&rows).await;
/// })?;
/// rows.add_blocking(7)?;
/// block_on(rows.stop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Batch<T> {
    items: Vec<T>,
    reason: FlushReason,
    attempt: u32,
    home: Arc<Home<T>>,
    id: u64,
}

/// The memory of a batch between two flushes.
pub(super) struct Home<T>(Mutex<Memory<T>>);

struct Memory<T> {
    spare: Option<Vec<T>>,
    /// The batch whose items are kept if it is dropped now, in its flush.
    kept: Option<u64>,
    left: Option<Vec<T>>,
}

impl<T> Home<T> {
    /// With memory for one batch.
    pub(super) const fn new(spare: Vec<T>) -> Self {
        Self(Mutex::new(Memory { spare: Some(spare), kept: None, left: None }))
    }

    /// An empty list with room for `size` items, or as much as there is memory for.
    pub(super) fn take(&self, size: usize) -> Vec<T> {
        let spare = self.with(|memory| memory.spare.take());
        spare.unwrap_or_else(|| super::list::memory(size).unwrap_or_default())
    }

    /// Keeps what is left in this batch if it is dropped before the next call; returns what was kept until now.
    pub(super) fn keep(&self, batch: Option<u64>) -> Option<Vec<T>> {
        self.with(|memory| {
            memory.kept = batch;
            memory.left.take()
        })
    }

    /// Takes the items of a batch that is dropped, to keep or to drop them.
    fn give(&self, id: u64, mut items: Vec<T>) {
        let former = self.with(|memory| {
            if memory.kept == Some(id) && !items.is_empty() { memory.left.replace(mem::take(&mut items)) } else { None }
        });
        drop(former);
        drop_all(&mut items);
        if items.capacity() > 0 {
            let spare = self.with(|memory| memory.spare.replace(items));
            drop(spare);
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Memory<T>) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Drops items one by one: a panic in the drop of one is that item's alone.
pub(super) fn drop_all<T>(items: &mut Vec<T>) {
    if mem::needs_drop::<T>() {
        items.drain(..).for_each(|item| _ = unless_it_panics(|| drop(item)));
    }
    items.clear();
}

impl<T> Batch<T> {
    pub(super) const fn new(items: Vec<T>, reason: FlushReason, attempt: u32, home: Arc<Home<T>>, id: u64) -> Self {
        Self { items, reason, attempt, home, id }
    }

    /// Why it was handed out.
    #[must_use]
    pub const fn reason(&self) -> FlushReason {
        self.reason
    }

    /// The number of the attempt to flush these items: 1, and more when they are tried again.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The items with their memory; the collector makes a new one.
    #[must_use]
    pub fn into_vec(mut self) -> Vec<T> {
        mem::take(&mut self.items)
    }
}

impl<T> Deref for Batch<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> DerefMut for Batch<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.items
    }
}

impl<T> Drop for Batch<T> {
    fn drop(&mut self) {
        self.home.give(self.id, mem::take(&mut self.items));
    }
}

impl<T: fmt::Debug> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, attempt) = (&self.reason, &self.attempt);
        f.debug_struct("Batch").field("items", &self.items).field("reason", reason).field("attempt", attempt).finish()
    }
}

impl<T> IntoIterator for Batch<T> {
    type Item = T;
    type IntoIter = BatchIntoIter<T>;

    fn into_iter(mut self) -> BatchIntoIter<T> {
        self.items.reverse();
        BatchIntoIter(self)
    }
}

impl<'a, T> IntoIterator for &'a Batch<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> core::slice::Iter<'a, T> {
        self.items.iter()
    }
}

/// Moves the items out of a [`Batch`].
#[derive(Debug)]
pub struct BatchIntoIter<T>(
    /// The items in reverse order.
    Batch<T>,
);

impl<T> Iterator for BatchIntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.items.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.items.len(), Some(self.0.items.len()))
    }
}

/// What is left goes as it came: in order.
impl<T> Drop for BatchIntoIter<T> {
    fn drop(&mut self) {
        self.0.items.reverse();
    }
}

impl<T> ExactSizeIterator for BatchIntoIter<T> {}

impl<T> FusedIterator for BatchIntoIter<T> {}
