//! Where the log goes: to standard output, in colours if that is a terminal.

use std::{
    fmt,
    io::{self, Write},
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use steadfast::logger::{Level, NotWritten, Sink};

/// Writes each line in the colour of its level, and no colours at all to what is no terminal.
pub(crate) struct Terminal(AutoStream<io::Stdout>);

impl Terminal {
    pub(crate) fn new() -> Self {
        Self(anstream::stdout())
    }
}

impl Sink for Terminal {
    fn write(&mut self, level: Level, line: &str) -> Result<(), NotWritten> {
        let style = match level {
            Level::Debug => Style::new().dimmed(),
            Level::Info => Style::new(),
            Level::Warn => AnsiColor::Yellow.on_default(),
            Level::Error => AnsiColor::Red.on_default().bold(),
        };
        let written = writeln!(self.0, "{style}{line}{style:#}").and_then(|()| self.0.flush());
        written.map_err(|_error| NotWritten)
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terminal")
    }
}
