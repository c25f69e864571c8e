//! Names that peers chose, packed.

use core::hash::{BuildHasher, Hasher};

use super::text::{Text, is_clean};
use crate::HashSeed;

/// A name as it came, with what tells it from others of the same look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name<'a> {
    raw: &'a str,
    /// Zero if `raw` is stored as it is; else a keyed hash of all of it, because what is stored is escaped or cut and so
    /// could be the same for two names.
    print: u64,
}

/// The most bytes that one record may take, whatever the memory.
const LONGEST_RECORD: usize = 128;
/// What a record needs beside its text, without and with a print.
const HEAD: usize = 1;
const HEAD_AND_PRINT: usize = 9;
/// The bit of the head that announces a print.
const PRINTED: u8 = 0x80;

impl<'a> Name<'a> {
    pub(super) const NONE: Self = Self { raw: "", print: 0 };

    pub(super) fn new(raw: &'a str, longest_record: usize, seed: &HashSeed) -> Self {
        if raw.len() <= longest_record.saturating_sub(HEAD) && is_clean(raw) {
            return Self { raw, print: 0 };
        }
        let mut hasher = seed.build_hasher();
        hasher.write(raw.as_bytes());
        Self { raw, print: hasher.finish() | 1 }
    }

    pub(super) const fn raw(&self) -> &'a str {
        self.raw
    }

    pub(super) const fn is_none(&self) -> bool {
        self.raw.is_empty()
    }
}

/// The name of a target, then those of actors in the order in which they came.
///
/// Each is a record: one byte of length, for an escaped or cut name eight bytes that identify it, the text. A record takes
/// at most a fifth of the memory, so the target and four actors always fit, and usually many more.
#[derive(Clone, Debug)]
pub(super) struct Names<const N: usize> {
    records: heapless::Vec<u8, N>,
}

impl<const N: usize> Names<N> {
    pub(super) const LONGEST_RECORD: usize = {
        assert!(N >= 5 * (HEAD_AND_PRINT + 4), "names need at least 65 bytes");
        let fifth = N / 5;
        if fifth < LONGEST_RECORD { fifth } else { LONGEST_RECORD }
    };

    pub(super) fn new(target: &Name<'_>) -> Self {
        let mut names = Self { records: heapless::Vec::new() };
        names.push(target);
        names
    }

    /// Adds a name; false if there is no room for it.
    pub(super) fn push(&mut self, name: &Name<'_>) -> bool {
        let len = self.records.len();
        let is_in = if name.print == 0 {
            self.push_record(&[], name.raw, 0)
        } else {
            let mut text = Text::<LONGEST_RECORD>::new();
            text.push_within(name.raw, Self::LONGEST_RECORD.saturating_sub(HEAD_AND_PRINT));
            self.push_record(&name.print.to_le_bytes(), &text, PRINTED)
        };
        if !is_in {
            self.records.truncate(len);
        }
        is_in
    }

    fn push_record(&mut self, print: &[u8], text: &str, flag: u8) -> bool {
        let Ok(len) = u8::try_from(text.len()) else { return false };
        self.records.push(len | flag).is_ok()
            && self.records.extend_from_slice(print).is_ok()
            && self.records.extend_from_slice(text.as_bytes()).is_ok()
    }

    pub(super) fn has_target(&self, name: &Name<'_>) -> bool {
        self.iter().next().is_some_and(|target| target.is(name))
    }

    pub(super) fn has_actor(&self, name: &Name<'_>) -> bool {
        self.iter().skip(1).any(|actor| actor.is(name))
    }

    pub(super) fn iter(&self) -> Records<'_> {
        Records(&self.records)
    }
}

/// The records of [`Names`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Records<'a>(&'a [u8]);

#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    print: u64,
    text: &'a [u8],
}

impl<'a> Records<'a> {
    pub(super) const EMPTY: Self = Self(&[]);
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let (head, rest) = self.0.split_first()?;
        let (print, rest) = if *head & PRINTED == 0 {
            (0, rest)
        } else {
            let (print, rest) = rest.split_first_chunk()?;
            (u64::from_le_bytes(*print), rest)
        };
        let (text, rest) = rest.split_at_checked(usize::from(*head & !PRINTED))?;
        self.0 = rest;
        Some(Record { print, text })
    }
}

impl<'a> Record<'a> {
    fn is(&self, name: &Name<'_>) -> bool {
        self.print == name.print && (name.print != 0 || self.text == name.raw.as_bytes())
    }

    pub(super) fn as_str(&self) -> &'a str {
        core::str::from_utf8(self.text).unwrap_or_default()
    }
}
