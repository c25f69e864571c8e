//! The system's timer.

use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use std::thread;

use steadfast_core::{Clock, Instant, Timer};

use super::{alarm::Alarm, clock};
#[cfg(feature = "tokio")]
use super::{tokio_timer, tokio_timer::RuntimeId};

/// The system's monotonic clock and its timer.
///
/// With the feature `tokio` this is tokio's clock, so that a paused clock moves everything in a test, and inside a
/// runtime sleeping uses tokio's timer. Everywhere else - in [`block_on`](crate::runtime::block_on), in another
/// executor, without the feature - a thread of this crate's wakes whoever sleeps; it starts with the first such sleep
/// and ends when there was none for ten seconds. So a sleep needs nothing of the executor that polls it.
///
/// The feature `quanta` reads the processor's counter instead, in half the time, where there is one that runs evenly. The
/// first reading in a process then takes a millisecond, to find out how fast it runs (200 at most); after that it may go
/// wrong by some millionths of the time, and by the length of a suspension. A test on a paused clock needs the feature
/// `test-util` beside it.
///
/// # A runtime without a timer
///
/// In a tokio runtime that was built without `enable_time` the thread serves too. Tokio tells only by a panic that it has
/// no timer: the first sleep in such a runtime catches one, which the program's panic hook prints; nothing else comes of
/// it. A program built with `panic = "abort"` cannot catch it and never asks: there the thread serves all sleeps but those
/// on a paused clock.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{block_on, runtime::{Clock, SystemTimer, Timer}};
///
/// let start = SystemTimer.now();
/// let at = start.saturating_add(Duration::from_millis(2));
/// block_on(SystemTimer.sleep_until(at));
/// assert!(SystemTimer.now() >= at);
/// ```
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
        SystemSleep {
            at,
            alarm: None,
            #[cfg(feature = "tokio")]
            runtime: None,
            #[cfg(feature = "tokio")]
            sleep: None,
        }
    }
}

#[cfg(feature = "tokio")]
pin_project_lite::pin_project! {
    /// Ready once [`SystemTimer`] shows its instant.
    #[derive(Debug)]
    pub struct SystemSleep {
        at: Instant,
        alarm: Option<Alarm>,
        // The runtime whose timer `sleep` uses.
        runtime: Option<RuntimeId>,
        #[pin]
        sleep: Option<tokio::time::Sleep>,
    }
}

#[cfg(not(feature = "tokio"))]
/// Ready once [`SystemTimer`] shows its instant.
#[derive(Debug)]
pub struct SystemSleep {
    at: Instant,
    alarm: Option<Alarm>,
}

impl Future for SystemSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        #[cfg(feature = "tokio")]
        if let Some(runtime) = tokio_timer::here() {
            return self.poll_in(runtime, cx);
        }
        #[cfg(feature = "tokio")]
        let (at, alarm) = {
            let this = self.as_mut().project();
            (*this.at, this.alarm)
        };
        #[cfg(not(feature = "tokio"))]
        let (at, alarm) = (self.at, &mut self.alarm);
        poll_alarm(at, alarm, cx)
    }
}

/// Waits for the thread.
fn poll_alarm(at: Instant, alarm: &mut Option<Alarm>, cx: &Context<'_>) -> Poll<()> {
    if clock::now() >= at {
        return Poll::Ready(());
    }
    if alarm.as_ref().is_some_and(|alarm| alarm.renew(cx.waker().clone())) {
        return Poll::Pending;
    }
    *alarm = clock::rings_at(at).and_then(|rings_at| Alarm::set(rings_at, cx.waker().clone()));
    if alarm.is_none() {
        // No thread to be had: worse than to look again and again would be never to wake up.
        thread::yield_now();
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

#[cfg(feature = "tokio")]
impl SystemSleep {
    /// Waits for tokio's timer.
    fn poll_in(self: Pin<&mut Self>, runtime: RuntimeId, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        *this.alarm = None;
        // An alarm looks at the time itself when it is set. Later the clock comes first: tokio's cooperative budget can
        // keep an alarm pending past its time.
        if *this.runtime == Some(runtime) {
            if clock::now() >= *this.at {
                return Poll::Ready(());
            }
        } else {
            *this.runtime = Some(runtime);
            this.sleep.set(None);
        }
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep_until(clock::to_system(*this.at).into())));
        }
        if this.sleep.as_mut().as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_pending()) {
            return Poll::Pending;
        }
        if clock::now() >= *this.at {
            return Poll::Ready(());
        }
        // It goes by another clock, which is a little ahead.
        this.sleep.set(None);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::runtime::block_on;

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

    #[cfg(feature = "tokio")]
    #[test]
    fn found_b6_in_a_runtime_without_a_timer_a_sleep_ends_too() {
        for runtime in [
            tokio::runtime::Builder::new_current_thread().build().unwrap(),
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap(),
        ] {
            let soon = || SystemTimer.now().saturating_add(Duration::from_millis(3));
            let at = soon();
            runtime.block_on(SystemTimer.sleep_until(at));
            assert!(SystemTimer.now() >= at);
            runtime.block_on(async { tokio::spawn(SystemTimer.sleep_until(soon())).await }).unwrap();
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn a_sleep_may_move_from_one_runtime_to_another_and_out_of_it() {
        let runtime = |has_timer| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            if has_timer {
                builder.enable_time();
            }
            builder.build().unwrap()
        };
        let at = SystemTimer.now().saturating_add(Duration::from_millis(20));
        let mut sleep = Box::pin(SystemTimer.sleep_until(at));
        for has_timer in [true, false, true] {
            let runtime = runtime(has_timer);
            runtime.block_on(core::future::poll_fn(|cx| {
                let _ = sleep.as_mut().poll(cx);
                Poll::Ready(())
            }));
        }
        block_on(sleep);
        assert!(SystemTimer.now() >= at);
    }
}
