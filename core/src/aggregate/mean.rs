//! Averages that a few liars cannot move far.

use core::num::NonZeroU32;

#[cfg(target_pointer_width = "64")]
use super::order::median_of_five;
use super::order::{ascending, partition, select};

/// How far from a median a vote may be, as a factor.
const FACTOR: i64 = 5;
/// How far from a median of zero a vote may be.
const ZERO_BAND: i64 = 10;

/// The mean of the votes within a ratio of the median: between a fifth and five times it, both included; `None` for no
/// votes.
///
/// **It is not the trimmed mean of statistics**, and not for sensors: it trims by ratio to the median, so one sensor
/// that is stuck at 60 among four that show 21.5 moves it to 29.2. For readings take [`mean_without_extremes`] (the
/// trimmed, or truncated, mean) or [`median`]. The bounds suit counts and durations whose liars are off by orders of
/// magnitude. For points in time, where five times a value means nothing, take [`mean_within_mad`] or
/// [`cluster`](super::cluster).
///
/// The median of an even number of votes is the upper of the two in the middle, its fifth is rounded toward zero, and
/// so is the mean. Around a median of zero the votes from -10 to 10 count. Exact for all of `i64`. May reorder the
/// votes; O(n).
///
/// Less than half of the votes cannot bring the result below a fifth of the lowest honest vote, or above five times the
/// highest, if all honest votes are positive. Within that they can: one liar makes 3,000 of `[100, 3_000, 100_000]`.
///
/// ```
/// use steadfast_core::aggregate;
///
/// assert_eq!(aggregate::trimmed_mean(&mut [1137, 1140, 1137, 9_999_999, 1140]), Some(1138));
/// assert_eq!(aggregate::trimmed_mean(&mut []), None);
/// ```
#[doc(alias("TrimmedMeanAggregator", "TrimmedMeanInt64", "mean within a ratio", "outlier", "ratio to the median"))]
pub fn trimmed_mean(votes: &mut [i64]) -> Option<i64> {
    #[cfg(target_pointer_width = "64")]
    if let Some(mean) = votes.as_array().and_then(mean_of_five) {
        return Some(mean);
    }
    mean_of_any(votes)
}

/// Not inlined: it needs more registers than five votes do, and they would pay for saving them.
#[cfg_attr(target_pointer_width = "64", inline(never))]
fn mean_of_any(votes: &mut [i64]) -> Option<i64> {
    let median = select(votes, votes.len() / 2, ascending)?;
    let (low, high) = band(median);
    mean_between(votes, low, high)
}

/// The smallest quorum that outvotes two liars is worth a path of its own: in registers, and without a branch on single
/// votes. `None` around a median of zero or less, or so great that the sum might not fit.
#[cfg(target_pointer_width = "64")]
#[inline]
fn mean_of_five(votes: &[i64; 5]) -> Option<i64> {
    const FACTOR: u64 = super::mean::FACTOR.unsigned_abs();
    /// Five times five times a median of so many bits fits.
    const BITS: u32 = 59;

    let median = median_of_five(*votes).cast_unsigned();
    if median.wrapping_sub(1) >> BITS > 0 {
        return None;
    }
    let low = median / FACTOR;
    // Half-open, because processors compare so in one step.
    let width = median.wrapping_mul(FACTOR).wrapping_sub(low).wrapping_add(1);
    let (mut sum, mut count) = (0_u64, 0_u64);
    for vote in votes {
        // What is below `low`, or below zero, wraps beyond any width.
        let above = vote.cast_unsigned().wrapping_sub(low);
        sum = sum.wrapping_add(if above < width { above } else { 0 });
        count = count.wrapping_add(u64::from(above < width));
    }
    // The median itself counts. Told so, the compiler does not put the division, and with it the sum, behind a branch.
    let mean = sum.checked_div(count.max(1))?;
    Some(low.wrapping_add(mean).cast_signed())
}

/// From a fifth to five times the median.
fn band(median: i64) -> (i64, i64) {
    // Saturated bounds are exact: no vote lies beyond the ends of `i64`.
    let (near, far) = match median {
        0 => (-ZERO_BAND, ZERO_BAND),
        _ => (fifth(median), median.saturating_mul(FACTOR)),
    };
    (near.min(far), near.max(far))
}

/// As [`trimmed_mean`], of the votes above zero alone; `None` if there are none.
///
/// For quantities whose zero means "I do not know".
///
/// ```
/// use steadfast_core::aggregate;
///
/// assert_eq!(aggregate::trimmed_mean_positive(&mut [0, 0, 1_624_066_568]), Some(1_624_066_568));
/// assert_eq!(aggregate::trimmed_mean_positive(&mut [0, -3]), None);
/// ```
pub fn trimmed_mean_positive(votes: &mut [i64]) -> Option<i64> {
    let positive = partition(votes, |vote| vote > 0);
    trimmed_mean(votes.get_mut(..positive)?)
}

/// The vote in the middle, or the mean of the two in the middle, rounded toward zero; `None` for no votes.
///
/// It lies within the honest votes as long as these are more than half, so it suits the readings of sensors. Reorders
/// the votes; O(n).
///
/// ```
/// use steadfast_core::aggregate;
///
/// assert_eq!(aggregate::median(&mut [7, i64::MAX, 5]), Some(7));
/// assert_eq!(aggregate::median(&mut [7, 4]), Some(5));
/// ```
#[doc(alias("outlier", "sensor", "robust average"))]
pub fn median(votes: &mut [i64]) -> Option<i64> {
    let middle = votes.len() / 2;
    let upper = select(votes, middle, ascending)?;
    if votes.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *votes.get(..middle)?.iter().max()?;
    Some(between(lower, upper))
}

/// The mean of the votes without the `count` lowest and the `count` highest, rounded toward zero; `None` if none
/// remain.
///
/// A trimmed (or truncated) mean, as statistics calls it: for the readings of sensors, some of which may be stuck.
///
/// With at most `count` liars the result lies within the honest votes. Exact for all of `i64`. Reorders the votes;
/// O(n).
///
/// ```
/// use steadfast_core::aggregate;
///
/// let without_one = aggregate::mean_without_extremes(1);
/// assert_eq!(without_one(&mut [10, i64::MIN, 12, 11, i64::MAX]), Some(11));
/// assert_eq!(without_one(&mut [10, 12]), None);
/// ```
#[doc(alias("truncated mean", "trimmed mean", "winsorized", "outlier", "sensor"))]
pub const fn mean_without_extremes(count: usize) -> impl Fn(&mut [i64]) -> Option<i64> + Copy {
    move |votes| {
        let kept = votes.len().checked_sub(count.checked_mul(2)?).filter(|kept| *kept > 0)?;
        select(votes, count, ascending)?;
        let upper = votes.get_mut(count..)?;
        select(upper, kept.checked_sub(1)?, ascending)?;
        mean_between(upper.get(..kept)?, i64::MIN, i64::MAX)
    }
}

/// The mean of the votes within `factor` times the median absolute deviation (MAD) of their [`median`], rounded toward
/// zero; `None` for no votes.
///
/// The scale comes from the votes themselves, so this suits any quantity, and less than half of the votes cannot widen
/// it beyond the spread of the others. A factor of 3 is usual; when more than half of the votes are equal, only these
/// count. Exact for all of `i64`. Reorders the votes; O(n).
///
/// Source: F. R. Hampel, "The Influence Curve and its Role in Robust Estimation", 1974.
///
/// ```
/// use core::num::NonZeroU32;
/// use steadfast_core::aggregate;
///
/// let within_three = aggregate::mean_within_mad(const { NonZeroU32::new(3).unwrap() });
/// assert_eq!(within_three(&mut [1_000, 1_004, 998, 1_002, 1_600]), Some(1_001));
/// ```
#[doc(alias("Hampel", "MAD", "outlier"))]
pub const fn mean_within_mad(factor: NonZeroU32) -> impl Fn(&mut [i64]) -> Option<i64> + Copy {
    move |votes| {
        let center = median(votes)?;
        let deviation = |vote: i64| vote.abs_diff(center);
        // The upper of two in the middle: more than half of the votes are within it, so some always count.
        let mad = deviation(select(votes, votes.len() / 2, deviation)?);
        let reach = mad.saturating_mul(u64::from(factor.get()));
        mean_between(votes, center.saturating_sub_unsigned(reach), center.saturating_add_unsigned(reach))
    }
}

/// The mean of two values, rounded toward zero. (`i64::midpoint`, whose overflow check cannot be shown to be
/// unreachable.)
pub(super) const fn between(a: i64, b: i64) -> i64 {
    ((a as i128).wrapping_add(b as i128) / 2) as i64
}

/// The mean of the values from `low` to `high`, rounded toward zero.
fn mean_between(values: &[i64], low: i64, high: i64) -> Option<i64> {
    let (mut sum, mut count) = (0_i128, 0_u64);
    let width = high.abs_diff(low);
    for &value in values {
        // One comparison: what is below `low` wraps beyond any width.
        let counts = value.wrapping_sub(low).cast_unsigned() <= width;
        // Cannot wrap: fewer than 2^64 values of 64 bits.
        sum = sum.wrapping_add(if counts { i128::from(value) } else { 0 });
        count = count.wrapping_add(u64::from(counts));
    }
    // The magnitude of a mean is at most 2^63, and that only if it is negative.
    divide(sum.unsigned_abs(), count).map(|quotient| signed(quotient, sum < 0))
}

/// A fifth, rounded toward zero.
fn fifth(value: i64) -> i64 {
    signed(divide(value.unsigned_abs().into(), FACTOR.unsigned_abs()).unwrap_or(0), value < 0)
}

const fn signed(magnitude: u64, is_negative: bool) -> i64 {
    if is_negative { magnitude.wrapping_neg() } else { magnitude }.cast_signed()
}

/// A quotient of 64 bits; `None` for a divisor of zero.
///
/// By hand where a machine of 32 bits cannot do it at once: the compiler's division of 64 bits is half a kilobyte of
/// flash there, that of 128 bits another.
fn divide(dividend: u128, divisor: u64) -> Option<u64> {
    if let (Ok(dividend), Ok(divisor)) = (usize::try_from(dividend), usize::try_from(divisor)) {
        return dividend.checked_div(divisor).map(|quotient| quotient as u64);
    }
    match u16::try_from(divisor) {
        Ok(divisor) => divide_by_digits(dividend, divisor),
        Err(_wide) => divide_by_bits(dividend, divisor),
    }
}

/// In digits of 16 bits, as on paper.
fn divide_by_digits(dividend: u128, divisor: u16) -> Option<u64> {
    let divisor = u32::from(divisor);
    let (mut quotient, mut rest) = (0, 0_u32);
    for digit in dividend.to_be_bytes().as_chunks().0 {
        let part = rest << 16 | u32::from(u16::from_be_bytes(*digit));
        quotient = quotient << 16 | u64::from(part.checked_div(divisor)?);
        rest = part.checked_rem(divisor)?;
    }
    Some(quotient)
}

/// For more votes than any small machine has room for.
fn divide_by_bits(mut dividend: u128, divisor: u64) -> Option<u64> {
    if divisor == 0 {
        return None;
    }
    let mut quotient = 0;
    let mut part = u128::from(divisor) << 63;
    for _ in 0..u64::BITS {
        quotient <<= 1;
        if let Some(rest) = dividend.checked_sub(part) {
            dividend = rest;
            quotient |= 1;
        }
        part >>= 1;
    }
    Some(quotient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_way_to_divide_gives_the_quotient(quotient: u64, divisor in 1_u64.., small: u16, shift in 0..64_u32) {
            for divisor in [divisor, divisor >> shift, u64::from(small)] {
                let quotient = quotient >> (shift / 2);
                let most = u128::from(quotient) * u128::from(divisor) + u128::from(divisor.saturating_sub(1));
                let expected = (divisor > 0).then_some(quotient);
                prop_assert_eq!(divide(most, divisor), expected);
                prop_assert_eq!(divide_by_bits(most, divisor), expected);
                if let Ok(divisor) = u16::try_from(divisor) {
                    prop_assert_eq!(divide_by_digits(most, divisor), expected);
                }
            }
        }

        #[cfg(target_pointer_width = "64")]
        #[test]
        fn five_votes_have_the_mean_that_any_number_has(base: [i64; 5], shift in 0..64_u32, near in -20..20_i64) {
            let edge = (1_i64 << (shift % 63)).wrapping_add(near);
            let extremes = [i64::MIN, i64::MAX, edge, edge.wrapping_mul(5), edge / 5];
            let shifted = base.map(|vote| vote >> shift);
            let around = base.map(|vote| edge.wrapping_add(vote % 20));
            let mixed = core::array::from_fn(|at| if base[at] % 3 == 0 { extremes[at] } else { around[at] });
            for votes in [base, shifted, around, mixed, extremes, [edge; 5]] {
                let expected = mean_of_any(&mut votes.clone());
                prop_assert_eq!(trimmed_mean(&mut votes.clone()), expected, "{:?}", votes);
                let mut sorted = votes;
                sorted.sort_unstable();
                prop_assert_eq!(median_of_five(votes), sorted[2]);
                // So great is what the path of its own leaves to the other.
                let is_left = !(1..=1 << 59).contains(&sorted[2]);
                prop_assert_eq!(mean_of_five(&votes), expected.filter(|_| !is_left), "{:?}", votes);
            }
        }
    }
}
