//! The access log of AWS application load balancers.

use std::{borrow::Cow, num::NonZeroU32};

use super::{Line, Unread, field, present, target};
use crate::{
    key::{KeyBy, path},
    time::{read_time, seconds},
};

/// Of what the fields are that are read: `type time elb client:port target:port request_processing_time
/// target_processing_time response_processing_time elb_status_code … "request" "user_agent"`.
const TIME: usize = 1;
const CLIENT: usize = 3;
const TIMES: [usize; 3] = [5, 6, 7];
const STATUS: usize = 8;
const REQUEST: usize = 12;
const AGENT: usize = 13;
/// When the request came, in newer logs.
const CREATED: usize = 21;

pub(super) fn is(line: &str) -> bool {
    let mut words = line.split(' ');
    let kind = words.next().is_some_and(|kind| ["http", "https", "h2", "grpcs", "ws", "wss"].contains(&kind));
    kind && words.next().is_some_and(|time| time.as_bytes().get(10) == Some(&b'T'))
}

pub(super) fn read<'a>(line: &'a str, by: &KeyBy) -> Result<Line<'a>, Unread> {
    let mut fields = [""; CREATED + 1];
    let mut rest = line;
    for place in &mut fields {
        let Some((found, after)) = field(rest) else { break };
        (*place, rest) = (found, after);
    }
    let at = |index: usize| fields.get(index).copied().unwrap_or_default();
    if at(REQUEST).is_empty() {
        return Err(Unread::Format);
    }
    let created = read_time(at(CREATED)).filter(|_| at(CREATED).contains('T'));
    let stamp = created.or_else(|| {
        let mut stamp = read_time(at(TIME))?;
        // -1 where the request got no further.
        let took = TIMES.iter().filter_map(|index| seconds(at(*index))).fold(0, u64::saturating_add);
        stamp.at = stamp.at.saturating_sub(took);
        Some(stamp)
    });
    let key = match by {
        KeyBy::Address { .. } => by.of_client(at(CLIENT)),
        KeyBy::Path => Cow::Borrowed(path(target(at(REQUEST)).ok_or(Unread::Key)?)),
        KeyBy::Field(name) if name.eq_ignore_ascii_case("user-agent") => Cow::Borrowed(at(AGENT)),
        KeyBy::User | KeyBy::Field(_) => return Err(Unread::Key),
    };
    let stamp = stamp.ok_or(Unread::Time)?;
    Ok(Line { stamp, key: present(key)?, cost: NonZeroU32::MIN, status: at(STATUS).parse().ok() })
}
