//! What became of events.

/// What became of an event.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recorded {
    /// Its service does not show this level.
    Filtered,
    /// It waits in a group.
    Grouped,
    /// It found no room and was counted.
    Lost,
    /// It is a line of its own, due now.
    Ready,
    /// The logger is shut down.
    Rejected,
}

/// The counts of a [`Logger`](super::Logger): `seen = filtered + printed + waiting + lost + rejected`.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LoggerStats {
    /// All events and plain lines.
    pub seen: u64,
    /// Not shown because of their service's settings.
    pub filtered: u64,
    /// Part of an entry that was handed out.
    pub printed: u64,
    /// Still inside.
    pub waiting: u64,
    /// No room, or refused by the sink; their number is printed.
    pub lost: u64,
    /// Reported after the shutdown.
    pub rejected: u64,
}

impl LoggerStats {
    /// What was counted since `earlier`, when the same stats were read before.
    ///
    /// `waiting` is that of now: with that of `earlier` added to `seen`, they add up.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            seen: self.seen.saturating_sub(earlier.seen),
            filtered: self.filtered.saturating_sub(earlier.filtered),
            printed: self.printed.saturating_sub(earlier.printed),
            waiting: self.waiting,
            lost: self.lost.saturating_sub(earlier.lost),
            rejected: self.rejected.saturating_sub(earlier.rejected),
        }
    }
}

/// The sums of [`LoggerStats`].
#[derive(Clone, Debug)]
pub(super) struct Counts {
    pub(super) seen: u64,
    pub(super) filtered: u64,
    pub(super) printed: u64,
    pub(super) lost: u64,
    pub(super) rejected: u64,
}
