//! The system's timer.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use std::time;

use steadfast_core::{Clock, Instant, Timer};

use super::{blocking, clock};

/// The system's monotonic clock and its timer.
///
/// With the feature `tokio` this is tokio's clock, so that a paused clock moves everything in a test, and sleeping uses
/// tokio's timer. Inside [`block_on`](crate::block_on) it needs no runtime: the thread is parked.
///
/// The feature `quanta` reads the processor's counter instead, in half the time, where there is one that runs evenly. The
/// first reading in a process then takes a millisecond, to find out how fast it runs (200 at most); after that it may go
/// wrong by some millionths of the time, and by the length of a suspension. A test on a paused clock needs the feature
/// `test-util` beside it.
///
/// # Panics
///
/// A sleep panics when it is polled outside a tokio runtime (one with its timer enabled) and outside
/// [`block_on`](crate::block_on): nothing could wake it there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SystemTimer;

impl Clock for SystemTimer {
    #[inline]
    fn now(&self) -> Instant {
        clock::now()
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
        let mut this = self.project();
        if blocking::is_blocking() {
            if clock::now() >= *this.at {
                return Poll::Ready(());
            }
            if !this.parked.as_ref().is_some_and(|parked| parked.renew(cx.waker())) {
                *this.parked = Some(blocking::Alarm::set(clock::to_system(*this.at), cx.waker()));
            }
            return Poll::Pending;
        }
        // An alarm looks at the time itself when it is set. Later the clock comes first: tokio's cooperative budget can
        // keep an alarm pending past its time.
        if this.alarm.is_none() {
            this.alarm.set(Some(start(clock::to_system(*this.at))));
        } else if clock::now() >= *this.at {
            return Poll::Ready(());
        }
        if this.alarm.as_mut().as_pin_mut().is_some_and(|alarm| alarm.poll(cx).is_pending()) {
            return Poll::Pending;
        }
        if clock::now() >= *this.at {
            return Poll::Ready(());
        }
        // It goes by another clock, which is a little ahead.
        this.alarm.set(None);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
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
    use core::time::Duration;

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
}
