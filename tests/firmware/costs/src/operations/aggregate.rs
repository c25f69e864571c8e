//! What votes come to.

use steadfast_core::aggregate;

operations! {
    fn trimmed_mean(votes: &mut [i64]) -> Option<i64> {
        aggregate::trimmed_mean(votes)
    }
}

/// What fewer programs call.
pub mod rest {
    use super::*;

    operations! {
        fn median(votes: &mut [i64]) -> Option<i64> {
            aggregate::median(votes)
        }
        fn cluster(votes: &mut [i64], tolerance: u64) -> Option<i64> {
            aggregate::cluster(tolerance)(votes)
        }
        fn majority(votes: &mut [i64]) -> Option<i64> {
            aggregate::majority(votes)
        }
        fn settled_majority(votes: &mut [i64], missing: usize) -> bool {
            aggregate::settled::majority(votes, missing)
        }
    }
}
