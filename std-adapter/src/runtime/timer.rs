//! The system's clock, and waiting for it.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use std::{sync::OnceLock, time};

use steadfast_core::{Clock, Instant, Timer};

use super::blocking;

/// The system's monotonic clock and its timer.
///
/// With the feature `tokio` this is tokio's clock, so that a paused clock moves everything in a test, and sleeping uses
/// tokio's timer. Inside [`block_on`](crate::block_on) it needs no runtime: the thread is parked.
///
/// # Panics
///
/// A sleep panics when it is polled outside a tokio runtime (one with its timer enabled) and outside
/// [`block_on`](crate::block_on): nothing could wake it there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SystemTimer;

/// The system time that [`Instant::ZERO`] stands for: a day before the first reading of this process.
///
/// A day, because a paused clock may have stopped before that reading, and would then stand at zero until it passes it.
fn epoch() -> time::Instant {
    static EPOCH: OnceLock<time::Instant> = OnceLock::new();
    *EPOCH.get_or_init(|| {
        let first = time::Instant::now();
        first.checked_sub(Duration::from_secs(86_400)).unwrap_or(first)
    })
}

fn system_now() -> time::Instant {
    #[cfg(feature = "tokio")]
    return tokio::time::Instant::now().into_std();
    #[cfg(not(feature = "tokio"))]
    return time::Instant::now();
}

impl Clock for SystemTimer {
    fn now(&self) -> Instant {
        let epoch = epoch();
        Instant::ZERO.saturating_add(system_now().saturating_duration_since(epoch))
    }
}

impl Timer for SystemTimer {
    type Sleep = SystemSleep;

    fn sleep_until(&self, at: Instant) -> SystemSleep {
        SystemSleep { at, alarm: None, parked: None }
    }
}

pin_project_lite::pin_project! {
    /// Ready once [`SystemTimer`] shows its instant.
    #[derive(Debug)]
    pub struct SystemSleep {
        at: Instant,
        #[pin]
        alarm: Option<Alarm>,
        parked: Option<blocking::Alarm>,
    }
}

#[cfg(feature = "tokio")]
use tokio::time::Sleep as Alarm;
/// Without a runtime only a parked thread can wait.
#[cfg(not(feature = "tokio"))]
type Alarm = core::future::Pending<()>;

impl Future for SystemSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The clock comes first: tokio's cooperative budget can keep a timer pending past its deadline.
        if SystemTimer.now() >= self.at {
            return Poll::Ready(());
        }
        let wake_at = to_system(self.at);
        let this = self.project();
        if blocking::is_blocking() {
            if !this.parked.as_ref().is_some_and(|parked| parked.renew(cx.waker())) {
                *this.parked = Some(blocking::Alarm::set(wake_at, cx.waker()));
            }
            return Poll::Pending;
        }
        let mut alarm = this.alarm;
        if alarm.is_none() {
            alarm.set(Some(start(wake_at)));
        }
        alarm.as_pin_mut().map_or(Poll::Ready(()), |alarm| alarm.poll(cx))
    }
}

fn to_system(at: Instant) -> time::Instant {
    /// Thirty years: what tokio too takes for ever.
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

    let since_epoch = at.saturating_duration_since(Instant::ZERO).min(FAR);
    let epoch = epoch();
    epoch.checked_add(since_epoch).unwrap_or(epoch)
}

#[cfg(feature = "tokio")]
fn start(at: time::Instant) -> Alarm {
    tokio::time::sleep_until(at.into())
}

#[cfg(not(feature = "tokio"))]
#[expect(clippy::panic, reason = "documented: waiting here could never end")]
fn start(_: time::Instant) -> Alarm {
    panic!("without the feature `tokio`, wait inside `steadfast::block_on`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;

    #[test]
    fn a_parked_thread_sleeps_and_wakes() {
        let start = SystemTimer.now();
        let at = start.saturating_add(Duration::from_millis(3));
        block_on(SystemTimer.sleep_until(at));
        assert!(SystemTimer.now() >= at);
    }

    #[test]
    fn the_earliest_of_two_sleeps_wakes_the_thread() {
        let at = SystemTimer.now().saturating_add(Duration::from_millis(3));
        let mut soon = core::pin::pin!(SystemTimer.sleep_until(at));
        let mut never = core::pin::pin!(SystemTimer.sleep_until(Instant::MAX));
        block_on(core::future::poll_fn(|cx| {
            assert!(never.as_mut().poll(cx).is_pending());
            soon.as_mut().poll(cx)
        }));
        assert!(SystemTimer.now() >= at);
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_moves_everything() {
        let start = SystemTimer.now();
        SystemTimer.sleep_until(start.saturating_add(Duration::from_secs(3_600))).await;
        let slept = SystemTimer.now().saturating_duration_since(start);
        assert!(slept >= Duration::from_secs(3_600) && slept < Duration::from_secs(3_601), "{slept:?}");
    }

    #[test]
    fn the_far_future_does_not_overflow() {
        assert!(to_system(Instant::MAX) > epoch());
    }
}
