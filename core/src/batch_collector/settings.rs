//! When a batch is due.

use core::{num::NonZeroU64, time::Duration};

/// When a batch is due, besides being full: after the longest wait of its first item (linger), after an idle gap, at a
/// weight.
///
/// ```
/// use core::{num::NonZeroU64, time::Duration};
/// use steadfast_core::BatchSettings;
///
/// const KIBI: NonZeroU64 = NonZeroU64::new(1_024).unwrap();
/// // At the latest 10 s after the first item, 1 s after the last one, or with 1 KiB in it.
/// const GOSSIP: BatchSettings =
///     BatchSettings::new(Duration::from_secs(10)).idle_gap(Duration::from_secs(1)).max_weight(KIBI);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(deny_unknown_fields))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BatchSettings {
    pub(super) max_wait: Duration,
    pub(super) idle_gap: Option<Duration>,
    pub(super) max_weight: Option<NonZeroU64>,
}

impl BatchSettings {
    /// No item waits longer than `max_wait`; zero makes each item a batch, [`Duration::MAX`] is no limit.
    ///
    /// The wait runs from the first item of a batch; later ones do not prolong it.
    #[must_use]
    pub const fn new(max_wait: Duration) -> Self {
        Self { max_wait, idle_gap: None, max_weight: None }
    }

    /// Flushes as soon as no item has come for `gap`.
    #[must_use]
    pub const fn idle_gap(self, gap: Duration) -> Self {
        Self { idle_gap: Some(gap), ..self }
    }

    /// Flushes with the item that brings the batch's weight to `weight`.
    ///
    /// It is a trigger, not a cap: that last item may take the batch past it. For a cap, subtract the heaviest item's
    /// weight and add one. An item weighs 1 unless it was pushed with a weight.
    #[must_use]
    pub const fn max_weight(self, weight: NonZeroU64) -> Self {
        Self { max_weight: Some(weight), ..self }
    }
}
