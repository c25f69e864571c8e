//! Names that peers chose, packed.

use core::hash::{BuildHasher, Hasher};

use super::{
    bytes::{Bytes, Room},
    text::{escape, is_clean},
};
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
        // Two hashes, since one has no more than 32 bits on a small machine.
        let half = |number| {
            let mut hasher = seed.build_hasher();
            hasher.write_u8(number);
            hasher.write(raw.as_bytes());
            hasher.finish() >> 32
        };
        Self { raw, print: half(0) << 32 | half(1) | 1 }
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
    records: Bytes<N>,
}

impl<const N: usize> Names<N> {
    pub(super) const LONGEST_RECORD: usize = {
        assert!(N >= 5 * (HEAD_AND_PRINT + 4), "names need at least 65 bytes");
        let fifth = N / 5;
        if fifth < LONGEST_RECORD { fifth } else { LONGEST_RECORD }
    };

    pub(super) fn new(target: &Name<'_>) -> Self {
        let mut names = Self { records: Bytes::new() };
        names.push(target);
        names
    }

    /// Adds a name; false if there is no room for it.
    pub(super) fn push(&mut self, name: &Name<'_>) -> bool {
        push(&mut self.records.room(), name, Self::LONGEST_RECORD)
    }

    pub(super) fn has_target(&self, name: &Name<'_>) -> bool {
        self.iter().next().is_some_and(|target| target.is(name))
    }

    pub(super) fn has_actor(&self, name: &Name<'_>) -> bool {
        self.iter().skip(1).any(|actor| actor.is(name))
    }

    pub(super) fn iter(&self) -> Records<'_> {
        Records(self.records.as_slice())
    }
}

/// Adds a record of at most `longest` bytes, or nothing.
fn push(records: &mut Room<'_>, name: &Name<'_>, longest: usize) -> bool {
    let mut record = [0; LONGEST_RECORD];
    let mut len = 0;
    let Some(mut room) = Room::first(&mut record, &mut len, longest) else { return false };
    room.push(&[0]);
    let flag = if name.print == 0 {
        room.push(name.raw.as_bytes());
        0
    } else {
        room.push(&name.print.to_le_bytes());
        escape(&mut room, name.raw);
        PRINTED
    };
    let head = if flag == 0 { HEAD } else { HEAD_AND_PRINT };
    if let (Some(first), Ok(text)) = (record.first_mut(), u8::try_from(len.saturating_sub(head))) {
        *first = text | flag;
    }
    records.push(record.get(..len).unwrap_or_default())
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
