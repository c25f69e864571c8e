//! The *combined* and *common* formats of nginx and Apache, with fields in quotes or `name=value` behind them.

use std::{borrow::Cow, num::NonZeroU32};

use super::{Line, Unread, field, present, quoted, target};
use crate::{
    key::{KeyBy, address, path},
    time::{read_time, seconds},
};

pub(super) fn read<'a>(line: &'a str, by: &KeyBy) -> Result<Line<'a>, Unread> {
    let (head, rest) = line.split_once(" [").ok_or(Unread::Format)?;
    let (time, rest) = rest.split_once("] ").ok_or(Unread::Format)?;
    let (request, rest) = quoted(rest).ok_or(Unread::Format)?;
    let (status, rest) = field(rest).ok_or(Unread::Format)?;
    let (_, rest) = field(rest).ok_or(Unread::Format)?;
    let (client, user) = who(head).ok_or(Unread::Format)?;

    let mut stamp = named(rest, "msec").and_then(read_time).or_else(|| read_time(time)).ok_or(Unread::Time)?;
    if let Some(took) = named(rest, "request_time").or_else(|| named(rest, "rt")).and_then(seconds) {
        stamp.at = stamp.at.saturating_sub(took);
    }
    let key = match by {
        KeyBy::Address { .. } => by.of_client(client),
        KeyBy::User => Cow::Borrowed(user),
        KeyBy::Path => Cow::Borrowed(path(target(request).ok_or(Unread::Key)?)),
        KeyBy::Field(name) => Cow::Borrowed(header(rest, name).ok_or(Unread::Key)?),
    };
    Ok(Line { stamp, key: present(key)?, cost: NonZeroU32::MIN, status: status.parse().ok() })
}

/// Client and user of `client identity user`, before which Apache may write the host that was asked. A user's name may
/// have spaces.
fn who(head: &str) -> Option<(&str, &str)> {
    let (first, rest) = head.split_once(' ')?;
    let (second, after) = rest.split_once(' ')?;
    match after.split_once(' ') {
        Some((_, user)) if address(first).is_none() && address(second).is_some() => Some((second, user)),
        _ => Some((first, after)),
    }
}

/// The two headers of the combined format by their names, and others as `name=value`.
fn header<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    let referer = field(rest);
    if name.eq_ignore_ascii_case("referer") {
        return referer.map(|(referer, _)| referer);
    }
    if name.eq_ignore_ascii_case("user-agent") {
        return referer.and_then(|(_, rest)| field(rest)).map(|(agent, _)| agent);
    }
    named(rest, name)
}

/// The value of `name=value` or `name="value"` among the fields of a text.
fn named<'a>(mut rest: &'a str, name: &str) -> Option<&'a str> {
    loop {
        rest = rest.trim_start_matches(' ');
        if rest.starts_with('"') {
            rest = quoted(rest)?.1;
            continue;
        }
        let (word, after) = rest.split_at(rest.find([' ', '='])?);
        let Some(value) = after.strip_prefix('=') else {
            rest = after;
            continue;
        };
        let (value, after) =
            if value.starts_with('"') { quoted(value)? } else { value.split_once(' ').unwrap_or((value, "")) };
        if word.eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = after;
    }
}
