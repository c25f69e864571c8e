//! The correlators against naive references, under hostile clocks, hostile replies and full slabs.

mod support;

use core::{hash::BuildHasher, time::Duration};
use std::{collections::HashSet, hash::RandomState};

use proptest::prelude::*;
use steadfast_core::{
    Correlator, Instant, KeyedCorrelator,
    correlator::{CallId, Resolution},
};
use steadfast_models::{
    correlator::{self as model, OUT_OF_ORDER, Op, SECOND},
    keyed_correlator,
};

fn ops() -> impl Strategy<Value = Vec<(i64, Op)>> {
    let step = prop_oneof![
        6 => 0..2 * SECOND as i64,
        2 => Just(SECOND as i64),
        2 => Just(0),
        1 => -20 * SECOND as i64..0,
        1 => -2 * OUT_OF_ORDER as i64..0,
        1 => Just(-(OUT_OF_ORDER as i64)),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)],
    ];
    let timeout = prop_oneof![4 => (0..4_u64).prop_map(|secs| secs * SECOND), 2 => 0..5 * SECOND, 1 => Just(u64::MAX)];
    // Small numbers: the calls of a sequence are few.
    let call = 0..12_usize;
    let op = prop_oneof![
        8 => (0..3_u8, timeout).prop_map(|(peer, timeout)| Op::Begin { peer, timeout }),
        6 => (call.clone(), 0..3_u8).prop_map(|(call, from)| Op::Resolve { call, from }),
        4 => call.clone().prop_map(|call| Op::Take { call }),
        2 => call.prop_map(|call| Op::Cancel { call }),
        3 => Just(Op::OnTimeout),
        1 => prop_oneof![3 => Just(Op::Reopen), 1 => Just(Op::Close)],
    ];
    prop::collection::vec((step, op), 1..20)
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn a_slab_does_what_notes_of_everything_do(ops in ops(), seed: u64) {
        model::beside_notes(ops, seed);
    }

    #[test]
    fn a_keyed_correlator_does_what_a_hash_map_does(ops in ops()) {
        keyed_correlator::beside_a_hash_map(ops);
    }
}

proptest! {
    #![proptest_config(support::cases(1_000))]

    #[test]
    fn the_deadline_contract_holds(ops in ops()) {
        model::keep_deadlines(ops);
    }

    #[test]
    fn ids_differ_between_uses_of_a_slot_and_between_seeds(seed: u64) {
        let mut ids = HashSet::new();
        for seed in [seed, seed.wrapping_add(1), !seed] {
            let mut slab = Correlator::<(), (), 2>::new(seed);
            for _ in 0..50 {
                let id = slab.begin((), Duration::ZERO, Instant::ZERO).expect("a slot is free").id();
                prop_assert!(ids.insert(id));
                prop_assert_eq!(slab.on_timeout(Instant::ZERO).map(|expired| expired.id), Some(id));
            }
        }
    }
}

#[test]
fn guesses_hit_nothing() {
    let mut slab = Correlator::<u8, u64, 64>::new(RandomState::new().hash_one(0));
    for _ in 0..64 {
        let _ = slab.begin(1, Duration::MAX, Instant::ZERO);
    }
    // 64 of 2^64 ids are right; 200,000 guesses would meet one in one of 2^40 runs.
    let guesses = RandomState::new();
    for guess in 0..200_000_u64 {
        let id = CallId::from_u64(guesses.hash_one(guess));
        assert!(!slab.resolve(id, 1, guess, Instant::ZERO).is_matched());
    }
    assert_eq!(slab.stats().unknown, 200_000);
}

/// Where the protocol brings the ids, what keeps a third party out is the peer in them.
#[test]
fn a_peer_answers_for_itself_where_the_id_names_it() {
    let now = Instant::ZERO;
    let mut calls: KeyedCorrelator<(&str, u16), u64, 4> = KeyedCorrelator::new();
    calls.begin(("bob", 1), Duration::MAX, now).expect("there is room");
    assert_eq!(calls.resolve(&("mallory", 1), 666, now), Resolution::Unknown(666));
    assert_eq!(calls.stats().pending, 1);
    assert!(calls.resolve(&("bob", 1), 7, now).is_matched());
    assert_eq!(calls.resolve(&("mallory", 1), 666, now), Resolution::Unknown(666));
    assert_eq!(calls.take(&("bob", 1)), Some(7));
}
