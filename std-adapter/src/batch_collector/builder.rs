//! The settings of a batch collector, and how it starts.

use core::{
    fmt,
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};
use std::{io, sync::Arc, thread};

use steadfast_core::{BatchSettings, RetryPolicy, Shared, batch_collector::BatchQueueIn, retry::Jitter};

use super::{
    Batch, BatchCollector, Flushed, Handle, Inner, Weigh,
    batch::Home,
    flush::Flushes,
    list::{List, memory},
    pause::Pause,
    worker::{OnFailed, Worker, work},
};
use crate::{
    generation::Generation,
    runtime::{Mutex, SystemTimer, block_on},
};

/// Builds a [`BatchCollector`] and starts its worker: size, wait, weight, retries, capacity, dead letters.
///
/// ```
/// use std::{num::NonZeroU64, time::Duration};
/// use steadfast::{BatchCollector, batch_collector::Batch};
///
/// const SIXTEEN_KIB: NonZeroU64 = NonZeroU64::new(16 * 1_024).unwrap();
///
/// # async fn upload(_: &str) -> Result<(), std::io::Error> { Ok(()) }
/// // 64 lines or 16 KiB, 10 s after the first line or 1 s after the last. What fails is tried twice more, alone.
/// let lines = BatchCollector::builder(64, Duration::from_secs(10))
///     .idle_gap(Duration::from_secs(1))
///     .max_weight(SIXTEEN_KIB, |line: &String| line.len() as u32)
///     .retry(2, Duration::from_millis(200))
///     .build(|mut lines: Batch<String>| async move {
///         let mut failed = Vec::new();
///         for line in lines.drain(..) {
///             if upload(&line).await.is_err() {
///                 failed.push(line);
///             }
///         }
///         lines.append(&mut failed);
///         if lines.is_empty() { None } else { Some(lines) }
///     })?;
///
/// lines.add_blocking("alice is back".to_owned())?;
/// # steadfast::block_on(lines.stop());
/// # assert_eq!(lines.stats().delivered, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "it starts with `spawn`"]
pub struct BatchCollectorBuilder<T> {
    size: NonZeroUsize,
    capacity: usize,
    settings: BatchSettings,
    retry: RetryPolicy,
    stall_timeout: Option<Duration>,
    weigh: Option<Weigh<T>>,
    on_failed: Option<OnFailed<T>>,
}

impl<T> BatchCollectorBuilder<T> {
    pub(super) const fn new(size: usize, max_wait: Duration) -> Self {
        let size = match NonZeroUsize::new(size) {
            Some(size) => size,
            None => NonZeroUsize::MIN,
        };
        let settings = BatchSettings::new(max_wait);
        let retry = RetryPolicy::constant(Duration::ZERO).max_retries(0);
        Self { size, capacity: 0, settings, retry, stall_timeout: None, weigh: None, on_failed: None }
    }

    /// Flushes as soon as no item has come for `gap`.
    pub const fn idle_gap(mut self, gap: Duration) -> Self {
        self.settings = self.settings.idle_gap(gap);
        self
    }

    /// Flushes with the item that brings the batch's weight to `weight`; it may take the batch past it.
    ///
    /// `weigh` is called once an item, before it is added.
    pub fn max_weight(mut self, weight: NonZeroU64, weigh: impl Fn(&T) -> u32 + Send + Sync + 'static) -> Self {
        self.settings = self.settings.max_weight(weight);
        self.weigh = Some(Box::new(weigh));
        self
    }

    /// Flushes what a flush gave back ([`Flushed::Again`]) up to `times` times more, each time after `wait`.
    pub const fn retry(self, times: u32, wait: Duration) -> Self {
        let policy = RetryPolicy::constant(wait).max_delay(wait).jitter(Jitter::None);
        self.backoff(policy.max_retries(times))
    }

    /// Flushes what a flush gave back ([`Flushed::Again`]) again as this policy says: how often, how long after, for
    /// how long.
    ///
    /// With an [`attempt_timeout`](RetryPolicy::attempt_timeout), a flush that takes longer is dropped; what was still
    /// in its batch then is tried again, and what it had taken out counts as delivered, or all as failed if nothing is
    /// left.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::{BatchCollector, RetryPolicy, batch_collector::Batch};
    ///
    /// # fn upload(_: &[u32], _key: u32) -> bool { true }
    /// # let dir = std::env::temp_dir();
    /// let numbers = BatchCollector::builder(64, Duration::from_secs(1))
    ///     .backoff(RetryPolicy::exponential(Duration::from_millis(100)).max_retries(5))
    ///     .on_failed(|numbers| eprintln!("lost after {} attempts: {numbers:?}", numbers.attempt()))
    ///     .build(|numbers: Batch<u32>| async move {
    ///         let has_arrived = upload(&numbers, numbers.attempt());
    ///         (!has_arrived).then_some(numbers)
    ///     })?;
    /// # numbers.add_blocking(1)?;
    /// # assert!(steadfast::block_on(numbers.stop_within(Duration::from_secs(5))).is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn backoff(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// How many items may wait for the flush under way (queue depth), rounded up to whole batches: one batch unless
    /// set.
    ///
    /// When they are so many, adders wait. A batch that is full by its weight takes the place of a whole one.
    pub const fn capacity(mut self, items: usize) -> Self {
        self.capacity = items;
        self
    }

    /// After how long a single call of the flush counts as stalled: until it ends, adders who find no room get
    /// [`AddError::Full`](steadfast_core::batch_collector::AddError::Full) instead of waiting. 30 s unless set;
    /// [`Duration::MAX`] for never.
    ///
    /// So nobody waits for ever for a sink that hangs, or for a flush that itself waits for a task that adds.
    pub const fn stall_timeout(mut self, stall_timeout: Duration) -> Self {
        self.stall_timeout = Some(stall_timeout);
        self
    }

    /// Has `on_failed` called with the items that failed for good (dead letters): after the last retry; what was still
    /// in the batch of a flush that returned an error or panicked; and what is pending when the worker ends with its
    /// runtime.
    ///
    /// The worker calls it, between two flushes: it should not take long. It may use the collector as the
    /// [flush](BatchCollector#inside-the-flush) may, and a panic of it ends nothing. [`Batch::attempt`] tells how many
    /// attempts were made; 0 if the worker ended. What the flush had taken out of its batch is counted in
    /// [`stats`](BatchCollector::stats), but cannot be handed over.
    #[doc(alias = "dead letter queue")]
    pub fn on_failed(mut self, on_failed: impl FnMut(Batch<T>) + Send + 'static) -> Self {
        self.on_failed = Some(Box::new(on_failed));
        self
    }

    /// Starts the collector: its worker is a task of the tokio runtime that this is called in, else a thread.
    ///
    /// `flush` returns nothing, a `Result`, what is to be tried again, or a [`Flushed`]. It is polled by the worker
    /// only, so it may wait as long as it likes; it may [add to the collector](BatchCollector#inside-the-flush).
    ///
    /// A task ends with its runtime. What is pending then, and the batch of a flush that is cut off by it, has failed:
    /// [`stop`](BatchCollector::stop) the collector before.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give, or no memory for two batches of this size.
    pub fn build<F>(self, flush: impl FnMut(Batch<T>) -> F + Send + 'static) -> io::Result<BatchCollector<T>>
    where
        T: Send + 'static,
        F: Future<Output: Into<Flushed<T>>> + Send + 'static,
    {
        let size = self.size.get();
        let depth = self.capacity.div_ceil(size).saturating_sub(1);
        let (items, spare) = (List::new(size, depth)?, memory(size)?);
        let mut machine = BatchQueueIn::allocate(self.size, self.settings).gather_in(items);
        if let Some(stall_timeout) = self.stall_timeout {
            machine = machine.stall_timeout(stall_timeout);
        }
        let queue = Shared::new(Mutex::new(machine), SystemTimer);
        let inner = Arc::new(Inner {
            queue,
            weigh: self.weigh,
            flushes: Flushes::default(),
            pause: Pause::new(),
            generation: Generation::default(),
        });
        let home = Arc::new(Home::new(spare));
        let (retry, on_failed) = (self.retry, self.on_failed);
        start(work(Worker { inner: inner.clone(), home, size, retry, on_failed }, flush))?;
        Ok(BatchCollector(Arc::new(Handle(inner))))
    }
}

fn start(worker: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    #[cfg(feature = "tokio")]
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        drop(runtime.spawn(worker));
        return Ok(());
    }
    thread::Builder::new().name("batch collector".to_owned()).spawn(|| block_on(worker)).map(drop)
}

impl<T> fmt::Debug for BatchCollectorBuilder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, settings) = (&self.size, &self.settings);
        f.debug_struct("BatchCollectorBuilder").field("size", size).field("settings", settings).finish_non_exhaustive()
    }
}
