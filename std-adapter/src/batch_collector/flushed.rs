//! What became of a flush.

use super::Batch;

/// What became of a flush: delivered, failed, or to be tried again.
///
/// Made from what the flush returns: nothing; a `Result`, whose error counts the items as failed; or the batch, with
/// what has not arrived still in it, to be tried again.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{BatchCollector, batch_collector::{Batch, Flushed}, block_on};
///
/// # #[derive(PartialEq)] enum Answer { Written, Busy, Invalid }
/// # async fn insert(_rows: &[u32]) -> Answer { Answer::Written }
/// let rows = BatchCollector::builder(64, Duration::from_secs(1)).retry(3, Duration::from_millis(100));
/// let rows = rows.build(|rows: Batch<u32>| async move {
///     match insert(&rows).await {
///         Answer::Written => Flushed::Delivered,
///         Answer::Busy => Flushed::Again(rows),
///         Answer::Invalid => Flushed::Failed,
///     }
/// })?;
/// rows.add_blocking(7)?;
/// block_on(rows.stop());
/// assert_eq!(rows.stats().delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
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
