//! Where voters and votes are kept.

use core::mem;

use heapless::Vec;

use crate::foundation::storage::Inline;

/// A list of bounded length.
pub trait List<T>: AsRef<[T]> + AsMut<[T]> {
    /// How long it may become. Never changes.
    fn capacity(&self) -> usize;

    /// Appends an item.
    ///
    /// # Errors
    ///
    /// The item, if the list is full.
    fn push(&mut self, item: T) -> Result<(), T>;

    /// All items; the list is empty then, and its capacity is the same.
    fn take(&mut self) -> Self
    where
        Self: Sized;
}

impl<T, const N: usize> List<T> for Vec<T, N> {
    fn capacity(&self) -> usize {
        N
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        Self::push(self, item)
    }

    fn take(&mut self) -> Self {
        mem::take(self)
    }
}

/// A kind of memory for lists, as [`Storage`](crate::foundation::storage::Storage) is for slots.
///
/// Lists hold their items side by side, as aggregates want them, and need no room to tell which places are taken.
pub trait ListStorage {
    /// The list of one type.
    type Of<T>: List<T>;
}

impl<const N: usize> ListStorage for Inline<N> {
    type Of<T> = Vec<T, N>;
}
