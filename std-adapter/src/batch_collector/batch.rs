//! The items of one batch, in memory that is used again.

use core::{
    fmt,
    iter::FusedIterator,
    mem,
    ops::{Deref, DerefMut},
};
use std::sync::{Arc, Mutex, PoisonError};

use steadfast_core::FlushReason;

/// The items of one batch, in the order in which they were added: a `Vec` whose memory goes back to the collector.
///
/// It can be kept and sent; the collector then makes a new one.
pub struct Batch<T> {
    items: Vec<T>,
    reason: FlushReason,
    home: Arc<Home<T>>,
}

/// The memory of a batch between two flushes.
pub(super) struct Home<T>(Mutex<Option<Vec<T>>>);

impl<T> Home<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// An empty list with room for `capacity` items.
    pub(super) fn take(&self, capacity: usize) -> Vec<T> {
        let items = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        items.unwrap_or_else(|| Vec::with_capacity(capacity))
    }

    fn give(&self, mut items: Vec<T>) {
        items.clear();
        if items.capacity() > 0 {
            let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(items);
            drop(spare);
        }
    }
}

impl<T> Batch<T> {
    pub(super) const fn new(items: Vec<T>, reason: FlushReason, home: Arc<Home<T>>) -> Self {
        Self { items, reason, home }
    }

    /// Why it was handed out.
    #[must_use]
    pub const fn reason(&self) -> FlushReason {
        self.reason
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
        self.home.give(mem::take(&mut self.items));
    }
}

impl<T: fmt::Debug> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("items", &self.items).field("reason", &self.reason).finish()
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

impl<T> ExactSizeIterator for BatchIntoIter<T> {}

impl<T> FusedIterator for BatchIntoIter<T> {}
