//! Log aggregation: events of the same service, kind and target within a short time become one line, with exact counts.
//!
//! - [`Logger`] groups the events; [`ServiceLog`] is what a service reports through; a [`Sink`] takes the lines.
//! - [`Formatter`]s make the sentences, such as [`compact`]. Text of peers is escaped and quoted, so that none can
//!   forge a line (log injection).
//!
//! **Outcomes**: [`Recorded`] of an event, [`Entry`] for a line that is due. **Errors**: [`FormattersFull`],
//! [`NotWritten`]. **Counts**: [`LoggerStats`].

mod bytes;
mod chars;
mod compact;
mod entry;
mod event;
mod machine;
mod names;
mod observe;
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

pub use compact::compact;
pub use entry::{Actors, Entry, Formatter, Group};
pub use event::{Event, Level};
pub use machine::Logger;
pub use outcome::{LoggerStats, Recorded};
pub use service_log::{Recorder, Report, ServiceLog};
pub use services::{FormattersFull, ServiceId, Show};
pub use sink::{NotWritten, Sink};
pub use text::Text;
