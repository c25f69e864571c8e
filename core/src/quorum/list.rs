//! Where voters and votes are kept.

use heapless::Vec;

use crate::Inline;

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

    /// Drops all items.
    fn clear(&mut self);
}

impl<T, const N: usize> List<T> for Vec<T, N> {
    fn capacity(&self) -> usize {
        N
    }

    fn push(&mut self, item: T) -> Result<(), T> {
        Self::push(self, item)
    }

    fn clear(&mut self) {
        Self::clear(self);
    }
}

/// A kind of memory for lists, as [`Storage`](crate::Storage) is for slots.
///
/// Lists hold their items side by side, as aggregates want them, and need no room to tell which places are taken.
pub trait ListStorage {
    /// The list of one type.
    type Of<T>: List<T>;
}

impl<const N: usize> ListStorage for Inline<N> {
    type Of<T> = Vec<T, N>;
}
