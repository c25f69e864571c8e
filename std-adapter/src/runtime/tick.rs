//! The system's clock as it stood at the last tick of its timer.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use steadfast_core::{Clock, Instant, Timer};

use super::{SystemSleep, SystemTimer};

/// A coarse clock: the system's, as it stood at the last tick of its timer. A reading takes half to three quarters of the time
/// of the processor's counter (feature `quanta`).
///
/// For a limiter that is asked millions of times a second and whose interval is long beside a tick. Where it pays, and by how
/// much, stands in the benchmark's table.
///
/// # Error
///
/// It is behind by less than [`resolution`](Self::resolution), never ahead, and never steps back. So where `e` is that,
///
/// - [`Gcra`](crate::Gcra) allows at most `burst + (t + e) / interval` in any span of `t`;
/// - a window, a time to live or a time-out ends up to `e` late, and a sleep too;
/// - what happened within one tick has one instant.
///
/// On Linux, Android and FreeBSD it is `CLOCK_MONOTONIC_COARSE`: 1 to 10 ms. Elsewhere it is the exact clock, without error
/// and without gain.
///
/// Its instants are its own: they are not those of [`SystemTimer`], and tokio's paused clock does not move it.
///
/// ```
/// use steadfast::{Gcra, RateLimiter, runtime::TickClock};
///
/// let api = RateLimiter::<u64, _>::builder(Gcra::per_second(100)).timer(TickClock).build();
/// assert!(api.allow(&7).is_allowed());
/// ```
#[doc(alias("coarse", "coarsetime", "recent"))]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TickClock;

impl TickClock {
    /// The length of a tick, by which the clock may be behind; zero where it is exact.
    #[must_use]
    pub fn resolution() -> Duration {
        clock::resolution()
    }
}

impl Clock for TickClock {
    #[inline]
    fn now(&self) -> Instant {
        clock::now()
    }
}

impl Timer for TickClock {
    type Sleep = TickSleep;

    fn sleep_until(&self, at: Instant) -> TickSleep {
        TickSleep { at, sleep: None }
    }
}

pin_project_lite::pin_project! {
    /// Ready once [`TickClock`] shows its instant.
    #[derive(Debug)]
    pub struct TickSleep {
        at: Instant,
        #[pin]
        sleep: Option<SystemSleep>,
    }
}

impl Future for TickSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let left = this.at.saturating_duration_since(TickClock.now());
            if left.is_zero() {
                return Poll::Ready(());
            }
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                if sleep.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // The time has come, and the tick has not.
                this.sleep.set(None);
            }
            let wakes_at = SystemTimer.now().saturating_add(left.max(Duration::from_millis(1)));
            this.sleep.set(Some(SystemTimer.sleep_until(wakes_at)));
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
mod clock {
    use core::time::Duration;

    use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};
    use steadfast_core::Instant;

    const CLOCK: ClockId = ClockId::MonotonicCoarse;

    pub(super) fn resolution() -> Duration {
        Duration::from_nanos(nanos(clock_getres(CLOCK)))
    }

    #[inline]
    pub(super) fn now() -> Instant {
        // Since the system began, and a day: what is a day old may be asked for at once.
        Instant::from_nanos(nanos(clock_gettime(CLOCK)).saturating_add(START))
    }

    const START: u64 = super::super::clock::START.as_secs() * 1_000_000_000;

    /// A monotonic clock shows nothing from before its beginning, and no 584 years.
    #[inline]
    const fn nanos(time: Timespec) -> u64 {
        (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
mod clock {
    use core::time::Duration;
    use std::{sync::OnceLock, time};

    use steadfast_core::Instant;

    pub(super) const fn resolution() -> Duration {
        Duration::ZERO
    }

    pub(super) fn now() -> Instant {
        static FIRST: OnceLock<time::Instant> = OnceLock::new();
        let since = FIRST.get_or_init(time::Instant::now).elapsed();
        Instant::ZERO.saturating_add(since).saturating_add(super::super::clock::START)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::block_on;

    #[test]
    fn it_is_behind_the_exact_clock_by_less_than_a_tick_and_never_ahead() {
        let exact = std::time::Instant::now;
        // The first tick was shown some time between the two, and is itself behind.
        let (earliest, first, latest, tick) = (exact(), TickClock.now(), exact(), TickClock::resolution());
        assert!(tick <= Duration::from_millis(20), "{tick:?}");
        for _ in 0..100_000 {
            let least = latest.elapsed();
            let shown = TickClock.now().saturating_duration_since(first);
            let most = earliest.elapsed();
            assert!(shown + tick >= least && shown <= most + tick, "{least:?} {shown:?} {most:?}");
        }
    }

    #[test]
    fn it_never_steps_back() {
        let mut last = TickClock.now();
        assert!(last >= Instant::ZERO.saturating_add(Duration::from_secs(86_400)));
        for _ in 0..100_000 {
            let now = TickClock.now();
            assert!(now >= last, "{now:?} after {last:?}");
            last = now;
        }
    }

    #[test]
    fn a_sleep_ends_once_the_tick_has_come() {
        for nanos in [0, 1, 1_000_000, 9_000_000] {
            let at = TickClock.now().saturating_add(Duration::from_nanos(nanos));
            block_on(TickClock.sleep_until(at));
            assert!(TickClock.now() >= at);
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_limiter_waits_by_it() {
        use crate::{Gcra, RateLimiter};

        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let limiter = RateLimiter::<u8, _>::builder(Gcra::per_second(100).burst(1)).timer(TickClock).build();
        let start = TickClock.now();
        runtime.block_on(async {
            for _ in 0..4 {
                limiter.until_allowed(&7).await;
            }
        });
        assert!(TickClock.now().saturating_duration_since(start) >= Duration::from_millis(20));
    }
}
