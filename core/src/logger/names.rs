//! Names that peers chose, packed.

use core::{cell::Cell, hash::BuildHasher};

use super::{
    bytes::{Bytes, Room, same},
    quoted::{is_bare, push_name},
    text::ELLIPSIS,
};
use crate::foundation::hash::HashSeed;

/// A name as it came, with what tells it from others of the same look.
#[derive(Debug)]
pub(super) struct Name<'a> {
    raw: &'a str,
    longest_record: usize,
    seed: &'a HashSeed,
    /// Found out when it is first asked for: a name that is stored already is known by its bytes.
    print: Cell<Option<u64>>,
}

/// The most bytes that one record may take, whatever the memory.
const LONGEST_RECORD: usize = 128;
/// What a record needs beside its text, without and with a print.
const HEAD: usize = 1;
const HEAD_AND_PRINT: usize = 9;
/// The bit of the head that announces a print.
const PRINTED: u8 = 0x80;

impl<'a> Name<'a> {
    pub(super) const fn new(raw: &'a str, longest_record: usize, seed: &'a HashSeed) -> Self {
        Self { raw, longest_record, seed, print: Cell::new(None) }
    }

    pub(super) const fn raw(&self) -> &'a str {
        self.raw
    }

    pub(super) const fn is_none(&self) -> bool {
        self.raw.is_empty()
    }

    /// Zero if the name is stored as it is; else a keyed hash of all of it, because what is stored is quoted or cut,
    /// and cut it could be the same for two names.
    fn print(&self) -> u64 {
        if let Some(print) = self.print.get() {
            return print;
        }
        let fits = self.raw.len() <= self.longest_record.saturating_sub(HEAD);
        let is_stored_raw = self.is_none() || (fits && is_bare(self.raw));
        let print = if is_stored_raw { 0 } else { self.hash() };
        self.print.set(Some(print));
        print
    }

    /// Two hashes, since one has no more than 32 bits on a small machine.
    fn hash(&self) -> u64 {
        let half = |number: u8| self.seed.hash_one((self.raw.as_bytes(), number)) >> 32;
        half(0) << 32 | half(1) | 1
    }
}

/// The name of a target, then those of actors in the order in which they came.
///
/// Each is a record: one byte of length, for a quoted or cut name eight bytes that identify it, the text. A record
/// takes at most a fifth of the memory, so the target and four actors always fit, and usually many more.
#[derive(Clone, Debug)]
pub(super) struct Names<const N: usize> {
    records: Bytes<N>,
}

impl<const N: usize> Names<N> {
    pub(super) const LONGEST_RECORD: usize = {
        assert!(
            N >= 5 * (HEAD_AND_PRINT + ELLIPSIS.len()),
            "`NAMES` must be at least 60 bytes: a target and four actors"
        );
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
    let print = name.print();
    let flag = if print == 0 {
        room.push(name.raw.as_bytes());
        0
    } else {
        room.push(&print.to_le_bytes());
        push_name(&mut room, name.raw);
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
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    fn is(&self, name: &Name<'_>) -> bool {
        // Text that is stored as it came is shown as it came: whoever has the same needs no print.
        if self.print == 0 { same(self.text, name.raw.as_bytes()) } else { self.print == name.print() }
    }

    pub(super) fn as_str(&self) -> &'a str {
        core::str::from_utf8(self.text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{format, string::String, vec::Vec};

    #[test]
    fn a_print_uses_all_of_its_64_bits() {
        let names: Vec<String> = (0..100).map(|number| format!("\u{7}{number}")).collect();
        let prints = names.iter().map(|name| Name::new(name, LONGEST_RECORD, &HashSeed::FIXED).print());
        let (always, ever) = prints.fold((u64::MAX, 0), |(always, ever), print| (always & print, ever | print));
        assert_eq!((always, ever), (1, u64::MAX), "odd, so that it is never zero");
    }
}
