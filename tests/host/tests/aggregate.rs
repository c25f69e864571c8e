//! Aggregates against their vectors, and against sorted copies and wide integers.

mod support;

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use steadfast_core::aggregate;
use steadfast_models::aggregate as model;

fn config() -> ProptestConfig {
    support::cases(10_000)
}

/// Votes that are near each other, near an end, at very different scales, or equal.
fn votes() -> impl Strategy<Value = Vec<i64>> {
    let any_scale = (any::<i64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift);
    let edge = prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), (-12..13_i64), i64::MAX - 3..=i64::MAX];
    let near = 1_000..1_060_i64;
    prop_oneof![
        vec(near.clone(), 0..40),
        vec(edge.clone(), 0..12),
        vec(prop_oneof![any_scale.clone(), near, edge], 0..24),
        vec(any_scale, 0..80),
    ]
}

#[test]
fn the_vectors_of_the_trimmed_means() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/trimmed_mean.json")).unwrap();
    assert_eq!(vectors.len(), 44);
    for vector in &vectors {
        let number = |value: &Value| value.as_str().map(|text| text.parse::<i64>().unwrap());
        let votes: Vec<i64> = vector["values"].as_array().unwrap().iter().map(|value| number(value).unwrap()).collect();
        assert_eq!(aggregate::trimmed_mean(&mut votes.clone()), number(&vector["trimmed_mean"]), "{votes:?}");
        let positive = number(&vector["trimmed_mean_positive"]);
        assert_eq!(aggregate::trimmed_mean_positive(&mut votes.clone()), positive, "{votes:?}");
    }
}

#[test]
fn found_d8_a_stuck_sensor_moves_no_median_and_no_mean_without_extremes() {
    let mut readings = [2_150, 2_150, 6_000, 2_150, 2_150]; // hundredths of a degree
    assert_eq!(aggregate::trimmed_mean(&mut readings), Some(2_920), "it is within the ratio, and the docs say so");
    assert_eq!(aggregate::mean_without_extremes(1)(&mut readings), Some(2_150));
    assert_eq!(aggregate::median(&mut readings), Some(2_150));
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn means_are_those_of_wide_integers(votes in votes(), cut in 0..6_usize, factor in 1..9_u32) {
        model::means(&votes, cut, factor);
    }

    #[test]
    fn agreements_are_those_of_counting(votes in votes(), tolerance in prop_oneof![0..80_u64, any::<u64>()]) {
        model::agreements(&votes, tolerance);
    }

    #[test]
    fn nothing_depends_on_the_order_and_nothing_is_lost(
        (votes, shuffled) in votes().prop_flat_map(|votes| (Just(votes.clone()), Just(votes).prop_shuffle())),
        missing in 0..4_usize,
    ) {
        model::order(&votes, &shuffled, missing);
    }

    #[test]
    fn liars_stay_among_the_honest(
        honest in vec(any::<i64>(), 1..9),
        liars in vec(any::<i64>(), 0..8),
    ) {
        model::liars_are_bounded(&honest, &liars);
    }

    /// Above zero, where the ratio to the median bounds them too.
    #[test]
    fn liars_stay_within_the_ratio(honest in vec(1..10_000_i64, 1..9), liars in vec(-10..10_000_000_i64, 0..8)) {
        model::liars_are_bounded(&honest, &liars);
    }
}

#[test]
fn found_b9_within_the_ratio_liars_do_what_they_like() {
    assert_eq!(aggregate::trimmed_mean(&mut [100, 3_000, 100_000]), Some(3_000));
    let sensors = [2_150, 2_150, 2_150, 2_150, 6_000];
    assert_eq!(aggregate::trimmed_mean(&mut sensors.clone()), Some(2_920));
    assert_eq!(aggregate::mean_without_extremes(1)(&mut sensors.clone()), Some(2_150));
    assert_eq!(aggregate::median(&mut sensors.clone()), Some(2_150));
}
