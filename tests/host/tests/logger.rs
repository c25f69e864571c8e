//! The logger beside a naive one that keeps every event, under hostile clocks, names and sinks.

mod support;

use proptest::prelude::*;
use steadfast_core::logger::{Event, Level, Show};
use steadfast_models::{
    logger::{self as model, Step},
    text,
};

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![1 => Just(Level::Debug), 6 => Just(Level::Info), 1 => Just(Level::Warn), 1 => Just(Level::Error)]
}

/// Short and long, harmless and hostile, some alike in what is shown of them.
fn name() -> impl Strategy<Value = String> {
    let letters = |from: &'static [&'static str], most| {
        prop::collection::vec(prop::sample::select(from), 0..=most).prop_map(|letters| letters.concat())
    };
    prop_oneof![
        6 => letters(&["a", "b", "c"], 2),
        3 => (0..40).prop_map(|number| format!("n{number:03}")),
        1 => letters(&["1", "2"], 2).prop_map(|end| "z".repeat(14) + &end),
        1 => letters(&["a", "\n", "\\n", "\u{202e}", "\u{85}", "é", "🦀"], 4),
        1 => letters(&["a", "and", " ", ",", "\"", "\\", ":", "to", "…", "×", "e\u{301}", "⚠️", "\u{fe0f}"], 4),
        1 => any::<String>(),
    ]
}

fn event() -> impl Strategy<Value = Event<'static>> {
    let message = prop::sample::select(&["", "", "said \u{7}this"]);
    let is_instant = prop::bool::weighted(0.1);
    (prop::sample::select(&["tease", "store"]), level(), message, 0..3_u32, is_instant).prop_map(
        |(kind, level, message, count, instant)| Event { level, message, count, instant, ..Event::new(kind, "") },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let service = || 0..2_usize;
    let show = prop::sample::select(&[Show::Normal, Show::Verbose, Show::OnlyErrors, Show::Silent]);
    prop_oneof![
        14 => (service(), name(), name(), event())
            .prop_map(|(service, actor, target, event)| Step::Event { service, actor, target, event }),
        2 => (service(), level(), name()).prop_map(|(service, level, text)| Step::Line { service, level, text }),
        3 => (0..4_500_u64).prop_map(Step::Pass),
        1 => prop_oneof![Just(0_u64), 0..100_000_u64, Just(1 << 40)].prop_map(Step::MoveTo),
        3 => prop::bool::weighted(0.9).prop_map(|is_written| Step::Drain { is_written }),
        1 => (service(), show).prop_map(|(service, show)| Step::Show { service, show }),
        1 => Just(Step::Flush),
    ]
}

/// Many events of few kinds, so that groups grow beyond what they can name.
fn crowd() -> impl Strategy<Value = Vec<Step>> {
    let event = (name(), 0..2_000_u64).prop_map(|(actor, millis)| {
        let event = Event::new("store", "");
        [Step::Event { service: 0, actor, target: String::new(), event }, Step::Pass(millis / 10)]
    });
    prop::collection::vec(event, 10..40).prop_map(|steps| steps.concat())
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn it_does_what_the_naive_one_does(steps in prop::collection::vec(step(), 1..20)) {
        model::beside_the_naive_one(&steps);
    }
}

proptest! {
    #![proptest_config(support::cases(1_000))]

    #[test]
    fn crowds_are_counted_as_the_naive_one_does(steps in crowd()) {
        model::beside_the_naive_one(&steps);
    }

    #[test]
    fn it_keeps_the_deadline_contract(steps in prop::collection::vec(step(), 1..20)) {
        model::keep_deadlines(&steps);
    }

    #[test]
    fn no_text_breaks_a_line(actor in any::<String>(), target in any::<String>(), bytes: Vec<u8>) {
        text::on_lines(&actor, &target, &String::from_utf8_lossy(&bytes));
    }
}
