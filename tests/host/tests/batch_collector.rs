//! The batch collector beside a naive one that remembers every item with its time.

mod support;

use core::{num::NonZeroU64, time::Duration};

use proptest::{collection::vec, prelude::*};
use steadfast_models::batch_collector::{self as model, Rules, Step};

fn step() -> impl Strategy<Value = Step> {
    let years = 10 * 365 * 86_400_000_000_000_u64;
    prop_oneof![
        8 => (0_u32..4).prop_map(|weight| Step::Push { weight }),
        2 => Just(Step::Timeout),
        3 => Just(Step::TimeoutAtTheDeadline),
        1 => Just(Step::Flush),
        6 => (0_u64..12).prop_map(Step::Forward),
        1 => (0..years).prop_map(Step::Forward),
        1 => (0_u64..40).prop_map(Step::Back),
        1 => (0..years).prop_map(Step::Back),
        1 => prop_oneof![Just(0), Just(u64::MAX), any::<u64>()].prop_map(Step::Set),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let wait = prop_oneof![Just(Duration::ZERO), (1..40_u64).prop_map(Duration::from_nanos), Just(Duration::MAX)];
    let gap = prop_oneof![Just(None), (0..15_u64).prop_map(|gap| Some(Duration::from_nanos(gap)))];
    let weight = (0..9_u64).prop_map(NonZeroU64::new);
    (wait, gap, weight).prop_map(|(wait, gap, weight)| Rules { wait, gap, weight })
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn does_what_a_naive_collector_does(rules in rules(), steps in vec(step(), 1..25)) {
        model::beside_the_naive_one(rules, steps);
    }

    #[test]
    fn no_item_waits_too_long_and_no_batch_is_early(wait in 1..50_u64, gaps in vec(0..30_u64, 1..25)) {
        model::waits(wait, gaps);
    }
}
