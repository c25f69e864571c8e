//! The settings of a batch collector, and how it starts.

use core::{
    fmt,
    num::{NonZeroU64, NonZeroUsize},
    time::Duration,
};
use std::{io, sync::Arc, thread};

use steadfast_core::{BatchQueueIn, BatchSettings, Shared};

use super::{
    Batch, BatchCollector, Flushed, Handle, Inner, Weigh,
    worker::{Ends, work},
};
use crate::{Mutex, SystemTimer, block_on};

/// The settings of a [`BatchCollector`].
///
/// ```
/// use std::{num::NonZeroU64, time::Duration};
/// use steadfast::{Batch, BatchCollector};
///
/// const SIXTEEN_KIB: NonZeroU64 = NonZeroU64::new(16 * 1_024).unwrap();
///
/// # async fn upload(_: &str) -> Result<(), std::io::Error> { Ok(()) }
/// // 64 lines or 16 KiB, 10 s after the first line or 1 s after the last. What fails is tried twice more, alone.
/// let lines = BatchCollector::builder(64, Duration::from_secs(10))
///     .idle_gap(Duration::from_secs(1))
///     .max_weight(SIXTEEN_KIB, |line: &String| line.len() as u32)
///     .retry(2, Duration::from_millis(200))
///     .spawn(|mut lines: Batch<String>| async move {
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
    settings: BatchSettings,
    retry_times: u32,
    retry_wait: Duration,
    weigh: Option<Weigh<T>>,
}

impl<T> BatchCollectorBuilder<T> {
    pub(super) const fn new(size: usize, max_wait: Duration) -> Self {
        let size = match NonZeroUsize::new(size) {
            Some(size) => size,
            None => NonZeroUsize::MIN,
        };
        let settings = BatchSettings::new(max_wait);
        Self { size, settings, retry_times: 0, retry_wait: Duration::ZERO, weigh: None }
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
    pub const fn retry(mut self, times: u32, wait: Duration) -> Self {
        self.retry_times = times;
        self.retry_wait = wait;
        self
    }

    /// Starts the collector: its worker is a task of the tokio runtime that this is called in, else a thread.
    ///
    /// `flush` returns nothing, a `Result`, what is to be tried again, or a [`Flushed`]. It is polled by the worker
    /// only, so it may wait as long as it likes; it may add to the collector.
    ///
    /// A task ends with its runtime, whatever is pending: [`stop`](BatchCollector::stop) the collector before.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn spawn<F>(self, flush: impl FnMut(Batch<T>) -> F + Send + 'static) -> io::Result<BatchCollector<T>>
    where
        T: Send + 'static,
        F: Future<Output: Into<Flushed<T>>> + Send + 'static,
    {
        let machine = BatchQueueIn::allocate(self.size, self.settings).retry(self.retry_times, self.retry_wait);
        let queue = Shared::new(Mutex::new(machine), SystemTimer);
        let inner = Arc::new(Inner { queue, weigh: self.weigh });
        start(work(Ends(inner.clone()), self.size.get(), flush))?;
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
