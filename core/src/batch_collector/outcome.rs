//! What came of an add, of a flush, of all of them.

use core::fmt;

/// What became of a flush: delivered, failed, or to be tried again.
///
/// ```
/// use steadfast_core::batch_collector::FlushOutcome;
///
/// let written: Result<(), &str> = Err("the link is down");
/// assert_eq!(FlushOutcome::from(written), FlushOutcome::Failed);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FlushOutcome {
    /// The items have arrived.
    Delivered,
    /// They have not; those that are still in the list can be tried again.
    Failed,
}

impl From<()> for FlushOutcome {
    fn from((): ()) -> Self {
        Self::Delivered
    }
}

impl<T, E> From<Result<T, E>> for FlushOutcome {
    fn from(result: Result<T, E>) -> Self {
        if result.is_ok() { Self::Delivered } else { Self::Failed }
    }
}

/// The counts of a [`BatchQueue`](super::BatchQueue), in items:
/// `accepted == pending + in_flight + delivered + failed + returned`.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct BatchQueueStats {
    /// Items that were taken.
    pub accepted: u64,
    /// Items that wait for their batch to be due or for the worker.
    pub pending: usize,
    /// Items that are being flushed.
    pub in_flight: usize,
    /// Items that were flushed.
    pub delivered: u64,
    /// Items whose flush failed for good, or was dropped midway, or whose worker ended for good. What a failed flush
    /// took out of the list, but not all of it, was delivered.
    pub failed: u64,
    /// Items that were given back unflushed, to somebody who has them now.
    pub returned: u64,
    /// Batches that were handed out, retries not counted.
    pub batches: u64,
    /// Retries, counted when they are decided on.
    pub retries: u64,
}

impl BatchQueueStats {
    /// What was counted since `earlier`, when the same stats were read before.
    ///
    /// `pending` and `in_flight` are those of now: with those of `earlier` added to `accepted`, they add up.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            accepted: self.accepted.saturating_sub(earlier.accepted),
            pending: self.pending,
            in_flight: self.in_flight,
            delivered: self.delivered.saturating_sub(earlier.delivered),
            failed: self.failed.saturating_sub(earlier.failed),
            returned: self.returned.saturating_sub(earlier.returned),
            batches: self.batches.saturating_sub(earlier.batches),
            retries: self.retries.saturating_sub(earlier.retries),
        }
    }
}

/// An item was not added: the collector is full (load shedding) or was stopped. The item is given back, nothing has
/// changed.
#[non_exhaustive]
#[derive(Clone, Copy, Eq, PartialEq)]
pub enum AddError<T> {
    /// There is no room at present.
    ///
    /// An `add` that may wait fails so only inside the flush itself, where it would wait for itself, and once a flush
    /// has [stalled](crate::batch_collector::BatchQueueIn::stall_timeout).
    Full(T),
    /// The queue was stopped.
    Stopped(T),
}

impl<T> AddError<T> {
    /// The item.
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Stopped(item) => item,
        }
    }
}

impl<T> fmt::Debug for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Stopped(_) => "Stopped(..)",
        })
    }
}

/// Shows no item, as its `Debug`.
#[cfg(feature = "defmt")]
impl<T> defmt::Format for AddError<T> {
    fn format(&self, f: defmt::Formatter<'_>) {
        let name = match self {
            Self::Full(_) => "Full(..)",
            Self::Stopped(_) => "Stopped(..)",
        };
        defmt::write!(f, "{=str}", name);
    }
}

impl<T> fmt::Display for AddError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "no room for another item",
            Self::Stopped(_) => "the batch collector was stopped",
        })
    }
}

impl<T> core::error::Error for AddError<T> {}

/// Another worker runs on this queue.
///
/// It was not disturbed.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct WorkerRuns;

impl fmt::Display for WorkerRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("another worker runs on this queue")
    }
}

impl core::error::Error for WorkerRuns {}
