use core::num::NonZeroU32;

use steadfast_core::aggregate::{
    cluster, majority, mean_within_mad, mean_without_extremes, median, plurality, settled, trimmed_mean,
    trimmed_mean_positive,
};

use crate::{Fold, Script};

/// Every rule on the same votes: one to nine of them, and five as often as all others, which have a way of their own on
/// 64 bits.
pub(crate) fn run(fold: &mut Fold, script: &mut Script, operations: u32) {
    for _operation in 1..=operations {
        #[cfg(feature = "canary")]
        if _operation == 1_234 {
            fold.number(size_of::<usize>() as u64);
        }
        let count = if script.flag() { 5 } else { 1 + script.below(9) };
        let mut votes: heapless::Vec<i64, 9> = (0..count).map(|_| vote(script)).collect();
        let missing = script.below(4) as usize;
        let tolerance = script.nanos();
        let extremes = script.below(4) as usize;
        let factor = NonZeroU32::MIN.saturating_add(script.below(5));
        let mut with = |rule: &dyn Fn(&mut [i64]) -> Option<i64>| fold.answer(&rule(&mut votes.clone()));
        with(&trimmed_mean);
        with(&trimmed_mean_positive);
        with(&median);
        with(&majority);
        with(&plurality);
        with(&mean_without_extremes(extremes));
        with(&mean_within_mad(factor));
        with(&cluster(tolerance));
        let is_settled = [
            settled::majority(&mut votes.clone(), missing),
            settled::plurality(&mut votes.clone(), missing),
            settled::median(&mut votes, missing),
        ];
        fold.answer(&is_settled);
    }
}

fn vote(script: &mut Script) -> i64 {
    match script.below(8) {
        0..3 => i64::from(script.below(5)) - 2,
        3 => i64::MIN + i64::from(script.below(3)),
        4 => i64::MAX - i64::from(script.below(3)),
        5 => i64::from(script.below(u32::MAX)),
        _ => script.any().cast_signed(),
    }
}
