//! Selection and sorting that no input can make panic, allocate or run for long.
//!
//! `core`'s own are faster by a little, but the panics inside them cannot be shown to be unreachable by linking, and
//! they are several kilobytes of flash. What is here is a few hundred bytes.

use core::{cell::Cell, cmp::Ordering, mem};

/// The most values that an insertion sort handles better than a partition.
const SMALL: usize = 16;

/// A number with the order of `value`.
pub(super) const fn ascending(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// Moves the value of rank `index` by `key` to its place in sorted order, no greater ones to its left and no lesser ones
/// to its right, and returns it; `None` if there is no such rank.
///
/// O(n): every pass halves the range of the keys that are left, so there are at most 64, whatever the votes are. A pivot
/// taken from the votes would let a voter choose it.
pub(super) fn select(values: &mut [i64], mut index: usize, key: impl Fn(i64) -> u64) -> Option<i64> {
    let mut rest = values;
    while rest.len() > SMALL {
        let (least, greatest) = rest.iter().fold((u64::MAX, 0), |(least, greatest), &value| {
            let key = key(value);
            (least.min(key), greatest.max(key))
        });
        if least == greatest {
            return rest.get(index).copied();
        }
        let middle = least.midpoint(greatest);
        let count = partition(rest, |value| key(value) <= middle);
        let (low, high) = rest.split_at_mut_checked(count)?;
        match index.checked_sub(count) {
            None => rest = low,
            Some(above) => (rest, index) = (high, above),
        }
    }
    insertion_sort(rest, key);
    rest.get(index).copied()
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

/// Sorts in O(n log n) steps (heapsort: the worst case is the usual case).
pub(super) fn sort<T: Ord>(values: &mut [T]) {
    let count = values.len();
    for root in (0..count / 2).rev() {
        sift_down(values, root, count);
    }
    for end in (1..count).rev() {
        swap(values, 0, end);
        sift_down(values, 0, end);
    }
}

/// Restores the heap in `values[..end]` after its entry at `root` has become smaller.
fn sift_down<T: Ord>(values: &mut [T], mut root: usize, end: usize) {
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        if left >= end {
            return;
        }
        let child = if right < end && values.get(right) > values.get(left) { right } else { left };
        if values.get(root).cmp(&values.get(child)) != Ordering::Less {
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
