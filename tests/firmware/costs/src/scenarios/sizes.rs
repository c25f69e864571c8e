//! The RAM of every machine.

use core::mem::size_of;

use cortex_m_semihosting::hprintln;
use steadfast_core::{
    BatchCollector, Breakers, CachedRateLimiter, CircuitBreaker, Correlator, CounterReserve, DedupCache, Encryptor,
    Gcra, KeyRing, KeyedCorrelator, Logger, Quorum, RateLimiter, ReplayWindow, Retry, RetryBudget, RetryPolicy,
    SlidingLog,
    circuit_breaker::{CallWindow, Consecutive, TimeWindow},
};

/// Prints what each entry takes, and what the machine takes beside its entries.
macro_rules! by_entry {
    ($machine:literal, $entry:literal, $type:ident < $($before:ty),*; $($after:ty),* >) => {
        const FEW: usize = size_of::<$type<$($before,)* 32 $(, $after)*>>();
        const MANY: usize = size_of::<$type<$($before,)* 64 $(, $after)*>>();
        let entry = (MANY - FEW) / 32;
        hprintln!("ram\t{}\t{}\t{}", $machine, $entry, entry);
        hprintln!("ram\t{}\tbeside them\t{}", $machine, FEW - 32 * entry);
    };
}

pub fn tell() {
    {
        by_entry!("rate limiter, GCRA", "a key of 8 B", RateLimiter<u64, Gcra;>);
    }
    {
        by_entry!("rate limiter, sliding log", "a key of 8 B, 5 requests", RateLimiter<u64, SlidingLog<5>;>);
    }
    {
        by_entry!("cached rate limiter", "a key of 8 B, a value of 4 B", CachedRateLimiter<u64, u32, Gcra;>);
    }
    {
        by_entry!("dedup cache", "an id of 16 B", DedupCache<[u8; 16];>);
    }
    {
        by_entry!("breakers", "a key of 8 B", Breakers<u64;>);
    }
    {
        by_entry!("correlator", "a call, a peer of 4 B, a reply of 8 B", Correlator<u32, [u8; 8];>);
    }
    {
        by_entry!("keyed correlator", "a call, an id of 16 B, a reply of 8 B", KeyedCorrelator<[u8; 16], [u8; 8];>);
    }
    {
        by_entry!("quorum", "a voter of 4 B, a vote of 8 B", Quorum<u32, i64;>);
    }
    {
        by_entry!("batch collector", "an item of 4 B", BatchCollector<u32;>);
    }
    {
        by_entry!("logger", "a group, a line of 160 B, names of 160 B", Logger<;>);
    }
    for (machine, size) in [
        ("breaker, consecutive", size_of::<CircuitBreaker<Consecutive>>()),
        ("breaker, of 32 calls", size_of::<CircuitBreaker<CallWindow<32>>>()),
        ("breaker, of 10 s", size_of::<CircuitBreaker<TimeWindow<10>>>()),
        ("replay window of 224", size_of::<ReplayWindow<8>>()),
        ("counter reserve", size_of::<CounterReserve>()),
        ("key ring, of keys of 32 B", size_of::<KeyRing<[u32; 8]>>()),
        ("encryptor", size_of::<Encryptor>()),
        ("retry", size_of::<Retry<'static>>()),
        ("retry: policy", size_of::<RetryPolicy>()),
        ("retry: budget", size_of::<RetryBudget>()),
    ] {
        hprintln!("ram\t{}\tthe whole\t{}", machine, size);
    }
}
