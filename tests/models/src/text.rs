//! What a logger prints of hostile text: one event, one line, and nothing in it that a terminal obeys.

use std::{fmt::Write, ops::RangeInclusive};

use steadfast_core::{
    Instant, Logger,
    logger::{Event, Level, Text},
};

use crate::Script;

/// What cannot be seen, breaks a line or turns it around, by code points.
const HIDDEN: [RangeInclusive<u32>; 28] = [
    0..=0x1f,
    0x7f..=0xa0,
    0xad..=0xad,
    0x34f..=0x34f,
    0x61c..=0x61c,
    0x115f..=0x1160,
    0x1680..=0x1680,
    0x17b4..=0x17b5,
    0x180b..=0x180f,
    0x2000..=0x200f,
    0x2028..=0x202f,
    0x205f..=0x206f,
    0x2800..=0x2800,
    0x3000..=0x3000,
    0x3164..=0x3164,
    0xe000..=0xf8ff,
    0xfdd0..=0xfdef,
    0xfe00..=0xfe0f,
    0xfeff..=0xfeff,
    0xffa0..=0xffa0,
    0xfff0..=0xfffc,
    0xfffe..=0xffff,
    0x1_3430..=0x1_345f,
    0x1_6fe4..=0x1_6fe4,
    0x1_bca0..=0x1_bca3,
    0x1_d159..=0x1_d159,
    0x1_d173..=0x1_d17a,
    0x4_0000..=0x10_ffff,
];

/// What is drawn over the character before it.
const COMBINING: [RangeInclusive<u32>; 8] = [
    0x300..=0x36f,
    0x483..=0x489,
    0x1ab0..=0x1aff,
    0x1dc0..=0x1dff,
    0x20d0..=0x20ff,
    0x302a..=0x302f,
    0x3099..=0x309a,
    0xfe20..=0xfe2f,
];

/// What becomes a picture before U+FE0F.
const SYMBOLS: [RangeInclusive<u32>; 7] =
    [0xa9..=0xa9, 0xae..=0xae, 0x203c..=0x203c, 0x2049..=0x2049, 0x2100..=0x27bf, 0x2900..=0x2bff, 0x1_f000..=0x1_faff];

/// The letters and pictures beyond ASCII that a name may have without quotes.
const PLAIN: [RangeInclusive<u32>; 25] = [
    0xc0..=0xd6,
    0xd8..=0xf6,
    0xf8..=0x2af,
    0x386..=0x386,
    0x388..=0x38a,
    0x38c..=0x38c,
    0x38e..=0x3a1,
    0x3a3..=0x3ff,
    0x400..=0x481,
    0x48a..=0x52f,
    0x531..=0x556,
    0x561..=0x587,
    0x10d0..=0x10fa,
    0x1e00..=0x1eff,
    0x3005..=0x3005,
    0x3041..=0x3096,
    0x30a1..=0x30fa,
    0x30fc..=0x30fc,
    0x3400..=0x4dbf,
    0x4e00..=0x9fff,
    0xac00..=0xd7a3,
    0x1_f300..=0x1_f3fa,
    0x1_f400..=0x1_f64f,
    0x1_f680..=0x1_f6c5,
    0x1_f900..=0x1_f9ff,
];

fn is_in(c: char, ranges: &[RangeInclusive<u32>]) -> bool {
    ranges.iter().any(|range| range.contains(&u32::from(c)))
}

fn escape(c: char) -> String {
    match c {
        '\n' | '\r' | '\t' | '\\' | '"' => c.escape_default().to_string(),
        c => c.escape_unicode().to_string(),
    }
}

/// What a line shows of a text that is written in one piece.
pub(crate) fn escaped(raw: &str) -> String {
    by(raw, |c| c.to_string())
}

/// What a line shows of a message.
pub(crate) fn exact(raw: &str) -> String {
    by(raw, |c| if c == '\\' { escape(c) } else { c.to_string() })
}

fn by(raw: &str, shown: impl Fn(char) -> String) -> String {
    let (mut text, mut before) = (String::new(), ' ');
    for c in raw.chars() {
        let is_carried = before.is_ascii_alphanumeric() || !(before.is_ascii() || is_in(before, &COMBINING));
        let is_shown = match c {
            '\u{fe0f}' => is_in(before, &SYMBOLS),
            c if is_in(c, &HIDDEN) => false,
            c => !is_in(c, &COMBINING) || is_carried,
        };
        let piece = if is_shown { shown(c) } else { escape(c) };
        before = if piece == c.to_string() { c } else { ' ' };
        text += &piece;
    }
    text
}

/// Whether a name is shown without quotes.
pub(crate) fn is_bare(raw: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_@/#=%~.:+'".contains(c) || is_in(c, &PLAIN);
    let ends = raw.starts_with(['.', ':', '+', '\'']) || raw.ends_with(['.', ':', '+', '\'']);
    let is_ours = ["and", "did", "other", "others", "to"].contains(&raw);
    !raw.is_empty() && raw.chars().all(is_plain) && !ends && !is_ours
}

/// A character of a name in quotes.
pub(crate) fn quoted_char(c: char) -> String {
    let is_kept = matches!(c, ' '..='~') && c != '"' && c != '\\' || is_in(c, &PLAIN);
    if is_kept { c.to_string() } else { escape(c) }
}

pub fn fuzz(bytes: &[u8]) {
    let mut script = Script::new(bytes);
    let [actor, target] = [(); 2].map(|()| String::from_utf8_lossy(script.bytes(60)).into_owned());
    let pieces = script.below(4) as usize;
    let raw = String::from_utf8_lossy(script.rest());
    on_lines(&actor, &target, &raw);
    cut(&[actor.as_str(), &target, &raw][..pieces]);
}

/// Three events are three lines, whatever they say.
pub fn on_lines(actor: &str, target: &str, raw: &str) {
    let mut logger: Logger<4, 160, 96> = Logger::new();
    let service = logger.service("a");
    logger.record(service, &Event::new("x", actor).target(target).message(raw), Instant::ZERO);
    logger.record(service, &Event::new("x", raw).target(raw).message(actor).instant(), Instant::ZERO);
    logger.line(service, Level::Info, raw, Instant::ZERO);
    logger.flush();
    let mut count = 0;
    while let Some(entry) = logger.on_timeout(Instant::ZERO) {
        for line in [entry.line(), entry.default_line()] {
            assert!(line.len() <= 96 && line.starts_with("• [a] "), "{line:?}");
            assert_harmless(&line);
            assert_eq!(escaped(&line), line.as_str(), "nothing is left to escape");
        }
        count += 1;
    }
    assert_eq!(count, 3);
}

/// Nothing that cannot be seen, but what makes a picture of a symbol.
fn assert_harmless(line: &str) {
    let mut before = ' ';
    for c in line.chars() {
        let is_picture = c == '\u{fe0f}' && is_in(before, &SYMBOLS);
        assert!(is_picture || !is_in(c, &HIDDEN), "U+{:04X} in {line:?}", u32::from(c));
        before = c;
    }
}

/// A text that is written in pieces is the escaped whole, cut between two characters where it does not fit.
fn cut(pieces: &[&str]) {
    fn check<const N: usize>(pieces: &[&str]) {
        let mut text = Text::<N>::new();
        pieces.iter().for_each(|piece| text.write_str(piece).expect("it never fails"));
        let whole: String = pieces.iter().map(|piece| escaped(piece)).collect();
        assert_harmless(&text);
        if whole.len() <= N {
            assert_eq!((text.as_str(), text.is_cut()), (whole.as_str(), false));
        } else {
            let kept = text.strip_suffix('…').expect("a cut is marked");
            assert!(text.is_cut() && text.len() <= N && whole.starts_with(kept));
            // Nothing is cut that would have fitted: at most an escape and a character go for the mark.
            assert!(kept.len() + '…'.len_utf8() + "\\u{10ffff}".len() + 4 > N, "{kept:?} of {whole:?} in {N}");
        }
    }
    check::<3>(pieces);
    check::<16>(pieces);
    check::<100>(pieces);
}
