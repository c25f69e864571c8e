//! How full a table may be: the simulation behind "twice as many slots as keys".

use super::*;
use crate::{
    foundation::storage::Inline,
    rate_limiter::lines::{Lines, print_of},
};

/// Of `keys` keys in so many slots, how many find no room; each that has one is found again.
fn without_room(lines: &mut Lines<Heap>, keys: usize, seed: u64) -> usize {
    let hashes = (0..keys as u64).map(|key| HashSeed::new(seed, !seed).hash_one(key));
    let prints: Vec<_> = hashes.map(print_of).collect();
    let mut none = 0;
    for print in &prints {
        match lines.room(*print, Instant::ZERO) {
            Ok(slot) => _ = lines.take(slot, *print, at(1)),
            Err(_) => none += 1,
        }
    }
    let found = prints.iter().filter(|print| lines.find(**print, |_| true).is_some()).count();
    assert_eq!((found, lines.len()), (keys - none, keys - none));
    none
}

#[test]
fn in_a_table_that_is_half_full_nobody_finds_no_room() {
    let mut seed = 0;
    for (slots, tables) in [(72, 500), (100, 200), (256, 200), (600, 50), (2_048, 20), (16_384, 3), (131_072, 1)] {
        for _ in 0..tables {
            seed += 1;
            let none = without_room(&mut Lines::allocate(slots), slots / 2, seed);
            assert_eq!(none, 0, "{slots} slots, seed {seed}");
        }
    }
}

/// The simulation can fail: in a table that is fuller some find none.
#[test]
fn in_a_table_that_is_nearly_full_some_find_no_room() {
    let none = without_room(&mut Lines::allocate(16_384), 16_000, 1);
    assert!((1..400).contains(&none), "{none}");
}

/// Of up to 68 slots every one is found, by every key.
#[test]
fn a_small_table_holds_exactly_as_many_keys_as_it_has_slots() {
    for slots in 1..=68 {
        assert_eq!(without_room(&mut Lines::allocate(slots), slots, 7), 0, "{slots}");
        assert_eq!(without_room(&mut Lines::allocate(slots), slots + 3, 7), 3, "{slots}");
    }
    let lines = Lines::<Inline<7>>::new();
    assert_eq!((lines.capacity(), lines.len()), (7, 0));
}

/// A key that has an entry is known after any step of the clock, idle since the beginning of time or not.
#[test]
fn in_a_small_table_a_vacancy_goes_before_any_key_and_then_somebody_idle() {
    for slots in 1..=64 {
        for (seed, now) in [(1, Instant::ZERO), (2, Instant::from_nanos(1)), (3, at(9)), (4, at(1_000))] {
            let mut lines = Lines::<Heap>::allocate(slots);
            let print = |key: usize| print_of(HashSeed::new(seed, 7).hash_one(key));
            for key in 0..slots {
                let slot = lines.room(print(key), now).expect("a vacancy");
                assert!(lines.get(slot).is_some_and(|slot| slot.print().is_none()), "{slots} slots, {now:?}");
                assert!(!lines.take(slot, print(key), Instant::from_nanos(key as u64 / 2)));
            }
            let idle = lines.room(print(slots), now).ok().and_then(|slot| lines.get(slot));
            assert!(idle.is_some_and(|slot| slot.idle_at() <= now), "{slots} slots, {now:?}");
        }
    }
}

/// No line twice, none beyond the last, and the home first.
#[test]
fn a_path_leads_through_different_lines() {
    for slots in (1..200).chain([1_000, 65_536]) {
        let mut lines = Lines::<Heap>::allocate(slots);
        for slot in 0..slots {
            lines.take(slot, print_of(slot as u64), Instant::MAX);
        }
        for key in 0..200_u64 {
            let print = print_of(HashSeed::FIXED.hash_one(key));
            let path = lines.path(print);
            let mut on_it: Vec<_> = path.walk().collect();
            assert!(on_it.iter().copied().eq((0..path.len()).map(|step| path.line(step))));
            assert_eq!(on_it.len(), slots.div_ceil(4).min(17));
            let candidates = core::cell::RefCell::new(Vec::new());
            let least = lines.least(print, key as u32 * 97_531, |slot, _| {
                candidates.borrow_mut().push(slot);
                Some(slot as u64 % 5)
            });
            let candidates = candidates.into_inner();
            assert_eq!(least, candidates.iter().copied().min_by_key(|slot| slot % 5));
            assert!(candidates.iter().all(|slot| *slot < slots && on_it.contains(&(slot / 4))));
            assert!(candidates.len() == 8 || candidates.len() + 3 >= slots.min(8), "{candidates:?} of {slots}");
            on_it.sort_unstable();
            on_it.dedup();
            assert_eq!(on_it.len(), slots.div_ceil(4).min(17), "a line twice");
            assert!(on_it.iter().all(|line| *line < slots.div_ceil(4)));
        }
    }
}
