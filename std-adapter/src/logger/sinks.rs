//! Where a server's lines go.

use std::io;

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
#[doc(alias("Layer", "Subscriber"))]
#[cfg(feature = "tracing")]
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingSink;

#[cfg(feature = "tracing")]
impl Sink for TracingSink {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        match level {
            Level::Debug => tracing::debug!(target: "steadfast", "{line}"),
            Level::Info => tracing::info!(target: "steadfast", "{line}"),
            Level::Warn => tracing::warn!(target: "steadfast", "{line}"),
            Level::Error => tracing::error!(target: "steadfast", "{line}"),
        }
        Ok(())
    }
}

/// A sink that hands lines to [`log`], with the target `steadfast` (feature `log`).
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
        let level = match level {
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error => log::Level::Error,
        };
        log::log!(target: "steadfast", level, "{line}");
        Ok(())
    }
}
