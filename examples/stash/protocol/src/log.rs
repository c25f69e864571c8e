//! What a confidant says of its work, the same on a server and on a microcontroller.

use core::fmt::{self, Write};

use heapless::String;
use steadfast_core::logger::{Formatter, Group, Level, Recorder, ServiceLog};

use crate::{Outcome, Refusal, wire::WireError};

/// How refusals and drops are told: for `Logger::formatter`, with the kinds of events that [`report`] and [`dropped`] make.
pub const FORMATTERS: [(&str, Formatter); 2] = [("refusal", format_refusal), ("drop", format_drop)];

/// Tells what became of a question of the owner called `name`, unless that is the usual course of things. `before` is the
/// version that was kept until then.
pub fn report<R: Recorder, N: AsRef<str>>(
    log: &ServiceLog<R>,
    outcome: Outcome,
    before: Option<u64>,
    name: impl FnOnce() -> N,
) {
    let kind = match outcome {
        Outcome::Answered { found: true } => "request",
        Outcome::Answered { found: false } => "ask in vain",
        Outcome::Committed { version } if before != Some(version) => "store",
        Outcome::Refused(refusal) if !is_usual(refusal) => {
            log.event("refusal", name().as_ref()).level(Level::Warn).message(&text(format_args!("{refusal}")));
            return;
        }
        Outcome::Committed { .. }
        | Outcome::Duplicate
        | Outcome::NotAQuestion
        | Outcome::Noted
        | Outcome::Refused(_)
        | Outcome::Sending { .. }
        | Outcome::Stored
        | Outcome::Welcomed => return,
    };
    drop(log.event(kind, name().as_ref()));
}

/// Tells of a datagram from `source` that was no message.
pub fn dropped<R: Recorder>(log: &ServiceLog<R>, source: core::net::IpAddr, error: WireError) {
    let (source, error) = (text(format_args!("{source}")), text(format_args!("{error}")));
    log.event("drop", &source).level(Level::Warn).message(&error);
}

/// Tells of an upload of the owner called `name` that has paused too long.
pub fn give_up<R: Recorder>(log: &ServiceLog<R>, name: &str) {
    log.event("give up an upload", name).level(Level::Warn);
}

/// Whether this belongs to the course of an upload or a recovery.
const fn is_usual(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::Busy | Refusal::Incomplete { .. } | Refusal::NoRecovery | Refusal::Unproven)
}

/// Longer than any address, refusal or error; what does not fit is left out.
fn text(of: fmt::Arguments<'_>) -> String<64> {
    let mut text = String::new();
    let _cut = text.write_fmt(of);
    text
}

/// "refused mallory ×35: too many requests".
fn format_refusal(group: &Group<'_>, out: &mut dyn Write) -> fmt::Result {
    write!(out, "refused {}", group.actors())?;
    match group.count() {
        1 => {}
        count => write!(out, " ×{count}")?,
    }
    write!(out, ": {}", group.message())
}

/// "dropped 12 datagrams from 127.0.0.1: not a stash datagram".
fn format_drop(group: &Group<'_>, out: &mut dyn Write) -> fmt::Result {
    let plural = if group.count() == 1 { "" } else { "s" };
    write!(out, "dropped {} datagram{plural} from {}: {}", group.count(), group.actors(), group.message())
}
