//! The event-grouping logger for servers.

mod builder;
mod sinks;
#[cfg(test)]
mod tests;

use core::{fmt, panic::AssertUnwindSafe};
use std::{
    panic::catch_unwind,
    sync::{Arc, MutexGuard, PoisonError, TryLockError},
    thread::{self, ThreadId},
};

use steadfast_core::{
    Event, Formatter, FormattersFull, Level, Lock, LoggerStats, NotWritten, Recorded, Recorder, ServiceId, ServiceLog,
    Shared, Show, Sink,
};

pub use builder::LoggerBuilder;
#[cfg(feature = "log")]
pub use sinks::LogSink;
#[cfg(feature = "tracing")]
pub use sinks::TracingSink;
pub use sinks::WriteSink;

use crate::{Mutex, SystemTimer};

/// Turns events of one kind within a short time into one line: `😈 [social] alice, carol, and dave teased bob`.
///
/// Cloning is cheap and shares everything. Each service reports under its own name ([`service`](Self::service)); a
/// group of events leaves after 3 s without another, or at the age of 10 s; plain lines and instant events leave at
/// once. A worker in the background writes them; dropping the last handle, or [`shutdown`](Self::shutdown), writes what
/// waits.
///
/// ```
/// use std::io;
/// use steadfast::{Logger, WriteSink};
///
/// let logger = Logger::builder().disabled(["presence"]).verbose(["stash"]).build(WriteSink::new(io::stderr()))?;
/// logger.formatter("social", "tease", |group, out| write!(out, "{} teased {}", group.actors(), group.target()))?;
///
/// let (peer, owner) = (String::from("alice"), String::from("bob"));
/// let log = logger.service("stash").emoji("📦");
/// log.debug(format_args!("store request from {peer}"));
/// log.event("store", &peer).target(&owner).message("stored 2.3KB"); // grouped
/// log.event("recovered", &owner).instant(); // at once
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Bounds
///
/// 256 groups and lines at a time, 64 services and 64 formatters, names of up to 63 bytes and lines of up to 512
/// (longer ones are cut and marked with `…`), in 250 KB. What finds no room is counted, and the count is printed; an
/// error is never kept out by lesser lines. Text from peers is escaped: it can neither break a line nor pass for
/// another name.
///
/// # Panics
///
/// Never by itself. A formatter that panics is replaced by the default sentence, and a sink that panics or fails loses
/// its line, which is counted; the next line tries again.
#[derive(Clone)]
pub struct Logger(Arc<Handle>);

const GROUPS: usize = 256;
const NAMES: usize = 320;
const LINE: usize = 512;
const SERVICES: usize = 64;
const FORMATTERS: usize = 64;

type Machine = steadfast_core::Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>;

/// The machine is too large to be moved about.
struct Boxed(Mutex<Box<Machine>>);

impl Lock for Boxed {
    type Target = Machine;

    fn with<R>(&self, f: impl FnOnce(&mut Machine) -> R) -> R {
        self.0.with(|machine| f(machine))
    }
}

/// What all clones share, and the worker does not: the last one ends the logger.
struct Handle(Arc<Inner>);

struct Inner {
    shared: Shared<Machine, Boxed, SystemTimer>,
    sink: std::sync::Mutex<Box<dyn Sink + Send>>,
    /// Who is writing, with the sink locked.
    writer: Mutex<Option<ThreadId>>,
    /// Settings for services that nobody has asked for yet.
    settings: Mutex<Vec<(String, Show)>>,
}

impl Logger {
    /// The settings of a logger: 3 s of quiet, 10 s at most, every service enabled, none verbose.
    #[must_use]
    pub fn builder() -> LoggerBuilder {
        LoggerBuilder::default()
    }

    /// The logger of the service of this name; it keeps this logger alive.
    ///
    /// The first 64 names have their own settings; all further ones share the name "other".
    #[doc(alias = "Log")]
    #[must_use]
    pub fn service(&self, name: &'static str) -> ServiceLog<Self> {
        let inner = self.inner();
        let service = inner.settings.with(|settings| {
            inner.shared.with(|machine, _| {
                let service = machine.service(name);
                if let Some(index) = settings.iter().position(|(other, _)| other == name) {
                    machine.set_show(service, settings.swap_remove(index).1);
                }
                service
            })
        });
        ServiceLog::new(self.clone(), service)
    }

    /// Sets how much of the service of this name is shown from here on, whether anybody has asked for it yet or not.
    #[doc(alias = "SetServiceEnabled")]
    #[doc(alias = "SetServiceVerbose")]
    pub fn set_show(&self, service: &str, show: Show) {
        let inner = self.inner();
        inner.settings.with(|settings| {
            let is_known = inner.shared.with(|machine, _| {
                let known = machine.find_service(service);
                known.inspect(|id| machine.set_show(*id, show)).is_some()
            });
            if is_known {
                return;
            }
            match settings.iter_mut().find(|(name, _)| name == service) {
                Some(setting) => setting.1 = show,
                None => settings.push((service.to_owned(), show)),
            }
        });
    }

    /// Sets how groups of this service and type read.
    ///
    /// # Errors
    ///
    /// If there are 64 already; nothing is changed.
    #[doc(alias = "RegisterFormatter")]
    pub fn formatter(
        &self,
        service: &'static str,
        kind: &'static str,
        formatter: Formatter,
    ) -> Result<(), FormattersFull> {
        self.inner().shared.formatter(service, kind, formatter)
    }

    /// Writes what is due, on this thread, and returns how many lines; for a logger without a worker.
    #[expect(clippy::must_use_candidate, reason = "the lines are what matters")]
    pub fn drain(&self) -> usize {
        let inner = self.inner();
        inner.lock_sink().map_or(0, |mut sink| inner.write_due(&mut **sink))
    }

    /// Writes everything that waits, on this thread, before it returns.
    ///
    /// Inside a formatter, the sink or a panic hook of theirs it returns at once: the call that they are inside writes it.
    pub fn flush(&self) {
        let inner = self.inner();
        let sink = inner.lock_sink();
        inner.shared.flush();
        _ = sink.map(|mut sink| inner.write_due(&mut **sink));
    }

    /// Writes everything that waits, on this thread, before it returns; what comes later is rejected and counted.
    ///
    /// Inside a formatter or the sink it returns at once, as [`flush`](Self::flush) does.
    #[doc(alias = "Stop")]
    pub fn shutdown(&self) {
        self.inner().shutdown();
    }

    /// What became of all events.
    #[must_use]
    pub fn stats(&self) -> LoggerStats {
        self.inner().shared.stats()
    }

    fn inner(&self) -> &Inner {
        &self.0.0
    }
}

impl Recorder for Logger {
    fn record(&self, service: ServiceId, event: &Event<'_>) -> Recorded {
        let recorded = self.inner().shared.record(service, event);
        self.inner().hurry(event.level, recorded);
        recorded
    }

    fn line(&self, service: ServiceId, level: Level, text: fmt::Arguments<'_>) -> Recorded {
        let recorded = self.inner().shared.line(service, level, text);
        self.inner().hurry(level, recorded);
        recorded
    }

    fn set_emoji(&self, service: ServiceId, emoji: &'static str) {
        self.inner().shared.set_emoji(service, emoji);
    }

    fn set_show(&self, service: ServiceId, show: Show) {
        self.inner().shared.set_show(service, show);
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl Inner {
    /// The worker: writes what is due until the logger is shut down.
    async fn work(self: Arc<Self>) {
        while self.shared.due().await {
            _ = self.lock_sink().map(|mut sink| self.write_due(&mut **sink));
        }
    }

    fn shutdown(&self) {
        let sink = self.lock_sink();
        self.shared.shutdown();
        _ = sink.map(|mut sink| self.write_due(&mut **sink));
    }

    /// An error does not wait for the worker, which the program may not live to see. Whoever holds the sink is writing
    /// already, and the worker comes after.
    fn hurry(&self, level: Level, recorded: Recorded) {
        if level < Level::Error || recorded != Recorded::Ready {
            return;
        }
        match self.sink.try_lock() {
            Ok(mut sink) => _ = self.write_due(&mut **sink),
            Err(TryLockError::Poisoned(sink)) => _ = self.write_due(&mut **sink.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Holding the sink keeps the lines in order, and makes sure that a flush returns after the last was written.
    ///
    /// `None` inside a formatter or the sink, or a panic hook of theirs: this thread writes all that is due already.
    fn lock_sink(&self) -> Option<MutexGuard<'_, Box<dyn Sink + Send>>> {
        if self.writer.with(|writer| *writer == Some(thread::current().id())) {
            return None;
        }
        Some(self.sink.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// [`Shared::drain`], safe from formatters and sinks that panic.
    fn write_due(&self, sink: &mut dyn Sink) -> usize {
        self.writer.with(|writer| *writer = Some(thread::current().id()));
        let mut written: usize = 0;
        for _ in 0..=GROUPS {
            let Some(entry) = self.shared.on_timeout() else { break };
            // An entry is only read, and a sink that panicked is asked again: neither can be left half done by us.
            let line = catch_unwind(AssertUnwindSafe(|| entry.line())).unwrap_or_else(|_| entry.default_line());
            let result = catch_unwind(AssertUnwindSafe(|| sink.write(entry.level(), &line)));
            match result.unwrap_or(Err(NotWritten)) {
                Ok(()) => written = written.saturating_add(1),
                Err(NotWritten) => self.shared.not_written(&entry),
            }
        }
        self.writer.with(|writer| *writer = None);
        written
    }
}
