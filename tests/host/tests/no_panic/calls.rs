//! Which functions of which types are named in what the compiler makes of a program, its MIR.

use std::collections::BTreeSet;

use crate::surface::{behind_brackets, face, word};

/// `Type::function`, `Shared<Type>::function` and `module::function`, for each that is named; a function of which there is
/// one only may stand without its module.
pub fn calls(mir: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Words and the signs that can stand in a path; what a closure is called tells where it was made, and no call.
    let mut rest = mir;
    while let Some(at) = rest.find(|letter: char| letter.is_alphabetic() || letter == '<' || letter == '{') {
        rest = &rest[at..];
        if rest.starts_with("{closure@") {
            rest = behind_braces(rest);
            continue;
        }
        if rest.starts_with(['<', '{']) {
            if let Some(implementor) = rest.strip_prefix("<impl ") {
                note(&face(implementor), behind_brackets(rest), &mut found);
            }
            rest = &rest[1..];
            continue;
        }
        let name = word(rest);
        let behind = &rest[name.len()..];
        // What is named without its module.
        let is_in_path = mir[..mir.len() - rest.len()].ends_with("::");
        let arguments = behind
            .strip_prefix("::")
            .filter(|arguments| arguments.starts_with('<') && !arguments.starts_with("<impl "));
        let next = arguments.map_or(behind, behind_brackets);
        note(name, next, &mut found);
        if !is_in_path && next.starts_with('(') {
            found.insert(name.to_owned());
        }
        rest = behind;
    }
    found
}

/// Notes what follows after the `::` that a text begins with.
fn note(owner: &str, behind: &str, found: &mut BTreeSet<String>) {
    let name = behind.strip_prefix("::").map(word).unwrap_or_default();
    if !name.is_empty() {
        found.insert(format!("{owner}::{name}"));
    }
}

/// What follows the closing brace of the `{` that a text begins with.
fn behind_braces(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[at + 1..];
        }
    }
    ""
}

#[test]
fn the_type_is_that_of_the_call() {
    let mir = "
        debug median => _3;
        _26 = BatchCollector::<u32, 16>::push(move _27, move _28) -> [return: bb24, unwind: bb48];
        _23 = earliest::<3>(move _24) -> [return: bb17, unwind continue];
        _4 = steadfast_core::Instant::from_nanos(move _5) -> [return: bb17, unwind continue];
        _62 = steadfast_core::quorum::shared::<impl Shared<QuorumIn<u32, Inline<8>>, Watch>>::result::<i64, for<'a> fn(&'a mut [i64]) -> Option<i64> {median}>(move _63, median) -> [return: bb44];
        _24 = steadfast_core::quorum::tally::<impl QuorumIn<u32, Inline<8>>>::vote(move _25) -> [return: bb19];
        _5 = steadfast_core::aggregate::settled::median as for<'a> fn(&'a mut [i64]) -> bool (PointerCoercion);
        _54 = FlightGuard::<{closure@steadfast_core::shared::<impl Shared<Limiter>>::allow::{closure#0}}>::complete(move _5);
        _6 = <Batch<'_, u32> as Deref>::deref(move _4) -> [return: bb1, unwind: bb3];
    ";
    let found = calls(mir);
    for expected in [
        "BatchCollector::push",
        "earliest",
        "Instant::from_nanos",
        "Shared<QuorumIn>::result",
        "QuorumIn::vote",
        "settled::median",
        "FlightGuard::complete",
    ] {
        assert!(found.contains(expected), "{expected} of {found:#?}");
    }
    for other in ["median", "aggregate::median", "Shared::result", "QuorumIn::result", "Shared<Limiter>::allow"] {
        assert!(!found.contains(other), "{other}");
    }
}
