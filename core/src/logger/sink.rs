//! Where lines go.

use core::fmt;

use super::{Group, Level};

/// A sink for finished lines: standard error, a UART, `tracing`.
///
/// ```
/// use steadfast_core::logger::{Level, NotWritten, Sink};
///
/// /// A serial port.
/// struct Uart(Vec<u8>);
///
/// impl Sink for Uart {
///     fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
///         self.0.extend(format!("{level:?} {line}\r\n").bytes());
///         Ok(())
///     }
/// }
/// # let mut uart = Uart(Vec::new());
/// # assert!(uart.write(Level::Info, "up").is_ok() && uart.0.ends_with(b"up\r\n"));
/// ```
pub trait Sink {
    /// Writes one line, which has no line break at its end and none inside.
    ///
    /// It may log to the logger that it writes for: that is one more line to write, so it should not for each line.
    ///
    /// # Errors
    ///
    /// If the line was not written: its events are counted as lost, and their number is told later.
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten>;

    /// Writes one line whose parts a sink may want as fields: who, what, to whom, how often. This is what a logger calls.
    /// Unless the sink says otherwise it is [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As for `write`.
    fn write_group(&mut self, line: &str, group: &Group<'_>) -> Result<(), NotWritten> {
        self.write(group.level(), line)
    }
}

impl<S: Sink + ?Sized> Sink for &mut S {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        (**self).write(level, line)
    }

    fn write_group(&mut self, line: &str, group: &Group<'_>) -> Result<(), NotWritten> {
        (**self).write_group(line, group)
    }
}

/// A sink did not take a line.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotWritten;

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the line was not written")
    }
}

impl core::error::Error for NotWritten {}
