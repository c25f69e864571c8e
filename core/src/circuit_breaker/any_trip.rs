//! A trip whose kind and size are known at run time only.

use core::{
    fmt,
    marker::PhantomData,
    num::{NonZeroU16, NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::{
    Consecutive, Percent, WindowStats,
    call_window::CallRing,
    time_window::{Buckets, MIN_CALLS},
    trip::{Counts, Limits, Policy},
};
use crate::foundation::{
    storage::{Allocate, Storage},
    time::{Instant, Span},
};

/// Any [`Trip`](super::Trip), chosen at run time: what a server reads from a file.
///
/// It decides as [`Consecutive`], [`CallWindow`](super::CallWindow) or [`TimeWindow`](super::TimeWindow) does. The
/// memory of a window comes from `S`, and is allocated for the first call that is counted in it.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct AnyTrip<S> {
    kind: Kind,
    storage: PhantomData<S>,
}

#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Consecutive(Consecutive),
    Calls { calls: NonZeroU16, limits: Limits },
    Time { buckets: NonZeroU16, bucket: Span, limits: Limits },
}

impl<S> AnyTrip<S> {
    /// As [`Consecutive::new`].
    #[must_use]
    pub const fn consecutive(failures: NonZeroU32) -> Self {
        Self::of(Kind::Consecutive(Consecutive::new(failures)))
    }

    /// As [`CallWindow::new`](super::CallWindow::new), of the last `calls`.
    #[must_use]
    pub const fn call_window(calls: NonZeroU16, failures: Percent) -> Self {
        Self::of(Kind::Calls { calls, limits: Limits::new(failures, calls.get() as u32) })
    }

    /// As [`TimeWindow::new`](super::TimeWindow::new), in so many `buckets`.
    #[must_use]
    pub const fn time_window(span: Duration, buckets: NonZeroU16, failures: Percent) -> Self {
        let parts = NonZeroU64::MIN.saturating_add((buckets.get() as u64).saturating_sub(1));
        let bucket = Span::new(span).divided_by(parts);
        Self::of(Kind::Time { buckets, bucket, limits: Limits::new(failures, MIN_CALLS) })
    }

    /// Judges from this many calls on: at most those of a window of calls; a trip by consecutive failures has no such
    /// limit.
    #[must_use]
    pub const fn min_calls(mut self, min_calls: NonZeroU32) -> Self {
        match &mut self.kind {
            Kind::Consecutive(_) => {}
            Kind::Calls { calls, limits } => {
                let all = calls.get() as u32;
                limits.min_calls = if min_calls.get() < all { min_calls.get() } else { all };
            }
            Kind::Time { limits, .. } => limits.min_calls = min_calls.get(),
        }
        self
    }

    /// Opens also when at least `share` of the calls took `limit` or longer; a trip by consecutive failures does not.
    #[must_use]
    pub const fn slow_calls(mut self, limit: Duration, share: Percent) -> Self {
        match &mut self.kind {
            Kind::Consecutive(_) => {}
            Kind::Calls { limits, .. } | Kind::Time { limits, .. } => {
                limits.slow_after = Span::new(limit);
                limits.slow_calls = Some(share);
            }
        }
        self
    }

    const fn of(kind: Kind) -> Self {
        Self { kind, storage: PhantomData }
    }
}

/// What an [`AnyTrip`] remembers.
#[expect(unnameable_types, reason = "only a breaker has one")]
pub enum AnyWindow<S: Storage> {
    /// Nothing yet.
    Empty,
    Consecutive(u32),
    Calls(CallRing<S::Of<u8>>),
    Time(Buckets<S::Of<Counts>>),
}

impl<S: Allocate> Clone for AnyWindow<S> {
    fn clone(&self) -> Self {
        match self {
            Self::Empty => Self::Empty,
            Self::Consecutive(run) => Self::Consecutive(*run),
            Self::Calls(ring) => Self::Calls(ring.copied_to(S::allocate(ring.len(), || 0))),
            Self::Time(buckets) => Self::Time(buckets.copied_to(S::allocate(buckets.len(), || Counts::NONE))),
        }
    }
}

impl<S: Storage> fmt::Debug for AnyWindow<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Consecutive(run) => run.fmt(f),
            Self::Calls(ring) => ring.counts().fmt(f),
            Self::Time(buckets) => buckets.counts().fmt(f),
        }
    }
}

impl Kind {
    fn window<S: Allocate>(&self) -> AnyWindow<S> {
        match self {
            Self::Consecutive(_) => AnyWindow::Consecutive(0),
            Self::Calls { calls, .. } => AnyWindow::Calls(CallRing::new(S::allocate(calls.get().into(), || 0))),
            Self::Time { buckets, .. } => {
                AnyWindow::Time(Buckets::new(S::allocate(buckets.get().into(), || Counts::NONE)))
            }
        }
    }

    fn has_shape_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Consecutive(_), Self::Consecutive(_)) => true,
            (Self::Calls { calls: one, .. }, Self::Calls { calls: other, .. }) => one == other,
            (Self::Time { buckets, bucket, .. }, Self::Time { buckets: others, bucket: other, .. }) => {
                (buckets, bucket) == (others, other)
            }
            _ => false,
        }
    }
}

/// A window is empty or of its policy's kind: [`Policy::take_over`] sees to it.
impl<S: Allocate + Clone + fmt::Debug> Policy for AnyTrip<S> {
    type Window = AnyWindow<S>;
    const EMPTY: AnyWindow<S> = AnyWindow::Empty;

    fn record(&self, window: &mut AnyWindow<S>, failed: bool, slow: bool, now: Instant) -> bool {
        if matches!(window, AnyWindow::Empty) {
            *window = self.kind.window();
        }
        match (&self.kind, window) {
            (Kind::Consecutive(trip), AnyWindow::Consecutive(run)) => trip.record(run, failed, slow, now),
            (Kind::Calls { limits, .. }, AnyWindow::Calls(ring)) => ring.record(limits, failed, slow),
            (Kind::Time { bucket, limits, .. }, AnyWindow::Time(buckets)) => {
                buckets.record(*bucket, limits, failed, slow, now)
            }
            _ => false,
        }
    }

    fn forgets_success(&self) -> bool {
        matches!(self.kind, Kind::Consecutive(_))
    }

    fn is_slow(&self, started_at: Instant, now: Instant) -> bool {
        match &self.kind {
            Kind::Consecutive(_) => false,
            Kind::Calls { limits, .. } | Kind::Time { limits, .. } => limits.is_slow(started_at, now),
        }
    }

    fn counts(&self, window: &mut AnyWindow<S>, now: Instant) -> WindowStats {
        match (&self.kind, window) {
            (Kind::Consecutive(trip), AnyWindow::Consecutive(run)) => trip.counts(run, now),
            (_, AnyWindow::Calls(ring)) => ring.counts().stats(),
            (Kind::Time { bucket, .. }, AnyWindow::Time(buckets)) => buckets.counts_at(*bucket, now).stats(),
            _ => Counts::NONE.stats(),
        }
    }

    fn is_empty(&self, window: &AnyWindow<S>, now: Instant) -> bool {
        match (&self.kind, window) {
            (_, AnyWindow::Consecutive(run)) => *run == 0,
            (_, AnyWindow::Calls(ring)) => ring.counts().is_empty(),
            (Kind::Time { bucket, .. }, AnyWindow::Time(buckets)) => buckets.is_empty(*bucket, now),
            _ => true,
        }
    }

    fn is_clean(&self, window: &AnyWindow<S>, now: Instant) -> bool {
        match (&self.kind, window) {
            (_, AnyWindow::Consecutive(run)) => *run == 0,
            (_, AnyWindow::Calls(ring)) => ring.counts().are_clean(),
            (Kind::Time { bucket, .. }, AnyWindow::Time(buckets)) => buckets.is_clean(*bucket, now),
            _ => true,
        }
    }

    fn reaches_back_to(&self, then: Instant, now: Instant) -> bool {
        match &self.kind {
            Kind::Consecutive(_) | Kind::Calls { .. } => false,
            Kind::Time { buckets, bucket, .. } => now < then.after(bucket.times(u64::from(buckets.get()))),
        }
    }

    fn is_calm(&self, window: &AnyWindow<S>) -> bool {
        match (&self.kind, window) {
            (Kind::Consecutive(_), AnyWindow::Empty) => true,
            (Kind::Consecutive(_), AnyWindow::Consecutive(run)) => *run == 0,
            (Kind::Calls { limits, .. }, AnyWindow::Empty) => limits.slow_calls.is_none(),
            (Kind::Calls { limits, .. }, AnyWindow::Calls(ring)) => ring.is_calm(limits),
            _ => false,
        }
    }

    fn succeed(&self, window: &mut AnyWindow<S>, successes: u64) {
        let Kind::Calls { limits, .. } = &self.kind else { return };
        if matches!(window, AnyWindow::Empty) && successes > 0 {
            *window = self.kind.window();
        }
        if let AnyWindow::Calls(ring) = window {
            ring.succeed(limits, successes);
        }
    }

    fn take_over(&self, former: &Self, window: &mut AnyWindow<S>, now: Instant) -> bool {
        if !self.kind.has_shape_of(&former.kind) {
            *window = AnyWindow::Empty;
        }
        match (&self.kind, &mut *window) {
            (Kind::Consecutive(trip), AnyWindow::Consecutive(run)) => trip.take_over(trip, run, now),
            (Kind::Calls { limits, .. }, AnyWindow::Calls(ring)) => limits.are_reached(ring.counts()),
            (Kind::Time { bucket, limits, .. }, AnyWindow::Time(buckets)) => buckets.reach(*bucket, limits, now),
            _ => false,
        }
    }
}
