//! Batching: items are gathered and flushed together, by size, weight, age and idle gap.
//!
//! - [`BatchCollector`] is for one owner: the push that fills a batch hands it out.
//! - [`BatchQueue`] is for many tasks and one worker, with backpressure, retries and a stop (graceful shutdown).
//!
//! **Outcomes**: [`Batch`] with its [`FlushReason`]; [`FlushOutcome`] of a flush. **Errors**: [`AddError`], which gives
//! the item back. **Counts**: [`BatchStats`], [`BatchQueueStats`].

mod add;
mod buffer;
mod line;
mod observe;
mod outcome;
mod queue;
mod schedule;
mod settings;
mod shared;
mod sleep;
#[cfg(test)]
mod tests;
mod turns;
mod waiting;
mod worker;

use core::{
    iter::FusedIterator,
    ops::{Deref, DerefMut},
};

use heapless::{Vec, VecView};

use crate::foundation::time::Instant;
pub use add::{AddTo, BatchAdd, BatchStop};
pub use buffer::BatchBuffer;
pub use outcome::{AddError, BatchQueueStats, FlushOutcome, WorkerRuns};
pub use queue::{BatchQueue, BatchQueueIn};
pub use schedule::FlushReason;
use schedule::Schedule;
pub use settings::BatchSettings;
pub use worker::BatchWorker;

/// A batch collector (batching, bulk insert): it gathers items and hands them out together when there are `N` of them,
/// or when the first has waited long enough.
///
/// The batch borrows the collector's own memory: nothing is copied, nothing allocated, and it is gone before the next
/// push. A batch may also be due by weight and after an idle gap: [`BatchSettings`]. For several tasks and a flush that
/// may fail, with backpressure and dead letters, take a [`BatchQueue`].
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{BatchCollector, BatchSettings, Instant, batch_collector::FlushReason};
///
/// let mut news = BatchCollector::<_, 3>::new(BatchSettings::new(Duration::from_secs(10)));
/// assert!(news.push("a", Instant::from_secs(0)).is_none());
/// assert!(news.push("b", Instant::from_secs(4)).is_none());
///
/// // Ten seconds after the first item, whatever came later.
/// assert_eq!(news.next_deadline(), Some(Instant::from_secs(10)));
/// if let Some(batch) = news.on_timeout(Instant::from_secs(10)) {
///     assert_eq!((batch.reason(), &batch[..]), (FlushReason::Age, &["a", "b"][..]));
/// }
///
/// // Three items do not wait.
/// assert!(news.push("c", Instant::from_secs(11)).is_none());
/// assert!(news.push("d", Instant::from_secs(11)).is_none());
/// if let Some(batch) = news.push("e", Instant::from_secs(11)) {
///     assert_eq!(batch.reason(), FlushReason::Size);
///     assert!(batch.into_iter().eq(["c", "d", "e"]));
/// }
/// assert!(news.is_empty());
/// ```
///
/// # When it is full
///
/// It never is: the push that fills a batch hands it out. What you do not take out of that batch is dropped with it.
///
/// # Clock
///
/// If the clock steps back, a batch is late by one wait at most, from the next push or `on_timeout` on.
#[doc(alias("Buffer", "recv_many"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct BatchCollector<T, const N: usize> {
    items: Vec<T, N>,
    schedule: Schedule,
    batches: u64,
}

impl<T, const N: usize> BatchCollector<T, N> {
    /// An empty collector. `N` of 0 does not compile.
    #[doc(alias = "NewBatchCollector")]
    #[must_use]
    pub const fn new(settings: BatchSettings) -> Self {
        const { assert!(N > 0, "a batch holds at least one item") };
        Self { items: Vec::new(), schedule: Schedule::new(N, settings), batches: 0 }
    }

    /// Adds an item of weight 1, and hands out the batch if it is due with it.
    ///
    /// O(1). May change [`next_deadline`](Self::next_deadline). A batch that became due before this call, and was not
    /// fetched by [`on_timeout`](Self::on_timeout), is handed out now, the new item in it.
    #[inline]
    #[doc(alias = "Add")]
    pub fn push(&mut self, item: T, now: Instant) -> Option<Batch<'_, T>> {
        self.push_weighted(item, 1, now)
    }

    /// [`push`](Self::push) of an item of this weight: its bytes, its cost; the unit is that of the settings.
    #[inline]
    pub fn push_weighted(&mut self, item: T, weight: u32, now: Instant) -> Option<Batch<'_, T>> {
        if self.is_empty() {
            self.items.clear(); // what is there after all is a batch that was leaked
        }
        let _ = self.items.push(item); // a full batch has left with the push that filled it
        self.schedule.push(weight, now);
        let reason = self.schedule.due_with_last(now)?;
        Some(self.hand_out(reason))
    }

    /// Other settings from now on, for the batch being filled too: it is handed out here if it is due by them.
    ///
    /// A new idle gap is counted from now at the earliest.
    pub fn set_settings(&mut self, settings: BatchSettings, now: Instant) -> Option<Batch<'_, T>> {
        self.schedule.change(settings, now);
        self.on_timeout(now)
    }

    /// When [`on_timeout`](Self::on_timeout) has a batch to hand out, unless a push or flush does so before.
    ///
    /// Changed by `push`, `on_timeout`, `flush` and `set_settings` only; `None` while empty.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.schedule.next_deadline()
    }

    /// Hands out the batch if its first item has waited long enough or no item has come for the idle gap.
    ///
    /// O(1). Early it changes nothing; late is enough. If the clock has stepped back, even a call that is early sees
    /// it: the batch then waits from `now` on, not for the length of the step.
    pub fn on_timeout(&mut self, now: Instant) -> Option<Batch<'_, T>> {
        self.schedule.step_back(now);
        let reason = self.schedule.due(now)?;
        Some(self.hand_out(reason))
    }

    /// Hands out what there is, `None` if that is nothing. Do so before the end, too.
    pub fn flush(&mut self) -> Option<Batch<'_, T>> {
        if self.is_empty() { None } else { Some(self.hand_out(FlushReason::Manual)) }
    }

    /// The items that wait, oldest first.
    #[must_use]
    pub fn pending(&self) -> &[T] {
        if self.is_empty() { &[] } else { &self.items }
    }

    /// How many items wait; always less than `N`.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.schedule.len()
    }

    /// True if no item waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has gone through so far.
    #[must_use]
    pub const fn stats(&self) -> BatchStats {
        BatchStats {
            pushed: self.schedule.pushed(),
            flushed: self.schedule.flushed(),
            pending: self.len(),
            batches: self.batches,
        }
    }

    fn hand_out(&mut self, reason: FlushReason) -> Batch<'_, T> {
        self.schedule.take();
        self.batches = self.batches.saturating_add(1);
        Batch { items: self.items.as_mut_view(), reason }
    }
}

/// The counts of a [`BatchCollector`], in items: `pushed == flushed + pending`.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct BatchStats {
    /// Items that were taken.
    pub pushed: u64,
    /// Items that were handed out in batches.
    pub flushed: u64,
    /// Items that wait in the batch being filled.
    pub pending: usize,
    /// Batches that were handed out.
    pub batches: u64,
}

/// The items of one batch, in the order of their pushes: a slice that can be consumed.
///
/// Items that are not moved out are dropped with it. It borrows the collector, so that nothing can be pushed into the
/// memory that it lies in:
///
/// ```compile_fail,E0499
/// # use core::time::Duration;
/// # use steadfast_core::{BatchCollector, BatchSettings, Instant};
/// # let mut collector = BatchCollector::<_, 2>::new(BatchSettings::new(Duration::ZERO));
/// let batch = collector.push(1, Instant::ZERO);
/// let other = collector.push(2, Instant::ZERO);
/// drop(batch);
/// ```
#[must_use = "the items of a batch are dropped with it"]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug)]
pub struct Batch<'a, T> {
    items: &'a mut VecView<T>,
    reason: FlushReason,
}

impl<T> Batch<'_, T> {
    /// Why it was handed out.
    #[must_use]
    pub const fn reason(&self) -> FlushReason {
        self.reason
    }
}

impl<T> Deref for Batch<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.items
    }
}

impl<T> DerefMut for Batch<'_, T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.items
    }
}

impl<T> Drop for Batch<'_, T> {
    fn drop(&mut self) {
        self.items.clear();
    }
}

impl<'a, T> IntoIterator for Batch<'a, T> {
    type Item = T;
    type IntoIter = BatchIntoIter<'a, T>;

    fn into_iter(self) -> BatchIntoIter<'a, T> {
        self.items.reverse();
        BatchIntoIter { reversed: self }
    }
}

/// Moves the items out of a [`Batch`].
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug)]
pub struct BatchIntoIter<'a, T> {
    reversed: Batch<'a, T>,
}

impl<T> Iterator for BatchIntoIter<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.reversed.items.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.reversed.len(), Some(self.reversed.len()))
    }
}

impl<T> ExactSizeIterator for BatchIntoIter<'_, T> {}

impl<T> FusedIterator for BatchIntoIter<'_, T> {}
