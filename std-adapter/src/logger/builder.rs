//! The settings of a logger, and how it starts.

use core::time::Duration;
use std::{io, sync::Arc, thread};

use steadfast_core::{HashSeed, Shared, Show, Sink};

use super::{Boxed, Handle, Inner, Logger, Machine};
use crate::{Mutex, SystemTimer, block_on, runtime::random_seed};

/// The settings of a [`Logger`].
#[derive(Clone, Debug)]
pub struct LoggerBuilder {
    quiet: Duration,
    max_age: Duration,
    settings: Vec<(String, Show)>,
    has_worker: bool,
}

impl Default for LoggerBuilder {
    fn default() -> Self {
        Self { quiet: Duration::from_secs(3), max_age: Duration::from_secs(10), settings: Vec::new(), has_worker: true }
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

    /// Sets how much of these services is shown; where a service is named twice, the last time counts.
    #[must_use]
    pub fn show(mut self, services: impl IntoIterator<Item = impl Into<String>>, show: Show) -> Self {
        for service in services {
            let service = service.into();
            self.settings.retain(|(other, _)| *other != service);
            self.settings.push((service, show));
        }
        self
    }

    /// Starts no worker: lines are written by [`Logger::drain`], [`Logger::flush`] and the end of the logger.
    #[must_use]
    pub const fn without_worker(mut self) -> Self {
        self.has_worker = false;
        self
    }

    /// Builds the logger and starts its worker: a task of the tokio runtime that this is called in, else a thread.
    ///
    /// A task ends with its runtime; from then on a flush or the end of the logger writes what waits.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub fn build(self, sink: impl Sink + Send + 'static) -> io::Result<Logger> {
        let mut machine = Box::new(Machine::new().window(self.quiet, self.max_age));
        machine.reseed(HashSeed::new(random_seed(), random_seed()));
        let inner = Arc::new(Inner {
            shared: Shared::new(Boxed(Mutex::new(machine)), SystemTimer),
            sink: std::sync::Mutex::new(Box::new(sink)),
            writer: Mutex::new(None),
            settings: Mutex::new(self.settings),
        });
        if self.has_worker {
            start(inner.clone())?;
        }
        Ok(Logger(Arc::new(Handle(inner))))
    }
}

fn start(inner: Arc<Inner>) -> io::Result<()> {
    #[cfg(feature = "tokio")]
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        drop(runtime.spawn(inner.work()));
        return Ok(());
    }
    thread::Builder::new().name("logger".to_owned()).spawn(|| block_on(inner.work())).map(drop)
}
