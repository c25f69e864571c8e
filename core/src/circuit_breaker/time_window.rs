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
const MIN_CALLS: u32 = 20;

/// A time-based sliding window: opens a circuit breaker at a failure rate (or slow call rate) threshold over the calls of a
/// span of time. 12 bytes a bucket and 24 a breaker.
///
/// The span is cut into `B` buckets, at most 4,096, that are forgotten whole: a call counts for at least `B - 1` of their
/// lengths, and is never counted once it is as old as the span.
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

    /// Opens also when at least `share` of the calls took `limit` or longer, whether they failed or not. A probe that is
    /// slow counts as failed.
    #[doc(alias("slow call rate threshold", "slowCallDurationThreshold"))]
    #[must_use]
    pub const fn slow_calls(mut self, limit: Duration, share: Percent) -> Self {
        self.limits.slow_after = Span::new(limit);
        self.limits.slow_calls = Some(share);
        self
    }
}

/// The calls of the last `B` buckets, and their sum.
#[expect(unnameable_types, reason = "only a breaker has one")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct Buckets<const B: usize> {
    /// When the newest bucket is full.
    ends_at: Instant,
    newest: u32,
    sum: Counts,
    buckets: [Counts; B],
}

impl<const B: usize> Buckets<B> {
    fn advance(&mut self, bucket: Span, now: Instant) {
        // Under a clock that never steps back this changes nothing.
        self.ends_at = self.ends_at.earlier(now.after(bucket));
        for _ in 0..B {
            if now < self.ends_at {
                return;
            }
            self.ends_at = self.ends_at.after(bucket);
            self.newest = self.newest.saturating_add(1);
            if self.newest as usize >= B {
                self.newest = 0;
            }
            if let Some(oldest) = self.buckets.get_mut(self.newest as usize) {
                self.sum.subtract(*oldest);
                *oldest = Counts::NONE;
            }
        }
        if now >= self.ends_at {
            self.ends_at = now.after(bucket); // everything was forgotten: begin afresh
        }
    }
}

impl<const B: usize> Policy for TimeWindow<B> {
    type Window = Buckets<B>;
    const EMPTY: Buckets<B> =
        Buckets { ends_at: Instant::ZERO, newest: 0, sum: Counts::NONE, buckets: [Counts::NONE; B] };

    fn record(&self, window: &mut Buckets<B>, failed: bool, slow: bool, now: Instant) -> bool {
        window.advance(self.bucket, now);
        // At four billion calls the shares are known well enough.
        if window.sum.calls < u32::MAX
            && let Some(newest) = window.buckets.get_mut(window.newest as usize)
        {
            newest.add(failed, slow);
            window.sum.add(failed, slow);
        }
        self.limits.are_reached(window.sum)
    }

    fn is_slow(&self, started_at: Instant, now: Instant) -> bool {
        self.limits.is_slow(started_at, now)
    }

    fn counts(&self, window: &mut Buckets<B>, now: Instant) -> WindowStats {
        window.advance(self.bucket, now);
        window.sum.stats()
    }

    fn is_empty(&self, window: &Buckets<B>, now: Instant) -> bool {
        // The newest bucket is the last to be forgotten.
        window.sum.calls == 0 || now >= window.ends_at.after(self.bucket.times((B as u64).saturating_sub(1)))
    }

    fn is_clean(&self, window: &Buckets<B>, now: Instant) -> bool {
        window.sum.failed == 0 && window.sum.slow == 0 || self.is_empty(window, now)
    }

    fn reaches_back_to(&self, then: Instant, now: Instant) -> bool {
        now < then.after(self.bucket.times(B as u64))
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
