//! Text of bounded length that can forge nothing.

use core::{fmt, ops::Deref};

use super::bytes::{Bytes, Room};

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
    raw.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// What could break a line, drive a terminal or reorder what is read.
const fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
