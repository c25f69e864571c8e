//! Reads a log piece by piece, in memory that does not grow with its bytes.

use std::{collections::BTreeMap, mem};

use indexmap::IndexSet;
use serde::Serialize;

use crate::{
    key::KeyBy,
    line::{Line, Unread, is_heading, read_line},
    log::{Log, Request},
};

/// Bytes of the longest line that is read.
pub const LONGEST_LINE: usize = 65_536;
/// Bytes of the longest key.
pub const LONGEST_KEY: usize = 1_024;
/// Letters of an example.
const EXAMPLE: usize = 200;

/// What was read, and what was not. Each line is a request, unread, empty, a remark, or beyond.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Counts {
    /// Lines.
    pub lines: u64,
    /// Those that are requests.
    pub requests: u64,
    /// Those that could not be read, by reason.
    pub unread: Vec<UnreadLines>,
    /// Those without anything.
    pub empty: u64,
    /// Those that begin with `#`, and the heading of a table.
    pub remarks: u64,
    /// Those beyond the most requests that were asked for.
    pub beyond: u64,
    /// Requests whose time is a whole second.
    pub whole_seconds: u64,
    /// Requests that stood behind a later one.
    pub out_of_order: u64,
    /// Requests that were answered with 429 already: another limit was there.
    pub limited_already: u64,
}

/// Lines that could not be read.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct UnreadLines {
    /// Why.
    pub why: String,
    /// How many.
    pub lines: u64,
    /// The number of the first.
    pub first: u64,
    /// What begins it.
    pub example: String,
}

impl Counts {
    /// Lines that could not be read, for whatever reason.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread.iter().fold(0, |sum, unread| sum.saturating_add(unread.lines))
    }
}

/// Reads the lines of a log.
#[derive(Debug)]
pub struct Reader {
    by: KeyBy,
    most: usize,
    counts: Counts,
    unread: BTreeMap<Unread, UnreadLines>,
    keys: IndexSet<Box<str>>,
    requests: Vec<Request>,
    /// The time of the latest request so far.
    latest: u64,
    /// The beginning of a line whose end has not come.
    open: Vec<u8>,
}

impl Reader {
    /// A reader that tells clients apart by `by`, and takes so many requests at most.
    #[must_use]
    pub fn new(by: KeyBy, most: usize) -> Self {
        Self {
            by,
            most,
            counts: Counts::default(),
            unread: BTreeMap::new(),
            keys: IndexSet::new(),
            requests: Vec::new(),
            latest: 0,
            open: Vec::new(),
        }
    }

    /// How many requests there are so far.
    #[must_use]
    pub const fn requests(&self) -> usize {
        self.requests.len()
    }

    /// The next bytes of the log; they may begin and end within a line.
    pub fn push(&mut self, bytes: &[u8]) {
        let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = lines.next() {
            let ends = lines.peek().is_some();
            if ends && self.open.is_empty() {
                self.line(piece);
                continue;
            }
            // One byte more than is read tells that it is too long.
            let room = LONGEST_LINE.saturating_add(1).saturating_sub(self.open.len());
            self.open.extend(piece.iter().take(room));
            if ends {
                let line = mem::take(&mut self.open);
                self.line(&line);
                self.open = line;
                self.open.clear();
            }
        }
    }

    /// Ends a line that lacks its end, where a file does.
    pub fn end_line(&mut self) {
        if !self.open.is_empty() {
            let line = mem::take(&mut self.open);
            self.line(&line);
        }
    }

    /// The log as it was read.
    #[must_use]
    pub fn finish(mut self) -> Log {
        self.end_line();
        self.counts.unread = self.unread.into_values().collect();
        Log::new(self.counts, self.keys, self.requests)
    }

    fn line(&mut self, bytes: &[u8]) {
        let number = self.counts.lines.saturating_add(1);
        self.counts.lines = number;
        let line = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        let line = if number == 1 { line.trim_start_matches('\u{feff}') } else { &line };
        let count = if line.trim().is_empty() {
            &mut self.counts.empty
        } else if line.starts_with('#') || (number == 1 && is_heading(line)) {
            &mut self.counts.remarks
        } else if self.requests.len() >= self.most {
            &mut self.counts.beyond
        } else {
            match self.read(line, bytes.len()) {
                Ok(request) => {
                    self.requests.push(request);
                    &mut self.counts.requests
                }
                Err(why) => {
                    let example = || line.chars().take(EXAMPLE).collect();
                    let first = || UnreadLines { why: why.to_string(), lines: 0, first: number, example: example() };
                    &mut self.unread.entry(why).or_insert_with(first).lines
                }
            }
        };
        *count = count.saturating_add(1);
    }

    fn read(&mut self, line: &str, bytes: usize) -> Result<Request, Unread> {
        if bytes > LONGEST_LINE {
            return Err(Unread::Long);
        }
        let Line { stamp, key, cost, status } = read_line(line, &self.by)?;
        if key.len() > LONGEST_KEY {
            return Err(Unread::Long);
        }
        let key = match self.keys.get_index_of(key.as_ref()) {
            Some(number) => number,
            None => self.keys.insert_full(key.into()).0,
        };
        let key = u32::try_from(key).ok().ok_or(Unread::Key)?;
        let add = |count: &mut u64, yes: bool| *count = count.saturating_add(yes.into());
        add(&mut self.counts.whole_seconds, stamp.whole);
        add(&mut self.counts.limited_already, status == Some(429));
        add(&mut self.counts.out_of_order, stamp.at < self.latest);
        self.latest = self.latest.max(stamp.at);
        Ok(Request::new(stamp, key, cost))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(by: &KeyBy, pieces: &[&[u8]]) -> Log {
        let mut reader = Reader::new(by.clone(), usize::MAX);
        pieces.iter().for_each(|piece| reader.push(piece));
        reader.finish()
    }

    #[test]
    fn every_line_is_counted_where_it_belongs() {
        let log = read(&KeyBy::ADDRESS, &[b"time,key\n\n# a remark\n2.5,a\r\n1,b,x\nnonsense\n3,a,9\n2.7,c\n1,"]);
        let Counts { lines, requests, empty, remarks, whole_seconds, out_of_order, .. } = log.counts;
        assert_eq!((lines, requests, empty, remarks, whole_seconds, out_of_order), (9, 3, 1, 2, 1, 1));
        let unread: Vec<_> = log.counts.unread.iter().map(|unread| (unread.lines, unread.first)).collect();
        assert_eq!(unread, [(1, 6), (1, 9), (1, 5)], "no format, no key, no cost");
        assert_eq!(log.counts.unread[0].example, "nonsense");
        assert_eq!(log.keys.iter().map(AsRef::as_ref).collect::<Vec<&str>>(), ["a", "c"]);
        let order: Vec<_> = log.at_start.iter().map(|request| (request.key(), request.cost().get())).collect();
        assert_eq!(order, [(0, 1), (1, 1), (0, 9)]);
    }

    #[test]
    fn long_lines_and_keys_are_counted_and_take_no_memory() {
        let mut reader = Reader::new(KeyBy::ADDRESS, usize::MAX);
        reader.push(b"1,");
        for _ in 0..10 {
            reader.push(&[b'x'; LONGEST_LINE]);
            assert!(reader.open.len() <= LONGEST_LINE + 1);
        }
        let key = "k".repeat(LONGEST_KEY + 1);
        reader.push(format!("\n1,{key}\n1,{}\n", &key[1..]).as_bytes());
        let log = reader.finish();
        assert_eq!((log.counts.requests, log.counts.unread(), log.counts.lines), (1, 2, 3));
        assert_eq!(log.counts.unread[0].example.len(), EXAMPLE);
    }

    #[test]
    fn what_is_beyond_the_most_is_counted() {
        let mut reader = Reader::new(KeyBy::ADDRESS, 2);
        reader.push(b"1,a\n2,a\n3,a\n\n4,a");
        assert_eq!(reader.requests(), 2);
        let Counts { lines, requests, empty, beyond, .. } = reader.finish().counts;
        assert_eq!((lines, requests, empty, beyond), (5, 2, 1, 2));
    }

    #[test]
    fn requests_that_were_denied_before_are_told() {
        let line = r#"a - - [02/Jan/2006:15:04:05 -0700] "GET / HTTP/1.1" 429 0"#;
        let log = read(&KeyBy::ADDRESS, &[line.as_bytes()]);
        assert_eq!((log.counts.limited_already, log.counts.whole_seconds), (1, 1));
    }

    proptest! {
        /// No line is dropped silently, whatever the bytes are and wherever they are cut.
        #[test]
        fn every_line_is_counted_once(
            lines in prop::collection::vec(prop_oneof![
                "[ -~]{0,40}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>().prop_filter("an end", |byte| *byte != b'\n'), 0..40),
                (0_u32..99, "[a-c]{0,2}", 0_u32..3).prop_map(|(at, key, cost)| format!("{at},{key},{cost}").into_bytes()),
            ], 0..40),
            cuts in prop::collection::vec(0_usize..2_000, 0..10),
            most in prop_oneof![Just(usize::MAX), 0_usize..10],
        ) {
            let text = lines.join(b"\n".as_slice());
            let mut reader = Reader::new(KeyBy::ADDRESS, most);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            cuts.windows(2).for_each(|cut| reader.push(&text[cut[0]..cut[1]]));
            let log = reader.finish();

            let whole = lines.len() - usize::from(lines.last().is_none_or(Vec::is_empty) && !lines.is_empty());
            let counts = &log.counts;
            prop_assert_eq!(counts.lines, whole as u64);
            let all = counts.requests + counts.unread() + counts.empty + counts.remarks + counts.beyond;
            prop_assert_eq!(counts.lines, all);
            prop_assert_eq!(counts.requests, log.at_start.len() as u64);
            let mut reader = Reader::new(KeyBy::ADDRESS, most);
            reader.push(&text);
            prop_assert_eq!(reader.finish().at_start, log.at_start, "where the bytes are cut makes no difference");
        }
    }
}
