//! What headers tell of a limit.

use core::fmt::{self, Write};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Headers, Limits, bucket::Bucket, decide::sealed::Buckets};
use crate::answer::{quoted, seconds};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const LEGACY_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const LEGACY_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const LEGACY_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

impl<Q, X> Limits<Q, X> {
    /// Adds what its quotas say of a request to the headers of its response.
    pub(super) fn write<A>(&self, headers: &mut HeaderMap, asked: &mut A, is_denied: bool)
    where
        Q: Buckets<A>,
    {
        if matches!(self.headers, Headers::Ietf | Headers::Both) {
            self.write_list(headers, asked, POLICY, |bucket, list| policy(bucket, list));
            self.write_list(headers, asked, LIMIT, |bucket, list| limit(bucket, is_denied, list));
        }
        if matches!(self.headers, Headers::Legacy | Headers::Both) {
            self.write_legacy(headers, asked);
        }
    }

    fn write_list<A>(
        &self,
        headers: &mut HeaderMap,
        asked: &mut A,
        name: HeaderName,
        item: impl Fn(&dyn Bucket, &mut List) -> fmt::Result,
    ) where
        Q: Buckets<A>,
    {
        let mut list = List::new();
        self.each(asked, |bucket| {
            let before = list.len;
            if list.add(bucket, &item).is_err() {
                // A list may be in several fields.
                list.len = before;
                list.end(headers, &name);
                let _is_short = list.add(bucket, &item);
            }
        });
        list.end(headers, &name);
    }

    fn write_legacy<A>(&self, headers: &mut HeaderMap, asked: &mut A)
    where
        Q: Buckets<A>,
    {
        let mut least = None;
        self.each(asked, |bucket| {
            let told = bucket.told();
            let Some(verdict) = told.verdict else { return };
            let reset = bucket.until(verdict.reset_at);
            // Those that deny first, then who has least, then who takes longest.
            let rank = (!told.is_denied, verdict.remaining, core::cmp::Reverse(reset));
            if least.as_ref().is_none_or(|(least, _)| rank < *least) {
                least = Some((rank, verdict.limit));
            }
        });
        let Some(((_, remaining, core::cmp::Reverse(reset)), limit)) = least else { return };
        let inner = headers.get(LEGACY_REMAINING).and_then(|inner| inner.to_str().ok()?.parse::<u32>().ok());
        if inner.is_none_or(|inner| remaining < inner) {
            let reset = if reset.is_zero() { 0 } else { seconds(reset) };
            let told = [(LEGACY_LIMIT, limit.into()), (LEGACY_REMAINING, remaining.into()), (LEGACY_RESET, reset)];
            let mut list = List::new();
            for (name, number) in told {
                let _fits = write!(list, "{number}");
                if let Some(value) = list.take() {
                    headers.insert(name, value);
                }
            }
        }
    }
}

/// The longest integer of a structured field has 15 digits.
const LONGEST: u64 = 999_999_999_999_999;

fn policy(bucket: &dyn Bucket, list: &mut List) -> fmt::Result {
    let Some(verdict) = bucket.told().verdict else { return Ok(()) };
    list.item(bucket.name())?;
    write!(list, ";q={}", verdict.limit)?;
    if verdict.limit > 0 && !verdict.window.is_zero() {
        write!(list, ";w={}", seconds(verdict.window).min(LONGEST))?;
    }
    Ok(())
}

fn limit(bucket: &dyn Bucket, is_denied: bool, list: &mut List) -> fmt::Result {
    let told = bucket.told();
    let Some(verdict) = told.verdict else { return Ok(()) };
    list.item(bucket.name())?;
    write!(list, ";r={}", verdict.remaining)?;
    // `Retry-After` must not be earlier than any `t`.
    if verdict.remaining < verdict.limit && (told.is_denied || !is_denied) {
        write!(list, ";t={}", seconds(bucket.until(verdict.more_at)).min(LONGEST))?;
    }
    Ok(())
}

/// A list of items that becomes a header.
struct List {
    text: [u8; 512],
    len: usize,
}

impl List {
    const fn new() -> Self {
        Self { text: [0; 512], len: 0 }
    }

    fn add(&mut self, bucket: &dyn Bucket, item: impl Fn(&dyn Bucket, &mut Self) -> fmt::Result) -> fmt::Result {
        item(bucket, self)
    }

    /// Begins an item.
    fn item(&mut self, name: &str) -> fmt::Result {
        if self.len > 0 {
            self.write_str(", ")?;
        }
        let mut written = Ok(());
        quoted(name, |char| written = written.and_then(|()| self.write_char(char)));
        written
    }

    fn end(&mut self, headers: &mut HeaderMap, name: &HeaderName) {
        if let Some(value) = self.take() {
            headers.append(name, value);
        }
    }

    /// What is written, unless it is nothing. The next list begins.
    fn take(&mut self) -> Option<HeaderValue> {
        let text = self.text.get(..core::mem::take(&mut self.len)).filter(|text| !text.is_empty())?;
        HeaderValue::from_bytes(text).ok()
    }
}

impl Write for List {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len.saturating_add(text.len());
        self.text.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
