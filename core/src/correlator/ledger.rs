//! What a correlator counts, whichever way its calls are named.

use core::time::Duration;

use super::{
    BeginError, Resolution,
    ending::Ending,
    round_trip::{Meter, RoundTrips},
};
use crate::foundation::time::{Instant, Span};

/// The counts of a correlator.
///
/// `begun = resolved + timed_out + cancelled + closed + pending` at every instant, and every reply is one of
/// `resolved`, `late`, `duplicates`, `unknown` and `wrong_peer`.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CorrelatorStats {
    /// Calls that began.
    pub begun: u64,
    /// Calls that got their reply.
    pub resolved: u64,
    /// Calls that timed out.
    pub timed_out: u64,
    /// Calls that were cancelled: by id, by dropping their future, or because sending failed.
    pub cancelled: u64,
    /// Calls that `close` ended.
    pub closed: u64,
    /// Calls that are pending.
    pub pending: u64,
    /// Calls that did not begin: full, closed, or the id in use.
    pub refused: u64,
    /// Replies to calls that were over without a reply.
    pub late: u64,
    /// Replies to calls that had theirs.
    pub duplicates: u64,
    /// Replies to no call that is known.
    pub unknown: u64,
    /// Replies from a peer that was not asked.
    pub wrong_peer: u64,
}

impl CorrelatorStats {
    /// What was counted since `earlier`, when the same stats were read before.
    ///
    /// `pending` is that of now: with that of `earlier` added to `begun`, they add up.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            begun: self.begun.saturating_sub(earlier.begun),
            resolved: self.resolved.saturating_sub(earlier.resolved),
            timed_out: self.timed_out.saturating_sub(earlier.timed_out),
            cancelled: self.cancelled.saturating_sub(earlier.cancelled),
            closed: self.closed.saturating_sub(earlier.closed),
            pending: self.pending,
            refused: self.refused.saturating_sub(earlier.refused),
            late: self.late.saturating_sub(earlier.late),
            duplicates: self.duplicates.saturating_sub(earlier.duplicates),
            unknown: self.unknown.saturating_sub(earlier.unknown),
            wrong_peer: self.wrong_peer.saturating_sub(earlier.wrong_peer),
        }
    }
}

/// Threads that read the clock before they take the lock come a little out of order; that must not cost a look at every
/// call.
pub(super) const OUT_OF_ORDER: Span = Span::new(Duration::from_millis(100));

pub(super) struct Ledger {
    /// All but `pending`, which follows from the others.
    stats: CorrelatorStats,
    meter: Meter,
    closed: bool,
    /// The latest reading.
    seen_at: Instant,
    /// The readings since they are behind that.
    behind: Option<Behind>,
    /// Until then no call is to begin anew for it.
    look_at: Instant,
}

/// The earliest and the latest of the readings that are behind another.
#[derive(Clone, Copy)]
pub(super) struct Behind {
    pub(super) from: Instant,
    pub(super) to: Instant,
}

impl Ledger {
    pub(super) const fn new() -> Self {
        let stats = CorrelatorStats {
            begun: 0,
            resolved: 0,
            timed_out: 0,
            cancelled: 0,
            closed: 0,
            pending: 0,
            refused: 0,
            late: 0,
            duplicates: 0,
            unknown: 0,
            wrong_peer: 0,
        };
        Self { stats, meter: Meter::NEW, closed: false, seen_at: Instant::ZERO, behind: None, look_at: Instant::ZERO }
    }

    pub(super) const fn stats(&self) -> CorrelatorStats {
        let mut stats = self.stats;
        stats.pending = (stats.begun)
            .wrapping_sub(stats.resolved)
            .wrapping_sub(stats.timed_out)
            .wrapping_sub(stats.cancelled)
            .wrapping_sub(stats.closed);
        stats
    }

    pub(super) fn round_trips(&self) -> Option<RoundTrips> {
        self.meter.read(self.stats.resolved)
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) const fn set_closed(&mut self, closed: bool) {
        self.closed = closed;
    }

    /// Takes note of a reading; false if it is behind, and then for [`fall_behind`](Self::fall_behind).
    #[inline]
    pub(super) const fn go_on(&mut self, now: Instant) -> bool {
        let goes_on = now.as_nanos() >= self.seen_at.as_nanos();
        if goes_on {
            self.seen_at = now;
            if self.behind.is_some() {
                (self.behind, self.look_at) = (None, Instant::ZERO);
            }
        }
        goes_on
    }

    /// Takes note of a reading that is behind; tells how far readings are, if it is time to look at each call for it.
    #[cold]
    pub(super) fn fall_behind(&mut self, now: Instant, patience: Span) -> Option<Behind> {
        let behind = self.behind.get_or_insert(Behind { from: now, to: now });
        if now < behind.from {
            (behind.from, self.look_at) = (now, now);
        }
        behind.to = behind.to.later(now);
        (now >= self.look_at.later(behind.from.after(patience))).then_some(*behind)
    }

    /// After that look: the shortest time-out of those that lie ahead of the clock still. If none does, it has stepped
    /// back.
    pub(super) const fn look_again(&mut self, behind: Behind, shortest: Option<Span>) {
        match shortest {
            Some(timeout) => self.look_at = behind.from.after(timeout.half()),
            None => {
                self.seen_at = behind.to;
                self.behind = None;
                self.look_at = Instant::ZERO;
            }
        }
    }

    /// How far readings are behind, if they are.
    pub(super) const fn behind(&self) -> Option<Behind> {
        self.behind
    }

    pub(super) const fn begun(&mut self) {
        count(&mut self.stats.begun);
    }

    pub(super) const fn refused(&mut self, why: BeginError) -> BeginError {
        count(&mut self.stats.refused);
        why
    }

    #[inline]
    pub(super) fn resolved(&mut self, begun_at: Instant, now: Instant) {
        count(&mut self.stats.resolved);
        self.meter.record(now.since(begun_at));
    }

    pub(super) const fn ended(&mut self, ending: Ending) {
        count(match ending {
            Ending::Cancelled => &mut self.stats.cancelled,
            Ending::Closed => &mut self.stats.closed,
            Ending::TimedOut => &mut self.stats.timed_out,
        });
    }

    /// Counts a reply that was not taken, and gives it back.
    pub(super) fn refuse<R>(&mut self, reply: R, why: Resolution<()>) -> Resolution<R> {
        match why {
            Resolution::Duplicate(()) => count(&mut self.stats.duplicates),
            Resolution::Late(()) => count(&mut self.stats.late),
            Resolution::Matched => {}
            Resolution::Unknown(()) => count(&mut self.stats.unknown),
            Resolution::WrongPeer(()) => count(&mut self.stats.wrong_peer),
        }
        why.about(reply)
    }
}

/// One more; at a call a nanosecond it would wrap after 584 years.
const fn count(counter: &mut u64) {
    *counter = counter.wrapping_add(1);
}
