//! One script for each machine: random operations on a hostile clock, and every answer is folded.

pub(crate) mod aggregate;
pub(crate) mod batch;
pub(crate) mod cached;
pub(crate) mod circuit_breaker;
pub(crate) mod correlator;
pub(crate) mod dedup_cache;
pub(crate) mod encryptor;
pub(crate) mod logger;
pub(crate) mod quorum;
pub(crate) mod rate_limiter;
pub(crate) mod retry;
#[cfg(feature = "stash")]
pub(crate) mod stash_wire;

use crate::Script;

/// A game for each round, so that all of them are played and each machine begins anew now and then.
fn rounds(operations: u32, mut play: impl FnMut(u32, u32)) {
    const OPERATIONS: u32 = 400;

    for round in 0..operations.div_ceil(OPERATIONS) {
        play(round, OPERATIONS.min(operations - round * OPERATIONS));
    }
}

/// Takes one out, if there is any.
fn take<T, const N: usize>(list: &mut heapless::Vec<T, N>, script: &mut Script) -> Option<T> {
    let index = script.below(N as u32) as usize;
    (index < list.len()).then(|| list.swap_remove(index))
}
