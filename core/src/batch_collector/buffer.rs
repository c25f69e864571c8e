//! Where the items of a queue lie.

use core::mem;

use heapless::Vec;

/// A list that a [`BatchQueue`](super::BatchQueue) fills while another of its kind is being flushed.
pub trait BatchBuffer {
    /// What is gathered.
    type Item;

    /// An empty list for `capacity` items.
    fn with_capacity(capacity: usize) -> Self;

    /// How many items are in it.
    fn count(&self) -> usize;

    /// Appends an item, or gives it back if there is no room.
    ///
    /// # Errors
    ///
    /// The item, if the list is full.
    fn append(&mut self, item: Self::Item) -> Result<(), Self::Item>;

    /// Drops all items.
    fn remove_all(&mut self);

    /// Moves all items into `empty`; memory that could be used again stays on both sides.
    fn move_into(&mut self, empty: &mut Self);
}

/// The one of the core: moving is a copy of `N` items.
impl<T, const N: usize> BatchBuffer for Vec<T, N> {
    type Item = T;

    fn with_capacity(_: usize) -> Self {
        Self::new()
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn append(&mut self, item: T) -> Result<(), T> {
        self.push(item)
    }

    fn remove_all(&mut self) {
        self.clear();
    }

    fn move_into(&mut self, empty: &mut Self) {
        *empty = mem::take(self);
    }
}
