//! The caching rate limiter beside a naive one, under clocks that step and leap.

mod support;

use core::time::Duration;

use proptest::prelude::*;
use steadfast_core::Instant;
use steadfast_models::cached_rate_limiter::{self as model, Op};

fn ops(most_back: u64) -> impl Strategy<Value = Vec<(Op, Instant)>> {
    let op = prop_oneof![
        8 => (0..6_u8).prop_map(Op::Ask),
        3 => (0..3_usize, any::<u32>()).prop_map(|(permit, value)| Op::Complete(permit, value)),
        1 => (0..3_usize).prop_map(Op::Release),
        1 => (0..3_usize).prop_map(Op::Refund),
        1 => Just(Op::Cleanup),
    ];
    let step = prop_oneof![
        10 => prop_oneof![Just(0), Just(1), Just(3_000), Just(10_000), 0..4_000_u64].prop_map(|millis| (millis, 0)),
        1 => (0..=most_back).prop_map(|millis| (0, millis)),
        1 => (0..=most_back).prop_map(|millis| (millis, 0)),
    ];
    prop::collection::vec((op, step), 0..30).prop_map(|ops| {
        let mut now = Instant::from_secs(1_000);
        let moved = ops.into_iter().map(|(op, (on, back))| {
            now = now.saturating_add(Duration::from_millis(on)).saturating_sub(Duration::from_millis(back));
            (op, now)
        });
        moved.collect()
    })
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn answers_as_the_naive_one_does(ops in ops(30_000)) {
        model::beside_the_naive_one(ops);
    }
}

proptest! {
    #![proptest_config(support::cases(2_000))]

    #[test]
    fn a_full_table_gives_nobody_more(ops in ops(0)) {
        model::full_table(ops);
    }
}
