//! Slots on the heap, and their distribution over shards.

use core::num::NonZeroUsize;
use std::thread;

use ahash::RandomState;
use steadfast_core::{Allocate, Storage};

use crate::runtime::random_seed;

/// Slots in one boxed slice whose size is chosen at run time and never changes: the
/// [`Storage`](steadfast_core::Storage) of servers.
#[derive(Clone, Copy, Debug)]
pub struct Heap;

impl Storage for Heap {
    type Of<T> = Box<[T]>;
    type Link = u32;
}

impl Allocate for Heap {
    fn allocate<T>(len: usize, mut fill: impl FnMut() -> T) -> Box<[T]> {
        (0..len).map(|_| fill()).collect()
    }
}

/// Machines that share the keys by their hash, so that threads rarely wait for each other.
#[derive(Debug)]
pub(crate) struct Shards<M> {
    machines: Box<[Apart<M>]>,
    pub(crate) hasher: KeyHasher,
}

/// aHash under a secret of 256 bits: on a server a third of the time that `SipHash` takes.
///
/// It is made for tables whose keys strangers choose: who does not know the secret cannot make keys collide.
pub(crate) type KeyHasher = RandomState;

/// On cache lines of its own: what one thread does with a shard takes no other shard from another thread.
#[derive(Debug)]
#[repr(align(128))]
struct Apart<M>(M);

/// Below this capacity one shard serves: it holds exactly its capacity, and is too small to be fought over.
const WORTH_SHARDING: usize = 4_096;

/// The least that is worth a shard: the fewer keys, the less evenly their hashes fill the shards.
const LEAST_SHARE: usize = 1_024;

impl<M> Shards<M> {
    /// Machines for `capacity` keys together, each made for its share and with what they all hash with.
    pub(crate) fn new(capacity: usize, make: impl Fn(usize, KeyHasher) -> M) -> Self {
        let hasher = KeyHasher::with_seeds(random_seed(), random_seed(), random_seed(), random_seed());
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let wanted = threads.saturating_mul(4).next_power_of_two().min(256);
        let most = (capacity / LEAST_SHARE).next_power_of_two();
        let count = if capacity < WORTH_SHARDING { 1 } else { wanted.min(most) };
        let share = capacity.div_ceil(count);
        Self { machines: (0..count).map(|_| Apart(make(share, hasher.clone()))).collect(), hasher }
    }

    /// The machine of the keys with this hash.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a mask of a power of two, at least 1"
    )]
    pub(crate) fn of(&self, hash: u64) -> &M {
        // The low bits: the tables themselves use the high ones.
        &self.machines[hash as usize & (self.machines.len() - 1)].0
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &M> {
        self.machines.iter().map(|Apart(machine)| machine)
    }
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

    #[test]
    fn keys_that_collide_under_one_secret_spread_under_that_of_another_machine() {
        let known = KeyHasher::with_seeds(1, 2, 3, 4);
        let chosen: Vec<u64> = (0..2_000_000).filter(|key| known.hash_one(key) >> 54 == 0).take(1_500).collect();
        assert_eq!(most_in_a_chain(&chosen, &known), 1_500);
        for _ in 0..20 {
            let theirs = Shards::new(1, |_, hasher| hasher).hasher;
            let most = most_in_a_chain(&chosen, &theirs);
            assert!(most <= 20, "{most} of 1,500 keys in one of 1,024 chains");
        }
    }
}
