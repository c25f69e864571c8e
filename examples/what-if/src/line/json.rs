//! JSON lines with named fields, as Caddy, Traefik and nginx with a `log_format` of JSON write them.

use std::{borrow::Cow, num::NonZeroU32};

use serde_json::Value;

use super::{Line, Unread, present};
use crate::{
    key::{KeyBy, path},
    time::{read_time, seconds},
};

// By each of these names, the first that is there. A dot goes into an object.
const TIMES: [&str; 9] =
    ["StartUTC", "ts", "time", "timestamp", "@timestamp", "msec", "time_iso8601", "time_local", "date"];
const CLIENTS: [&str; 9] = [
    "request.client_ip", // behind a proxy it is not `remote_ip`
    "request.remote_ip",
    "client_ip",
    "remote_addr",
    "ClientHost",
    "remote_ip",
    "clientip",
    "client",
    "ip",
];
const USERS: [&str; 4] = ["user_id", "remote_user", "ClientUsername", "user"];
const PATHS: [&str; 6] = ["request.uri", "request_uri", "uri", "RequestPath", "path", "url"];
const STATUS: [&str; 2] = ["status", "DownstreamStatus"];
const COST: [&str; 1] = ["cost"];

pub(super) fn read<'a>(line: &'a str, by: &KeyBy) -> Result<Line<'a>, Unread> {
    let line: Value = serde_json::from_str(line).ok().ok_or(Unread::Format)?;
    let mut stamp = first(&line, &TIMES).as_deref().and_then(read_time).ok_or(Unread::Time)?;
    // Caddy's `duration` is in seconds; others write other units by that name.
    let took = if line.get("request").is_some() { "duration" } else { "request_time" };
    if let Some(took) = first(&line, &[took]).as_deref().and_then(seconds) {
        stamp.at = stamp.at.saturating_sub(took);
    }
    let key = match by {
        KeyBy::Address { .. } => first(&line, &CLIENTS).map(|client| by.of_client(&client).into_owned()),
        KeyBy::User => first(&line, &USERS).map(Cow::into_owned),
        KeyBy::Path => first(&line, &PATHS).map(|target| String::from(path(&target))),
        KeyBy::Field(name) => field(&line, name).map(Cow::into_owned),
    };
    let cost = match first(&line, &COST) {
        None => NonZeroU32::MIN,
        Some(cost) => cost.parse().ok().ok_or(Unread::Cost)?,
    };
    let status = first(&line, &STATUS).and_then(|status| status.parse().ok());
    Ok(Line { stamp, key: present(key.unwrap_or_default().into())?, cost, status })
}

fn first<'a>(line: &'a Value, names: &[&str]) -> Option<Cow<'a, str>> {
    names.iter().find_map(|name| text(name.split('.').try_fold(line, |value, name| value.get(name))?))
}

/// A field by its name, or a header of that name.
fn field<'a>(line: &'a Value, name: &str) -> Option<Cow<'a, str>> {
    let headers = || {
        let headers = line.get("request")?.get("headers")?.as_object()?;
        headers.iter().find_map(|(header, value)| text(value).filter(|_| header.eq_ignore_ascii_case(name)))
    };
    line.get(name).and_then(text).or_else(|| first(line, &[name])).or_else(headers)
}

/// What a log has as a text, a number, or a list whose first is meant.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if text.is_empty() || text == "-" => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Array(values) => values.first().and_then(text),
        Value::Bool(_) | Value::Null | Value::Object(_) => None,
    }
}
