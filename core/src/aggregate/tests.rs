use core::{cell::Cell, num::NonZeroU32};
use std::{vec, vec::Vec};

use super::{
    order::{PATIENCE, SAMPLE, ascending, near_rank, partition, select_with, sort},
    *,
};

const fn times(factor: u32) -> NonZeroU32 {
    NonZeroU32::new(factor).unwrap()
}

/// Votes that are hard to divide: each pass over powers of two can peel off but one of them.
fn hard(count: usize) -> [Vec<i64>; 8] {
    let number = |n: usize| n as i64;
    [
        (0..count).map(number).collect(),
        (0..count).rev().map(number).collect(),
        (0..count).map(|n| number(n.min(count - n))).collect(),
        (0..count).map(|n| number(n % 7)).collect(),
        (0..count).map(|n| if n < 63 { 1 << n } else { -1 }).collect(),
        (0..count).map(|n| if n % (count / 9).max(1) == count / 18 { 0 } else { i64::MAX >> (n % 60) }).collect(),
        (0..count).map(|n| if n % 50 == 0 { 3 } else { 7 }).collect(),
        vec![i64::MIN; count],
    ]
}

#[test]
fn selection_finds_every_rank() {
    for values in [1, 2, 5, 16, 17, 200].into_iter().flat_map(hard) {
        let mut sorted = values.clone();
        sorted.sort_unstable();
        for (rank, expected) in sorted.iter().enumerate() {
            for patience in [0, 1, 4] {
                let mut copy = values.clone();
                assert_eq!(select_with(patience, &mut copy, rank, ascending), Some(*expected));
                assert!(copy[..rank].iter().all(|value| value <= expected));
                assert!(copy[rank..].iter().all(|value| value >= expected));
            }
        }
        assert_eq!(select_with(4, &mut values.clone(), values.len(), ascending), None);
    }
}

#[test]
fn selection_stays_linear_whatever_the_voters_send() {
    let count = 10_000;
    for (values, patience) in hard(count).iter().flat_map(|values| [(values, 0), (values, 4)]) {
        for rank in [0, 62, count / 2, count - 64, count - 1] {
            let calls = Cell::new(0_usize);
            let key = |value| {
                calls.set(calls.get() + 1);
                ascending(value)
            };
            assert!(select_with(patience, &mut values.clone(), rank, key).is_some());
            assert!(calls.get() <= 3 * 64 * count, "{} calls", calls.get());
        }
    }
}

/// Votes of someone who knows which of them select looks at: these are always the least of those that are left.
fn against_the_sample(count: usize) -> Vec<i64> {
    let mut votes = vec![i64::MAX; count];
    let mut rest: Vec<i64> = (0..count as i64).collect();
    let (mut index, mut next) = (count / 2, 0);
    loop {
        let stride = rest.len() / SAMPLE;
        for place in (0..SAMPLE).map(|n| n * stride + stride / 2) {
            let vote = &mut votes[rest[place] as usize];
            if *vote == i64::MAX {
                *vote = next;
                next += 1;
            }
        }
        let key = |id: i64| ascending(votes[id as usize]);
        let pivot = near_rank(&rest, index, key);
        let peeled = partition(&mut rest, |id| key(id) <= pivot);
        match index.checked_sub(peeled) {
            Some(above) => index = above,
            None => return votes,
        }
        rest.drain(..peeled);
    }
}

#[test]
fn selection_stays_linear_for_voters_who_know_it() {
    let count = 5_000;
    let mut votes = against_the_sample(count);
    let calls = [u32::MAX, PATIENCE].map(|patience| {
        let calls = Cell::new(0_usize);
        let key = |value| {
            calls.set(calls.get() + 1);
            ascending(value)
        };
        assert!(select_with(patience, &mut votes.clone(), count / 2, key).is_some());
        calls.get()
    });
    assert!(calls[0] > 100 * count, "the votes are not hostile: {} calls", calls[0]);
    assert!(calls[1] < 30 * count, "{} calls", calls[1]);
    let mut sorted = votes.clone();
    sorted.sort_unstable();
    assert_eq!(select_with(PATIENCE, &mut votes, count / 2, ascending), Some(sorted[count / 2]));
}

#[test]
fn a_partition_keeps_every_value() {
    let mut values: Vec<i64> = (0..100).collect();
    assert_eq!(partition(&mut values, |value| value % 3 == 0), 34);
    assert!(values[..34].iter().all(|value| value % 3 == 0));
    values.sort_unstable();
    assert!(values.iter().copied().eq(0..100));
}

#[test]
fn sorting_sorts() {
    let mut values: Vec<u32> = (0..257).map(|n| n * 7_919 % 251).collect();
    let mut expected = values.clone();
    expected.sort_unstable();
    sort(&mut values);
    assert_eq!(values, expected);
    sort::<u32>(&mut []);
}

#[test]
fn the_mean_is_exact_at_both_ends_of_the_range() {
    let all = mean_without_extremes(0);
    assert_eq!(all(&mut [i64::MIN; 3]), Some(i64::MIN));
    assert_eq!(all(&mut [i64::MAX; 3]), Some(i64::MAX));
    assert_eq!(all(&mut [i64::MIN, i64::MAX]), Some(0), "-1/2 rounds toward zero");
    assert_eq!(all(&mut [i64::MIN, i64::MIN, i64::MAX]), Some(-3_074_457_345_618_258_603));
    assert_eq!(all(&mut [i64::MAX, i64::MAX, i64::MIN + 1]), Some(3_074_457_345_618_258_602));
}

#[test]
fn no_votes_have_no_result() {
    assert_eq!(trimmed_mean(&mut []), None);
    assert_eq!(trimmed_mean_positive(&mut []), None);
    assert_eq!(median(&mut []), None);
    assert_eq!(mean_without_extremes(0)(&mut []), None);
    assert_eq!(mean_without_extremes(usize::MAX)(&mut [1, 2, 3]), None);
    assert_eq!(mean_within_mad(times(3))(&mut []), None);
    assert_eq!(cluster(60)(&mut []), None);
    assert_eq!(majority::<u8>(&mut []), None);
    assert_eq!(plurality::<u8>(&mut []), None);
}

#[test]
fn seed_8_4_a_zero_is_a_vote_and_no_sentinel() {
    assert_eq!(trimmed_mean(&mut [0, 0, 0]), Some(0));
    assert_eq!(trimmed_mean_positive(&mut [0, 0, 0]), None);
}

#[test]
fn seed_8_4_extremes_do_not_overflow() {
    assert_eq!(trimmed_mean(&mut [1 << 62, 1 << 62, 1 << 62]), Some(1 << 62));
    assert_eq!(trimmed_mean(&mut [i64::MIN, i64::MIN]), Some(i64::MIN));
    // The seed's tolerance check calls these near: their difference wraps.
    assert_eq!(cluster(60)(&mut [i64::MIN, i64::MAX]), None);
    assert_eq!(cluster(u64::MAX)(&mut [i64::MIN, i64::MAX]), Some(i64::MAX));
    assert_eq!(mean_within_mad(times(u32::MAX))(&mut [i64::MIN, i64::MIN, i64::MAX]), Some(i64::MIN));
}

#[test]
fn seed_8_4_points_in_time_are_judged_by_deviation() {
    // Five times a point in time spans decades: the trimmed mean keeps the liar, the deviation does not.
    let votes = [1_700_000_000, 1_700_000_002, 1_700_000_004, 1_700_000_006, 1_900_000_000];
    assert_eq!(trimmed_mean(&mut votes.clone()), Some(1_740_000_002));
    assert_eq!(mean_within_mad(times(3))(&mut votes.clone()), Some(1_700_000_003));
    assert_eq!(cluster(60)(&mut votes.clone()), Some(1_700_000_004));
}

#[test]
fn a_median_between_two_votes_favours_neither() {
    assert_eq!(median(&mut [100, 1]), Some(50));
    assert_eq!(median(&mut [-100, -1]), Some(-50));
    assert_eq!(median(&mut [i64::MAX, i64::MIN]), Some(0));
    assert_eq!(median(&mut [5, 9, 1, 7]), Some(6));
}

#[test]
fn mean_within_mad_keeps_equal_votes_alone_when_they_are_most() {
    assert_eq!(mean_within_mad(times(3))(&mut [7, 7, 7, 8, 1_000]), Some(7));
    assert_eq!(mean_within_mad(times(1))(&mut [1, 2, 3, 4, 5]), Some(3));
    assert_eq!(mean_within_mad(times(2))(&mut [1, 2, 3, 5, 5]), Some(3));
}

/// The vectors of the seed's weighted clustering, where the weights are equal and two at least agree.
#[test]
fn clusters_are_the_seeds() {
    for (votes, tolerance, expected) in [
        (&[100][..], 60, Some(100)),
        (&[100, 101, 102, 103, 104], 60, Some(102)),
        (&[100, 101, 102, 103, 9_999], 60, Some(102)),
        (&[100, 100, 999], 60, Some(100)),
        (&[100, 159, 218], 60, Some(159)),
        (&[100, 160], 60, Some(160)),
        (&[100, 100, 200, 200, 200, 200, 200], 60, Some(200)),
        (&[10, 10, 10, 11, 11], 1, Some(10)),
        // Where the seed takes the heaviest or the lowest of voters who all disagree, nothing is decided.
        (&[100, 161], 60, None),
        (&[100, 200, 300], 60, None),
        // Groups are as large as they can be, not cut off from the lowest vote on: a low liar splits no group.
        (&[100, 150, 155, 165, 170], 60, Some(165)),
        // Of two groups of two the closer: the seed has 160 here.
        (&[100, 160, 161], 60, Some(161)),
    ] {
        assert_eq!(cluster(tolerance)(&mut votes.to_vec()), expected, "{votes:?}");
    }
}

#[test]
fn majorities_and_pluralities() {
    for (votes, most, more) in [
        ("a", Some('a'), Some('a')),
        ("aab", Some('a'), Some('a')),
        ("ab", None, None),
        ("abcc", None, Some('c')),
        ("aabbc", None, None),
        ("babab", Some('b'), Some('b')),
        ("abcabcc", None, Some('c')),
    ] {
        let mut votes: Vec<char> = votes.chars().collect();
        assert_eq!(majority(&mut votes), most, "{votes:?}");
        assert_eq!(plurality(&mut votes), more, "{votes:?}");
    }
}

/// All sequences of up to `longest` of `values`.
fn sequences(values: &[i64], longest: usize) -> Vec<Vec<i64>> {
    let mut all = vec![vec![]];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last.iter().flat_map(|head| values.iter().map(|value| [&head[..], &[*value]].concat())).collect();
        all.extend_from_slice(&last);
    }
    all
}

/// Compares `settled` with what every possible vote of those missing would do.
fn settled_is_exact(
    values: &[i64],
    aggregate: impl Fn(&mut [i64]) -> Option<i64>,
    settled: impl Fn(&mut [i64], usize) -> bool,
) {
    let mut outcomes = [0, 0];
    for votes in sequences(values, 4) {
        for missing in 0..=3 {
            let now = aggregate(&mut votes.clone());
            let stays =
                sequences(values, missing).iter().all(|more| aggregate(&mut [&votes[..], more].concat()) == now);
            assert_eq!(settled(&mut votes.clone(), missing), stays, "{votes:?}, {missing} missing");
            outcomes[usize::from(stays)] += 1;
        }
    }
    assert!(outcomes[0] > 100 && outcomes[1] > 100, "{outcomes:?}");
}

#[test]
fn a_result_is_settled_exactly_when_no_missing_vote_can_change_it() {
    settled_is_exact(&[1, 2, 3, 4, 5], majority, settled::majority);
    settled_is_exact(&[1, 2, 3, 4, 5], plurality, settled::plurality);
    settled_is_exact(&[i64::MIN, -1, 0, 1, i64::MAX], median, settled::median);
    assert!(settled::all_voted::<u8>(&mut [], 0));
    assert!(!settled::all_voted(&mut [1, 1, 1], 1));
}

#[test]
fn a_fifth_of_a_negative_median_is_negative() {
    assert_eq!(trimmed_mean(&mut [-100, -100, -19]), Some(-100));
    assert_eq!(trimmed_mean(&mut [-100, -100, -20]), Some(-73));
}
