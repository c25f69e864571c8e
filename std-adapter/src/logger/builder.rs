//! The settings of a logger, and how it starts.

use core::time::Duration;
use std::{io, sync::Arc, thread};

use steadfast_core::{
    HashSeed, Shared,
    logger::{Formatter, Show, Sink},
};

use super::{
    Boxed, Handle, Inner, Logger, Machine,
    settings::Settings,
    writing::{BoxedSink, Desk},
};
use crate::runtime::{Mutex, SystemTimer, random_seed};

/// Builds a [`Logger`] and starts its thread: time window, what is shown of each service, sink.
///
/// ```
/// use std::{io, time::Duration};
/// use steadfast::{Logger, logger::WriteSink};
///
/// let logger = Logger::builder()
///     .window(Duration::from_secs(1), Duration::from_secs(5)) // written after a quiet second, or five in all
///     .disabled(["presence"])
///     .verbose(["stash"])
///     .build(WriteSink::new(io::stderr()))?;
/// # logger.shutdown();
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LoggerBuilder {
    quiet: Duration,
    max_age: Duration,
    settings: Settings,
    sentence: Option<Formatter>,
    has_room: bool,
    has_worker: bool,
}

impl Default for LoggerBuilder {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(3),
            max_age: Duration::from_secs(10),
            settings: Settings::default(),
            sentence: None,
            has_room: true,
            has_worker: true,
        }
    }
}

impl LoggerBuilder {
    /// Ends a group after `quiet` without an event, and at the age of `max_age` in any case.
    #[doc(alias = "BatchWindow")]
    #[must_use]
    pub const fn window(mut self, quiet: Duration, max_age: Duration) -> Self {
        self.quiet = quiet;
        self.max_age = max_age;
        self
    }

    /// Shows nothing but errors of these services.
    #[doc(alias = "DisabledLoggers")]
    #[must_use]
    pub fn disabled(self, services: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.show(services, Show::OnlyErrors)
    }

    /// Shows the debug lines of these services too.
    #[doc(alias = "VerboseLoggers")]
    #[must_use]
    pub fn verbose(self, services: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.show(services, Show::Verbose)
    }

    /// Sets how much of these services is shown; where a service is named twice, the last time counts. At most 64.
    #[must_use]
    pub fn show(mut self, services: impl IntoIterator<Item = impl Into<String>>, show: Show) -> Self {
        for service in services {
            self.has_room &= self.settings.set(&service.into(), show);
        }
        self
    }

    /// How groups read that have no [formatter](Logger::formatter) of their own: as [`compact`](super::compact), say.
    #[must_use]
    pub const fn sentence(mut self, formatter: Formatter) -> Self {
        self.sentence = Some(formatter);
        self
    }

    /// Starts no thread: lines are written by [`Logger::drain`], [`Logger::flush`], [`Logger::shutdown`] and the end of
    /// the logger, on the thread that calls them, or by [`Logger::run`] on a runtime.
    ///
    /// For a sink that never blocks, and for programs that wish to say when they write. A sink that hangs then hangs
    /// whoever writes.
    #[must_use]
    pub const fn without_worker(mut self) -> Self {
        self.has_worker = false;
        self
    }

    /// Builds the logger and starts the thread that writes.
    ///
    /// Always a thread, in a runtime too, because a sink may block: a pipe that nobody reads, a full disk, a subscriber
    /// of `tracing` that writes to either. The sink is dropped on that thread when the logger has ended.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give; or if there are settings for more than 64 services, as
    /// [`io::ErrorKind::InvalidInput`].
    pub fn build(self, sink: impl Sink + Send + 'static) -> io::Result<Logger> {
        if !self.has_room {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "settings for more than 64 services"));
        }
        let mut machine = Box::new(Machine::new().window(self.quiet, self.max_age));
        machine.reseed(HashSeed::new(random_seed(), random_seed()));
        let sink: BoxedSink = Box::new(sink);
        let (for_thread, kept) = if self.has_worker { (Some(sink), None) } else { (None, Some(sink)) };
        let inner = Arc::new(Inner {
            shared: Shared::new(Boxed(Mutex::new(machine)), SystemTimer),
            desk: Desk::new(kept),
            settings: Mutex::new(self.settings),
            sentence: self.sentence,
        });
        if let Some(sink) = for_thread {
            let inner = inner.clone();
            drop(thread::Builder::new().name("logger".to_owned()).spawn(move || inner.work(sink))?);
        }
        Ok(Logger(Arc::new(Handle(inner))))
    }
}
