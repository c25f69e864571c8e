//! A replay window of 224 counters, a persistent counter, and a ring of keys.

use steadfast_core::session::{Candidate, CounterError, CounterReserve, KeyRing, NotStored, Replay, ReplayWindow};

operations! {
    fn check(window: &ReplayWindow<8>, counter: u64) -> Result<Candidate, Replay> {
        window.check(counter)
    }
    fn accept(window: &mut ReplayWindow<8>, candidate: Candidate) -> Result<(), Replay> {
        window.accept(candidate)
    }
}

pub mod counters {
    use super::*;

    operations! {
        fn next(counters: &mut CounterReserve) -> Result<u64, CounterError> {
            counters.next()
        }
        fn stored(counters: &mut CounterReserve, read_back: u64) -> Result<(), NotStored> {
            counters.stored(read_back)
        }
    }
}

pub mod keys {
    use super::*;

    /// What a key is here.
    pub type Key = [u32; 8];

    operations! {
        fn add(keys: &mut KeyRing<Key>, id: u8, key: Key) -> bool {
            keys.add(id, key).is_ok()
        }
        fn promote(keys: &mut KeyRing<Key>) -> bool {
            keys.promote().is_ok()
        }
        fn get<'a>(keys: &'a KeyRing<Key>, id: u8) -> Option<&'a Key> {
            keys.get(id)
        }
        fn retire(keys: &mut KeyRing<Key>, id: u8) -> bool {
            keys.retire(id).is_ok()
        }
    }
}
