//! Text of bounded length that can forge nothing.

use core::{fmt, ops::Deref};

use super::{
    bytes::{Bytes, Room, same},
    chars::{carries_mark, is_combining, is_forbidden, is_hidden, is_symbol},
};

/// At most `N` bytes of text on one line: escaped, never cut inside a character, a cut marked with `…`.
///
/// Whatever is written to it, it holds nothing that breaks a line, drives a terminal or turns the text around, and
/// nothing that cannot be seen: no control character, no bidirectional control, no space but `' '`, no joiner, filler,
/// tag or variation selector (but U+FE0F behind a symbol, as in `⚠️`), nothing private or outside the planes in use. A
/// combining mark is kept behind a letter only, one at most. All else becomes its escape, such as `\n` or `\u{1b}`; a
/// `\` stays as it is, so that escaping twice changes nothing. It is a [`fmt::Write`] that never fails: what comes
/// after the cut is dropped.
///
/// ```
/// use core::fmt::Write;
/// use steadfast_core::logger::Text;
///
/// let mut text = Text::<16>::new();
/// write!(text, "stored {} B\n", 2_300)?;
/// assert_eq!(&*text, "stored 2300 B\\n");
/// text.write_str(" for ever")?;
/// assert_eq!(&*text, "stored 2300 B…");
/// # Ok::<(), core::fmt::Error>(())
/// ```
#[derive(Clone)]
pub struct Text<const N: usize> {
    bytes: Bytes<N>,
    is_cut: bool,
    /// It is not all as it came.
    is_changed: bool,
}

/// What is let through.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Rules {
    /// What can be seen.
    Text,
    /// The same, with each `\` doubled, and a `×` at the beginning of a word escaped: two texts never come out alike,
    /// and none ends like a count.
    Exact,
    /// The program's own: whatever leaves the line whole, the parts of an emoji too.
    Own,
}

/// What marks a cut.
pub(super) const ELLIPSIS: &str = "…";

impl<const N: usize> Text<N> {
    /// No text.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= ELLIPSIS.len(), "there must be room for the mark of a cut") };
        Self { bytes: Bytes::new(), is_cut: false, is_changed: false }
    }

    /// The text that `args` make, as much of it as fits.
    #[must_use]
    pub fn format(args: fmt::Arguments<'_>) -> Self {
        let mut text = Self::new();
        match args.as_str() {
            Some(literal) => text.push(literal),
            // An error can only be that of a foreign `Display`: what it wrote until then stays.
            None => {
                let _ = fmt::write(&mut text, args);
            }
        }
        text
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only whole characters are ever added or taken away.
        core::str::from_utf8(self.bytes.as_slice()).unwrap_or_default()
    }

    /// True if something did not fit.
    #[must_use]
    pub const fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// Adds `raw`, escaped; after a cut nothing is added.
    pub(super) fn push(&mut self, raw: &str) {
        self.push_by(Rules::Text, raw);
    }

    pub(super) fn push_by(&mut self, rules: Rules, raw: &str) {
        if !self.is_cut {
            let (is_cut, is_changed) = escape(&mut self.bytes.room(), raw, rules);
            self.is_cut = is_cut;
            self.is_changed |= is_changed;
        }
    }

    /// True if it is all of `raw`, as it came.
    pub(super) fn is(&self, raw: &str) -> bool {
        !self.is_cut && !self.is_changed && same(self.bytes.as_slice(), raw.as_bytes())
    }

    /// Replaces the text by `raw`, escaped.
    pub(super) fn set(&mut self, rules: Rules, raw: &str) {
        self.rewind(0);
        self.is_changed = false;
        self.push_by(rules, raw);
    }

    /// Takes back everything behind the first `len` bytes, which must have been its length once.
    pub(super) const fn rewind(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.is_cut = false;
    }

    /// How many bytes there are.
    pub(super) const fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Adds `raw`, escaped; whether it was cut, and whether it was changed.
fn escape(room: &mut Room<'_>, raw: &str, rules: Rules) -> (bool, bool) {
    if is_plain_ascii(raw, rules) && room.push(raw.as_bytes()) {
        return (false, false);
    }
    let (mut before, mut is_changed) = (' ', false);
    for c in raw.chars() {
        let is_shown = match rules {
            Rules::Own => !is_forbidden(c),
            Rules::Text | Rules::Exact if is_hidden(c) => c == '\u{fe0f}' && is_symbol(before),
            Rules::Text | Rules::Exact => !is_combining(c) || carries_mark(before),
        };
        let piece = match c {
            '\\' if rules == Rules::Exact => Piece::escaped(c),
            // Where a formatter ends with the message, the count stands right behind it.
            '×' if rules == Rules::Exact && before == ' ' => Piece::escaped(c),
            _ if is_shown => Piece::of(c),
            _ => Piece::escaped(c),
        };
        let is_kept = piece.as_slice() == c.encode_utf8(&mut [0; 4]).as_bytes();
        is_changed |= !is_kept;
        // An escape carries no mark, read once more either.
        before = if is_kept { c } else { ' ' };
        if !room.push(piece.as_slice()) {
            room.truncate_chars(room.capacity().saturating_sub(ELLIPSIS.len()));
            room.push(ELLIPSIS.as_bytes());
            return (true, true);
        }
    }
    (false, is_changed)
}

/// One character, or its escape.
pub(super) struct Piece(Bytes<10>);

impl Piece {
    pub(super) fn of(c: char) -> Self {
        let mut piece = Self(Bytes::new());
        piece.push(c);
        piece
    }

    /// `\n`, `\r`, `\t`, `\\`, `\"`, or `\u{..}` for all else.
    pub(super) fn escaped(c: char) -> Self {
        let mut piece = Self(Bytes::new());
        let letter = match c {
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\\' | '"' => c,
            _ => {
                c.escape_unicode().for_each(|c| piece.push(c));
                return piece;
            }
        };
        piece.push('\\');
        piece.push(letter);
        piece
    }

    fn push(&mut self, c: char) {
        // The longest is `\u{10ffff}`.
        let _fits = self.0.room().push(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.0.as_slice()
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, raw: &str) -> fmt::Result {
        self.push(raw);
        Ok(())
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(feature = "defmt")]
impl<const N: usize> defmt::Format for Text<N> {
    fn format(&self, f: defmt::Formatter<'_>) {
        defmt::write!(f, "{=str}", self.as_str());
    }
}

/// True if `raw` is shown as it is, without a look at each character.
fn is_plain_ascii(raw: &str, rules: Rules) -> bool {
    let (words, rest) = raw.as_bytes().as_chunks();
    let is_exact = rules == Rules::Exact;
    words.iter().map(|word| usize::from_le_bytes(*word)).all(|word| is_plain_word(word, is_exact))
        && rest.iter().all(|byte| matches!(byte, b' '..=b'~') && !(is_exact && *byte == b'\\'))
}

/// True if every byte of a word is from `' '` to `'~'`, all of them at once; and no `\` where that matters.
const fn is_plain_word(word: usize, is_exact: bool) -> bool {
    const EACH: usize = usize::MAX / 255;
    const TOPS: usize = EACH.wrapping_mul(0x80);
    // The top bit of a byte is set by a byte above `'~'`, and by what a byte below `' '` borrows.
    let above = word.wrapping_add(EACH) | word;
    let below = word.wrapping_sub(EACH.wrapping_mul(0x20));
    // A byte of zero borrows, and has no top bit of its own.
    let other = word ^ EACH.wrapping_mul(b'\\' as usize);
    let has_backslash = is_exact && other.wrapping_sub(EACH) & !other & TOPS != 0;
    (above | below) & TOPS == 0 && !has_backslash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_hides_behind_a_letter() {
        for c in ('\0'..=char::MAX).filter(|c| is_hidden(*c)) {
            let text = Text::<32>::format(format_args!("a{c}b"));
            assert!(text.starts_with("a\\") && text.ends_with('b') && !text.contains(c), "{text:?}");
        }
    }

    #[test]
    fn every_byte_at_every_place_is_told_plain_or_not() {
        for len in 1..=2 * size_of::<usize>() {
            for place in 0..len {
                for byte in 0..=0x7f_u8 {
                    let mut bytes = std::vec![b'~'; len];
                    bytes[place] = byte;
                    let raw = core::str::from_utf8(&bytes).unwrap();
                    let is_plain = (b' '..=b'~').contains(&byte);
                    assert_eq!(is_plain_ascii(raw, Rules::Text), is_plain, "{raw:?}");
                    assert_eq!(is_plain_ascii(raw, Rules::Exact), is_plain && byte != b'\\', "{raw:?}");
                }
            }
        }
        for raw in ["a\u{80}", "1234567\u{7ff}", "\u{7ff}\u{7ff}\u{7ff}\u{7ff}", "\u{ffff}", "abcdefg\u{10ffff}hijklmn"]
        {
            assert!(!is_plain_ascii(raw, Rules::Text), "{raw:?}");
        }
    }
}
