//! Values that many voters share, or nearly share.

use super::order::sort;

/// The value that more than half of the votes have; `None` if there is none.
///
/// Does not reorder the votes; O(n) comparisons.
///
/// Source: R. S. Boyer and J. S. Moore, "MJRTY: A Fast Majority Vote Algorithm", 1981.
///
/// ```
/// use steadfast_core::aggregate;
///
/// assert_eq!(aggregate::majority(&mut ["v2", "v1", "v2"]), Some("v2"));
/// assert_eq!(aggregate::majority(&mut ["v2", "v1"]), None);
/// ```
#[doc(alias = "MajorityAggregator")]
pub fn majority<T: Clone + PartialEq>(votes: &mut [T]) -> Option<T> {
    let (mut candidate, mut lead) = (votes.first()?, 0_usize);
    for vote in &*votes {
        if lead == 0 {
            candidate = vote;
        }
        lead = if vote == candidate { lead.saturating_add(1) } else { lead.saturating_sub(1) };
    }
    let count = votes.iter().fold(0, |count: usize, vote| count.saturating_add(usize::from(vote == candidate)));
    (count > votes.len() / 2).then(|| candidate.clone())
}

/// The value that more votes have than any other; `None` for a tie and for no votes.
///
/// Sorts the votes; O(n log n).
///
/// ```
/// use steadfast_core::aggregate;
///
/// assert_eq!(aggregate::plurality(&mut ["a", "b", "c", "c"]), Some("c"));
/// assert_eq!(aggregate::plurality(&mut ["a", "b"]), None);
/// ```
pub fn plurality<T: Clone + Ord>(votes: &mut [T]) -> Option<T> {
    let Lead { leader, count, runner_up } = lead(votes);
    if count > runner_up { leader.cloned() } else { None }
}

/// The middle of the largest group of votes that lie within `tolerance` of each other; `None` if no two votes do,
/// unless there is but one.
///
/// Of groups of equal size the closest wins, then the lowest; of an even group the upper of the two in the middle. So
/// the result is always one of the votes. A lone voter never wins, however far out. Sorts the votes; O(n log n).
///
/// ```
/// use steadfast_core::aggregate;
///
/// let within_a_minute = aggregate::cluster(60);
/// assert_eq!(within_a_minute(&mut [100, 9_999, 103, 101, 102]), Some(102));
/// assert_eq!(within_a_minute(&mut [100, 200, 300]), None);
/// ```
#[doc(alias = "consensusByUptime")]
pub const fn cluster(tolerance: u64) -> impl Fn(&mut [i64]) -> Option<i64> + Copy {
    move |votes| {
        sort(votes);
        let mut rest: &[i64] = votes;
        let mut best: &[i64] = &[];
        let mut end = 0_usize;
        let spread = |group: &[i64]| match group {
            [first, .., last] => last.abs_diff(*first),
            _ => 0,
        };
        while let [first, others @ ..] = rest {
            while rest.get(end).is_some_and(|vote| vote.abs_diff(*first) <= tolerance) {
                end = end.saturating_add(1);
            }
            let group = rest.get(..end)?;
            if group.len() > best.len() || group.len() == best.len() && spread(group) < spread(best) {
                best = group;
            }
            rest = others;
            end = end.saturating_sub(1);
        }
        if best.len() < 2 && votes.len() > 1 {
            return None;
        }
        best.get(best.len() / 2).copied()
    }
}

/// Who leads, by how many votes, and how many the next one has.
#[derive(Debug)]
pub(super) struct Lead<'a, T> {
    pub(super) leader: Option<&'a T>,
    pub(super) count: usize,
    pub(super) runner_up: usize,
}

/// Counts equal votes. Sorts them; O(n log n).
pub(super) fn lead<T: Ord>(votes: &mut [T]) -> Lead<'_, T> {
    sort(votes);
    let mut lead = Lead { leader: None, count: 0, runner_up: 0 };
    let mut rest: &[T] = votes;
    while let Some(leader) = rest.first() {
        let count = rest.iter().position(|vote| vote != leader).unwrap_or(rest.len());
        if count > lead.count {
            lead = Lead { leader: Some(leader), count, runner_up: lead.count };
        } else {
            lead.runner_up = lead.runner_up.max(count);
        }
        rest = rest.get(count..).unwrap_or_default();
    }
    lead
}
