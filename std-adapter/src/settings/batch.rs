//! Settings of batch collectors.

use core::{num::NonZeroU64, time::Duration};

use steadfast_core::{BatchSettings, RetryPolicy};

use super::{
    form::{form, required, settings},
    retry::RetryForm,
    values::{Capacity, Count, Positive, Span},
};
use crate::batch_collector::{BatchCollector, BatchCollectorBuilder};

form! {
    BatchForm {
        size: Capacity,
        max_wait: Span,
        idle_gap: Positive,
        max_weight: Count<1, { u64::MAX }>,
        capacity: Capacity,
        stall_timeout: Positive,
        retry: RetryForm,
    }
}

/// Settings of a [`BatchCollector`]: `size`, `max_wait`, `idle_gap`, `max_weight`, `capacity`, `stall_timeout`, and
/// `retry`, a table as that of [`RetrySettings`](super::RetrySettings).
///
/// Tried again is what the flush gives back. A `Result` has nothing in it to try again: its error counts the items as
/// failed, whatever `retry` says.
///
/// ```
/// use steadfast::{batch_collector::Batch, settings::BatchCollectorSettings};
///
/// # use std::sync::atomic::{AtomicU32, Ordering};
/// # static TRIES: AtomicU32 = AtomicU32::new(0);
/// # async fn write(_: &[String]) -> std::io::Result<()> {
/// #     if TRIES.fetch_add(1, Ordering::Relaxed) == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
/// # }
/// let audit: BatchCollectorSettings = toml::from_str(r#"
///     size = 64
///     max_wait = "1s"
///     retry = { constant = "1ms", max_retries = 2 }
/// "#)?;
/// let audit = audit
///     .builder::<String>()
///     .on_failed(|lines| eprintln!("{} lines are lost", lines.len()))
///     .build(|lines: Batch<String>| async move {
///         match write(&lines).await {
///             Ok(()) => None,
///             Err(_) => Some(lines), // again
///         }
///     })?;
/// audit.add_blocking("alice paid bob".to_owned())?;
/// steadfast::block_on(audit.stop());
/// assert_eq!((audit.stats().retries, audit.stats().delivered), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct BatchCollectorSettings {
    form: BatchForm,
    size: usize,
    max_wait: Duration,
    settings: BatchSettings,
    retry: Option<RetryPolicy>,
}

impl BatchCollectorSettings {
    fn check(form: BatchForm) -> Result<Self, String> {
        let size = required(&form.size, "size: expected how many items make a batch")?.to_usize();
        let max_wait = required(&form.max_wait, "max_wait: expected how long an item waits at most, such as \"1s\"")?.0;
        let retry = form.retry.as_ref().map(|retry| retry.policy("retry.")).transpose()?;
        let settings = BatchSettings::new(max_wait);
        let settings = form.idle_gap.map_or(settings, |gap| settings.idle_gap(gap.get()));
        let weight = form.max_weight.and_then(|weight| NonZeroU64::new(weight.0));
        let settings = weight.map_or(settings, |weight| settings.max_weight(weight));
        Ok(Self { form, size, max_wait, settings, retry })
    }

    /// When a batch is due, for [`BatchCollector::set_settings`].
    #[must_use]
    pub const fn settings(&self) -> BatchSettings {
        self.settings
    }

    /// The builder of a collector with these settings, whose items weigh 1 each.
    pub fn builder<T>(&self) -> BatchCollectorBuilder<T> {
        self.builder_weighing(|_| 1)
    }

    /// The builder of a collector with these settings, where `weigh` says what an item weighs.
    pub fn builder_weighing<T>(&self, weigh: impl Fn(&T) -> u32 + Send + Sync + 'static) -> BatchCollectorBuilder<T> {
        let weight = self.form.max_weight.and_then(|weight| NonZeroU64::new(weight.0)).unwrap_or(NonZeroU64::MAX);
        let mut builder = BatchCollector::builder(self.size, self.max_wait).max_weight(weight, weigh);
        if let Some(gap) = self.form.idle_gap {
            builder = builder.idle_gap(gap.get());
        }
        if let Some(capacity) = self.form.capacity {
            builder = builder.capacity(capacity.to_usize());
        }
        if let Some(stall_timeout) = self.form.stall_timeout {
            builder = builder.stall_timeout(stall_timeout.get());
        }
        if let Some(policy) = self.retry {
            builder = builder.backoff(policy);
        }
        builder
    }
}

settings!(BatchCollectorSettings: BatchForm);
