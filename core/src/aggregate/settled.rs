//! Whether missing votes can still change a result, for
//! [`Quorum::result_when_settled`](crate::quorum::Quorum::result_when_settled).
//!
//! Each function is exact: it is true if and only if the function of the same name in [`aggregate`](super) gives the
//! same result with any number of the missing votes, up to all, whatever they are.
//!
//! ```
//! use steadfast_core::aggregate::settled;
//!
//! // Three of five agree: whatever the other two say.
//! assert!(settled::majority(&mut ["a", "a", "a"], 2));
//! assert!(!settled::majority(&mut ["a", "a", "b"], 2));
//! // Nobody can win any more.
//! assert!(settled::majority(&mut ["a", "b", "c"], 1));
//! ```

use super::{
    agreement::{Lead, lead},
    mean::between,
    order::sort,
};

/// True once no vote is missing: right for every aggregate, early for none.
pub const fn all_voted<T>(_votes: &mut [T], missing: usize) -> bool {
    missing == 0
}

/// Whether [`majority`](super::majority) is settled. Sorts the votes; O(n log n).
pub fn majority<T: Ord>(votes: &mut [T], missing: usize) -> bool {
    let all = votes.len().saturating_add(missing);
    let most = lead(votes).count;
    let wins_anyway = most > all / 2;
    let cannot_win = most.saturating_add(missing) <= all / 2;
    missing == 0 || wins_anyway || cannot_win
}

/// Whether [`plurality`](super::plurality) is settled. Sorts the votes; O(n log n).
pub fn plurality<T: Ord>(votes: &mut [T], missing: usize) -> bool {
    let Lead { count, runner_up, .. } = lead(votes);
    missing == 0 || count > runner_up.saturating_add(missing)
}

/// Whether [`median`](super::median) is settled. Sorts the votes; O(n log n).
pub fn median(votes: &mut [i64], missing: usize) -> bool {
    sort(votes);
    let all = votes.len().saturating_add(missing);
    let middles = [all.saturating_sub(1) / 2, all / 2];
    // Missing votes can do no more than all be the lowest there is, or all the highest.
    let lowest = middles.map(|rank| rank.checked_sub(missing).map_or(Some(&i64::MIN), |rank| votes.get(rank)));
    let highest = middles.map(|rank| votes.get(rank));
    let median = |[lower, upper]: [Option<&i64>; 2]| between(*lower.unwrap_or(&i64::MAX), *upper.unwrap_or(&i64::MAX));
    missing == 0 || median(lowest) == median(highest)
}
