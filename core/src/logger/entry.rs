//! What leaves the logger, and how it reads.

use core::{
    cell::Cell,
    fmt::{self, Write},
};

use super::{
    Level,
    names::{Names, Records},
    quoted::{is_bare, is_word, write_words},
    text::{Rules, Text},
};

/// Formats the text of a group: what stands behind `prefix [service] `. [`compact`](super::compact) is one.
///
/// ```
/// use steadfast_core::{Logger, logger::Formatter};
///
/// const TEASED: Formatter = |group, out| write!(out, "{} teased {}", group.actors(), group.target());
///
/// let mut logger: Logger<16> = Logger::new();
/// logger.formatter("social", "tease", TEASED)?;
/// # Ok::<(), steadfast_core::logger::FormattersFull>(())
/// ```
///
/// It gets the group after it has left the state machine, so it may take its time. `×7`, where the count exceeds the
/// actors, is added behind it unless it asked for [`Group::count`]. If it fails, the default sentence is written
/// instead.
#[doc(alias = "EventFormatter")]
pub type Formatter = fn(&Group<'_>, &mut dyn Write) -> fmt::Result;

/// One line that is due, owned: it has left the state machine, so writing it needs no lock.
///
/// [`Display`](fmt::Display) and [`line`](Self::line) are pure functions of it: `prefix [service] text`.
#[doc(alias = "LogEntry")]
#[derive(Clone, Debug)]
pub struct Entry<const NAMES: usize, const LINE: usize> {
    pub(super) content: Content<NAMES, LINE>,
    pub(super) service: &'static str,
    /// What the service set; else a mark of the level.
    pub(super) prefix: Option<&'static str>,
    pub(super) formatter: Option<Formatter>,
}

#[derive(Clone, Debug)]
pub(super) enum Content<const NAMES: usize, const LINE: usize> {
    /// One event, or several of one kind.
    Events(Events<NAMES, LINE>),
    /// How many events were lost before.
    Lost { count: u64 },
}

#[derive(Clone, Debug)]
pub(super) struct Events<const NAMES: usize, const LINE: usize> {
    /// `None` for a plain line, whose text is the message.
    pub(super) kind: Option<&'static str>,
    pub(super) level: Level,
    pub(super) names: Names<NAMES>,
    /// Events by actors for whom there was no room.
    pub(super) strangers: u32,
    pub(super) message: Text<LINE>,
    pub(super) events: u64,
    pub(super) count: u64,
}

impl<const NAMES: usize, const LINE: usize> Entry<NAMES, LINE> {
    /// The highest level of its events; [`Level::Warn`] if it tells of lost ones.
    #[must_use]
    pub const fn level(&self) -> Level {
        match &self.content {
            Content::Events(events) => events.level,
            Content::Lost { .. } => Level::Warn,
        }
    }

    /// How many events it stands for; zero if it tells of lost ones.
    #[must_use]
    pub const fn events(&self) -> u64 {
        match &self.content {
            Content::Events(events) => events.events,
            Content::Lost { .. } => 0,
        }
    }

    /// What a formatter sees of it.
    #[inline] // so that it is left out where a sink does not look at it
    #[must_use]
    pub fn group(&self) -> Group<'_> {
        let group = Group::empty(self.service, self.level());
        match &self.content {
            Content::Events(events) => Group {
                kind: events.kind.unwrap_or_default(),
                names: events.names.iter(),
                strangers: events.strangers,
                message: &events.message,
                count: events.count,
                ..group
            },
            Content::Lost { count } => Group { count: *count, ..group },
        }
    }

    /// The finished line, escaped, at most `LINE` bytes.
    #[must_use]
    pub fn line(&self) -> Text<LINE> {
        self.line_with(self.formatter)
    }

    /// The finished line, by this formatter if none was registered.
    #[must_use]
    pub fn line_or(&self, formatter: Formatter) -> Text<LINE> {
        self.line_with(self.formatter.or(Some(formatter)))
    }

    /// The finished line with the default sentence, whatever formatter was registered.
    #[must_use]
    pub fn default_line(&self) -> Text<LINE> {
        self.line_with(None)
    }

    fn line_with(&self, formatter: Option<Formatter>) -> Text<LINE> {
        let mut line = Text::new();
        let prefix = self.prefix.unwrap_or_else(|| self.level().mark());
        line.push_by(Rules::Own, prefix);
        line.push(if prefix.is_empty() { "[" } else { " [" });
        // `Text` never fails.
        let _ = write_words(self.service, is_word, &mut line);
        line.push("] ");
        let head = line.size();
        let group = self.group();
        match &self.content {
            Content::Lost { count: 1 } => line.push("1 event lost"),
            Content::Lost { count } => {
                let _ = write_number(*count, &mut line);
                line.push(" events lost");
            }
            Content::Events(events) if events.kind.is_none() => line.push(&events.message),
            Content::Events(_) => {
                let is_done = formatter.is_some_and(|formatter| group.write_with(formatter, &mut line).is_ok());
                if !is_done {
                    line.rewind(head);
                    let _ = group.write_default(&mut line);
                }
            }
        }
        line
    }
}

impl<const NAMES: usize, const LINE: usize> fmt::Display for Entry<NAMES, LINE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.line())
    }
}

/// Events of one service, type and target within a short time, as a formatter sees them. All text of peers is escaped,
/// and names are quoted where they could be taken for something else.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    service: &'static str,
    kind: &'static str,
    level: Level,
    /// The target, then the actors.
    names: Records<'a>,
    strangers: u32,
    message: &'a str,
    count: u64,
    count_was_read: Cell<bool>,
}

impl<'a> Group<'a> {
    const fn empty(service: &'static str, level: Level) -> Self {
        Self {
            service,
            kind: "",
            level,
            names: Records::EMPTY,
            strangers: 0,
            message: "",
            count: 0,
            count_was_read: Cell::new(false),
        }
    }

    /// The service that reported the events.
    #[must_use]
    pub const fn service(&self) -> &'static str {
        self.service
    }

    /// The type of the events; empty for a plain line.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The highest level of the events.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.level
    }

    /// Who did it, in the order of their first event: writes "alice, bob, carol, and 2 others".
    #[must_use]
    pub const fn actors(&self) -> Actors<'a> {
        Actors { names: self.names, strangers: self.strangers }
    }

    /// To whom it was done, quoted where need be; empty if to nobody.
    #[must_use]
    pub fn target(&self) -> &'a str {
        { self.names }.next().map_or("", |target| target.as_str())
    }

    /// The last message that was not empty, escaped, with each `\` doubled. Nothing in it reads as a count, ` ×7`.
    #[must_use]
    pub const fn message(&self) -> &'a str {
        self.message
    }

    /// The sum of the events' counts. A formatter that asks for it shows it itself: no `×7` is added.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count_was_read.set(true);
        self.count
    }

    fn write_with(&self, formatter: Formatter, out: &mut dyn Write) -> fmt::Result {
        formatter(self, out)?;
        if self.count_was_read.get() { Ok(()) } else { self.write_count(out) }
    }

    /// "alice and bob did store to carol ×7: stored 2.3KB".
    fn write_default(&self, out: &mut dyn Write) -> fmt::Result {
        let actors = self.actors();
        if actors.at_least() > 0 {
            actors.write(out)?;
            out.write_str(" did ")?;
        }
        write_words(self.kind, is_bare, out)?;
        if !self.target().is_empty() {
            out.write_str(" to ")?;
            out.write_str(self.target())?;
        }
        self.write_count(out)?;
        if !self.message.is_empty() {
            out.write_str(": ")?;
            out.write_str(self.message)?;
        }
        Ok(())
    }

    fn write_count(&self, out: &mut dyn Write) -> fmt::Result {
        if self.count <= self.actors().at_least().max(1) {
            return Ok(());
        }
        out.write_str(" ×")?;
        write_number(self.count, out)
    }
}

/// The actors of a group.
///
/// Up to four are all named, from five the first three and the number of the others. That number is exact as long as
/// the logger could keep all the names (see [`Logger`](super::Logger)), or all but one event's; else it is what is
/// certain, and marked: "alice, bob, carol, and 8+ others".
#[derive(Clone, Copy, Debug)]
pub struct Actors<'a> {
    /// The target, then the actors.
    names: Records<'a>,
    strangers: u32,
}

impl<'a> Actors<'a> {
    /// The names that were kept, quoted where need be.
    pub fn names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.names.skip(1).map(|actor| actor.as_str())
    }

    /// How many different actors there were at least.
    #[must_use]
    pub fn at_least(&self) -> u64 {
        self.names.skip(1).fold(u64::from(self.strangers > 0), |actors, _| actors.saturating_add(1))
    }

    /// True if there were no more than [`at_least`](Self::at_least).
    #[must_use]
    pub const fn is_exact(&self) -> bool {
        self.strangers <= 1
    }
}

impl fmt::Display for Actors<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl Actors<'_> {
    pub(super) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        /// So many are all named.
        const MOST_LISTED: u64 = 4;
        /// So many are named where there are more.
        const LISTED_OF_MORE: u64 = 3;

        let actors = self.at_least();
        let listed = if actors > MOST_LISTED { LISTED_OF_MORE } else { actors };
        let others = actors.saturating_sub(listed);
        for (index, name) in (0..listed).zip(self.names()) {
            let is_last = others == 0 && index.saturating_add(1) == listed;
            out.write_str(match (index, is_last) {
                (0, _) => "",
                (1, true) => " and ",
                (_, true) => ", and ",
                (_, false) => ", ",
            })?;
            out.write_str(name)?;
        }
        if others == 0 {
            return Ok(());
        }
        out.write_str(", and ")?;
        write_number(others, out)?;
        out.write_str(if self.is_exact() { " others" } else { "+ others" })
    }
}

/// The digits of a number. What `core` has for this, with widths and signs, is four times as much flash.
pub(super) fn write_number(number: u64, out: &mut dyn Write) -> fmt::Result {
    let mut rest = number;
    let mut digits = [b'0'; POWERS_OF_TEN.len()];
    for (digit, power) in digits.iter_mut().zip(POWERS_OF_TEN) {
        while let Some(less) = rest.checked_sub(power) {
            rest = less;
            *digit = digit.saturating_add(1);
        }
    }
    let first = digits.iter().position(|digit| *digit != b'0');
    out.write_str(first.and_then(|first| str::from_utf8(digits.get(first..)?).ok()).unwrap_or("0"))
}

/// From the greatest that a number of 64 bits can hold down to one.
const POWERS_OF_TEN: [u64; 20] = {
    let mut powers = [1; 20];
    let mut rest: &mut [u64] = &mut powers;
    let mut power = 1;
    while let [before @ .., last] = rest {
        *last = power;
        power = power.saturating_mul(10);
        rest = before;
    }
    powers
};

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    #[test]
    fn numbers_are_written_as_display_does() {
        let edges = (0..64).flat_map(|bit| [(1_u64 << bit) - 1, 1 << bit, u64::MAX >> bit]);
        let tens = POWERS_OF_TEN.into_iter().flat_map(|power| [power - 1, power, power.saturating_mul(9)]);
        for number in edges.chain(tens) {
            let mut text = String::new();
            write_number(number, &mut text).unwrap();
            assert_eq!(text, number.to_string());
        }
    }
}
