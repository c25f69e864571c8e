//! Slots on the heap, and their distribution over shards.

use core::num::NonZeroUsize;
use std::thread;

use steadfast_core::{Allocate, HashSeed, Storage};

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
    machines: Box<[M]>,
    pub(crate) seed: HashSeed,
}

/// Below this capacity one shard serves: it holds exactly its capacity, and is too small to be fought over.
const WORTH_SHARDING: usize = 4_096;

/// The least that is worth a shard: the fewer keys, the less evenly their hashes fill the shards.
const LEAST_SHARE: usize = 1_024;

impl<M> Shards<M> {
    /// Machines for `capacity` keys together, each made for its share and with the seed that they all hash with.
    pub(crate) fn new(capacity: usize, make: impl Fn(usize, HashSeed) -> M) -> Self {
        let seed = HashSeed::new(random_seed(), random_seed());
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let wanted = threads.saturating_mul(4).next_power_of_two().min(256);
        let most = (capacity / LEAST_SHARE).next_power_of_two();
        let count = if capacity < WORTH_SHARDING { 1 } else { wanted.min(most) };
        let share = capacity.div_ceil(count);
        Self { machines: (0..count).map(|_| make(share, seed.clone())).collect(), seed }
    }

    /// The machine of the keys with this hash.
    #[expect(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a mask of a power of two, at least 1"
    )]
    pub(crate) fn of(&self, hash: u64) -> &M {
        // The low bits: the tables themselves use the high ones.
        &self.machines[hash as usize & (self.machines.len() - 1)]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &M> {
        self.machines.iter()
    }
}
