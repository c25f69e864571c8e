//! The second built-in formatter.

use core::fmt::{self, Write};

use super::{
    entry::{Group, write_number},
    quoted::{is_word, write_words},
};

/// A [`Formatter`](super::Formatter) for logs that programs read: the fields in a fixed order, `kind actors -> target
/// ×count: message`, and those that are empty left out.
///
/// ```
/// use steadfast_core::{Instant, Logger, logger::{Event, compact}};
///
/// let mut logger: Logger<16> = Logger::new();
/// let stash = logger.service("stash");
/// logger.set_prefix(stash, "");
/// logger.formatter("stash", "store", compact)?;
///
/// for actor in ["alice", "bob", "alice"] {
///     logger.record(stash, &Event::new("store", actor).target("carol").message("2.3KB"), Instant::ZERO);
/// }
/// logger.flush();
/// let entry = logger.on_timeout(Instant::ZERO).expect("it was flushed");
/// assert_eq!(&*entry.line(), "[stash] store alice and bob -> carol ×3: 2.3KB");
/// # Ok::<(), steadfast_core::logger::FormattersFull>(())
/// ```
///
/// # Errors
///
/// Those of `out`.
pub fn compact(group: &Group<'_>, out: &mut dyn Write) -> fmt::Result {
    write_words(group.kind(), is_word, out)?;
    let actors = group.actors();
    if actors.at_least() > 0 {
        out.write_str(" ")?;
        actors.write(out)?;
    }
    if !group.target().is_empty() {
        out.write_str(" -> ")?;
        out.write_str(group.target())?;
    }
    let count = group.count();
    if count > actors.at_least().max(1) {
        out.write_str(" ×")?;
        write_number(count, out)?;
    }
    if !group.message().is_empty() {
        out.write_str(": ")?;
        out.write_str(group.message())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::compact;
    use crate::{
        Instant, Logger,
        logger::{Event, Text},
    };

    fn line(event: &Event<'_>) -> Text<160> {
        let mut logger: Logger<8> = Logger::new();
        let service = logger.service("s");
        logger.set_prefix(service, "");
        logger.formatter("s", event.kind, compact).unwrap();
        logger.record(service, event, Instant::ZERO);
        logger.flush();
        logger.on_timeout(Instant::ZERO).unwrap().line()
    }

    #[test]
    fn empty_fields_are_left_out() {
        assert_eq!(&*line(&Event::new("start", "")), "[s] start");
        assert_eq!(&*line(&Event::new("join", "alice")), "[s] join alice");
        assert_eq!(&*line(&Event::new("ping", "").target("bob").count(2)), "[s] ping -> bob ×2");
    }

    #[test]
    fn no_name_passes_for_a_field() {
        assert_eq!(&*line(&Event::new("join", "alice -> bob ×2")), r#"[s] join "alice -> bob \u{d7}2""#);
        assert_eq!(&*line(&Event::new("join", "->").target("×7")), r#"[s] join "->" -> "\u{d7}7""#);
    }
}
