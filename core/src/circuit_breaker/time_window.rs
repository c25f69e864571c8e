//! The calls of the last while, counted in buckets.

use core::{
    num::{NonZeroU32, NonZeroU64},
    time::Duration,
};

use super::{
    Percent, WindowStats,
    trip::{Counts, Limits, Policy},
};
use crate::foundation::time::{Instant, Span};

/// The default of [`TimeWindow::min_calls`]: enough that one bad call among a few is no rate.
pub(super) const MIN_CALLS: u32 = 20;

/// A time-based sliding window: opens a circuit breaker at a failure rate (or slow call rate) threshold over the calls
/// of a span of time. 12 bytes a bucket and 24 a breaker.
///
/// The span is cut into `B` buckets, at most 4,096, that are forgotten whole: a call counts for at least `B - 1` of
/// their lengths, and is never counted once it is as old as the span.
///
/// ```
/// use core::{num::NonZeroU32, time::Duration};
/// use steadfast_core::{CircuitBreaker, Reset, Trip, circuit_breaker::Percent};
///
/// // half of the calls of the last 10 s failed, in buckets of a second; judged from the fiftieth call on
/// let trip = Trip::time_window::<10>(Duration::from_secs(10), Percent::new(50)).min_calls(NonZeroU32::new(50).unwrap());
/// let breaker = CircuitBreaker::new(trip, Reset::after(Duration::from_secs(30)));
/// ```
///
/// # Clock
///
/// If the clock steps back, the newest bucket lasts longer by its own length at most.
///
/// # Cost
///
/// O(1) a call however many calls there are (amortized; O(`B`) after a pause).
#[doc(alias("SamplingDuration", "TIME_BASED"))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "super::settings::TimeWindowSettings", into = "super::settings::TimeWindowSettings")
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TimeWindow<const B: usize> {
    pub(super) limits: Limits,
    pub(super) bucket: Span,
}

impl<const B: usize> TimeWindow<B> {
    const BUCKETS: NonZeroU64 = {
        // More would be no more exact, and more than a stack holds: a window is moved when its breaker is made.
        assert!(0 < B && B <= 4_096, "a window has from 1 to 4,096 buckets");
        NonZeroU64::MIN.saturating_add(B as u64 - 1)
    };

    /// Opens when at least `failures` of the calls within the last `span` failed, once there are 20.
    #[must_use]
    pub const fn new(span: Duration, failures: Percent) -> Self {
        Self { limits: Limits::new(failures, MIN_CALLS), bucket: Span::new(span).divided_by(Self::BUCKETS) }
    }

    /// Judges when there are this many calls within the span; 20 by default.
    #[doc(alias("MinimumThroughput", "minimum number of calls", "minimumNumberOfCalls"))]
    #[must_use]
    pub const fn min_calls(mut self, calls: NonZeroU32) -> Self {
        self.limits.min_calls = calls.get();
        self
    }

    /// Opens also when at least `share` of the calls took `limit` or longer, whether they failed or not. A probe that
    /// is slow counts as failed.
    #[doc(alias("slow call rate threshold", "slowCallDurationThreshold"))]
    #[must_use]
    pub const fn slow_calls(mut self, limit: Duration, share: Percent) -> Self {
        self.limits.slow_after = Span::new(limit);
        self.limits.slow_calls = Some(share);
        self
    }
}

/// The calls of the last buckets, and their sum.
#[expect(unnameable_types, reason = "only a breaker has one")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct Buckets<A> {
    /// When the newest bucket is full.
    ends_at: Instant,
    newest: u32,
    sum: Counts,
    buckets: A,
}

impl<A: AsRef<[Counts]> + AsMut<[Counts]>> Buckets<A> {
    pub(super) const fn new(buckets: A) -> Self {
        Self { ends_at: Instant::ZERO, newest: 0, sum: Counts::NONE, buckets }
    }

    fn advance(&mut self, bucket: Span, now: Instant) {
        // Under a clock that never steps back this changes nothing.
        self.ends_at = self.ends_at.earlier(now.after(bucket));
        let buckets = self.buckets.as_ref().len();
        for _ in 0..buckets {
            if now < self.ends_at {
                return;
            }
            self.ends_at = self.ends_at.after(bucket);
            self.newest = self.newest.saturating_add(1);
            if self.newest as usize >= buckets {
                self.newest = 0;
            }
            if let Some(oldest) = self.buckets.as_mut().get_mut(self.newest as usize) {
                self.sum.subtract(*oldest);
                *oldest = Counts::NONE;
            }
        }
        if now >= self.ends_at {
            self.ends_at = now.after(bucket); // everything was forgotten: begin afresh
        }
    }

    /// Counts one call in the newest bucket, each as long as `bucket`; true if the limits are reached.
    #[inline]
    pub(super) fn record(&mut self, bucket: Span, limits: &Limits, failed: bool, slow: bool, now: Instant) -> bool {
        self.advance(bucket, now);
        // At four billion calls the shares are known well enough.
        if self.sum.calls < u32::MAX
            && let Some(newest) = self.buckets.as_mut().get_mut(self.newest as usize)
        {
            newest.add(failed, slow);
            self.sum.add(failed, slow);
        }
        limits.are_reached(self.sum)
    }

    /// True if the calls that count at `now` reach other limits than before.
    pub(super) fn reach(&mut self, bucket: Span, limits: &Limits, now: Instant) -> bool {
        limits.are_reached(self.counts_at(bucket, now))
    }

    /// What counts at `now`. Whoever only looks does not say when the buckets of an empty window begin.
    pub(super) fn counts_at(&mut self, bucket: Span, now: Instant) -> Counts {
        if !self.sum.is_empty() {
            self.advance(bucket, now);
        }
        self.sum
    }

    pub(super) fn is_empty(&self, bucket: Span, now: Instant) -> bool {
        // The newest bucket is the last to be forgotten.
        let others = (self.buckets.as_ref().len() as u64).saturating_sub(1);
        self.sum.is_empty() || now >= self.ends_at.after(bucket.times(others))
    }

    pub(super) fn is_clean(&self, bucket: Span, now: Instant) -> bool {
        self.sum.are_clean() || self.is_empty(bucket, now)
    }

    pub(super) fn len(&self) -> usize {
        self.buckets.as_ref().len()
    }

    pub(super) const fn counts(&self) -> Counts {
        self.sum
    }

    /// The same in other memory of the same length.
    pub(super) fn copied_to<B: AsRef<[Counts]> + AsMut<[Counts]>>(&self, mut buckets: B) -> Buckets<B> {
        buckets.as_mut().iter_mut().zip(self.buckets.as_ref()).for_each(|(to, from)| *to = *from);
        Buckets { ends_at: self.ends_at, newest: self.newest, sum: self.sum, buckets }
    }
}

impl<const B: usize> Policy for TimeWindow<B> {
    type Window = Buckets<[Counts; B]>;
    const EMPTY: Self::Window = Buckets::new([Counts::NONE; B]);

    fn record(&self, window: &mut Self::Window, failed: bool, slow: bool, now: Instant) -> bool {
        window.record(self.bucket, &self.limits, failed, slow, now)
    }

    fn is_slow(&self, started_at: Instant, now: Instant) -> bool {
        self.limits.is_slow(started_at, now)
    }

    fn counts(&self, window: &mut Self::Window, now: Instant) -> WindowStats {
        window.counts_at(self.bucket, now).stats()
    }

    fn is_empty(&self, window: &Self::Window, now: Instant) -> bool {
        window.is_empty(self.bucket, now)
    }

    fn is_clean(&self, window: &Self::Window, now: Instant) -> bool {
        window.is_clean(self.bucket, now)
    }

    fn reaches_back_to(&self, then: Instant, now: Instant) -> bool {
        now < then.after(self.bucket.times(B as u64))
    }

    fn take_over(&self, former: &Self, window: &mut Self::Window, now: Instant) -> bool {
        if self.bucket == former.bucket {
            return window.reach(self.bucket, &self.limits, now);
        }
        *window = Self::EMPTY;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buckets_share_the_span() {
        let policy = TimeWindow::<10>::new(Duration::from_secs(10), Percent::new(100));
        assert_eq!(policy.bucket, Span::new(Duration::from_secs(1)));
    }

    #[test]
    fn at_the_most_calls_nothing_more_is_counted() {
        let policy = TimeWindow::<2>::new(Duration::from_secs(2), Percent::new(100));
        let mut window = TimeWindow::<2>::EMPTY;
        policy.record(&mut window, false, false, Instant::ZERO);
        window.sum.calls = u32::MAX;
        policy.record(&mut window, true, true, Instant::ZERO);
        assert_eq!((window.sum.failed, window.sum.slow), (0, 0));
    }
}
