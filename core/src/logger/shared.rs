//! The logger behind a lock: services that report, and the worker that writes.

use core::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    task::{Poll, Waker},
};

use super::{
    Entry, Event, Formatter, FormattersFull, Level, Logger, LoggerStats, Recorded, Recorder, ServiceId, ServiceLog,
    Show, Sink, Text,
    worker::{Sleep, Wait, Waiter},
};
use crate::foundation::{
    shared::{Clock, Lock, Shared, Timer},
    time::Instant,
};

impl<L, T, const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Shared<Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>, L, T>
where
    L: Lock<Target = Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>>,
    T: Clock,
{
    /// [`Logger::service`], as what that service holds; [`ServiceLog::has_settings`] says whether there was room.
    pub fn service(&self, name: &'static str) -> ServiceLog<&Self> {
        ServiceLog::new(self, self.with(|logger, _| logger.service(name)))
    }

    /// [`Logger::formatter`].
    ///
    /// # Errors
    ///
    /// If there is no room; nothing is changed.
    pub fn formatter(
        &self,
        service: &'static str,
        kind: &'static str,
        formatter: Formatter,
    ) -> Result<(), FormattersFull> {
        self.with(|logger, _| logger.formatter(service, kind, formatter))
    }

    /// [`Logger::on_timeout`] now.
    #[must_use = "an entry that is not written is lost"]
    pub fn on_timeout(&self) -> Option<Entry<NAMES, LINE>> {
        self.change(|logger, now| logger.on_timeout(now))
    }

    /// [`Logger::not_written`].
    pub fn not_written(&self, entry: &Entry<NAMES, LINE>) {
        self.change(|logger, now| logger.not_written(entry, now));
    }

    /// Writes what is due, at most once around the memory, and returns how many lines; for programs without a worker.
    ///
    /// Formatting and writing happen outside the lock. What the sink refuses is lost and told later; so is a line at
    /// which the sink or the formatter panics.
    pub fn drain(&self, sink: &mut impl Sink) -> usize {
        let mut written: usize = 0;
        for _ in 0..=GROUPS {
            let Some(entry) = self.on_timeout() else { break };
            let unless_written = OnDrop(|| self.not_written(&entry));
            if sink.write_group(&entry.line(), &entry.group()).is_ok() {
                core::mem::forget(unless_written);
                written = written.saturating_add(1);
            }
        }
        written
    }

    /// [`Logger::flush`]: the worker writes everything, or the next [`drain`](Self::drain) does.
    pub fn flush(&self) {
        self.change(|logger, _| logger.flush());
    }

    /// [`Logger::shutdown`]: the worker writes everything and ends, or a last [`drain`](Self::drain) does.
    pub fn shutdown(&self) {
        self.change(|logger, _| logger.shutdown());
    }

    /// [`Logger::stats`].
    pub fn stats(&self) -> LoggerStats {
        self.with(|logger, _| logger.stats())
    }

    /// Waits until something is due: true; or until the logger is shut down and empty: false.
    ///
    /// One task at a time is woken for what is due earlier than it expected; any other that waits meanwhile looks again
    /// every 100 ms, and takes its place when that has gone. Dropping the future leaves nothing behind.
    pub async fn due(&self) -> bool
    where
        T: Timer,
    {
        let mut place =
            Place { waiter: Waiter::default(), leave: |waiter| drop(self.with_lock(|logger| logger.leave(waiter))) };
        let mut has_waited = false;
        loop {
            let until = match self.with(|logger, now| logger.wait(place.waiter, now)) {
                Wait::Due if has_waited => return true,
                Wait::Due => {
                    // Lines that come as fast as they are written must not keep other tasks from running.
                    yield_once().await;
                    return true;
                }
                Wait::Over => return false,
                Wait::LookAgain(at) => {
                    self.timer().sleep_until(at).await;
                    has_waited = true;
                    continue;
                }
                Wait::Until(at) => at,
            };
            let mut sleep = pin!(until.map(|at| self.timer().sleep_until(at)));
            poll_fn(|cx| {
                if !self.may_sleep(&mut place.waiter, until, cx.waker()) {
                    return Poll::Ready(());
                }
                sleep.as_mut().as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
            })
            .await;
            has_waited = true;
        }
    }

    /// Whether one that waits may sleep until then. No waker is cloned or dropped inside the lock.
    fn may_sleep(&self, waiter: &mut Waiter, until: Option<Instant>, waker: &Waker) -> bool {
        let mut own = None;
        let mut sleep = |own: &mut _| self.with_lock(|logger| logger.sleep(waiter, until, waker, own));
        let mut answer = sleep(&mut own);
        if answer == Sleep::WithWaker {
            own = Some(waker.clone());
            answer = sleep(&mut own);
        }
        answer == Sleep::Yes
    }

    /// The worker: writes everything as it becomes due, until the logger is shut down.
    ///
    /// One for each logger is enough. It may be dropped at any await and started again: it never holds a line across
    /// one. After each round of the memory it lets other tasks run, but while the sink is at a line it waits for it.
    pub async fn run(&self, sink: &mut impl Sink)
    where
        T: Timer,
    {
        while self.due().await {
            self.drain(sink);
        }
    }

    /// Does something after which the worker may have to wake earlier, and wakes it outside the lock.
    fn change<R>(&self, f: impl FnOnce(&mut L::Target, Instant) -> R) -> R {
        let (result, waker) = self.with(|logger, now| {
            let result = f(logger, now);
            (result, logger.take_waker())
        });
        if let Some(waker) = waker {
            self.lock().outside(|| waker.wake());
        }
        result
    }
}

impl<L, T, const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Recorder for Shared<Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>, L, T>
where
    L: Lock<Target = Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>>,
    T: Clock,
{
    fn record(&self, service: ServiceId, event: &Event<'_>) -> Recorded {
        self.change(|logger, now| logger.record(service, event, now))
    }

    fn line(&self, service: ServiceId, level: Level, text: fmt::Arguments<'_>) -> Recorded {
        if let Err(refused) = self.with(|logger, now| logger.refuse(service, level, now)) {
            return refused;
        }
        // A panic of what is formatted is the caller's, but its line is not forgotten.
        let unless_formatted = OnDrop(|| self.change(|logger, now| logger.lose_line(service, level, now)));
        let text = Text::<LINE>::format(text);
        core::mem::forget(unless_formatted);
        self.change(|logger, now| logger.line(service, level, &text, now))
    }

    fn set_prefix(&self, service: ServiceId, prefix: &'static str) -> bool {
        self.with_lock(|logger| logger.set_prefix(service, prefix))
    }

    fn set_show(&self, service: ServiceId, show: Show) -> bool {
        self.with_lock(|logger| logger.set_show(service, show))
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Someone that waits; gone when it is dropped.
struct Place<F: Fn(Waiter)> {
    waiter: Waiter,
    leave: F,
}

impl<F: Fn(Waiter)> Drop for Place<F> {
    fn drop(&mut self) {
        (self.leave)(self.waiter);
    }
}

async fn yield_once() {
    let mut has_yielded = false;
    poll_fn(|cx| {
        if has_yielded {
            return Poll::Ready(());
        }
        has_yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
