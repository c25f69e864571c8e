//! Where a server's lines go.

use std::io;

#[cfg(any(feature = "log", feature = "tracing"))]
use steadfast_core::logger::Group;
use steadfast_core::logger::{Level, NotWritten, Sink};

/// A sink that writes lines to any [`io::Write`]: standard error, a file, a socket.
///
/// Each line is one `write_all`, line break included, then a flush; so lines of several processes stay whole where the
/// system keeps writes whole.
///
/// ```
/// use std::{fs::File, io};
/// use steadfast::{Logger, logger::WriteSink};
///
/// # fn start() -> io::Result<()> {
/// let logger = Logger::builder().build(WriteSink::new(File::create("service.log")?))?;
/// # logger.shutdown();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WriteSink<W> {
    writer: W,
    line: Vec<u8>,
}

impl<W: io::Write> WriteSink<W> {
    /// Lines go to `writer`.
    pub const fn new(writer: W) -> Self {
        Self { writer, line: Vec::new() }
    }
}

impl<W: io::Write> Sink for WriteSink<W> {
    fn write(&mut self, _level: Level, line: &str) -> Result<(), NotWritten> {
        self.line.clear();
        self.line.extend_from_slice(line.as_bytes());
        self.line.push(b'\n');
        let written = self.writer.write_all(&self.line).and_then(|()| self.writer.flush());
        written.map_err(|_error| NotWritten)
    }
}

/// The macros of `tracing` take a level that is a constant.
#[cfg(feature = "tracing")]
macro_rules! hand_over {
    ($level:expr, $($what:tt)*) => {
        match $level {
            Level::Debug => hand_over!(@ DEBUG, $($what)*),
            Level::Info => hand_over!(@ INFO, $($what)*),
            Level::Warn => hand_over!(@ WARN, $($what)*),
            Level::Error => hand_over!(@ ERROR, $($what)*),
        }
    };
    (@ $level:ident, $($what:tt)*) => {
        tracing::event!(name: "steadfast.line", target: "steadfast", tracing::Level::$level, $($what)*)
    };
}

/// A sink that hands lines to [`tracing`], with the target `steadfast` (feature `tracing`): to your subscriber and its
/// layers.
///
/// They come from the logger's thread, so they go to the global default subscriber, not to one that was set for a
/// thread or a scope; a logger without a worker hands them over where it is drained.
///
/// ```
/// use steadfast::{Logger, logger::TracingSink};
///
/// let logger = Logger::builder().build(TracingSink)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Each has the field `service`; one of a group also `kind`, `actors`, `event_target`, `count` and `text`, those that are
/// empty left out.
#[doc(alias("Layer", "Subscriber"))]
#[cfg(feature = "tracing")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink;

#[cfg(feature = "tracing-layer")]
impl TracingSink {
    /// Of these a [`GroupLayer`](super::GroupLayer) makes no lines: they are lines already.
    pub(super) const NAME: &str = "steadfast.line"; // as in `hand_over`, which takes a literal only
}

#[cfg(feature = "tracing")]
impl Sink for TracingSink {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        hand_over!(level, "{line}");
        Ok(())
    }

    fn write_group(&mut self, line: &str, group: &Group<'_>) -> Result<(), NotWritten> {
        let service = group.service();
        if group.kind().is_empty() {
            hand_over!(group.level(), service, "{line}");
            return Ok(());
        }
        let (kind, count) = (group.kind(), group.count());
        let actors = (group.actors().at_least() > 0).then(|| tracing::field::display(group.actors()));
        let event_target = Some(group.target()).filter(|target| !target.is_empty());
        let text = Some(group.message()).filter(|text| !text.is_empty());
        hand_over!(group.level(), service, kind, actors, event_target, count, text, "{line}");
        Ok(())
    }
}

/// A sink that hands lines to [`log`], with the target `steadfast` (feature `log`).
///
/// Each has the key `service`; one of a group also `kind`, `actors`, `event_target`, `count` and `text`.
///
/// ```
/// use steadfast::{Logger, logger::LogSink};
///
/// let logger = Logger::builder().build(LogSink)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[cfg(feature = "log")]
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSink;

#[cfg(feature = "log")]
impl Sink for LogSink {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        log::log!(target: "steadfast", to_log(level), "{line}");
        Ok(())
    }

    fn write_group(&mut self, line: &str, group: &Group<'_>) -> Result<(), NotWritten> {
        let (level, service) = (to_log(group.level()), group.service());
        if group.kind().is_empty() {
            log::log!(target: "steadfast", level, service; "{line}");
            return Ok(());
        }
        let (kind, actors, event_target) = (group.kind(), group.actors(), group.target());
        let (count, text) = (group.count(), group.message());
        log::log!(target: "steadfast", level, service, kind, actors:%, event_target, count, text; "{line}");
        Ok(())
    }
}

#[cfg(feature = "log")]
const fn to_log(level: Level) -> log::Level {
    match level {
        Level::Debug => log::Level::Debug,
        Level::Info => log::Level::Info,
        Level::Warn => log::Level::Warn,
        Level::Error => log::Level::Error,
    }
}
