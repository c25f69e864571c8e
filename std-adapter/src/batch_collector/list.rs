//! Where the items wait.

use core::mem;
use std::collections::{TryReserveError, VecDeque};

use steadfast_core::batch_collector::BatchBuffer;

/// Items on the heap, in batches; moving a batch swaps two pointers.
pub(super) struct List<T> {
    /// The batch being filled.
    pub(super) open: Vec<T>,
    /// Full ones, oldest first.
    closed: VecDeque<Vec<T>>,
    /// Memory of batches that have gone.
    spare: Vec<Vec<T>>,
    size: usize,
    /// How many full ones may wait.
    depth: usize,
}

impl<T> List<T> {
    /// For batches of `size`, `depth` full ones beside the one being filled, with memory for the latter.
    pub(super) fn new(size: usize, depth: usize) -> Result<Self, TryReserveError> {
        let list = Self { open: memory(size)?, closed: VecDeque::new(), spare: Vec::new(), size, depth };
        Ok(list)
    }

    /// All items, oldest first.
    pub(super) fn into_items(self) -> Vec<T> {
        let mut items = Vec::new();
        self.closed.into_iter().for_each(|mut batch| items.append(&mut batch));
        items.extend(self.open);
        items
    }
}

/// An empty list with room for `size` items.
pub(super) fn memory<T>(size: usize) -> Result<Vec<T>, TryReserveError> {
    let mut items = Vec::new();
    items.try_reserve_exact(size)?;
    Ok(items)
}

impl<T> BatchBuffer for List<T> {
    type Item = T;

    /// Has no memory yet.
    fn with_capacity(size: usize) -> Self {
        Self { open: Vec::new(), closed: VecDeque::new(), spare: Vec::new(), size, depth: 0 }
    }

    fn count(&self) -> usize {
        self.open.len()
    }

    fn append(&mut self, item: T) -> Result<(), T> {
        if self.open.try_reserve(1).is_err() {
            return Err(item);
        }
        self.open.push(item);
        Ok(())
    }

    fn remove_all(&mut self) {
        self.open.clear();
    }

    fn move_into(&mut self, empty: &mut Self) {
        let Some(batch) = self.closed.pop_front() else { return mem::swap(&mut self.open, &mut empty.open) };
        self.spare.push(mem::replace(&mut empty.open, batch));
    }

    fn set_aside(&mut self) -> bool {
        let may = self.closed.len() < self.depth;
        if may {
            // Where there is no memory it grows item by item, or refuses one.
            let next = self.spare.pop().filter(|spare| spare.capacity() > 0).or_else(|| memory(self.size).ok());
            self.closed.push_back(mem::replace(&mut self.open, next.unwrap_or_default()));
        }
        may
    }
}
