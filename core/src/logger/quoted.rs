//! Names that can be taken for nothing else in a line.

use core::fmt::{self, Write};

use super::{
    bytes::Room,
    chars::{is_inner, is_plain, is_plain_byte},
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
    let is_plain = raw.bytes().all(is_plain_byte) || raw.chars().all(is_plain);
    is_plain && ends.into_iter().all(|end| end.is_some_and(|c| !is_inner(c)))
}

/// Adds a name: as it is, or in double quotes, where `\` stands before `"` and `\` and what is neither plain nor
/// visible ASCII is escaped. What does not fit is cut and marked, before the closing quote.
pub(super) fn push_name(room: &mut Room<'_>, raw: &str) {
    let (quote, mark) = if is_bare(raw) { ("", ELLIPSIS) } else { ("\"", "…\"") };
    let longest_cut = room.capacity().checked_sub(mark.len());
    let start = room.len();
    let mut fits = room.push(quote.as_bytes());
    // Where it can be cut, with room for the mark.
    let mut cut = None;
    for piece in pieces(raw) {
        cut = Some(room.len()).filter(|len| longest_cut.is_some_and(|longest| *len <= longest)).or(cut);
        fits = fits && room.push(piece.as_slice());
        if !fits {
            break;
        }
    }
    if fits && room.push(quote.as_bytes()) {
        return;
    }
    let (cut, mark) = cut.map_or((start, ELLIPSIS), |cut| (cut, mark));
    room.truncate_chars(cut);
    room.push(mark.as_bytes());
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
