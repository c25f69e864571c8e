//! Aggregates against their vectors, and against sorted copies and wide integers.

mod support;

use core::num::NonZeroU32;

use proptest::{collection::vec, prelude::*};
use serde_json::Value;
use steadfast_core::aggregate::{self, settled};

type Aggregate = dyn Fn(&mut [i64]) -> Option<i64>;

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

fn sorted(votes: &[i64]) -> Vec<i64> {
    let mut sorted = votes.to_vec();
    sorted.sort_unstable();
    sorted
}

fn mean<'a>(votes: impl Iterator<Item = &'a i64> + Clone) -> Option<i64> {
    let sum: i128 = votes.clone().map(|vote| i128::from(*vote)).sum();
    let count = votes.count() as i128;
    (count > 0).then(|| i64::try_from(sum / count).unwrap())
}

fn median(votes: &[i64]) -> Option<i64> {
    let sorted = sorted(votes);
    let (lower, upper) = (*sorted.get(sorted.len().saturating_sub(1) / 2)?, *sorted.get(sorted.len() / 2)?);
    i64::try_from((i128::from(lower) + i128::from(upper)) / 2).ok()
}

fn trimmed_mean(votes: &[i64]) -> Option<i64> {
    let median = i128::from(*sorted(votes).get(votes.len() / 2)?);
    let kept = |vote: &&i64| {
        let vote = i128::from(**vote);
        match median {
            0 => (-10..=10).contains(&vote),
            1.. => (median / 5..=median * 5).contains(&vote),
            _ => (median * 5..=median / 5).contains(&vote),
        }
    };
    mean(votes.iter().filter(kept))
}

fn mean_within_mad(votes: &[i64], factor: u32) -> Option<i64> {
    let center = i128::from(median(votes)?);
    let deviation = |vote: &i64| (i128::from(*vote) - center).abs();
    let mut deviations: Vec<i128> = votes.iter().map(deviation).collect();
    deviations.sort_unstable();
    let reach = deviations[votes.len() / 2] * i128::from(factor);
    mean(votes.iter().filter(|vote| deviation(vote) <= reach))
}

fn cluster(votes: &[i64], tolerance: u64) -> Option<i64> {
    let sorted = sorted(votes);
    let groups = (0..sorted.len()).map(|first| {
        let end = sorted.partition_point(|vote| i128::from(*vote) - i128::from(sorted[first]) <= i128::from(tolerance));
        let group = &sorted[first..end];
        let spread = i128::from(group[group.len() - 1]) - i128::from(group[0]);
        (core::cmp::Reverse(group.len()), spread, group[group.len() / 2])
    });
    let (core::cmp::Reverse(size), _, middle) = groups.min()?;
    (size > 1 || votes.len() == 1).then_some(middle)
}

fn count(votes: &[i64], value: i64) -> usize {
    votes.iter().filter(|vote| **vote == value).count()
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

proptest! {
    #![proptest_config(config())]

    #[test]
    fn means_are_those_of_wide_integers(votes in votes(), cut in 0..6_usize, factor in 1..9_u32) {
        prop_assert_eq!(aggregate::trimmed_mean(&mut votes.clone()), trimmed_mean(&votes));
        let positive: Vec<i64> = votes.iter().copied().filter(|vote| *vote > 0).collect();
        prop_assert_eq!(aggregate::trimmed_mean_positive(&mut votes.clone()), trimmed_mean(&positive));
        prop_assert_eq!(aggregate::median(&mut votes.clone()), median(&votes));
        let kept = sorted(&votes);
        let kept = kept.get(cut..kept.len().saturating_sub(cut)).unwrap_or_default();
        prop_assert_eq!(aggregate::mean_without_extremes(cut)(&mut votes.clone()), mean(kept.iter()));
        let within = aggregate::mean_within_mad(NonZeroU32::new(factor).unwrap());
        prop_assert_eq!(within(&mut votes.clone()), mean_within_mad(&votes, factor));
    }

    #[test]
    fn agreements_are_those_of_counting(votes in votes(), tolerance in prop_oneof![0..80_u64, any::<u64>()]) {
        prop_assert_eq!(aggregate::cluster(tolerance)(&mut votes.clone()), cluster(&votes, tolerance));
        let most = votes.iter().copied().find(|vote| count(&votes, *vote) * 2 > votes.len());
        prop_assert_eq!(aggregate::majority(&mut votes.clone()), most);
        let leader = votes.iter().copied().max_by_key(|vote| count(&votes, *vote));
        let alone = leader.filter(|leader| {
            votes.iter().all(|vote| vote == leader || count(&votes, *vote) < count(&votes, *leader))
        });
        prop_assert_eq!(aggregate::plurality(&mut votes.clone()), alone);
    }

    #[test]
    fn nothing_depends_on_the_order_and_nothing_is_lost(
        (votes, shuffled) in votes().prop_flat_map(|votes| (Just(votes.clone()), Just(votes).prop_shuffle())),
        missing in 0..4_usize,
    ) {
        let three = NonZeroU32::new(3).unwrap();
        let functions = [
            &aggregate::trimmed_mean as &Aggregate,
            &aggregate::trimmed_mean_positive,
            &aggregate::median,
            &aggregate::mean_without_extremes(1),
            &aggregate::mean_within_mad(three),
            &aggregate::cluster(60),
            &aggregate::majority,
            &aggregate::plurality,
        ];
        for function in functions {
            let (mut one, mut other) = (votes.clone(), shuffled.clone());
            prop_assert_eq!(function(&mut one), function(&mut other));
            prop_assert_eq!(sorted(&one), sorted(&votes));
        }
        for settled in [settled::majority, settled::plurality, settled::median] {
            prop_assert_eq!(settled(&mut votes.clone(), missing), settled(&mut shuffled.clone(), missing));
        }
    }

    /// Fewer liars than honest voters, and as many as are cut, cannot move the result out of the honest votes.
    #[test]
    fn liars_stay_among_the_honest(
        honest in vec(any::<i64>(), 1..9),
        liars in vec(any::<i64>(), 0..8),
    ) {
        let liars = &liars[..liars.len().min(honest.len() - 1)];
        let all = [&honest[..], liars].concat();
        let range = *honest.iter().min().unwrap()..=*honest.iter().max().unwrap();
        prop_assert!(range.contains(&aggregate::median(&mut all.clone()).unwrap()));
        prop_assert!(range.contains(&aggregate::mean_without_extremes(liars.len())(&mut all.clone()).unwrap()));
        // By the doc of the deviation: three times the spread of the honest votes from one of them.
        let within = aggregate::mean_within_mad(NonZeroU32::new(3).unwrap())(&mut all.clone()).unwrap();
        let (low, high) = (i128::from(*range.start()), i128::from(*range.end()));
        let reach = 3 * (high - low);
        prop_assert!((low - reach..=high + reach).contains(&i128::from(within)));
    }
}
