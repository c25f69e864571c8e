//! A line can be read in one way only, whatever names and messages are.

use super::*;

/// What a line of the default sentence says.
#[derive(Debug, Eq, PartialEq)]
struct Said {
    actors: Vec<String>,
    kind: String,
    target: String,
    count: u64,
    message: String,
}

/// Reads the default sentence back, as its documentation describes it.
fn read(line: &str) -> Said {
    let mut rest = line.strip_prefix("• [a] ").expect("the head");
    let mut actors = Vec::new();
    if let Some(list) = end_of_actors(rest) {
        let mut list = list;
        loop {
            let (name, after) = read_name(list);
            actors.push(name);
            list = after.strip_prefix(',').unwrap_or(after);
            if list.is_empty() {
                break;
            }
            list = list.strip_prefix(" and ").unwrap_or_else(|| list.strip_prefix(' ').expect("a blank"));
        }
        rest = &rest[end_of_actors(rest).unwrap().len() + " did ".len()..];
    }
    let (kind, after) = read_name(rest);
    let (mut target, mut rest) = (String::new(), after);
    if let Some(after) = rest.strip_prefix(" to ") {
        (target, rest) = read_name(after);
    }
    let mut count = actors.len().max(1) as u64;
    if let Some(after) = rest.strip_prefix(" ×") {
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        count = after[..end].parse().unwrap();
        rest = &after[end..];
    }
    let message = if rest.is_empty() { "" } else { rest.strip_prefix(": ").expect("a message") };
    Said { actors, kind, target, count, message: unescaped(message) }
}

/// What stands before the first " did " outside quotes.
fn end_of_actors(rest: &str) -> Option<&str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, c) in rest.char_indices() {
        if !is_quoted && rest[at..].starts_with(": ") {
            return None;
        }
        if !is_quoted && rest[at..].starts_with(" did ") {
            return Some(&rest[..at]);
        }
        is_quoted ^= c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
    }
    None
}

/// A name, and what stands behind it.
fn read_name(rest: &str) -> (String, &str) {
    let Some(quoted) = rest.strip_prefix('"') else {
        let end = rest.find([' ', ',']).unwrap_or(rest.len());
        // What stands right before ": " is not part of the name.
        let end = if rest[..end].ends_with(':') { end - 1 } else { end };
        return (rest[..end].to_string(), &rest[end..]);
    };
    let mut is_escaped = false;
    for (at, c) in quoted.char_indices() {
        if c == '"' && !is_escaped {
            return (unescaped(&quoted[..at]), &quoted[at + 1..]);
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    panic!("a quote without its end in {rest:?}")
}

fn unescaped(text: &str) -> String {
    let (mut raw, mut rest) = (String::new(), text.chars());
    while let Some(c) = rest.next() {
        if c != '\\' {
            raw.push(c);
            continue;
        }
        match rest.next().expect("what is escaped") {
            'n' => raw.push('\n'),
            'r' => raw.push('\r'),
            't' => raw.push('\t'),
            'u' => {
                assert_eq!(rest.next(), Some('{'));
                let digits: String = rest.by_ref().take_while(|c| *c != '}').collect();
                raw.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
            }
            c => raw.push(c),
        }
    }
    raw
}

/// Names and texts that look like parts of a line, or like each other.
const HOSTILE: [&str; 64] = [
    "alice, bob, and carol",
    "alice and bob",
    "alice, bob, carol, and 2 others",
    "8+ others",
    "others",
    "other",
    "2",
    "8+",
    "and",
    "did",
    "to",
    "alice did store to bob",
    "bob: stored",
    "bob:",
    ":",
    ": ",
    "bob ×7",
    "×7",
    "bob ×7: x",
    "alice\u{200b}",
    "alice",
    "al\u{200d}ice",
    "al\u{ad}ice",
    "alice\u{fe0f}",
    "alice\u{e0061}",
    "alice\u{202e}",
    "alice\u{2066}",
    "alice\u{a0}",
    "alice\u{3000}",
    "alice\u{2003}bob",
    "\u{301}alice",
    "Zoe\u{308}",
    "Zoë",
    "\u{e000}",
    "\u{10ffff}",
    "\u{feff}alice",
    "\u{3164}",
    "\u{2800}",
    "\u{7}",
    "\n",
    "a\nb",
    "a\\nb",
    "a\\\nb",
    "\\",
    "\\\\",
    "\"",
    "\"\"",
    "\"alice\"",
    "\\\"",
    " ",
    " alice",
    "alice ",
    "a  b",
    ",",
    ", ",
    "alice,",
    "[stash]",
    "] [stash] alice",
    "alice → bob",
    "alice -> bob",
    "…",
    "alice…",
    "\u{ff0c}\u{201c}alice\u{201d}",
    "אליס",
];

#[test]
fn found_b3_names_read_back_as_they_were_given() {
    let random = core::cell::Cell::new(7_u64);
    let below = |bound: usize| {
        random.set(random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
        (random.get() >> 33) as usize % bound
    };
    let pick = || match below(4) {
        // A few pieces side by side.
        0 => (0..=below(3)).map(|_| HOSTILE[below(HOSTILE.len())]).collect(),
        1 => (0..=below(6)).map(|_| char::from_u32(below(0x3000) as u32).unwrap_or('x')).collect(),
        _ => HOSTILE[below(HOSTILE.len())].to_string(),
    };
    let mut said = std::collections::BTreeMap::new();
    for round in 0..20_000 {
        let mut actors: Vec<String> = Vec::new();
        for _ in 0..round % 5 {
            let actor: String = pick();
            if !actor.is_empty() && !actors.contains(&actor) {
                actors.push(actor);
            }
        }
        let target = if round % 3 == 0 { String::new() } else { pick() };
        let message = if round % 2 == 0 { String::new() } else { pick() };
        let count = actors.len().max(1) as u64 + (round / 7 % 2) * 3;

        let mut logger: Logger<4, 6_400, 4_096> = Logger::new();
        let a = logger.service("a");
        let event = Event::new("store", "").target(&target).message(&message);
        for actor in &actors {
            logger.record(a, &Event { actor, ..event }, at(0));
        }
        let more = (count - actors.len() as u64) as u32;
        logger.record(a, &Event { count: more, ..event }, at(0));
        logger.flush();
        let line = logger.on_timeout(at(0)).unwrap().line();
        assert!(!line.is_cut(), "{line}");
        let given = Said { actors, kind: "store".to_string(), target, count, message };
        assert_eq!(read(&line), given, "{line}");
        let key = format!("{given:?}");
        assert_eq!(said.entry(line.to_string()).or_insert_with(|| key.clone()), &key, "two events read alike");
    }
}

#[test]
fn found_b3_a_name_passes_for_no_other() {
    for (name, shown) in [
        ("alice, bob, and carol", "\"alice, bob, and carol\""),
        ("alice\u{200b}", "\"alice\\u{200b}\""),
        ("others", "\"others\""),
        ("did", "\"did\""),
        ("8+ others", "\"8+ others\""),
        ("bob:", "\"bob:\""),
        ("say \"hi\" \\o/", "\"say \\\"hi\\\" \\\\o/\""),
        ("alice…", "\"alice\\u{2026}\""),
        ("Zoe\u{308}", "\"Zoe\\u{308}\""),
        ("אב", "\"\\u{5d0}\\u{5d1}\""),
        (" ", "\" \""),
    ] {
        assert_eq!(sentence(&[name]), format!("• [nara] {shown} did wave"));
    }
    for usual in
        ["alice", "node-7", "10.0.0.7:80", "Zoë", "fe80::1", "Ольга", "日本", "O'Brien", "joe+x@example.com", "🦀"]
    {
        assert_eq!(sentence(&[usual]), format!("• [nara] {usual} did wave"));
    }
}

#[test]
fn what_cannot_be_seen_is_shown_wherever_it_stands() {
    let mut logger: Logger<8, 320, 512> = Logger::new();
    let a = logger.service("a");
    let hidden = "x\u{200b}\u{fe0f}\u{ad}\u{a0}\u{3000}\u{e000}\u{e0041}y";
    let shown = "x\\u{200b}\\u{fe0f}\\u{ad}\\u{a0}\\u{3000}\\u{e000}\\u{e0041}y";
    logger.line(a, Level::Info, hidden, at(0));
    logger.record(a, &Event::new("x", "alice").message(hidden).instant(), at(0));
    logger.line(a, Level::Info, "⚠️ Zoe\u{308} \u{308}", at(0));
    assert_eq!(
        lines(&mut logger, at(0)),
        [format!("• [a] {shown}"), format!("• [a] alice did x: {shown}"), "• [a] ⚠️ Zoe\u{308} \\u{308}".to_string()]
    );
}

#[test]
fn kinds_and_services_are_quoted_where_they_read_as_more() {
    let mut logger = Small::new();
    let (plain, odd) = (logger.service("the stash"), logger.service("a] [b"));
    logger.set_prefix(plain, "🐻‍❄️");
    for (service, kind) in [(plain, "give up"), (plain, "add to cart"), (odd, "x: y"), (odd, "")] {
        logger.record(service, &Event::new(kind, "alice").instant(), at(0));
    }
    assert_eq!(
        lines(&mut logger, at(0)),
        [
            "🐻‍❄️ [the stash] alice did give up",
            "🐻‍❄️ [the stash] alice did \"add to cart\"",
            "• [\"a] [b\"] alice did \"x: y\"",
            "• [\"a] [b\"] alice did \"\"",
        ]
    );
}

#[test]
fn messages_that_differ_read_differently_and_the_last_one_stands() {
    let mut logger = Small::new();
    let a = logger.service("a");
    let messages = ["C:\\new", "C:\new", "C:\\\\new", "C:\\new"].map(|message| {
        logger.record(a, &tease("alice").message(message), at(0));
        let mut flushed = logger.clone();
        flushed.flush();
        flushed.on_timeout(at(0)).unwrap().group().message().to_string()
    });
    assert_eq!(messages, ["C:\\\\new", "C:\\new", "C:\\\\\\\\new", "C:\\\\new"]);
}

/// The count is added behind what a formatter wrote, and that may end with what a peer says.
#[test]
fn found_b3_a_message_passes_for_no_count() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.formatter("a", "say", |group, out| write!(out, "{} says {}", group.actors(), group.message())).unwrap();
    let mut said = Vec::new();
    for (message, count) in [("hi", 7), ("hi ×7", 1), ("×7", 1), ("hi\n×7", 1), ("hi \\×7", 1), ("3×7", 1)] {
        logger.record(a, &Event::new("say", "bob").message(message).count(count).instant(), Instant::ZERO);
        said.extend(lines(&mut logger, Instant::ZERO));
    }
    let expected = ["hi ×7", r"hi \u{d7}7", r"\u{d7}7", r"hi\n\u{d7}7", r"hi \\\u{d7}7", "3×7"];
    assert_eq!(said, expected.map(|text| format!("• [a] bob says {text}")));
}
