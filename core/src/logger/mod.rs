//! Events of one kind within a short time become one line.

mod entry;
mod event;
mod machine;
mod names;
mod services;
mod slot;
mod text;

#[cfg(test)]
mod tests;

pub use entry::{Actors, Entry, Formatter, Group};
pub use event::{Event, Level};
pub use machine::{Logger, LoggerStats, Recorded};
pub use services::{FormattersFull, ServiceId, Show};
pub use text::Text;
