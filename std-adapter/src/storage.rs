//! Slots on the heap, and their distribution over shards.

use core::{
    hash::{BuildHasher, Hash, Hasher},
    num::NonZeroUsize,
};
use std::thread;

use ahash::{AHasher, RandomState};
use steadfast_core::foundation::storage::{Allocate, Lines as InLines, Storage};

use crate::runtime::random_seed;

/// Slots in one boxed slice whose size is chosen at run time and never changes: the
/// [`Storage`] of servers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Heap;

impl Storage for Heap {
    type Of<T> = Box<[T]>;
    type Lines<T> = Lines<T>;
    type Extra<T> = [T; 1];
    type Link = u32;
}

impl Allocate for Heap {
    fn allocate<T>(len: usize, mut fill: impl FnMut() -> T) -> Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }

    fn allocate_lines<T: Copy>(len: usize, slot: T, beyond: T) -> Lines<T> {
        let mut lines = vec![Line([slot; 4]); len / 4];
        let rest = len % 4;
        if rest > 0 {
            lines.push(Line(core::array::from_fn(|index| if index < rest { slot } else { beyond })));
        }
        Lines { lines: lines.into(), len }
    }

    fn extra<T>(value: T) -> [T; 1] {
        [value]
    }
}

/// Slots of [`Heap`] in lines of four.
#[derive(Debug)]
pub struct Lines<T> {
    lines: Box<[Line<T>]>,
    len: usize,
}

/// A cache line on most processors; on others the next smaller power of two that matters.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line<T>([T; 4]);

impl<T> InLines<T> for Lines<T> {
    fn slots(&self) -> usize {
        self.len
    }

    #[inline]
    fn lines(&self) -> usize {
        self.lines.len()
    }

    #[inline]
    fn whole(&self, line: usize) -> Option<&[T; 4]> {
        self.lines.get(line).map(|Line(slots)| slots)
    }

    fn rest(&self) -> &[T] {
        &[]
    }

    #[inline]
    fn get(&self, slot: usize) -> Option<&T> {
        self.lines.get(slot / 4)?.0.get(slot % 4)
    }

    #[inline]
    fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.lines.get_mut(slot / 4)?.0.get_mut(slot % 4)
    }

    fn iter_mut<'a>(&'a mut self) -> impl Iterator<Item = &'a mut T>
    where
        T: 'a,
    {
        self.lines.iter_mut().flat_map(|Line(slots)| slots).take(self.len)
    }
}

/// Machines that share the keys by their hash, so that threads rarely wait for each other.
#[derive(Debug)]
pub(crate) struct Shards<M> {
    machines: Box<[Apart<M>]>,
    pub(crate) hasher: KeyHasher,
}

/// The hash of keys on servers, with a secret of 256 bits: in a third of the time that `SipHash` takes.
///
/// It is made for tables whose keys strangers choose: who does not know the secret cannot make keys collide.
#[derive(Clone, Debug)]
pub struct KeyHasher(RandomState);

/// What a [`KeyHasher`] builds.
#[derive(Clone, Debug)]
pub struct KeyHash(AHasher);

impl KeyHasher {
    const fn with_seeds(a: u64, b: u64, c: u64, d: u64) -> Self {
        Self(RandomState::with_seeds(a, b, c, d))
    }

    #[inline]
    pub(crate) fn hash_one<K: Hash>(&self, key: K) -> u64 {
        BuildHasher::hash_one(self, key)
    }
}

impl BuildHasher for KeyHasher {
    type Hasher = KeyHash;

    #[inline]
    fn build_hasher(&self) -> KeyHash {
        KeyHash(self.0.build_hasher())
    }
}

/// All that aHash does in its own way.
impl Hasher for KeyHash {
    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.0.write_u8(value);
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.0.write_u16(value);
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.0.write_u32(value);
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0.write_u64(value);
    }

    #[inline]
    fn write_u128(&mut self, value: u128) {
        self.0.write_u128(value);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.0.write_usize(value);
    }
}

/// A hasher with a secret of its own.
pub(crate) fn key_hasher() -> KeyHasher {
    KeyHasher::with_seeds(random_seed(), random_seed(), random_seed(), random_seed())
}

/// On cache lines of its own: what one thread does with a shard takes no other shard from another thread.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<M>(M);

/// Below this capacity one shard serves, and holds exactly its capacity.
const WORTH_SHARDING: usize = 256;

/// More are never worth it.
pub(crate) const MOST_SHARDS: usize = 256;

/// How many shards there are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Spread {
    /// Few: the margins take little memory.
    Wide,
    /// Many, so that threads are rarely in each other's way. (Half of what a thread needs of a shard, it has to fetch
    /// from another's cache while it holds the lock.)
    Fine,
}

impl<M> Shards<M> {
    /// Machines for any `capacity` keys together, each made for so many keys and with what they all hash with.
    pub(crate) fn new(capacity: usize, spread: Spread, make: impl Fn(usize, KeyHasher) -> M) -> Self {
        let hasher = key_hasher();
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (count, room) = plan(capacity.max(1), spread, threads);
        Self { machines: (0..count).map(|_| Apart(make(room, hasher.clone()))).collect(), hasher }
    }

    /// The number of the state machine of the keys with this hash.
    pub(crate) const fn number_of(&self, hash: u64) -> usize {
        number_of(hash, self.machines.len())
    }

    /// The state machine of the keys with this hash.
    pub(crate) fn of(&self, hash: u64) -> &M {
        &spread(&self.machines, hash).0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &M> {
        self.machines.iter().map(|Apart(machine)| machine)
    }
}

/// How many shards there are for any `capacity` keys together.
pub(crate) fn count(capacity: usize, spread: Spread) -> usize {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    plan(capacity.max(1), spread, threads).0
}

/// How many shards, and for how many keys each has room, so that any `capacity` keys find some.
///
/// A shard's share of keys that were not chosen by its secret hash is close to Poisson's. Room for six standard
/// deviations and six keys more than its mean is too little in less than one of 50 million cases (Chernoff's bound, for
/// means from 16 on), for all of at most 256 shards in less than one of 200,000.
fn plan(capacity: usize, spread: Spread, threads: usize) -> (usize, usize) {
    if capacity < WORTH_SHARDING {
        return (1, capacity);
    }
    // So many for a processor; and so many keys are worth one, for the fewer they are, the less evenly they spread.
    let (per_thread, worth_it) = match spread {
        Spread::Wide => (16, capacity / 64),
        Spread::Fine => (64, capacity / 32),
    };
    let count = threads.saturating_mul(per_thread).min(worth_it).next_power_of_two().min(MOST_SHARDS);
    let mean = capacity.div_ceil(count);
    (count, mean.saturating_add(mean.saturating_mul(36).isqrt()).saturating_add(6))
}

/// The one of `items`, a power of two of them, that belongs to this hash.
#[expect(clippy::indexing_slicing, reason = "its number is below their count, at least 1")]
pub(crate) const fn spread<T>(items: &[T], hash: u64) -> &T {
    &items[number_of(hash, items.len())]
}

/// The number below `count`, a power of two, that belongs to this hash.
#[expect(clippy::arithmetic_side_effects, reason = "there is at least one")]
const fn number_of(hash: u64, count: usize) -> usize {
    // The low bits: the tables themselves use the high ones.
    hash as usize & (count - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// How many of the keys share the most crowded of 1,024 chains.
    fn most_in_a_chain(keys: &[u64], hasher: &KeyHasher) -> usize {
        let mut chains = HashMap::new();
        for key in keys {
            *chains.entry(hasher.hash_one(key) >> 54).or_insert(0) += 1;
        }
        chains.into_values().max().unwrap_or(0)
    }

    /// `ln` of Chernoff's bound on how likely it is that a Poisson variable is at least `room`.
    fn odds(mean: f64, room: f64) -> f64 {
        let excess = room / mean - 1.0;
        -mean * ((1.0 + excess) * (1.0 + excess).ln() - excess)
    }

    #[test]
    fn whatever_is_asked_for_finds_room_in_all_shards() {
        for (spread, least, most) in [(Spread::Wide, 4, 2.4), (Spread::Fine, 8, 3.0)] {
            for capacity in (256..5_000).chain([10_000, 65_536, 100_003, 1_000_000, 10_000_000]) {
                for threads in [1, 2, 8, 64, 1_000] {
                    let (count, room) = plan(capacity, spread, threads);
                    assert!(count.is_power_of_two() && (least..=256).contains(&count), "{count} for {capacity}");
                    let mean = capacity as f64 / count as f64;
                    assert!(mean > 16.0, "{mean} keys in one of {count} shards");
                    let odds = odds(mean, (room + 1) as f64).exp() * count as f64;
                    assert!(odds < 5e-6, "{count} of {room} for {capacity}: {odds}");
                    assert!((room * count) as f64 <= capacity as f64 * most, "{count} of {room} for {capacity}");
                }
            }
            assert_eq!([1, 255].map(|capacity| plan(capacity, spread, 64)), [(1, 1), (1, 255)]);
        }
        let plans = |spread| [256, 1_000, 65_536, 1_000_000].map(|capacity| plan(capacity, spread, 2));
        assert_eq!(plans(Spread::Wide), [(4, 118), (16, 116), (32, 2_325), (32, 32_316)]);
        assert_eq!(plans(Spread::Fine), [(8, 71), (32, 71), (128, 653), (128, 8_349)]);
    }

    #[test]
    fn lines_begin_where_those_of_the_caches_do_and_hold_just_what_was_asked_for() {
        for len in (1..100).chain([1_000, 100_000]) {
            let mut lines = Heap::allocate_lines(len, [7_u64, 7], [9, 9]);
            assert_eq!((lines.slots(), lines.lines()), (len, len.div_ceil(4)));
            *lines.get_mut(len - 1).unwrap() = [8, 8];
            for line in 0..lines.lines() {
                let whole = lines.whole(line).unwrap();
                assert_eq!(whole.as_ptr().align_offset(64), 0);
                let number = |slot| line * 4 + slot;
                assert!((0..4).all(|slot| lines.get(number(slot)) == Some(&whole[slot])));
                assert!((0..4).all(|slot| (number(slot) >= len) == (whole[slot] == [9, 9])));
            }
            assert_eq!((lines.whole(lines.lines()), lines.rest()), (None, [].as_slice()));
            assert_eq!((lines.iter_mut().count(), lines.iter_mut().last()), (len, Some(&mut [8, 8])));
        }
    }

    #[test]
    fn keys_that_collide_under_one_secret_spread_under_that_of_another_machine() {
        let known = KeyHasher::with_seeds(1, 2, 3, 4);
        let chosen: Vec<u64> = (0..2_000_000).filter(|key| known.hash_one(key) >> 54 == 0).take(1_500).collect();
        assert_eq!(most_in_a_chain(&chosen, &known), 1_500);
        for _ in 0..20 {
            let theirs = Shards::new(1, Spread::Fine, |_, hasher| hasher).hasher;
            let most = most_in_a_chain(&chosen, &theirs);
            assert!(most <= 20, "{most} of 1,500 keys in one of 1,024 chains");
        }
    }
}
