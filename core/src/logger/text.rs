//! Text of bounded length that can forge nothing.

use core::{fmt, ops::Deref};

use super::bytes::{Bytes, Room, same};

/// At most `N` bytes of text on one line: escaped, never cut inside a character, a cut marked with `…`.
///
/// Whatever is written to it, it holds no control character (C0, DEL, C1), no line or paragraph separator and no
/// bidirectional control; each of them becomes its escape, such as `\n` or `\u{1b}`. Escaping twice changes nothing. It
/// is a [`fmt::Write`] that never fails: what comes after the cut is dropped.
///
/// ```
/// use core::fmt::Write;
/// use steadfast_core::Text;
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
}

/// What marks a cut.
const ELLIPSIS: &str = "…";

impl<const N: usize> Text<N> {
    /// No text.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N >= ELLIPSIS.len(), "there must be room for the mark of a cut") };
        Self { bytes: Bytes::new(), is_cut: false }
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
        if !self.is_cut {
            self.is_cut = !escape(&mut self.bytes.room(), raw);
        }
    }

    /// True if it is all of `raw`, as it came.
    pub(super) fn is(&self, raw: &str) -> bool {
        !self.is_cut && same(self.bytes.as_slice(), raw.as_bytes())
    }

    /// Replaces the text by `raw`, escaped.
    pub(super) fn set(&mut self, raw: &str) {
        self.rewind(0);
        self.push(raw);
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

/// Adds `raw`, escaped; false if it did not fit and was cut.
pub(super) fn escape(room: &mut Room<'_>, raw: &str) -> bool {
    if is_plain_ascii(raw) && room.push(raw.as_bytes()) {
        return true;
    }
    for c in raw.chars() {
        let mut piece = Bytes::<10>::new();
        let mut add = |c: char| piece.room().push(c.encode_utf8(&mut [0; 4]).as_bytes());
        let _fits = match c {
            '\n' => add('\\') && add('n'),
            '\r' => add('\\') && add('r'),
            '\t' => add('\\') && add('t'),
            c if is_forbidden(c) => c.escape_unicode().all(add),
            c => add(c),
        };
        if !room.push(piece.as_slice()) {
            room.truncate_chars(room.capacity().saturating_sub(ELLIPSIS.len()));
            room.push(ELLIPSIS.as_bytes());
            return false;
        }
    }
    true
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

/// True if `raw` would be stored as it is, whatever its length.
pub(super) fn is_clean(raw: &str) -> bool {
    is_plain_ascii(raw) || !raw.chars().any(is_forbidden)
}

fn is_plain_ascii(raw: &str) -> bool {
    let (words, rest) = raw.as_bytes().as_chunks();
    words.iter().all(|word| is_plain_word(usize::from_le_bytes(*word)))
        && rest.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// True if every byte of a word is from `' '` to `'~'`, all of them at once.
const fn is_plain_word(word: usize) -> bool {
    const EACH: usize = usize::MAX / 255;
    // The top bit of a byte is set by a byte above `'~'`, and by what a byte below `' '` borrows.
    let above = word.wrapping_add(EACH) | word;
    let below = word.wrapping_sub(EACH.wrapping_mul(0x20));
    (above | below) & EACH.wrapping_mul(0x80) == 0
}

/// What could break a line, drive a terminal or reorder what is read.
const fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_told_plain_or_not() {
        for len in 1..=2 * size_of::<usize>() {
            for place in 0..len {
                for byte in 0..=0x7f_u8 {
                    let mut bytes = std::vec![b'~'; len];
                    bytes[place] = byte;
                    let raw = core::str::from_utf8(&bytes).unwrap();
                    assert_eq!(is_plain_ascii(raw), (b' '..=b'~').contains(&byte), "{raw:?}");
                }
            }
        }
        for raw in ["a\u{80}", "1234567\u{7ff}", "\u{7ff}\u{7ff}\u{7ff}\u{7ff}", "\u{ffff}", "abcdefg\u{10ffff}hijklmn"]
        {
            assert!(!is_plain_ascii(raw), "{raw:?}");
        }
    }
}
