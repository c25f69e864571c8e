use proptest::prelude::*;
use std::{collections::HashMap, hash::Hasher, vec::Vec};

use super::*;
use crate::foundation::{hash::HashSeed, storage::Heap};

type Small<H> = Table<u8, u32, Inline<5>, H>;
/// Everything in one chain.
#[derive(Clone)]
struct Colliding;

impl BuildHasher for Colliding {
    type Hasher = Nothing;

    fn build_hasher(&self) -> Nothing {
        Nothing
    }
}

struct Nothing;

impl Hasher for Nothing {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, _: &[u8]) {}
}

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, u32),
    Remove(u8),
    Rehash(u64),
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (0..9_u8, any::<u32>()).prop_map(|(key, value)| Op::Insert(key, value)),
        3 => (0..9_u8).prop_map(Op::Remove),
        1 => any::<u64>().prop_map(Op::Rehash),
    ];
    prop::collection::vec(op, 0..40)
}

fn put<S: Storage, H: BuildHasher>(table: &mut Table<u8, u32, S, H>, key: u8, value: u32) -> Result<usize, (u8, u32)> {
    let hash = table.hash(&key);
    match table.find(hash, &key) {
        Some(slot) => {
            *table.get_mut(slot).unwrap() = value;
            Ok(slot)
        }
        None => table.insert(hash, key, value),
    }
}

fn run<S: Storage, H: BuildHasher>(mut table: Table<u8, u32, S, H>, ops: Vec<Op>, seed: impl Fn(u64) -> H) {
    let mut model: HashMap<u8, u32> = HashMap::new();
    for op in ops {
        match op {
            Op::Insert(key, value) => {
                let fits = model.contains_key(&key) || model.len() < 5;
                assert_eq!(put(&mut table, key, value).is_ok(), fits);
                if fits {
                    model.insert(key, value);
                }
            }
            Op::Remove(key) => {
                let removed = table.find(table.hash(&key), &key).and_then(|slot| table.remove(slot));
                assert_eq!(removed, model.remove(&key).map(|value| (key, value)));
            }
            Op::Rehash(number) => table.rehash(seed(number)),
        }
        assert_eq!(table.len(), model.len());
        assert_eq!(table.is_full(), model.len() == 5);
        assert_eq!(table.iter().map(|(_, key, value)| (*key, *value)).collect::<HashMap<_, _>>(), model);
        for key in 0..9 {
            let found = table.find(table.hash(&key), &key).and_then(|slot| table.get(slot));
            assert_eq!(found.map(|(_, value)| value), model.get(&key));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn does_what_a_hash_map_does(ops in ops()) {
        run(Small::new(HashSeed::FIXED), ops.clone(), |number| HashSeed::new(number, !number));
        run(Table::<_, _, Heap, _>::allocate(5, HashSeed::FIXED), ops, |number| HashSeed::new(number, !number));
    }

    #[test]
    fn does_so_when_every_key_collides(ops in ops()) {
        run(Small::new(Colliding), ops, |_| Colliding);
    }
}

#[test]
fn holds_exactly_its_capacity() {
    let mut table: Small<HashSeed> = Table::new(HashSeed::FIXED);
    for key in 0..5 {
        put(&mut table, key, 1).unwrap();
    }
    assert_eq!(put(&mut table, 5, 1), Err((5, 1)));
    assert_eq!(table.len(), table.capacity());
}

#[test]
fn a_slot_names_its_entry() {
    let mut table = Table::<u32, u32, Heap, _>::allocate(3_000, HashSeed::FIXED);
    let slots: Vec<_> = (0..3_000).map(|key| table.insert(table.hash(&key), key, key).unwrap()).collect();
    assert!(table.is_full() && table.insert(table.hash(&3_000), 3_000, 0).is_err());
    // Those who go and come find their slots, and the others keep theirs.
    for key in (0..3_000).step_by(3) {
        assert_eq!(table.remove(slots[key as usize]), Some((key, key)));
    }
    for key in 3_000..4_000 {
        table.insert(table.hash(&key), key, key).unwrap();
    }
    for key in 0..4_000_u32 {
        let found = table.find(table.hash(&key), &key);
        let expected = if key < 3_000 && key % 3 > 0 { Some(slots[key as usize]) } else { found };
        assert_eq!((found, found.is_some()), (expected, key >= 3_000 || key % 3 > 0));
        assert_eq!(found.and_then(|slot| table.get(slot)).map(|(key, _)| *key), found.map(|_| key));
    }
}

#[test]
fn a_slot_costs_a_link_and_a_tag() {
    assert_eq!(size_of::<Slot<u64, u64, u32>>(), 24);
    assert_eq!(size_of::<Slot<[u8; 16], u32, u16>>(), 24);
}

#[test]
fn an_allocated_table_has_half_as_many_chains_again_as_slots() {
    for (capacity, slots, chains) in [(0, 1, 1), (1, 1, 1), (4, 4, 6), (1_000, 1_000, 1_500)] {
        let table = Table::<u8, u32, Heap, _>::allocate(capacity, HashSeed::FIXED);
        assert_eq!((table.capacity(), table.heads.len()), (slots, chains));
    }
}

#[test]
fn another_seed_moves_the_entries_to_other_chains() {
    let mut table = Table::<u32, (), Inline<64>, _>::new(HashSeed::FIXED);
    for key in 0..64 {
        table.insert(table.hash(&key), key, ()).unwrap();
    }
    let before = table.heads;
    table.rehash(HashSeed::new(1, 2));
    assert_ne!(table.heads, before);
    assert_eq!(table.hash(&7), HashSeed::new(1, 2).hash_one(7_u32));
    assert!((0..64).all(|key| table.find(table.hash(&key), &key).is_some()));
}
