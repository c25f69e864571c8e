//! Whoever chooses names and texts.

use super::*;

#[test]
fn more_services_than_rows_share_one() {
    let mut logger: Logger<8, 160, 160, 2, 0> = Logger::new();
    let ids = ["a", "b", "c", "d", "a"].map(|name| logger.service(name));
    assert_eq!(ids[0], ids[4]);
    assert_eq!((ids[2], ids[3]), (ServiceId::OTHER, ServiceId::OTHER));
    assert_eq!((logger.find_service("b"), logger.find_service("c")), (Some(ids[1]), None));
    logger.line(ids[3], Level::Info, "hello", at(0));
    assert_eq!(lines(&mut logger, at(0)), ["• [other] hello"]);
}

/// What all services share for which there was no room can be silenced by none of them.
#[test]
fn found_e5_settings_beyond_the_room_are_refused_and_change_nothing() {
    let mut logger: Logger<8, 160, 160, 2, 0> = Logger::new();
    let own = logger.service("a");
    let mut larger: Logger<8> = Logger::new();
    let foreign = ["a", "b", "c"].map(|name| larger.service(name))[2];
    for shared in [ServiceId::OTHER, foreign] {
        assert!(!logger.set_show(shared, Show::Silent) && !logger.set_prefix(shared, "😈"));
        assert_eq!(logger.show(shared), Show::Normal);
    }
    assert!(logger.set_show(own, Show::Silent) && logger.set_prefix(own, "📦"));
    logger.service("b");
    let payments = logger.service("payments");
    assert!(!logger.set_show(payments, Show::Silent));
    assert_eq!(logger.line(payments, Level::Error, "money is gone", at(0)), Recorded::Ready);
    assert_eq!(lines(&mut logger, at(0)), ["❌ [other] money is gone"]);
}

#[test]
fn the_number_of_others_is_never_made_up() {
    // 65 bytes hold the target and twelve names of four letters.
    let mut logger: Logger<4, 65, 160> = Logger::new();
    let a = logger.service("a");
    let names: Vec<String> = (0..30).map(|number| format!("n{number:03}")).collect();
    let mut read = |actors: &[&String]| {
        for actor in actors {
            logger.record(a, &Event::new("x", actor), at(0));
        }
        logger.flush();
        lines(&mut logger, at(0)).concat()
    };
    let all: Vec<&String> = names.iter().collect();
    assert_eq!(read(&all[..12]), "• [a] n000, n001, n002, and 9 others did x");
    assert_eq!(read(&all[..13]), "• [a] n000, n001, n002, and 10 others did x", "one stranger is one actor");
    assert_eq!(read(&all), "• [a] n000, n001, n002, and 10+ others did x ×30");
    let twice: Vec<&String> = all[..13].iter().copied().chain([all[12]]).collect();
    assert_eq!(read(&twice), "• [a] n000, n001, n002, and 10+ others did x ×14");
}

#[test]
fn four_actors_always_fit() {
    let mut logger: Logger<4, 65, 160> = Logger::new();
    let a = logger.service("a");
    let target = "t".repeat(1_000);
    for letter in ["a", "b", "c", "d"] {
        let actor = letter.repeat(1_000);
        logger.record(a, &Event::new("x", &actor).target(&target), at(0));
    }
    assert_eq!(lines(&mut logger, at(3_000)), ["• [a] a…, b…, c…, and d… did x to t…"]);
}

#[test]
fn long_names_of_the_same_look_are_told_apart() {
    let mut logger = Small::new();
    let a = logger.service("a");
    let [one, two] = ["1", "2"].map(|end| "z".repeat(200) + end);
    for (actor, target) in [(&one, &one), (&two, &one), (&one, &one), (&one, &two)] {
        logger.record(a, &Event::new("x", actor).target(target), at(0));
    }
    let shown = "z".repeat(20) + "…";
    assert_eq!(
        lines(&mut logger, at(3_000)),
        [format!("• [a] {shown} and {shown} did x to {shown} ×3"), format!("• [a] {shown} did x to {shown}")]
    );
}

#[test]
fn a_new_seed_loses_no_event() {
    let mut logger = Small::new();
    let a = logger.service("a");
    let long = "z".repeat(200);
    logger.record(a, &Event::new("x", "alice").target(&long), at(0));
    logger.reseed(HashSeed::new(1, 2));
    logger.record(a, &Event::new("x", "alice").target(&long), at(0));
    assert_eq!(lines(&mut logger, at(3_000)).len(), 2);
}

#[test]
fn a_lesser_line_makes_room_for_a_graver_one() {
    let mut logger: Logger<2> = Logger::new();
    let a = logger.service("a");
    logger.set_show(a, Show::Verbose);
    let mut line = |level, text: &str| logger.line(a, level, text, at(0));
    assert_eq!(line(Level::Info, "first"), Recorded::Ready);
    assert_eq!(line(Level::Debug, "second"), Recorded::Ready);
    assert_eq!(line(Level::Debug, "third"), Recorded::Lost);
    assert_eq!(line(Level::Error, "fourth"), Recorded::Ready);
    assert_eq!(line(Level::Error, "fifth"), Recorded::Ready);
    assert_eq!(line(Level::Error, "sixth"), Recorded::Lost);
    assert_eq!(lines(&mut logger, at(0)), ["❌ [a] fourth", "❌ [a] fifth"]);
    assert_eq!(lines(&mut logger, at(3_000)), ["⚠️ [logger] 4 events lost"]);
    assert_eq!(logger.stats(), LoggerStats { seen: 6, printed: 2, lost: 4, ..LoggerStats::default() });
}

#[test]
fn made_up_targets_cannot_keep_lines_out() {
    let mut logger = Small::new();
    let a = logger.service("a");
    for number in 0..1_000 {
        logger.record(a, &Event::new("x", "mallory").target(&format!("{number}")), at(0));
    }
    assert_eq!(logger.line(a, Level::Info, "news", at(1)), Recorded::Ready);
    let warning = Event::new("fire", "alice").target("house").level(Level::Warn);
    assert_eq!(logger.record(a, &warning, at(1)), Recorded::Ready, "a warning without a group leaves alone");
    assert_eq!(lines(&mut logger, at(1)), ["• [a] news", "⚠️ [a] alice did fire to house"]);
    assert_eq!(lines(&mut logger, at(3_000)).last().unwrap(), "⚠️ [logger] 994 events lost");
}

#[test]
fn seed_4_4_keys_cannot_be_forged() {
    let mut logger: Logger<32> = Logger::new();
    let a = logger.service("a");
    // Joined with NUL, each pair would be one key; escaped, each pair reads the same.
    let pairs = [
        (("x", "y\0z"), ("x\0y", "z")),
        (("x", "t\n"), ("x", "t\\n")),
        (("x", "t\u{202e}"), ("x", "t\\u{202e}")),
        (("x", "alice, bob"), ("x, alice", "bob")),
    ];
    for ((kind, target), (other_kind, other_target)) in pairs {
        logger.record(a, &Event::new(kind, "mallory").target(target), at(0));
        logger.record(a, &Event::new(other_kind, "mallory").target(other_target), at(0));
    }
    assert_eq!(lines(&mut logger, at(3_000)).len(), 8);
}

#[test]
fn seed_4_4_no_field_can_forge_a_line() {
    let hostile: String = ('\0'..='\u{ff}')
        .chain(['\u{61c}', '\u{200e}', '\u{200f}', '\u{2066}', '\u{2069}'])
        .chain('\u{2028}'..='\u{202e}')
        .collect();
    let mut logger: Logger<8, 640, 4_096> = Logger::new();
    let a = logger.service("a");
    logger.line(a, Level::Info, &hostile, at(0));
    for c in hostile.chars() {
        let text = format!("x{c}y");
        logger.record(a, &Event::new("x", &text).target(&text).message(&text), at(0));
        logger.flush();
        for line in lines(&mut logger, at(0)) {
            assert!(!line.chars().any(|c| c.is_control()), "{line:?}");
            assert!(
                !line.contains(['\u{2028}', '\u{2029}', '\u{202e}', '\u{200f}', '\u{2066}', '\u{61c}']),
                "{line:?}"
            );
        }
    }
    logger.line(a, Level::Info, "\x1b[31mred\r\nERROR forged\ttab\u{9b}", at(0));
    assert_eq!(lines(&mut logger, at(0)), ["• [a] \\u{1b}[31mred\\r\\nERROR forged\\ttab\\u{9b}"]);
}

#[test]
fn a_formatter_cannot_break_the_line_either() {
    let mut logger = Small::new();
    let a = logger.service("a");
    logger.formatter("a", "x", |_, out| out.write_str("one\ntwo")).unwrap();
    logger.record(a, &Event::new("x", "alice"), at(0));
    assert_eq!(lines(&mut logger, at(3_000)), ["• [a] one\\ntwo"]);
}

#[test]
fn a_cut_keeps_characters_whole_and_is_marked() {
    for text in ["abcdefghij", "ééééé", "🦀🦀🦀", "日本語語", "a🦀\nb"] {
        let mut whole = Text::<64>::new();
        whole.push(text);
        assert!(!whole.is_cut());
        fn cut<const N: usize>(raw: &str, whole: &str) {
            let mut text = Text::<N>::new();
            text.push(raw);
            assert!(text.len() <= N);
            assert_eq!(text.is_cut(), whole.len() > N, "{raw:?} in {N}");
            let kept = text.strip_suffix('…').unwrap_or(&text);
            assert!(whole.starts_with(kept), "{text:?}");
            text.push("more");
            assert!(text.len() <= N);
        }
        cut::<3>(text, &whole);
        cut::<4>(text, &whole);
        cut::<5>(text, &whole);
        cut::<6>(text, &whole);
        cut::<7>(text, &whole);
        cut::<8>(text, &whole);
        cut::<9>(text, &whole);
        cut::<10>(text, &whole);
        cut::<11>(text, &whole);
        cut::<12>(text, &whole);
    }
}

#[test]
fn escaping_twice_changes_nothing() {
    let mut once = Text::<64>::new();
    once.push("a\n\u{7f}\\n\u{2028}");
    let mut twice = Text::<64>::new();
    twice.push(&once);
    assert_eq!(&*once, &*twice);
    assert_eq!(&*once, "a\\n\\u{7f}\\n\\u{2028}");
}
