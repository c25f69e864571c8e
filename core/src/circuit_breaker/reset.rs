//! How a breaker comes back, and how long its calls may take.

use core::{num::NonZeroU8, time::Duration};

use super::{Outcome, Percent};
use crate::foundation::time::{Instant, Span};

/// The recovery settings of a circuit breaker: how long it stays open (wait duration in open state), how many probes
/// close it (permitted number of calls in half-open state), and how long a call may take (time limiter).
///
/// Set [`call_timeout`](Self::call_timeout) for everything that can hang: a call that never ends never fails, so
/// without it the breaker does not notice a service that takes requests and never answers.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Reset, circuit_breaker::Percent};
///
/// // 30 s, 1 min, 2 min, ... 10 min; each up to a fifth shorter, so that a fleet does not come back in step
/// const RESET: Reset = Reset::after(Duration::from_secs(30))
///     .call_timeout(Duration::from_secs(2))
///     .doubling()
///     .up_to(Duration::from_secs(600))
///     .jitter(Percent::new(20), 0x5eed)
///     .probes(2);
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(feature = "serde", serde(from = "super::settings::ResetSettings", into = "super::settings::ResetSettings"))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reset {
    pub(super) first: Span,
    pub(super) longest: Span,
    /// Zero if nothing is said.
    pub(super) lease: Span,
    /// The longest span if nothing is said.
    pub(super) call_timeout: Span,
    pub(super) probes: NonZeroU8,
    choices: Choices,
    /// Of the probes, the part that must succeed.
    pub(super) probe_successes: Percent,
    /// Of 65,536, the largest part by which an open time is shortened.
    pub(super) jitter: u16,
    /// The state of the random numbers; at first their seed.
    pub(super) random: u32,
}

/// How long a call may take, and how long a table remembers, if nothing is said.
const LONG: Span = Span::new(Duration::from_secs(600));

/// What is doubled, and what drops and panics count as, in one byte: a breaker is eight bytes smaller for it.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Choices(u8);

impl Choices {
    const DOUBLING: u8 = 1;
    const ON_DROP: Verdict = Verdict { failure: 2, success: 4 };
    const ON_PANIC: Verdict = Verdict { failure: 8, success: 16 };

    const fn with(self, verdict: Verdict, outcome: Outcome) -> Self {
        let rest = self.0 & !(verdict.failure | verdict.success);
        Self(match outcome {
            Outcome::Failure | Outcome::RetryAfter(_) => rest | verdict.failure,
            Outcome::Dropped | Outcome::Ignored | Outcome::Panicked => rest,
            Outcome::Success => rest | verdict.success,
        })
    }

    const fn outcome(self, verdict: Verdict) -> Outcome {
        if self.0 & verdict.failure != 0 {
            Outcome::Failure
        } else if self.0 & verdict.success != 0 {
            Outcome::Success
        } else {
            Outcome::Ignored
        }
    }
}

/// The bits of one choice; neither means to ignore it.
struct Verdict {
    failure: u8,
    success: u8,
}

impl Reset {
    /// Half-open after `open_for`, closed after one probe that succeeds.
    #[doc(alias("BreakDuration", "wait duration in open state", "waitDurationInOpenState"))]
    #[must_use]
    pub const fn after(open_for: Duration) -> Self {
        let first = Span::new(open_for);
        Self {
            first,
            longest: first,
            lease: Span::ZERO,
            call_timeout: Span::MAX,
            probes: NonZeroU8::MIN,
            choices: Choices(0),
            probe_successes: Percent::new(100),
            jitter: 0,
            random: 0,
        }
    }

    /// Doubles the open time each time that a probe fails, until [`up_to`](Self::up_to). Closing starts over.
    #[must_use]
    pub const fn doubling(mut self) -> Self {
        self.choices.0 |= Choices::DOUBLING;
        self
    }

    /// The longest open time, whether it has grown or the other side has asked for it
    /// ([`Outcome::RetryAfter`](super::Outcome::RetryAfter)). The first open time is the default, and the least.
    #[must_use]
    pub const fn up_to(mut self, longest: Duration) -> Self {
        self.longest = Span::new(longest);
        self
    }

    /// Shortens each open time by a random part of at most `percent`. What the other side has asked for is never
    /// shortened.
    ///
    /// The random numbers come from a small generator inside the breaker, good for this and nothing else. Give each
    /// device its own `seed`, or they come back in step; a breaker in a `static` takes it at run time by
    /// [`CircuitBreaker::reseed_jitter`](super::CircuitBreaker::reseed_jitter).
    #[must_use]
    pub const fn jitter(mut self, percent: Percent, seed: u64) -> Self {
        self.jitter = percent.of_65536();
        self.reseed(seed);
        self
    }

    /// How many probes a half-open breaker admits; 1 by default. All must succeed to close it, unless
    /// [`probe_successes`](Self::probe_successes) says otherwise.
    ///
    #[doc(alias = "permitted calls in half-open state")]
    /// # Panics
    ///
    /// If `probes` is zero: at compile time in a `const` or a `static`.
    #[doc(alias("permitted number of calls in half-open state", "permittedNumberOfCallsInHalfOpenState"))]
    #[must_use]
    pub const fn probes(mut self, probes: u8) -> Self {
        assert!(probes > 0, "a breaker without probes would never close");
        self.probes = NonZeroU8::MIN.saturating_add(probes.saturating_sub(1));
        self
    }

    /// The share of the [`probes`](Self::probes) that must succeed to close the breaker, rounded up; all by default.
    ///
    /// It closes as soon as so many have succeeded, and opens again as soon as so many can succeed no more.
    ///
    /// ```
    /// use core::time::Duration;
    /// use steadfast_core::{Reset, circuit_breaker::Percent};
    ///
    /// // 6 of 10 close it, the fifth failure opens it again
    /// const RESET: Reset = Reset::after(Duration::from_secs(30)).probes(10).probe_successes(Percent::new(60));
    /// ```
    #[doc(alias("half-open failure rate", "success threshold"))]
    #[must_use]
    pub const fn probe_successes(mut self, share: Percent) -> Self {
        self.probe_successes = share;
        self
    }

    /// How long one call may take; no limit by default.
    ///
    /// A call that is recorded, dropped or lost at `call_timeout` or later is a failure, whatever its outcome; of a
    /// [`RetryAfter`](Outcome::RetryAfter) the wish is kept. `call` and `call_with` cut it off then, and return
    /// [`BreakerError::TimedOut`](super::BreakerError::TimedOut). Under a time limit of the caller's own (a retry's
    /// [`attempt_timeout`](crate::retry::RetryPolicy::attempt_timeout), a `select`), let this be the shorter one: a
    /// call that is dropped earlier counts as [`on_drop`](Self::on_drop) says.
    ///
    /// A half-open breaker whose probes are silent opens again after the [`lease`](Self::lease).
    #[doc(alias("TimeLimiter", "TimeoutLayer", "time limiter", "timeout"))]
    #[must_use]
    pub const fn call_timeout(mut self, call_timeout: Duration) -> Self {
        self.call_timeout = Span::new(call_timeout);
        self
    }

    /// How a call counts that is dropped before it ended and before [`call_timeout`](Self::call_timeout):
    /// [`Outcome::Ignored`] by default, or [`Outcome::Failure`], or [`Outcome::Success`].
    ///
    /// If it is ignored, one that lasted as long as a slow call (`slow_calls` of the windows) still counts as slow.
    #[must_use]
    pub const fn on_drop(mut self, outcome: Outcome) -> Self {
        self.choices = self.choices.with(Choices::ON_DROP, outcome);
        self
    }

    /// How a call counts that panics (or the closure that classifies it): [`Outcome::Ignored`] by default, or
    /// [`Outcome::Failure`], or [`Outcome::Success`].
    #[must_use]
    pub const fn on_panic(mut self, outcome: Outcome) -> Self {
        self.choices = self.choices.with(Choices::ON_PANIC, outcome);
        self
    }

    /// How long a half-open breaker waits for probes that do not report, counted from the last probe that it admitted.
    /// By default twice the [`call_timeout`](Self::call_timeout); without one ten minutes, or the longest open time if
    /// that is longer. Make it no shorter than a call can take.
    ///
    /// When a lease of at least the `call_timeout` ends the breaker opens again, for the probes have failed by then.
    /// Any other lease gives the silent probes' slots to new ones; a result that comes later still counts while the
    /// breaker is half-open. A permit that is dropped gives its slot back at once, so only lost ones wait for this.
    #[doc(alias = "maxWaitDurationInHalfOpenState")]
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        let lease = Span::new(lease);
        // Never zero: two calls at one instant must not both be the only probe.
        self.lease = if lease.is_zero() { Span::from_nanos(1) } else { lease };
        self
    }

    pub(super) const fn is_doubling(&self) -> bool {
        self.choices.0 & Choices::DOUBLING != 0
    }

    /// What a drop counts as: a failure, a success, or nothing.
    pub(super) const fn dropped(&self) -> Outcome {
        self.choices.outcome(Choices::ON_DROP)
    }

    /// What a panic counts as: a failure, a success, or nothing.
    pub(super) const fn panicked(&self) -> Outcome {
        self.choices.outcome(Choices::ON_PANIC)
    }

    pub(super) fn probe_count(&self) -> u16 {
        u16::from(self.probes.get())
    }

    /// True if so many successes close a half-open breaker.
    pub(super) fn closes_after(&self, succeeded: u16) -> bool {
        self.probe_successes.is_reached(succeeded.into(), self.probe_count().into())
    }

    /// True if enough probes can still succeed when so many have failed.
    pub(super) fn bears(&self, failed: u8) -> bool {
        self.closes_after(self.probe_count().saturating_sub(failed.into()))
    }

    /// Never zero.
    pub(super) fn lease_span(&self) -> Span {
        if !self.lease.is_zero() {
            self.lease
        } else if self.call_timeout < Span::MAX {
            self.call_timeout.plus(self.call_timeout).max(Span::from_nanos(1))
        } else {
            self.longest_open().max(LONG)
        }
    }

    /// True if a probe that has been silent for a lease has failed.
    pub(super) fn silence_fails(&self) -> bool {
        self.call_timeout <= self.lease_span()
    }

    /// When a call that begins at `now` has failed; `None` for never.
    pub(super) fn call_deadline(&self, now: Instant) -> Option<Instant> {
        (self.call_timeout < Span::MAX).then(|| now.after(self.call_timeout))
    }

    /// For how long a table remembers a breaker that nobody tells anything: two calls that follow each other, at least.
    pub(super) fn memory(&self) -> Span {
        let lease = self.lease_span();
        lease.plus(lease).max(self.longest_open()).max(LONG)
    }

    /// The same in a full table, where the next key needs the room.
    pub(super) fn memory_when_full(&self) -> Span {
        const MINUTE: Span = Span::new(Duration::from_secs(60));

        let is_limited = !self.lease.is_zero() || self.call_timeout < Span::MAX;
        let lease = if is_limited { self.lease_span() } else { Span::ZERO };
        lease.plus(lease).max(self.longest_open()).max(MINUTE)
    }

    pub(super) fn longest_open(&self) -> Span {
        self.longest.max(self.first)
    }

    /// The open time after so many failed probes, before jitter.
    pub(super) fn open_for(&self, reopened: u8) -> Span {
        let (first, longest) = (self.first.as_nanos(), self.longest_open().as_nanos());
        let doublings = if self.is_doubling() { u32::from(reopened) } else { 0 };
        // `first << doublings` is at most `longest`, so nothing is shifted out.
        match longest.checked_shr(doublings) {
            Some(room) if first <= room => Span::from_nanos(first << doublings),
            _ if first == 0 => Span::ZERO,
            _ => Span::from_nanos(longest),
        }
    }

    /// The open time after so many failed probes, less a random part. Parts of 65,536 keep this free of division.
    pub(super) fn next_open_for(&mut self, reopened: u8) -> Span {
        let span = self.open_for(reopened);
        if self.jitter == 0 {
            return span;
        }
        let part = u64::from(self.next_random() >> 16).saturating_mul(u64::from(self.jitter)) >> 16;
        let nanos = span.as_nanos();
        // A part of 65,536 is less than the whole: neither can overflow.
        Span::from_nanos(nanos.wrapping_sub((nanos >> 16).wrapping_mul(part)))
    }

    pub(super) const fn reseed(&mut self, seed: u64) {
        self.random = (seed ^ (seed >> 32)) as u32;
    }

    /// A Weyl sequence through a 32-bit finalizer (Chris Wellons' `lowbias32`): 4 bytes of state, any seed will do.
    const fn next_random(&mut self) -> u32 {
        self.random = self.random.wrapping_add(0x9e37_79b9);
        let mut x = self.random;
        x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
        x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
        x ^ (x >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `lowbias32` of the first three numbers of the sequence, by another implementation.
    #[test]
    fn the_finalizer_is_the_one_that_its_source_names() {
        let mut reset = Reset::after(Duration::ZERO);
        assert_eq!([(); 3].map(|()| reset.next_random()), [0x01fc_e552, 0x04f8_d29e, 0x0f8c_1dbd]);
    }

    /// Of a good generator half of all bits change with any bit of its state; one deviation of these means is 0.06.
    #[test]
    fn every_bit_of_the_state_changes_half_of_the_random_bits() {
        let next = |random| Reset { random, ..Reset::after(Duration::ZERO) }.next_random();
        for bit in 0..u32::BITS {
            let flipped: u32 = (0..2_000_u32)
                .map(|number| number.wrapping_mul(0x0101_6b2d))
                .map(|state| (next(state) ^ next(state ^ 1 << bit)).count_ones())
                .sum();
            assert!((15.5..16.5).contains(&(f64::from(flipped) / 2_000.0)), "bit {bit}: {flipped}");
        }
    }
}
