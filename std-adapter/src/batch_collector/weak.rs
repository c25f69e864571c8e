//! A handle that keeps nothing alive.

use core::fmt;
use std::sync::{Arc, Weak};

use super::{BatchCollector, Handle};

/// A [`BatchCollector`] handle that does not keep it alive, for its own flush in the first place.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{BatchCollector, batch_collector::{Batch, WeakBatchCollector}, block_on};
///
/// # #[derive(Debug)]
/// struct Job(u32);
///
/// let (sender, receiver) = std::sync::mpsc::channel::<WeakBatchCollector<Job>>();
/// let mut own = None;
/// let jobs = BatchCollector::builder(1, Duration::ZERO).build(move |jobs: Batch<Job>| {
///     let own = own.get_or_insert_with(|| receiver.recv().unwrap()).clone();
///     async move {
///         for Job(left) in jobs {
///             // One job brings about the next.
///             if let (Some(own), Some(left)) = (own.upgrade(), left.checked_sub(1)) {
///                 let _ = own.try_add(Job(left));
///             }
///         }
///     }
/// })?;
/// sender.send(jobs.downgrade())?;
/// jobs.add_blocking(Job(1))?;
/// block_on(jobs.stop());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WeakBatchCollector<T>(Weak<Handle<T>>);

impl<T> WeakBatchCollector<T> {
    pub(super) fn new(handle: &Arc<Handle<T>>) -> Self {
        Self(Arc::downgrade(handle))
    }

    /// A handle, unless the last one has been dropped.
    #[must_use]
    pub fn upgrade(&self) -> Option<BatchCollector<T>> {
        self.0.upgrade().map(BatchCollector)
    }
}

impl<T> Clone for WeakBatchCollector<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for WeakBatchCollector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakBatchCollector").finish_non_exhaustive()
    }
}
