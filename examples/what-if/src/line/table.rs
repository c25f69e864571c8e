//! `time,key[,cost]`, with commas, semicolons or tabs: what everything can be turned into.

use std::{borrow::Cow, num::NonZeroU32};

use super::{Line, Unread, present};
use crate::{key::KeyBy, time::read_time};

/// `None` if it is not a table's line: if it does not begin with a time.
pub(super) fn read<'a>(line: &'a str, by: &KeyBy) -> Option<Result<Line<'a>, Unread>> {
    let end = line.find([',', ';', '\t'])?;
    let (time, rest) = (line.get(..end)?, line.get(end..)?);
    let separator = rest.chars().next()?;
    let stamp = read_time(time.trim().trim_matches('"'))?;
    let read = || {
        let (key, rest) = cell(rest.strip_prefix(separator).unwrap_or_default(), separator);
        let (cost, _) = cell(rest, separator);
        let cost = match cost.trim() {
            "" => NonZeroU32::MIN,
            cost => cost.parse().ok().ok_or(Unread::Cost)?,
        };
        let key = match key {
            Cow::Borrowed(key) => by.of_client(key.trim()),
            Cow::Owned(key) => by.of_client(key.trim()).into_owned().into(),
        };
        Ok(Line { stamp, key: present(key)?, cost, status: None })
    };
    Some(read())
}

/// The first cell, without quotes, and what follows it.
fn cell(text: &str, separator: char) -> (Cow<'_, str>, &str) {
    let Some(mut rest) = text.strip_prefix('"') else {
        let (cell, rest) = text.split_once(separator).unwrap_or((text, ""));
        return (Cow::Borrowed(cell), rest);
    };
    let mut cell = String::new();
    loop {
        let (before, after) = rest.split_once('"').unwrap_or((rest, ""));
        cell.push_str(before);
        // Two quotes are one.
        let Some(more) = after.strip_prefix('"') else {
            let rest = after.split_once(separator).map_or("", |(_, rest)| rest);
            return (Cow::Owned(cell), rest);
        };
        cell.push('"');
        rest = more;
    }
}
