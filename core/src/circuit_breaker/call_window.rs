//! The last calls, one by one.

use core::{mem, num::NonZeroU32, time::Duration};

use super::{
    Percent,
    trip::{Counts, Limits, Policy},
};
use crate::foundation::time::{Instant, Span};

const FAILED: u8 = 1;
const SLOW: u8 = 2;

/// A count-based sliding window: opens a circuit breaker at a failure rate (or slow call rate) threshold over the last `N`
/// calls. `N` + 16 bytes a breaker, O(1) a call.
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

/// How the last `N` calls ended.
#[expect(unnameable_types, reason = "only a breaker has one")]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Debug)]
pub struct CallRing<const N: usize> {
    counts: Counts,
    next: u32,
    flags: [u8; N],
}

impl<const N: usize> Policy for CallWindow<N> {
    type Window = CallRing<N>;
    const EMPTY: CallRing<N> = CallRing { counts: Counts::NONE, next: 0, flags: [0; N] };

    fn record(&self, ring: &mut CallRing<N>, failed: bool, slow: bool, _now: Instant) -> bool {
        let next = ring.next;
        let Some(place) = ring.flags.get_mut(next as usize) else {
            return false; // never: `next` stays below `N`
        };
        ring.next = if next == Self::CALLS.saturating_sub(1) { 0 } else { next.saturating_add(1) };
        let new = if failed { FAILED } else { 0 } | if slow { SLOW } else { 0 };
        let old = mem::replace(place, new);
        if ring.counts.calls == Self::CALLS {
            if old == new {
                return false; // the counts stay what they were, and those did not open it
            }
            ring.counts.subtract(Counts {
                calls: 1,
                failed: u32::from(old & FAILED != 0),
                slow: u32::from(old & SLOW != 0),
            });
        }
        ring.counts.add(failed, slow);
        self.limits.are_reached(ring.counts)
    }

    fn is_slow(&self, started_at: Instant, now: Instant) -> bool {
        self.limits.is_slow(started_at, now)
    }

    fn is_empty(&self, ring: &CallRing<N>, _now: Instant) -> bool {
        ring.counts.calls == 0
    }

    fn is_clean(&self, ring: &CallRing<N>, _now: Instant) -> bool {
        ring.counts.failed == 0 && ring.counts.slow == 0
    }

    fn is_calm(&self, ring: &CallRing<N>) -> bool {
        self.limits.slow_calls.is_none() && ring.counts.failed == 0
    }

    fn succeed(&self, ring: &mut CallRing<N>, successes: u64) {
        // More of them would only push each other out.
        for _ in 0..successes.min(Self::CALLS.into()) {
            self.record(ring, false, false, Instant::ZERO);
        }
    }
}
