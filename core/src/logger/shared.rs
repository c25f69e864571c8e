//! The logger behind a lock: services that report, and the worker that writes.

use core::{
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use super::{
    Entry, Event, Formatter, FormattersFull, Level, Logger, LoggerStats, Recorded, Recorder, ServiceId, ServiceLog,
    Show, Sink, Text, worker::Wait,
};
use crate::{Clock, Lock, Shared, Timer};

impl<L, T, const GROUPS: usize, const NAMES: usize, const LINE: usize, const SERVICES: usize, const FORMATTERS: usize>
    Shared<Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>, L, T>
where
    L: Lock<Target = Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>>,
    T: Clock,
{
    /// [`Logger::service`], as what that service holds.
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
        self.with(|logger, now| logger.on_timeout(now))
    }

    /// [`Logger::not_written`].
    pub fn not_written(&self, entry: &Entry<NAMES, LINE>) {
        self.change(|logger, now| logger.not_written(entry, now));
    }

    /// Writes what is due, at most once around the memory, and returns how many lines; for programs without a worker.
    ///
    /// Formatting and writing happen outside the lock. What the sink refuses is lost and told later.
    pub fn drain(&self, sink: &mut impl Sink) -> usize {
        let mut written: usize = 0;
        for _ in 0..=GROUPS {
            let Some(entry) = self.on_timeout() else { break };
            match sink.write(entry.level(), &entry.line()) {
                Ok(()) => written = written.saturating_add(1),
                Err(_refused) => self.not_written(&entry),
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
    /// One task at a time may wait; another one takes its place. Dropping the future leaves nothing behind.
    pub async fn due(&self) -> bool
    where
        T: Timer,
    {
        let _leave = OnDrop(|| drop(self.with(|logger, _| logger.leave())));
        let mut has_waited = false;
        loop {
            let until = match self.with(|logger, now| logger.wait(now)) {
                Wait::Due if has_waited => return true,
                Wait::Due => {
                    // Lines that come as fast as they are written must not keep other tasks from running.
                    yield_once().await;
                    return true;
                }
                Wait::Over => return false,
                Wait::Until(at) => at,
            };
            let mut sleep = pin!(until.map(|at| self.timer().sleep_until(at)));
            poll_fn(|cx| {
                let (may_sleep, replaced) = self.with(|logger, _| logger.sleep(until, cx.waker()));
                drop(replaced);
                match sleep.as_mut().as_pin_mut() {
                    _ if !may_sleep => Poll::Ready(()),
                    Some(sleep) => sleep.poll(cx),
                    None => Poll::Pending,
                }
            })
            .await;
            has_waited = true;
        }
    }

    /// The worker: writes everything as it becomes due, until the logger is shut down.
    ///
    /// Run one for each logger. It may be dropped at any await and started again: it never holds a line across one.
    pub async fn run(&self, sink: &mut impl Sink)
    where
        T: Timer,
    {
        while self.due().await {
            self.drain(sink);
        }
    }

    /// Does something after which the worker may have to wake earlier, and wakes it outside the lock.
    fn change<R>(&self, f: impl FnOnce(&mut L::Target, crate::Instant) -> R) -> R {
        let (result, waker) = self.with(|logger, now| {
            let result = f(logger, now);
            (result, logger.take_waker())
        });
        if let Some(waker) = waker {
            waker.wake();
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
        let text = Text::<LINE>::format(text);
        self.change(|logger, now| logger.line(service, level, &text, now))
    }

    fn set_emoji(&self, service: ServiceId, emoji: &'static str) {
        self.with(|logger, _| logger.set_emoji(service, emoji));
    }

    fn set_show(&self, service: ServiceId, show: Show) {
        self.with(|logger, _| logger.set_show(service, show));
    }
}

struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
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
