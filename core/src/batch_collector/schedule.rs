//! When a batch is due: the policy, apart from where the items lie.

use super::BatchSettings;
use crate::foundation::time::{Instant, Span};

/// Why a batch was handed out.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
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

/// Counts the items of the batch being filled, and knows when it is due.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
        }
    }

    /// Other settings from now on, for the batch being filled too.
    pub(super) fn change(&mut self, settings: BatchSettings, now: Instant) {
        let former = self.idle_gap;
        let new = Self::new(self.max_len, settings);
        (self.max_wait, self.idle_gap, self.max_weight) = (new.max_wait, new.idle_gap, new.max_weight);
        if former == Span::MAX {
            self.last_at = now; // without a gap nobody has kept it
        }
    }

    /// Counts one more item, at the time that it comes.
    pub(super) fn push(&mut self, weight: u32, now: Instant) {
        // An earlier `now` than the first item's is a clock that stepped back: wait once more from here, not for the
        // step.
        if self.len == 0 || now < self.first_at {
            self.first_at = now;
        }
        self.last_at = now;
        self.push_untimed(weight);
    }

    /// Counts one more item whose time makes no difference, see [`wants_time`](Self::wants_time).
    pub(super) fn push_untimed(&mut self, weight: u32) {
        self.len = self.len.saturating_add(1);
        self.weight = self.weight.saturating_add(weight.into());
    }

    /// False if the next item may come untimed, were it not for clocks that step back.
    pub(super) fn wants_time(&self) -> bool {
        self.len == 0 || self.idle_gap < Span::MAX
    }

    /// The latest time that was seen by the batch being filled.
    pub(super) fn latest_at(&self) -> Option<Instant> {
        (self.len > 0).then_some(self.first_at.max(self.last_at))
    }

    /// True if an item that comes `now` brings the deadline nearer, because the clock has stepped back.
    pub(super) fn is_ahead_of(&self, now: Instant) -> bool {
        self.len > 0 && now < self.first_at
    }

    /// Waits from `now` on at the latest: the clock has stepped back.
    pub(super) const fn step_back(&mut self, now: Instant) {
        self.first_at = self.first_at.earlier(now);
        self.last_at = self.last_at.earlier(now);
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

    /// [`due`](Self::due) for the time of the last push.
    pub(super) fn due_with_last(&self, now: Instant) -> Option<FlushReason> {
        // No item came later, so neither sum of `due` is needed to see that none has waited long enough.
        let waits = now.since(self.first_at) < self.max_wait && !self.idle_gap.is_zero();
        if waits { self.closed() } else { self.due(now) }
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

    /// Counts the batch as handed out, and says how many items that were; the next one is empty.
    pub(super) const fn take(&mut self) -> usize {
        let len = self.len;
        self.flushed = self.flushed.saturating_add(len as u64);
        self.len = 0;
        self.weight = 0;
        len
    }

    /// How many more items the batch takes at most.
    pub(super) const fn room(&self) -> usize {
        if self.closed().is_some() { 0 } else { self.max_len.saturating_sub(self.len) }
    }

    pub(super) const fn max_len(&self) -> usize {
        self.max_len
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Items that have left.
    pub(super) const fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Items that have come.
    pub(super) const fn pushed(&self) -> u64 {
        self.flushed.saturating_add(self.len as u64)
    }

    const fn age_at(&self) -> Instant {
        self.first_at.after(self.max_wait)
    }

    const fn idle_at(&self) -> Instant {
        self.last_at.after(self.idle_gap)
    }
}
