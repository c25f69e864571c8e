//! The last calls, one by one.

use core::{mem, num::NonZeroU32, time::Duration};

use super::{
    Percent, WindowStats,
    trip::{Counts, Limits, Policy},
};
use crate::foundation::time::{Instant, Span};

const FAILED: u8 = 1;
const SLOW: u8 = 2;

/// A count-based sliding window: opens a circuit breaker at a failure rate (or slow call rate) threshold over the last
/// `N` calls. `N` + 16 bytes a breaker, O(1) a call.
///
/// Each call pushes out the one that is `N` calls older, so a long healthy past hides nothing.
///
/// ```
/// use core::{num::NonZeroU32, time::Duration};
/// use steadfast_core::{CircuitBreaker, Reset, Trip, circuit_breaker::Percent};
///
/// // half of the last 20 failed, or three quarters of them took 2 s or longer; judged from the tenth call on
/// let trip = Trip::call_window::<20>(Percent::new(50))
///     .slow_calls(Duration::from_secs(2), Percent::new(75))
///     .min_calls(NonZeroU32::new(10).unwrap());
/// let breaker = CircuitBreaker::new(trip, Reset::after(Duration::from_secs(30)));
/// ```
#[doc(alias = "COUNT_BASED")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(from = "super::settings::CallWindowSettings", into = "super::settings::CallWindowSettings")
)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CallWindow<const N: usize> {
    pub(super) limits: Limits,
}

impl<const N: usize> CallWindow<N> {
    const CALLS: u32 = {
        assert!(0 < N && N <= 65_535, "a window holds from 1 to 65,535 calls");
        N as u32
    };

    /// Opens when at least `failures` of the last `N` calls failed, once there are `N`.
    #[must_use]
    pub const fn new(failures: Percent) -> Self {
        Self { limits: Limits::new(failures, Self::CALLS) }
    }

    /// Judges from this many calls on; `N` by default, and at most.
    #[doc(alias("minimum number of calls", "minimumNumberOfCalls"))]
    #[must_use]
    pub const fn min_calls(mut self, calls: NonZeroU32) -> Self {
        self.limits.min_calls = if calls.get() < Self::CALLS { calls.get() } else { Self::CALLS };
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

/// How the last calls ended, in a ring of fixed length.
#[expect(unnameable_types, reason = "only a breaker has one")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct CallRing<A> {
    counts: Counts,
    next: u32,
    flags: A,
}

impl<A: AsRef<[u8]> + AsMut<[u8]>> CallRing<A> {
    pub(super) const fn new(flags: A) -> Self {
        Self { counts: Counts::NONE, next: 0, flags }
    }

    /// Counts one call in place of the oldest; true if the limits are reached.
    #[inline]
    pub(super) fn record(&mut self, limits: &Limits, failed: bool, slow: bool) -> bool {
        let (calls, next) = (self.flags.as_ref().len() as u32, self.next);
        let Some(place) = self.flags.as_mut().get_mut(next as usize) else {
            return false; // never: `next` stays below the length
        };
        self.next = if next == calls.saturating_sub(1) { 0 } else { next.saturating_add(1) };
        let new = if failed { FAILED } else { 0 } | if slow { SLOW } else { 0 };
        let old = mem::replace(place, new);
        if self.counts.calls == calls {
            if old == new {
                return false; // the counts stay what they were, and those did not open it
            }
            self.counts.subtract(Counts {
                calls: 1,
                failed: u32::from(old & FAILED != 0),
                slow: u32::from(old & SLOW != 0),
            });
        }
        self.counts.add(failed, slow);
        limits.are_reached(self.counts)
    }

    pub(super) fn len(&self) -> usize {
        self.flags.as_ref().len()
    }

    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) const fn is_calm(&self, limits: &Limits) -> bool {
        limits.slow_calls.is_none() && self.counts.failed == 0
    }

    pub(super) fn succeed(&mut self, limits: &Limits, successes: u64) {
        // More of them would only push each other out.
        for _ in 0..successes.min(self.flags.as_ref().len() as u64) {
            self.record(limits, false, false);
        }
    }

    /// The same in other memory of the same length.
    pub(super) fn copied_to<B: AsRef<[u8]> + AsMut<[u8]>>(&self, mut flags: B) -> CallRing<B> {
        flags.as_mut().iter_mut().zip(self.flags.as_ref()).for_each(|(to, from)| *to = *from);
        CallRing { counts: self.counts, next: self.next, flags }
    }
}

impl<const N: usize> Policy for CallWindow<N> {
    type Window = CallRing<[u8; N]>;
    const EMPTY: Self::Window = CallRing::new([0; N]);

    fn record(&self, ring: &mut Self::Window, failed: bool, slow: bool, _now: Instant) -> bool {
        ring.record(&self.limits, failed, slow)
    }

    fn is_slow(&self, started_at: Instant, now: Instant) -> bool {
        self.limits.is_slow(started_at, now)
    }

    fn counts(&self, ring: &mut Self::Window, _now: Instant) -> WindowStats {
        ring.counts.stats()
    }

    fn is_empty(&self, ring: &Self::Window, _now: Instant) -> bool {
        ring.counts.is_empty()
    }

    fn is_clean(&self, ring: &Self::Window, _now: Instant) -> bool {
        ring.counts.are_clean()
    }

    fn is_calm(&self, ring: &Self::Window) -> bool {
        ring.is_calm(&self.limits)
    }

    fn succeed(&self, ring: &mut Self::Window, successes: u64) {
        ring.succeed(&self.limits, successes);
    }

    fn take_over(&self, _former: &Self, ring: &mut Self::Window, _now: Instant) -> bool {
        self.limits.are_reached(ring.counts)
    }
}
