//! Which characters may be shown as they are.

/// What could break a line, drive a terminal or reorder what is read.
pub(super) const fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What leaves no mark of its own, or an empty place that is no `' '`: controls, spaces of other widths, joiners,
/// fillers, variation selectors, tags, private and unassigned planes. All that Unicode calls white space or
/// default-ignorable is among it.
pub(super) const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}'
        | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{e000}'..='\u{f8ff}'
        | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}'
        | '\u{fffe}' | '\u{ffff}' | '\u{13430}'..='\u{1345f}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{40000}'..
    )
}

/// A mark that is drawn over the character before it, whatever that is.
pub(super) const fn is_combining(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{302a}'..='\u{302f}' | '\u{3099}' | '\u{309a}' | '\u{fe20}'..='\u{fe2f}')
}

/// What a combining mark may stand on: not our own punctuation, and not another mark.
pub(super) const fn carries_mark(c: char) -> bool {
    c.is_ascii_alphanumeric() || (!c.is_ascii() && !is_combining(c))
}

/// What U+FE0F turns into a coloured picture.
pub(super) const fn is_symbol(c: char) -> bool {
    matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2100}'..='\u{27bf}' | '\u{2900}'..='\u{2bff}' | '\u{1f000}'..='\u{1faff}')
}

/// What a name may hold to be shown without quotes: letters and digits of scripts that read from left to right and need
/// no combining marks, some pictures, and what is usual in hosts, paths and addresses.
///
/// A list of what is allowed, because what is not is endless; it need not be whole, for all else is quoted or escaped.
pub(super) const fn is_plain(c: char) -> bool {
    matches!(
        c,
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '@' | '/' | '#' | '=' | '%' | '~' | '.' | ':' | '+' | '\''
        // Latin without `×` and `÷`, Vietnamese.
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2af}' | '\u{1e00}'..='\u{1eff}'
        // Greek, Cyrillic, Armenian, Georgian.
        | '\u{386}' | '\u{388}'..='\u{38a}' | '\u{38c}' | '\u{38e}'..='\u{3a1}' | '\u{3a3}'..='\u{3ff}'
        | '\u{400}'..='\u{481}' | '\u{48a}'..='\u{52f}' | '\u{531}'..='\u{556}' | '\u{561}'..='\u{587}'
        | '\u{10d0}'..='\u{10fa}'
        // Kana, Han, Hangul.
        | '\u{3005}' | '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fa}' | '\u{30fc}' | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}'
        // Pictures, but those that change the colour of the one before.
        | '\u{1f300}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1f64f}' | '\u{1f680}'..='\u{1f6c5}' | '\u{1f900}'..='\u{1f9ff}'
    )
}

/// [`is_plain`] of one byte of ASCII; false for the bytes of all else.
pub(super) const fn is_plain_byte(byte: u8) -> bool {
    /// A bit for each of 32 characters from `first` on.
    const fn bits(first: u8) -> u32 {
        let (mut bits, mut at) = (0, 0);
        while at < 32 {
            bits |= (is_plain((first | at) as char) as u32) << at;
            at = at.wrapping_add(1);
        }
        bits
    }
    let row = match byte >> 5 {
        1 => const { bits(0x20) },
        2 => const { bits(0x40) },
        3 => const { bits(0x60) },
        _ => 0,
    };
    row >> (byte & 31) & 1 != 0
}

/// What may stand within a plain name, but not at its ends, where it would read as the line's own punctuation.
pub(super) const fn is_inner(c: char) -> bool {
    matches!(c, '.' | ':' | '+' | '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_plain_is_seen_and_what_is_forbidden_is_hidden() {
        for c in '\0'..=char::MAX {
            assert!(
                !(is_plain(c) && (is_hidden(c) || is_combining(c) || c.is_whitespace() || c.is_control())),
                "{c:?}"
            );
            assert!(!is_forbidden(c) || is_hidden(c), "{c:?}");
            assert!(c == ' ' || !(c.is_whitespace() || c.is_control()) || is_hidden(c), "{c:?}");
            // What `Debug` escapes of a character that is no quote: what std knows as invisible, unassigned or
            // extending.
            let is_shown = c.is_ascii_graphic() || c.escape_debug().count() == 1;
            assert!(!is_plain(c) || is_shown, "{c:?}");
        }
    }

    #[test]
    fn a_byte_is_plain_if_its_character_is() {
        for byte in 0..=u8::MAX {
            assert_eq!(is_plain_byte(byte), byte.is_ascii() && is_plain(char::from(byte)), "{byte}");
        }
    }

    #[test]
    fn all_that_is_default_ignorable_is_hidden() {
        let ranges = [
            '\u{ad}'..='\u{ad}',
            '\u{34f}'..='\u{34f}',
            '\u{61c}'..='\u{61c}',
            '\u{115f}'..='\u{1160}',
            '\u{17b4}'..='\u{17b5}',
            '\u{180b}'..='\u{180f}',
            '\u{200b}'..='\u{200f}',
            '\u{202a}'..='\u{202e}',
            '\u{2060}'..='\u{206f}',
            '\u{3164}'..='\u{3164}',
            '\u{fe00}'..='\u{fe0f}',
            '\u{feff}'..='\u{feff}',
            '\u{ffa0}'..='\u{ffa0}',
            '\u{fff0}'..='\u{fff8}',
            '\u{1bca0}'..='\u{1bca3}',
            '\u{1d173}'..='\u{1d17a}',
            '\u{e0000}'..='\u{e0fff}',
        ];
        for c in ranges.into_iter().flatten() {
            assert!(is_hidden(c), "{c:?}");
        }
    }
}
