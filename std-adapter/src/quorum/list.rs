//! Lists on the heap.

use core::mem;

use steadfast_core::quorum::{List, ListStorage};

/// Lists whose bound is chosen at run time.
pub(super) struct Lists;

impl ListStorage for Lists {
    type Of<T> = Bounded<T>;
}

/// A list whose bound is chosen at run time.
#[derive(Clone)]
pub(super) struct Bounded<T> {
    items: Vec<T>,
    capacity: usize,
}

impl<T> Bounded<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { items: Vec::with_capacity(capacity), capacity }
    }
}

impl<T> AsRef<[T]> for Bounded<T> {
    fn as_ref(&self) -> &[T] {
        &self.items
    }
}

impl<T> AsMut<[T]> for Bounded<T> {
    fn as_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

impl<T> List<T> for Bounded<T> {
    fn capacity(&self) -> usize {
        self.capacity
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        if self.items.len() == self.capacity {
            return Err(item);
        }
        self.items.push(item);
        Ok(())
    }

    fn take(&mut self) -> Self {
        Self { items: mem::replace(&mut self.items, Vec::with_capacity(self.capacity)), capacity: self.capacity }
    }
}
