//! What became of a flush.

use super::Batch;

/// What became of a flush: delivered, failed, or to be tried again.
///
/// Made from what the flush returns: nothing; a `Result`, whose error counts the items as failed; or the batch, with
/// what has not arrived still in it, to be tried again.
#[derive(Debug)]
pub enum Flushed<T> {
    /// These have not arrived, and are to be [tried again](super::BatchCollectorBuilder::retry); the others have. An
    /// empty batch is all delivered.
    Again(Batch<T>),
    /// All items have arrived.
    Delivered,
    /// They have not, and cannot be tried again.
    Failed,
}

impl<T> From<()> for Flushed<T> {
    fn from((): ()) -> Self {
        Self::Delivered
    }
}

impl<T, O, E> From<Result<O, E>> for Flushed<T> {
    fn from(result: Result<O, E>) -> Self {
        if result.is_ok() { Self::Delivered } else { Self::Failed }
    }
}

impl<T> From<Option<Batch<T>>> for Flushed<T> {
    fn from(again: Option<Batch<T>>) -> Self {
        again.map_or(Self::Delivered, Self::Again)
    }
}
