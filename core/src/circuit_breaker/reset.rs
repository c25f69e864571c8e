//! How a breaker comes back.

use core::{num::NonZeroU8, time::Duration};

use super::Percent;
use crate::time::Span;

/// How a breaker comes back: how long it stays open, and what closes it.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Percent, Reset};
///
/// // 30 s, 1 min, 2 min, ... 10 min; each up to a fifth shorter, so that a fleet does not come back in step
/// const RESET: Reset = Reset::after(Duration::from_secs(30))
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
    pub(super) lease: Span,
    pub(super) probes: NonZeroU8,
    pub(super) doubling: bool,
    /// Of 65,536, the largest part by which an open time is shortened.
    pub(super) jitter: u16,
    /// The state of the random numbers; at first their seed.
    pub(super) random: u32,
}

impl Reset {
    /// Half-open after `open_for`, closed after one probe that succeeds.
    #[must_use]
    pub const fn after(open_for: Duration) -> Self {
        let first = Span::new(open_for);
        let probes = NonZeroU8::MIN;
        Self { first, longest: first, lease: first, probes, doubling: false, jitter: 0, random: 0 }
    }

    /// Doubles the open time each time that a probe fails, until [`up_to`](Self::up_to). Closing starts over.
    #[must_use]
    pub const fn doubling(mut self) -> Self {
        self.doubling = true;
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

    /// How many probes a half-open breaker admits, and how many must succeed to close it; 1 by default.
    ///
    /// # Panics
    ///
    /// If `probes` is zero: at compile time in a `const` or a `static`.
    #[must_use]
    pub const fn probes(mut self, probes: u8) -> Self {
        assert!(probes > 0, "a breaker without probes would never close");
        self.probes = NonZeroU8::MIN.saturating_add(probes.saturating_sub(1));
        self
    }

    /// How long a half-open breaker waits for probes that do not report, before it admits others in their place, counted
    /// from the last probe that it admitted; the first open time by default. Make it longer than a call can take.
    ///
    /// A result that comes after the lease still counts while the breaker is half-open, so a short lease costs more probes
    /// and nothing else.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = Span::new(lease);
        self
    }

    pub(super) fn probe_count(&self) -> u16 {
        u16::from(self.probes.get())
    }

    /// Never zero: two calls at one instant must not both be the only probe.
    pub(super) fn lease_span(&self) -> Span {
        self.lease.max(Span::from_nanos(1))
    }

    pub(super) fn longest_open(&self) -> Span {
        self.longest.max(self.first)
    }

    /// The open time after so many failed probes, before jitter.
    pub(super) fn open_for(&self, reopened: u8) -> Span {
        let (first, longest) = (self.first.as_nanos(), self.longest_open().as_nanos());
        let doublings = if self.doubling { u32::from(reopened) } else { 0 };
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
