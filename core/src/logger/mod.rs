//! Events of one kind within a short time become one line.

mod bytes;
mod chars;
mod entry;
mod event;
mod machine;
mod names;
mod outcome;
mod quoted;
mod service_log;
mod services;
mod shared;
mod sink;
mod slot;
mod slots;
mod text;
mod worker;

#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;

pub use entry::{Actors, Entry, Formatter, Group};
pub use event::{Event, Level};
pub use machine::Logger;
pub use outcome::{LoggerStats, Recorded};
pub use service_log::{Recorder, Report, ServiceLog};
pub use services::{FormattersFull, ServiceId, Show};
pub use sink::{NotWritten, Sink};
pub use text::Text;
