//! What a logger prints of hostile text: one event, one line, and nothing in it that a terminal obeys.

use std::fmt::Write;

use steadfast_core::{Event, Instant, Level, Logger, Text};

use crate::{Script, logger::escaped};

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

/// No control character of C0 or C1, no separator of lines, nothing that changes the direction of reading.
fn assert_harmless(line: &str) {
    for c in line.chars() {
        let number = u32::from(c);
        assert!(!matches!(number, 0..0x20 | 0x7f..0xa0 | 0x2028 | 0x2029), "U+{number:04X} in {line:?}");
        let turns = matches!(number, 0x61c | 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069);
        assert!(!turns, "U+{number:04X} in {line:?}");
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
