//! Log aggregation: events of the same service, kind and target within a short time become one line, with exact counts.
//!
//! - [`Logger`] groups the events and writes the lines on a thread of its own; [`ServiceLog`] is what a service reports
//!   through.
//! - A [`Sink`] takes the lines: [`WriteSink`] for any `io::Write`, `TracingSink` (feature `tracing`), `LogSink`
//!   (feature `log`).
//! - `GroupLayer` (feature `tracing-layer`) groups events that a program gives to `tracing` already.
//! - [`Formatter`]s make the sentences, such as [`compact`]. Text of peers is escaped and quoted, so that none can
//!   forge a line (log injection).
//!
//! **Outcomes**: [`Recorded`] of an event. **Errors**: [`FormattersFull`], [`NotWritten`]. **Counts**: [`LoggerStats`].

mod builder;
#[cfg(feature = "tracing-layer")]
mod layer;
mod settings;
mod sinks;
#[cfg(test)]
mod tests;
mod writing;

use core::{fmt, future::Future, time::Duration};
use std::sync::Arc;

use steadfast_core::{Lock, Shared};

pub use builder::LoggerBuilder;
#[cfg(feature = "tracing-layer")]
pub use layer::{GroupLayer, by_message};
#[cfg(feature = "log")]
pub use sinks::LogSink;
#[cfg(feature = "tracing")]
pub use sinks::TracingSink;
pub use sinks::WriteSink;

use self::{
    settings::Settings,
    writing::{ALL, Desk, Patience},
};
use crate::runtime::{Mutex, SystemTimer};

#[doc(inline)]
pub use steadfast_core::logger::{
    Actors, Entry, Event, Formatter, FormattersFull, Group, Level, LoggerStats, NotWritten, Recorded, Recorder, Report,
    ServiceId, ServiceLog, Show, Sink, Text, compact,
};

/// A logger with log aggregation: events of the same service, kind and target within 3 s are written as one line, with
/// exact counts: `😈 [social] alice, carol, and dave teased bob`. It prevents floods of equal lines (log throttling) and
/// lines that a peer forges (log injection).
///
/// Each service reports under its own name ([`service`](Self::service)). A group of events is written after 3 s without
/// another, or at the age of 10 s; plain lines and instant events are written at once. A thread of the logger's own
/// writes them. Call [`shutdown`](Self::shutdown) before `main` returns, or drop the last handle: both write what
/// waits. Clones share everything.
///
/// ```
/// use std::io;
/// use steadfast::{Logger, logger::WriteSink};
///
/// let logger = Logger::builder().disabled(["presence"]).verbose(["stash"]).build(WriteSink::new(io::stderr()))?;
/// logger.formatter("social", "tease", |group, out| write!(out, "{} teased {}", group.actors(), group.target()))?;
///
/// let (peer, owner) = (String::from("alice"), String::from("bob"));
/// let log = logger.service("stash").prefix("📦");
/// log.debug(format_args!("store request from {peer}"));
/// log.event("store", &peer).target(&owner).message("stored 2.3KB"); // grouped
/// log.event("recovered", &owner).instant(); // at once
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Bounds
///
/// 256 groups and lines at a time, 64 services with settings and 64 formatters, names of up to 63 bytes and lines of up
/// to 512 (longer ones are cut and marked with `…`), in 250 KB. What finds no room is counted, and the count is
/// printed; an error is never kept out by lesser lines. Text from peers is escaped, and names are quoted where they
/// could be read as something else: no name can break a line, or pass for another name or for several.
///
/// # Slow sinks
///
/// Nobody who logs writes, or waits for the sink: if it is slow, or hangs, lines gather and then are lost and counted.
/// One exception: an error waits up to 50 ms for its own line, so that it is seen if the program ends right after it.
/// If that is not enough, no further error waits until the thread has caught up. Before `std::process::exit`, call
/// [`shutdown`](Self::shutdown).
///
/// What waits for the sink says for how long: [`flush`](Self::flush), [`shutdown`](Self::shutdown) and the drop of the
/// last handle for up to 10 s, and not once the sink has been at one line for a second;
/// [`flush_within`](Self::flush_within) and [`shutdown_within`](Self::shutdown_within) for as long as you say. They
/// block their thread meanwhile. A sink that hangs for ever keeps its thread until the process ends.
///
/// # Panics
///
/// Never by itself. A formatter that panics is replaced by the default sentence, and a sink that panics or fails loses
/// its line, which is counted; the next line tries again. If a `Display` panics that is logged, the panic is the
/// caller's, and the line is counted as lost.
#[derive(Clone)]
pub struct Logger(Arc<Handle>);

const GROUPS: usize = 256;
const NAMES: usize = 320;
const LINE: usize = 512;
const SERVICES: usize = 64;
const FORMATTERS: usize = 64;

type Machine = steadfast_core::Logger<GROUPS, NAMES, LINE, SERVICES, FORMATTERS>;

/// The state machine is too large to be moved about.
struct Boxed(Mutex<Box<Machine>>);

impl Lock for Boxed {
    type Target = Machine;

    fn with<R>(&self, f: impl FnOnce(&mut Machine) -> R) -> R {
        self.0.with(|machine| f(machine))
    }

    fn outside(&self, f: impl FnOnce()) {
        self.0.outside(f);
    }
}

/// What all clones share, and the worker does not: the last one ends the logger.
struct Handle(Arc<Inner>);

struct Inner {
    shared: Shared<Machine, Boxed, SystemTimer>,
    desk: Desk,
    settings: Mutex<Settings>,
    sentence: Option<Formatter>,
}

impl Logger {
    /// The settings of a logger: 3 s of quiet, 10 s at most, every service enabled, none verbose.
    #[must_use]
    pub fn builder() -> LoggerBuilder {
        LoggerBuilder::default()
    }

    /// The logger of the service of this name; it keeps this logger alive.
    ///
    /// The first 64 names have their own settings; all further ones share the name "other", which has none: see
    /// [`ServiceLog::has_settings`].
    #[doc(alias = "Log")]
    #[must_use]
    pub fn service(&self, name: &'static str) -> ServiceLog<Self> {
        let inner = self.inner();
        let service = inner.settings.with(|settings| {
            inner.shared.with_lock(|machine| {
                let is_known = machine.find_service(name).is_some();
                let service = machine.service(name);
                if let Some(show) = settings.take(name) {
                    machine.set_show(service, show);
                }
                let is_new = !is_known && service != ServiceId::OTHER;
                settings.services = settings.services.saturating_add(usize::from(is_new));
                service
            })
        });
        ServiceLog::new(self.clone(), service)
    }

    /// Sets how much of the service of this name is shown from here on, whether anybody has asked for it yet or not.
    ///
    /// False if there is no room, and nothing was changed: 64 services have settings already, or there are settings for
    /// 64 that nobody has asked for. One that is kept for later counts if the service is among the first 64 then;
    /// [`Show::Normal`] takes no room.
    #[doc(alias = "SetServiceEnabled")]
    #[doc(alias = "SetServiceVerbose")]
    #[expect(clippy::must_use_candidate, reason = "what it sets is what matters")]
    pub fn set_show(&self, service: &str, show: Show) -> bool {
        let inner = self.inner();
        inner.settings.with(|settings| {
            let known = inner.shared.with_lock(|machine| {
                let known = machine.find_service(service);
                known.map(|id| machine.set_show(id, show))
            });
            known.unwrap_or_else(|| settings.set(service, show))
        })
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

    /// Writes what is due, on this thread, and returns how many lines; for a logger
    /// [without a worker](LoggerBuilder::without_worker).
    ///
    /// While another thread writes it waits for that, but not once it has been at one line for a second. With a thread
    /// of its own a logger has nothing for others to write.
    #[expect(clippy::must_use_candidate, reason = "the lines are what matters")]
    pub fn drain(&self) -> usize {
        let inner = self.inner();
        let Some(mut sink) = inner.desk.take(Patience::usual()) else { return 0 };
        let written = inner.write_due(&mut *sink, ALL, None);
        inner.bring_back(sink);
        written
    }

    /// The worker of a logger [without one](LoggerBuilder::without_worker), for a sink that never blocks: writes what
    /// is due until the logger is shut down. Any other logger needs none: the future is ready at once then.
    ///
    /// It writes 32 lines at a time, then lets other tasks run. It does not keep the logger alive, and it may be
    /// dropped and made anew at any time. It needs a runtime with a timer, as everything here that waits.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use steadfast::{Logger, logger::{Level, NotWritten, Sink}};
    ///
    /// struct Queue(tokio::sync::mpsc::UnboundedSender<String>);
    /// impl Sink for Queue {
    ///     fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
    ///         self.0.send(line.to_owned()).map_err(|_closed| NotWritten)
    ///     }
    /// }
    ///
    /// let (lines, _shipped) = tokio::sync::mpsc::unbounded_channel();
    /// let logger = Logger::builder().without_worker().build(Queue(lines))?;
    /// tokio::spawn(logger.run());
    /// # Ok(()) }
    /// ```
    pub fn run(&self) -> impl Future<Output = ()> + Send + use<> {
        let inner = self.0.0.clone();
        async move { inner.run().await }
    }

    /// Has everything written that waits, and returns when it is; or after 10 s, or once the sink has been at one line
    /// for a second. What is not written then is written later.
    ///
    /// Without a worker it writes on this thread. Inside a formatter, the sink or a panic hook of theirs it returns at
    /// once: the call that they are inside writes it.
    pub fn flush(&self) {
        self.inner().flush(Patience::usual());
    }

    /// The same, for at most so long; whether everything was written (or refused by the sink, and counted).
    ///
    /// Without a worker the time is looked at between lines.
    #[expect(clippy::must_use_candidate, reason = "the lines are what matters")]
    pub fn flush_within(&self, time: Duration) -> bool {
        self.inner().flush(Patience::within(time))
    }

    /// Has everything written that waits, and ends the logger: what comes later is rejected and counted, and the sink
    /// is dropped. It returns when that is done; or after 10 s, or once the sink has been at one line for a second, and
    /// then the thread goes on as long as the process lives.
    ///
    /// Without a worker it writes on this thread. Inside a formatter or the sink it returns at once, as
    /// [`flush`](Self::flush) does.
    #[doc(alias = "Stop")]
    pub fn shutdown(&self) {
        self.inner().shutdown(Patience::usual());
    }

    /// The same, for at most so long; whether everything was written (or refused by the sink, and counted) and the sink
    /// dropped. It may be called again, to wait once more.
    #[expect(clippy::must_use_candidate, reason = "the lines are what matters")]
    pub fn shutdown_within(&self, time: Duration) -> bool {
        self.inner().shutdown(Patience::within(time))
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

    fn set_prefix(&self, service: ServiceId, prefix: &'static str) -> bool {
        self.inner().shared.set_prefix(service, prefix)
    }

    fn set_show(&self, service: ServiceId, show: Show) -> bool {
        self.inner().shared.set_show(service, show)
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let inner = &self.0;
        let was_waited_for = inner.desk.has_thread() && inner.shared.with_lock(|machine| machine.is_stopped());
        inner.shutdown(if was_waited_for { Patience::within(Duration::ZERO) } else { Patience::usual() });
    }
}

impl Inner {
    fn flush(&self, patience: Patience) -> bool {
        if self.desk.has_thread() {
            self.shared.flush();
            return self.desk.wait_for_thread(patience);
        }
        // First the sink: whatever another thread writes with it leaves before.
        let sink = self.desk.take(patience);
        self.shared.flush();
        self.write_all(sink, patience)
    }

    fn shutdown(&self, patience: Patience) -> bool {
        if self.desk.has_thread() {
            self.shared.shutdown();
            return self.desk.wait_for_end(patience);
        }
        let sink = self.desk.take(patience);
        self.shared.shutdown();
        self.write_all(sink, patience)
    }

    /// An error that leaves now may be the last thing that the program says.
    fn hurry(&self, level: Level, recorded: Recorded) {
        if level >= Level::Error && recorded == Recorded::Ready {
            self.desk.wait_for_error();
        }
    }
}
