//! Breakers by key beside one breaker for each key, and a table that is too small for its keys.

mod support;

use std::fmt::Debug;

use proptest::{prelude::*, test_runner::TestRunner};
use steadfast_core::circuit_breaker::{BreakerMode, Outcome};
use steadfast_models::breakers::{self as model, Op};

fn op() -> impl Strategy<Value = Op> {
    let outcome = prop_oneof![
        4 => Just(Outcome::Failure),
        3 => Just(Outcome::Success),
        1 => Just(Outcome::Ignored),
        1 => Just(Outcome::Dropped),
    ];
    let mode = prop_oneof![
        3 => Just(BreakerMode::Automatic),
        1 => Just(BreakerMode::ForcedClosed),
        1 => Just(BreakerMode::ForcedOpen),
        1 => Just(BreakerMode::ObserveOnly),
    ];
    prop_oneof![
        12 => Just(Op::Acquire),
        12 => outcome.prop_map(Op::Record),
        3 => any::<bool>().prop_map(Op::Bare),
        1 => mode.prop_map(Op::Mode),
        1 => Just(Op::Reset),
        3 => Just(Op::Cleanup),
    ]
}

/// Key, milliseconds forward, operation.
fn script(keys: u8, longest: usize) -> impl Strategy<Value = Vec<(u8, u64, Op)>> {
    let pause = prop_oneof![4 => Just(0_u64), 3 => 0_u64..12, 1 => 20_u64..80];
    prop::collection::vec((0..keys, pause, op()), 1..longest)
}

fn run<V: Debug>(scripts: impl Strategy<Value = V>, test: impl Fn(V)) {
    TestRunner::new(support::cases(10_000))
        .run(&scripts, |script| {
            test(script);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_table_with_room_is_one_breaker_for_each_key() {
    run(script(3, 20), |ops| model::with_room(&ops));
}

#[test]
fn a_table_of_windows_with_room_is_one_breaker_for_each_key() {
    run(script(3, 20), |ops| model::windows_with_room(&ops));
}

#[test]
fn a_table_without_room_blocks_no_one_else_and_forgets_no_open_breaker() {
    run(script(8, 24), |ops| model::without_room(&ops));
}
