//! Aggregates against sorted copies and wide integers.

use core::num::NonZeroU32;

use steadfast_core::aggregate::{self, settled};

use crate::Script;

type Aggregate = dyn Fn(&mut [i64]) -> Option<i64>;

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let (cut, factor, missing) = (script.below(6) as usize, 1 + script.below(8) as u32, script.below(4) as usize);
    let tolerance = if script.flag() { script.below(80) } else { script.any() };
    let turn = script.below(80) as usize;
    let votes = script.list(80, |script| match script.below(4) {
        0 => 1_000 + script.below(60) as i64,
        1 => script.below(25) as i64 - 12,
        2 => [i64::MIN, i64::MAX, 0, i64::MAX - 1][script.below(4) as usize],
        _ => (script.any() as i64) >> script.below(64),
    });
    means(&votes, cut, factor);
    agreements(&votes, tolerance);
    let mut shuffled = votes.clone();
    shuffled.rotate_left(turn.min(votes.len()));
    shuffled.reverse();
    order(&votes, &shuffled, missing);
    let (honest, liars) = votes.split_at(votes.len().min(votes.len() / 2 + 1));
    if !honest.is_empty() {
        liars_are_bounded(honest, liars);
    }
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

/// Means are those of wide integers.
pub fn means(votes: &[i64], cut: usize, factor: u32) {
    assert_eq!(aggregate::trimmed_mean(&mut votes.to_vec()), trimmed_mean(votes));
    let positive: Vec<i64> = votes.iter().copied().filter(|vote| *vote > 0).collect();
    assert_eq!(aggregate::trimmed_mean_positive(&mut votes.to_vec()), trimmed_mean(&positive));
    assert_eq!(aggregate::median(&mut votes.to_vec()), median(votes));
    let kept = sorted(votes);
    let kept = kept.get(cut..kept.len().saturating_sub(cut)).unwrap_or_default();
    assert_eq!(aggregate::mean_without_extremes(cut)(&mut votes.to_vec()), mean(kept.iter()));
    let within = aggregate::mean_within_mad(NonZeroU32::new(factor).unwrap());
    assert_eq!(within(&mut votes.to_vec()), mean_within_mad(votes, factor));
}

/// Agreements are those of counting.
pub fn agreements(votes: &[i64], tolerance: u64) {
    assert_eq!(aggregate::cluster(tolerance)(&mut votes.to_vec()), cluster(votes, tolerance));
    let most = votes.iter().copied().find(|vote| count(votes, *vote) * 2 > votes.len());
    assert_eq!(aggregate::majority(&mut votes.to_vec()), most);
    let leader = votes.iter().copied().max_by_key(|vote| count(votes, *vote));
    let alone =
        leader.filter(|leader| votes.iter().all(|vote| vote == leader || count(votes, *vote) < count(votes, *leader)));
    assert_eq!(aggregate::plurality(&mut votes.to_vec()), alone);
}

/// Nothing depends on the order, and no vote is lost.
pub fn order(votes: &[i64], shuffled: &[i64], missing: usize) {
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
        let (mut one, mut other) = (votes.to_vec(), shuffled.to_vec());
        assert_eq!(function(&mut one), function(&mut other));
        assert_eq!(sorted(&one), sorted(votes));
    }
    for settled in [settled::majority, settled::plurality, settled::median] {
        assert_eq!(settled(&mut votes.to_vec(), missing), settled(&mut shuffled.to_vec(), missing));
    }
}

/// Fewer liars than honest voters, and as many as are cut, cannot move the result out of the honest votes.
pub fn liars_are_bounded(honest: &[i64], liars: &[i64]) {
    let liars = &liars[..liars.len().min(honest.len() - 1)];
    let all = [honest, liars].concat();
    let range = *honest.iter().min().unwrap()..=*honest.iter().max().unwrap();
    assert!(range.contains(&aggregate::median(&mut all.clone()).unwrap()));
    assert!(range.contains(&aggregate::mean_without_extremes(liars.len())(&mut all.clone()).unwrap()));
    // By the doc of the deviation: three times the spread of the honest votes from one of them.
    let within = aggregate::mean_within_mad(NonZeroU32::new(3).unwrap())(&mut all.clone()).unwrap();
    let (low, high) = (i128::from(*range.start()), i128::from(*range.end()));
    let reach = 3 * (high - low);
    assert!((low - reach..=high + reach).contains(&i128::from(within)));
    // The ratio to the median bounds what is above zero, and no more than by itself.
    if low > 0 {
        let trimmed = i128::from(aggregate::trimmed_mean(&mut all.clone()).unwrap());
        assert!((low / 5..=high * 5).contains(&trimmed), "{trimmed} of {all:?}");
    }
}
