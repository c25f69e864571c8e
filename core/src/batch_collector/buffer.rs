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

    /// Moves the items of one batch into `empty`, the one that was set aside first, else all there are; memory that
    /// could be used again stays on both sides.
    fn move_into(&mut self, empty: &mut Self);

    /// Sets the items of the batch being filled aside as a batch of their own, and begins another one; false, and
    /// nothing has changed, if there is no room for it. Where a list has room for one batch only, that is always so.
    fn set_aside(&mut self) -> bool {
        false
    }
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
