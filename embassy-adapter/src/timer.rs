//! Embassy's clock and timer.

use embassy_time::TICK_HZ;
use steadfast_core::{Clock, Instant, Timer};

/// Embassy's clock and timer: whatever time driver the program has, its mock in tests included.
///
/// [`Instant::ZERO`] is the driver's tick 0. The time read is rounded down to a nanosecond and a deadline is rounded up
/// to a tick, so a sleep never ends before its instant; [`Instant::MAX`] never comes.
///
/// ```
/// use steadfast_embassy::{Clock, EmbassyTimer, Gcra, RateLimiter};
///
/// // A utility of one task needs no lock: it takes the time as an argument.
/// let mut limiter: RateLimiter<u32, Gcra, 8> = RateLimiter::new(Gcra::per_second(2));
/// assert!(limiter.allow(&7, EmbassyTimer.now()).is_allowed());
/// ```
///
/// Durations are `core::time::Duration`, of which embassy's make one by `into`. Instants are [`Instant`], which is not
/// embassy's: sleep until one by [`sleep_until`](Timer::sleep_until).
///
/// ```
/// use steadfast_embassy::{EmbassyTimer, Gcra, RateLimiter, Shared, Timer as _, rate_limiter::Decision, shared};
///
/// static LIMITER: Shared<RateLimiter<u32, Gcra, 8>> = shared(RateLimiter::new(Gcra::per_second(2)));
///
/// async fn greet(peer: u32) {
///     if let Decision::Deny { retry_at } = LIMITER.allow(&peer) {
///         EmbassyTimer.sleep_until(retry_at).await;
///     }
///     // ...
/// }
/// # embassy_futures::block_on(greet(7));
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EmbassyTimer;

const RATE: Rate = Rate::of(TICK_HZ);

impl Clock for EmbassyTimer {
    fn now(&self) -> Instant {
        RATE.instant(embassy_time::Instant::now().as_ticks())
    }
}

impl Timer for EmbassyTimer {
    type Sleep = embassy_time::Timer;

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        embassy_time::Timer::at(embassy_time::Instant::from_ticks(RATE.ticks(at)))
    }
}

/// So many nanoseconds are so many ticks, in lowest terms: exact, without 128 bits, and without a division where a tick
/// is a whole number of nanoseconds.
struct Rate {
    nanos: u64,
    ticks: u64,
}

#[expect(clippy::arithmetic_side_effects, reason = "no divisor is zero, and products of two remainders are below 2^63")]
impl Rate {
    const fn of(hz: u64) -> Self {
        const NANOS: u64 = 1_000_000_000;
        assert!(0 < hz && hz < 9 * NANOS, "a tick rate that embassy-time offers");
        let (mut a, mut b) = (NANOS, hz);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        Self { nanos: NANOS / a, ticks: hz / a }
    }

    /// When that tick was, rounded down.
    const fn instant(&self, ticks: u64) -> Instant {
        let whole = (ticks / self.ticks).saturating_mul(self.nanos);
        Instant::from_nanos(whole.saturating_add(ticks % self.ticks * self.nanos / self.ticks))
    }

    /// The first tick at which that instant is reached, at most `u64::MAX`: never.
    const fn ticks(&self, at: Instant) -> u64 {
        let nanos = at.as_nanos();
        if nanos == u64::MAX {
            return u64::MAX;
        }
        let whole = (nanos / self.nanos).saturating_mul(self.ticks);
        whole.saturating_add((nanos % self.nanos * self.ticks).div_ceil(self.nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_ticks_are_rounded_exactly_at_every_rate() {
        let rates = [1, 10, 1_000, 32_768, 131_072, 1_000_000, 16_000_000, 64_000_000, 1_000_000_000, 5_242_880_000];
        for hz in rates {
            let rate = Rate::of(hz);
            let values = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]).chain([u64::MAX - 1]);
            for value in values {
                let nanos = (u128::from(value) * 1_000_000_000 / u128::from(hz)).min(u128::from(u64::MAX));
                assert_eq!(u128::from(rate.instant(value).as_nanos()), nanos, "tick {value} at {hz} Hz");
                let ticks = (u128::from(value) * u128::from(hz)).div_ceil(1_000_000_000).min(u128::from(u64::MAX));
                assert_eq!(u128::from(rate.ticks(Instant::from_nanos(value))), ticks, "{value} ns at {hz} Hz");
            }
            assert_eq!(rate.ticks(Instant::MAX), u64::MAX);
            assert_eq!(rate.instant(u64::MAX - 1) == Instant::MAX, hz < 1_000_000_000);
        }
    }

    #[test]
    fn a_sleep_ends_at_its_instant_or_later_and_never_a_whole_tick_too_late() {
        for hz in [7, 32_768, 1_000_000, 64_000_000] {
            let rate = Rate::of(hz);
            for nanos in (0..50_000).map(|step: u64| step * 104_729) {
                let at = Instant::from_nanos(nanos);
                let tick = rate.ticks(at);
                assert!(rate.instant(tick) >= at);
                assert!(tick == 0 || rate.instant(tick - 1) < at);
            }
        }
    }
}
