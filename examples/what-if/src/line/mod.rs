//! One line of a log: which format it has, and what it says of a request.

mod alb;
mod combined;
mod json;
mod table;

use std::{borrow::Cow, fmt, num::NonZeroU32};

use crate::{key::KeyBy, time::Stamp};

/// What a line says of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line<'a> {
    /// When the request came, as far as the log tells; nginx and others write a line when it ends.
    pub stamp: Stamp,
    /// Who sent it.
    pub key: Cow<'a, str>,
    /// How often it counts.
    pub cost: NonZeroU32,
    /// With what it was answered.
    pub status: Option<u16>,
}

/// Why no request could be read from a line.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Unread {
    /// It has none of the formats.
    Format,
    /// It has no time that could be read.
    Time,
    /// It does not have what the limit is by.
    Key,
    /// Its cost is no number from 1 to 4,294,967,295.
    Cost,
    /// It is longer than any line may be.
    Long,
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Format => "none of the formats",
            Self::Time => "no time that can be read",
            Self::Key => "nothing to tell the client by",
            Self::Cost => "a cost that is no number from 1 on",
            Self::Long => "too long",
        })
    }
}

/// Reads one line, without its end.
///
/// # Errors
///
/// Why it could not be read.
pub fn read_line<'a>(line: &'a str, by: &KeyBy) -> Result<Line<'a>, Unread> {
    if line.starts_with('{') {
        json::read(line, by)
    } else if alb::is(line) {
        alb::read(line, by)
    } else if let Some(found) = table::read(line, by) {
        found
    } else {
        combined::read(line, by)
    }
}

/// True if a first line has the names of a table's columns.
#[must_use]
pub fn is_heading(line: &str) -> bool {
    let first = line.split([',', ';', '\t']).next().unwrap_or_default().trim_matches('"').to_ascii_lowercase();
    first != line && ["date", "time", "timestamp", "ts"].contains(&first.as_str())
}

/// A key that is there: logs write `-` for what is not.
fn present(key: Cow<'_, str>) -> Result<Cow<'_, str>, Unread> {
    if key.is_empty() || key == "-" { Err(Unread::Key) } else { Ok(key) }
}

/// The field in quotes that a text begins with, with its escapes as they are, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut escaped = false;
    let end = inner.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    Some((inner.get(..end)?, inner.get(end..)?.strip_prefix('"')?))
}

/// The next field of a line of words and of fields in quotes, and what follows.
fn field(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(' ');
    if text.starts_with('"') {
        quoted(text)
    } else if text.is_empty() {
        None
    } else {
        Some(text.split_once(' ').unwrap_or((text, "")))
    }
}

/// The target of `GET /path HTTP/1.1`.
fn target(request: &str) -> Option<&str> {
    request.split(' ').nth(1)
}

#[cfg(test)]
mod tests;
