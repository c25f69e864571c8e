//! SECURITY.md names tests for each attack. Each of them exists; and for each attack it is written down how to take the
//! protection away, and which of its tests notice that: `tests/attacks` does it.

mod names;
mod protections;
mod rows;
#[path = "../support/sources.rs"]
mod sources;

use std::fs;

use names::{tests, tests_in};
use protections::PROTECTIONS;
use rows::{columns, quoted, rows};
use sources::root;

/// Attacks without such a change, and why.
const UNPROVED: &[(&str, &str)] = &[
    ("It grows memory", "capacities are in types and in allocations of a fixed size: there is nothing to take away"),
    (
        "Many threads or cores at once get more than the limit",
        "a lock is all that holds, and without one it does not compile",
    ),
    ("Made-up ids fill or block the table of calls", "replies have no way to take room: there is nothing to take away"),
    ("Bytes that mean nothing", "they are refused by a decoder that is not ours"),
    (
        "Code of the user's (`Drop`, `Clone`, comparison of values, wakers) comes back for what called it",
        "inside a lock it would wait for ever: the tests notice by their limit of time alone",
    ),
];

#[test]
fn every_attack_has_tests_and_they_exist() {
    let (rows, known) = (rows(), tests());
    assert!(rows.len() >= 30, "{} attacks are listed", rows.len());
    for row in rows {
        assert!(!row.tests.is_empty(), "no test is named against: {}", row.attack);
        for name in row.tests {
            assert!(known.contains_key(&name), "there is no test `{name}`, against: {}", row.attack);
        }
    }
}

#[test]
fn found_e6_every_attack_has_a_protection_that_can_be_taken_away_or_a_reason() {
    for row in rows() {
        let is_proved = PROTECTIONS.iter().any(|protection| protection.attack == row.attack);
        let is_excused = UNPROVED.iter().any(|(attack, _)| *attack == row.attack);
        assert!(
            is_proved != is_excused,
            "`{}` of SECURITY.md needs either an entry in tests/host/tests/security/protections.rs or a reason \
             in UNPROVED of main.rs beside it",
            row.attack
        );
    }
}

#[test]
fn every_protection_is_where_it_is_said_to_be() {
    let rows = rows();
    for protection in PROTECTIONS {
        let row = rows.iter().find(|row| row.attack == protection.attack);
        let row = row.unwrap_or_else(|| panic!("SECURITY.md has no row `{}`", protection.attack));
        for test in protection.noticed_by {
            assert!(row.tests.iter().any(|name| name == test), "`{}` does not name `{test}`", row.attack);
        }
        assert!(!protection.noticed_by.is_empty(), "nothing notices when this is gone: {}", row.attack);
        assert_ne!(protection.from, protection.to, "nothing changes: {}", row.attack);
        let text = fs::read_to_string(root().join(protection.file)).expect(protection.file);
        let found = text.matches(protection.from).count();
        assert_eq!(
            found, 1,
            "what protects from `{}` stands {found} times in {}, and has to stand once there: {}\nFollow the change in \
             tests/host/tests/security/protections.rs, and see by `tests/attacks '{}'` that its tests notice.",
            row.attack, protection.file, protection.from, row.attack
        );
    }
    for (attack, _) in UNPROVED {
        assert!(rows.iter().any(|row| row.attack == *attack), "SECURITY.md has no row `{attack}`");
    }
}

#[test]
fn rows_and_tests_are_found_where_they_are_and_nowhere_else() {
    assert_eq!(
        columns("| a flood | holds | `one_test`, `another` |"),
        Some(vec!["a flood", "holds", "`one_test`, `another`"])
    );
    assert_eq!(columns("| attack | what holds against it | tests |"), None);
    assert_eq!(columns("| **Floods** | | |"), None);
    assert_eq!(quoted("`one_test`, `another`").collect::<Vec<_>>(), ["one_test", "another"]);
    let source = "fn helper() {}\n#[test]\n#[ignore]\nfn one_test() {}\n#[tokio::test(start_paused = true)]\nasync fn another() {}";
    assert_eq!(tests_in(source), ["one_test", "another"]);
}
