//! What a service holds: its own name on everything that it reports.

use core::fmt;

use super::{Event, Level, Recorded, ServiceId, Show};

/// Takes what services report: a shared [`Logger`](super::Logger), or an adapter's handle to one.
pub trait Recorder {
    /// Takes an event.
    fn record(&self, service: ServiceId, event: &Event<'_>) -> Recorded;

    /// Takes a plain line; it is formatted only if it is shown, and outside any lock.
    fn line(&self, service: ServiceId, level: Level, text: fmt::Arguments<'_>) -> Recorded;

    /// Sets what a service's lines begin with; false for [`ServiceId::OTHER`], which stays as it is.
    fn set_prefix(&self, service: ServiceId, prefix: &'static str) -> bool;

    /// Sets how much of a service is shown; false for [`ServiceId::OTHER`], which stays as it is.
    fn set_show(&self, service: ServiceId, show: Show) -> bool;
}

impl<R: Recorder + ?Sized> Recorder for &R {
    fn record(&self, service: ServiceId, event: &Event<'_>) -> Recorded {
        (**self).record(service, event)
    }

    fn line(&self, service: ServiceId, level: Level, text: fmt::Arguments<'_>) -> Recorded {
        (**self).line(service, level, text)
    }

    fn set_prefix(&self, service: ServiceId, prefix: &'static str) -> bool {
        (**self).set_prefix(service, prefix)
    }

    fn set_show(&self, service: ServiceId, show: Show) -> bool {
        (**self).set_show(service, show)
    }
}

/// The log of one service: lines and events under its name.
///
/// The words of a line are the program's: what peers chose is escaped in it, but not quoted, and reads as if the
/// program had said it. Show it as `{peer:?}`, or report an event, where names and messages can be taken for nothing
/// else.
///
/// A line is a `format_args!(..)`, a literal one too: it is neither stored nor formatted where it is not shown.
///
/// ```
/// use core::cell::RefCell;
/// use steadfast_core::{Clock, Instant, Logger, Shared, logger::{Level, NotWritten, Show, Sink}};
///
/// struct Uptime; // a hardware counter, in real life
/// impl Clock for Uptime {
///     fn now(&self) -> Instant {
///         Instant::from_millis(20)
///     }
/// }
///
/// struct Stdout;
/// impl Sink for Stdout {
///     fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
///         println!("{line}");
///         Ok(())
///     }
/// }
///
/// let logger: Shared<Logger<16>, _, _> = Shared::new(RefCell::new(Logger::new()), Uptime);
/// let log = logger.service("stash").prefix("📦");
/// log.show(Show::Verbose);
///
/// let (peer, owner) = (String::from("alice"), String::from("bob"));
/// log.debug(format_args!("store request from {peer}"));
/// log.event("store", &peer).target(&owner).message("stored 2.3KB"); // grouped
/// log.event("recovered", &owner).instant(); // at once
///
/// assert_eq!(logger.drain(&mut Stdout), 2);
/// logger.flush();
/// assert_eq!(logger.drain(&mut Stdout), 1); // 📦 [stash] alice did store to bob: stored 2.3KB
/// ```
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct ServiceLog<R> {
    recorder: R,
    service: ServiceId,
}

impl<R: Recorder> ServiceLog<R> {
    /// What `service` reports goes to `recorder`.
    #[must_use]
    pub const fn new(recorder: R, service: ServiceId) -> Self {
        Self { recorder, service }
    }

    /// False if the logger had no room for another service: this one shares the name "other" with all further ones, and
    /// [`prefix`](Self::prefix) and [`show`](Self::show) change nothing.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        self.service != ServiceId::OTHER
    }

    /// Sets what the service's lines begin with, an emoji or nothing, if it [has settings](Self::has_settings). Without
    /// it they begin with a mark of their level: `•`, `⚠️` or `❌`.
    #[doc(alias = "emoji")]
    #[must_use]
    pub fn prefix(self, prefix: &'static str) -> Self {
        self.recorder.set_prefix(self.service, prefix);
        self
    }

    /// Sets how much of the service is shown, wherever it logs from; false if it has no [settings](Self::has_settings)
    /// of its own, and nothing was changed.
    pub fn show(&self, show: Show) -> bool {
        self.recorder.set_show(self.service, show)
    }

    /// A line for whoever looks closely; shown only if the service is verbose.
    pub fn debug(&self, text: fmt::Arguments<'_>) {
        self.recorder.line(self.service, Level::Debug, text);
    }

    /// A line worth knowing.
    pub fn info(&self, text: fmt::Arguments<'_>) {
        self.recorder.line(self.service, Level::Info, text);
    }

    /// A line worth a look.
    pub fn warn(&self, text: fmt::Arguments<'_>) {
        self.recorder.line(self.service, Level::Warn, text);
    }

    /// A line that is shown even if the service is disabled.
    pub fn error(&self, text: fmt::Arguments<'_>) {
        self.recorder.line(self.service, Level::Error, text);
    }

    /// `actor` did `kind`, a verb in its infinitive: recorded at the end of the statement, when what this returns is
    /// dropped.
    pub const fn event<'a>(&'a self, kind: &'static str, actor: &'a str) -> Report<'a, R> {
        Report { recorder: &self.recorder, service: self.service, event: Event::new(kind, actor) }
    }
}

/// An event that is still being described; dropping it records it.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug)]
pub struct Report<'a, R: Recorder> {
    recorder: &'a R,
    service: ServiceId,
    event: Event<'a>,
}

#[expect(clippy::must_use_candidate, reason = "dropping it is what records it")]
impl<'a, R: Recorder> Report<'a, R> {
    /// To whom it was done.
    pub const fn target(mut self, target: &'a str) -> Self {
        self.event.target = target;
        self
    }

    /// What to say about it; of a group, the last that is not empty is shown.
    pub const fn message(mut self, message: &'a str) -> Self {
        self.event.message = message;
        self
    }

    /// How much it matters; [`Level::Info`] by default.
    pub const fn level(mut self, level: Level) -> Self {
        self.event.level = level;
        self
    }

    /// How often it happened; once by default.
    pub const fn count(mut self, count: u32) -> Self {
        self.event.count = count;
        self
    }

    /// Makes it leave at once, alone.
    pub const fn instant(mut self) -> Self {
        self.event.instant = true;
        self
    }
}

impl<R: Recorder> Drop for Report<'_, R> {
    fn drop(&mut self) {
        self.recorder.record(self.service, &self.event);
    }
}
