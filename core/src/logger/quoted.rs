//! Names that can be taken for nothing else in a line.

use core::fmt::{self, Write};

use super::{
    bytes::Room,
    chars::{is_inner, is_plain},
    text::{ELLIPSIS, Piece},
};

/// The words of our own sentences: a name that is one of them is quoted.
const OUR_WORDS: [&str; 5] = ["and", "did", "other", "others", "to"];

/// True if a name is shown as it is: a word that no part of our sentences is.
pub(super) fn is_bare(raw: &str) -> bool {
    is_word(raw) && !OUR_WORDS.contains(&raw)
}

/// True if it is one word of plain characters.
pub(super) fn is_word(raw: &str) -> bool {
    let ends = [raw.chars().next(), raw.chars().next_back()];
    ends.into_iter().all(|end| end.is_some_and(|c| !is_inner(c))) && raw.chars().all(is_plain)
}

/// Adds a name: as it is, or in double quotes, where `\` stands before `"` and `\` and what is neither plain nor visible
/// ASCII is escaped. What does not fit is cut and marked, before the closing quote.
pub(super) fn push_name(room: &mut Room<'_>, raw: &str) {
    let (quote, mark) = if is_bare(raw) { ("", ELLIPSIS) } else { ("\"", "…\"") };
    let longest_cut = room.capacity().checked_sub(mark.len());
    let fits_quote = longest_cut.is_some_and(|longest| room.len().saturating_add(quote.len()) <= longest);
    if !fits_quote {
        // Not even room for the mark in quotes.
        room.push(ELLIPSIS.as_bytes());
        return;
    }
    room.push(quote.as_bytes());
    let mut cut = room.len();
    let fits = pieces(raw).all(|piece| {
        let fits = room.push(piece.as_slice());
        if longest_cut.is_some_and(|longest| room.len() <= longest) {
            cut = room.len();
        }
        fits
    });
    if !(fits && room.push(quote.as_bytes())) {
        room.truncate_chars(cut);
        room.push(mark.as_bytes());
    }
}

/// Writes what the program chose itself: as it is if it is words with one blank between them, else in quotes.
pub(super) fn write_words(raw: &str, is_word: fn(&str) -> bool, out: &mut dyn Write) -> fmt::Result {
    if raw.split(' ').all(is_word) {
        return out.write_str(raw);
    }
    out.write_str("\"")?;
    for piece in pieces(raw) {
        out.write_str(core::str::from_utf8(piece.as_slice()).unwrap_or_default())?;
    }
    out.write_str("\"")
}

/// The characters of a name in quotes.
fn pieces(raw: &str) -> impl Iterator<Item = Piece> {
    raw.chars().map(|c| match c {
        '"' | '\\' => Piece::escaped(c),
        ' '..='~' => Piece::of(c),
        _ if is_plain(c) => Piece::of(c),
        _ => Piece::escaped(c),
    })
}
