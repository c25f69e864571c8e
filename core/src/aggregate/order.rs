//! Selection and sorting that no input can make panic, allocate or run for long.
//!
//! The panics inside `core`'s own cannot be shown by linking to be unreachable, and they are several kilobytes of
//! flash.

use core::{array, cell::Cell, mem};

/// The most values that an insertion sort handles better than a partition.
const SMALL: usize = 16;
/// How many values are looked at to choose one to divide the others.
pub(super) const SAMPLE: usize = 9;
/// How many times such a choice may turn out badly.
pub(super) const PATIENCE: u32 = 4;

/// A number with the order of `value`.
pub(super) const fn ascending(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// Moves the value of rank `index` by `key` to its place in sorted order, no greater ones to its left and no lesser
/// ones to its right, and returns it; `None` if there is no such rank.
///
/// O(n), whatever the votes are: a quick-select, and once it was unlucky [`PATIENCE`] times, which voters can arrange,
/// a bisection of the range of the keys, which takes 64 passes at most.
pub(super) fn select(values: &mut [i64], index: usize, key: impl Fn(i64) -> u64) -> Option<i64> {
    select_with(PATIENCE, values, index, key)
}

pub(super) fn select_with(
    mut patience: u32,
    values: &mut [i64],
    mut index: usize,
    key: impl Fn(i64) -> u64,
) -> Option<i64> {
    let mut rest = values;
    let mut below_greatest = None;
    while rest.len() > SMALL {
        let pivot = match below_greatest.take() {
            Some(pivot) => pivot,
            None if patience > 0 => near_rank(rest, index, &key),
            None => middle_of_range(rest, &key),
        };
        let all = rest.len();
        let count = partition(rest, |value| key(value) <= pivot);
        if count == all {
            below_greatest = pivot.checked_sub(1);
        }
        if count == 0 || pivot == 0 && count == all {
            break; // Nothing is below the greatest: all are equal.
        }
        if count < all {
            let (low, high) = rest.split_at_mut_checked(count)?;
            match index.checked_sub(count) {
                None => rest = low,
                Some(above) => (rest, index) = (high, above),
            }
        }
        if rest.len() > all.saturating_sub(all / 4) {
            patience = patience.saturating_sub(1);
        }
    }
    #[cfg(target_pointer_width = "64")]
    if let Some(five) = rest.as_mut_array() {
        sort_five(five, &key);
        return rest.get(index).copied();
    }
    if rest.len() <= SMALL {
        insertion_sort(rest, &key);
    }
    rest.get(index).copied()
}

/// The key of a value that is likely to lie a little beyond rank `index`, on the side that has more values: so the
/// partition leaves the lesser side.
pub(super) fn near_rank(values: &[i64], index: usize, key: impl Fn(i64) -> u64) -> u64 {
    let stride = values.len() / SAMPLE;
    let mut sample: [i64; SAMPLE] = array::from_fn(|n| {
        values.get(n.saturating_mul(stride).saturating_add(stride / 2)).copied().unwrap_or_default()
    });
    insertion_sort(&mut sample, &key);
    let rank = index.checked_div(stride).unwrap_or(0).min(SAMPLE - 1);
    let beyond = if rank < SAMPLE / 2 { rank.saturating_add(1) } else { rank.saturating_sub(1) };
    sample.get(beyond).copied().map_or(0, key)
}

/// The middle between the least and the greatest key.
fn middle_of_range(values: &[i64], key: impl Fn(i64) -> u64) -> u64 {
    let (mut least, mut greatest) = (u64::MAX, 0);
    for &value in values {
        least = least.min(key(value));
        greatest = greatest.max(key(value));
    }
    least.midpoint(greatest)
}

/// Moves the values that are `wanted` to the front and returns their count.
pub(super) fn partition(values: &mut [i64], wanted: impl Fn(i64) -> bool) -> usize {
    let cells = Cell::from_mut(values).as_slice_of_cells();
    let mut count = 0_usize;
    for cell in cells {
        let value = cell.get();
        if let Some(first_unwanted) = cells.get(count) {
            cell.set(first_unwanted.get());
            first_unwanted.set(value);
        }
        // Not a branch: which votes are wanted is as good as random.
        count = count.wrapping_add(usize::from(wanted(value)));
    }
    count
}

fn insertion_sort(values: &mut [i64], key: impl Fn(i64) -> u64) {
    let cells = Cell::from_mut(values).as_slice_of_cells();
    for (sorted, cell) in cells.iter().enumerate() {
        let value = cell.get();
        let mut hole = cell;
        for before in cells.get(..sorted).unwrap_or_default().iter().rev() {
            if key(before.get()) <= key(value) {
                break;
            }
            hole.set(before.get());
            hole = before;
        }
        hole.set(value);
    }
}

/// A sorting network: no branch, and all in registers.
#[cfg(target_pointer_width = "64")]
fn sort_five(five: &mut [i64; 5], key: impl Fn(i64) -> u64) {
    let order = |a: i64, b: i64| if key(a) <= key(b) { (a, b) } else { (b, a) };
    let [a, b, c, d, e] = *five;
    let (a, d) = order(a, d);
    let (b, e) = order(b, e);
    let (a, c) = order(a, c);
    let (b, d) = order(b, d);
    let (a, b) = order(a, b);
    let (c, e) = order(c, e);
    let (b, c) = order(b, c);
    let (d, e) = order(d, e);
    let (c, d) = order(c, d);
    *five = [a, b, c, d, e];
}

/// The third of five in ascending order, without a branch.
#[cfg(target_pointer_width = "64")]
pub(super) fn median_of_five([a, b, c, d, e]: [i64; 5]) -> i64 {
    // The least and the greatest of any four are not it; it is the middle one of the other three.
    let low = a.min(b).max(c.min(d));
    let high = a.max(b).min(c.max(d));
    low.min(e).max(low.max(e).min(high))
}

/// Sorts in O(n log n) steps (heapsort: the worst case is the usual case).
pub(super) fn sort<T: Ord>(values: &mut [T]) {
    let count = values.len();
    for root in (0..count / 2).rev() {
        sift_down(values, root);
    }
    for end in (1..count).rev() {
        swap(values, 0, end);
        sift_down(values.get_mut(..end).unwrap_or_default(), 0);
    }
}

/// Restores the heap after its entry at `root` has become smaller.
fn sift_down<T: Ord>(values: &mut [T], mut root: usize) {
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let child = match values.get(left..) {
            Some([one, other, ..]) => left.saturating_add(usize::from(one < other)),
            Some([_]) => left,
            _ => return,
        };
        if values.get(root) >= values.get(child) {
            return;
        }
        swap(values, root, child);
        root = child;
    }
}

fn swap<T>(values: &mut [T], a: usize, b: usize) {
    if let Ok([a, b]) = values.get_disjoint_mut([a, b]) {
        mem::swap(a, b);
    }
}
