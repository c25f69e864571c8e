//! When a batch is due: the policy, apart from where the items lie.

use super::BatchSettings;
use crate::{Instant, time::Span};

/// Why a batch was handed out.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FlushReason {
    /// Its first item had waited as long as allowed.
    Age,
    /// No item had come for the idle gap.
    Idle,
    /// It was asked for.
    Manual,
    /// It was full.
    Size,
    /// The collector was stopped, or its last handle dropped.
    Stop,
    /// It was heavy enough.
    Weight,
}

/// What has gone through a collector: `pushed == flushed + pending`.
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

/// Counts the items of the batch being filled, and knows when it is due.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    max_wait: Span,
    idle_gap: Span,
    max_weight: u64,
    max_len: usize,
    len: usize,
    weight: u64,
    first_at: Instant,
    last_at: Instant,
    flushed: u64,
    batches: u64,
}

impl Schedule {
    /// An empty batch, full with `max_len` items.
    pub(super) const fn new(max_len: usize, settings: BatchSettings) -> Self {
        Self {
            max_wait: Span::new(settings.max_wait),
            idle_gap: match settings.idle_gap {
                Some(gap) => Span::new(gap),
                None => Span::MAX,
            },
            max_weight: match settings.max_weight {
                Some(weight) => weight.get(),
                None => u64::MAX,
            },
            max_len,
            len: 0,
            weight: 0,
            first_at: Instant::ZERO,
            last_at: Instant::ZERO,
            flushed: 0,
            batches: 0,
        }
    }

    /// Counts one more item.
    pub(super) fn push(&mut self, weight: u32, now: Instant) {
        // An earlier `now` than the first item's is a clock that stepped back: wait once more from here, not for the step.
        if self.len == 0 || now < self.first_at {
            self.first_at = now;
        }
        self.last_at = now;
        self.len = self.len.saturating_add(1);
        self.weight = self.weight.saturating_add(weight.into());
    }

    /// Why the batch is due by now, if it is.
    pub(super) fn due(&self, now: Instant) -> Option<FlushReason> {
        if let Some(reason) = self.closed() {
            return Some(reason);
        }
        if now < self.next_deadline()? {
            return None;
        }
        Some(if self.age_at() <= self.idle_at() { FlushReason::Age } else { FlushReason::Idle })
    }

    /// Why the batch takes no more items, if it does not.
    pub(super) const fn closed(&self) -> Option<FlushReason> {
        if self.len >= self.max_len {
            Some(FlushReason::Size)
        } else if self.weight >= self.max_weight {
            Some(FlushReason::Weight)
        } else {
            None
        }
    }

    /// When time alone makes the batch due.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let at = self.age_at().earlier(self.idle_at());
        (self.len > 0 && at < Instant::MAX).then_some(at)
    }

    /// Counts the batch as handed out; the next one is empty.
    pub(super) const fn take(&mut self) {
        self.flushed = self.flushed.saturating_add(self.len as u64);
        self.batches = self.batches.saturating_add(1);
        self.len = 0;
        self.weight = 0;
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn stats(&self) -> BatchStats {
        BatchStats {
            pushed: self.flushed.saturating_add(self.len as u64),
            flushed: self.flushed,
            pending: self.len,
            batches: self.batches,
        }
    }

    const fn age_at(&self) -> Instant {
        self.first_at.after(self.max_wait)
    }

    const fn idle_at(&self) -> Instant {
        self.last_at.after(self.idle_gap)
    }
}
