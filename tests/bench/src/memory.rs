//! What is held in memory, filled to the last key.

use std::{any::Any, collections::HashSet, num::NonZeroUsize};

use ahash::RandomState;
use dashmap::DashMap;
use lru::LruCache;
use moka::policy::EvictionPolicy;
use recloser::Recloser;
use steadfast::{Breakers, DedupCache, Gcra, RateLimiter, Reset, Trip, circuit_breaker::Percent, dedup_cache::OnFull};

use crate::work::{LONG, all_keys};

/// One of those compared: what it is, and how it is filled with so many keys.
pub struct Holder {
    pub kind: &'static str,
    pub name: &'static str,
    /// The most keys that it is filled with: more would take minutes.
    pub most: usize,
    pub fill: fn(usize) -> Box<dyn Any>,
}

/// All of them; those of one kind follow each other, ours first.
pub const HOLDERS: [Holder; 9] = [
    holder(LIMITER, "steadfast", limiter),
    holder(LIMITER, "governor", governor),
    holder(DEDUP, "steadfast", dedup),
    Holder { most: 1_000_000, ..holder(DEDUP, "moka, LRU", moka) },
    holder(DEDUP, "lru", lru),
    holder(DEDUP, "quick_cache", quick_cache),
    holder(DEDUP, "hash set", hash_set),
    holder(BREAKER, "steadfast", breakers),
    Holder { most: 1_000_000, ..holder(BREAKER, "recloser in a dashmap", reclosers) },
];

const LIMITER: &str = "rate limiter, u64 keys";
const DEDUP: &str = "dedup cache, 128-bit ids";
const BREAKER: &str = "circuit breaker by key, window of 32";

const fn holder(kind: &'static str, name: &'static str, fill: fn(usize) -> Box<dyn Any>) -> Holder {
    Holder { kind, name, most: usize::MAX, fill }
}

fn ids(count: usize) -> impl Iterator<Item = u128> {
    all_keys(count).map(|key| u128::from(key) << 64 | u128::from(!key))
}

fn limiter(keys: usize) -> Box<dyn Any> {
    let limiter = RateLimiter::<u64, _>::builder(Gcra::per_second(100)).capacity(keys).build();
    all_keys(keys).for_each(|key| _ = limiter.allow(&key));
    Box::new(limiter)
}

fn governor(keys: usize) -> Box<dyn Any> {
    let quota = governor::Quota::per_second(100.try_into().unwrap());
    let limiter = governor::RateLimiter::dashmap_with_hasher(quota, RandomState::new());
    all_keys(keys).for_each(|key| _ = limiter.check_key(&key));
    Box::new(limiter)
}

fn dedup(count: usize) -> Box<dyn Any> {
    let cache = DedupCache::builder(LONG, OnFull::ForgetOldest).capacity(count).build();
    ids(count).for_each(|id| _ = cache.check(&id));
    Box::new(cache)
}

fn moka(count: usize) -> Box<dyn Any> {
    let builder = moka::sync::Cache::builder().max_capacity(count as u64).time_to_live(LONG);
    let cache = builder.eviction_policy(EvictionPolicy::lru()).build();
    ids(count).for_each(|id| cache.insert(id, ()));
    cache.run_pending_tasks();
    Box::new(cache)
}

fn lru(count: usize) -> Box<dyn Any> {
    let mut cache = LruCache::new(NonZeroUsize::new(count).unwrap());
    ids(count).for_each(|id| _ = cache.put(id, ()));
    Box::new(cache)
}

fn quick_cache(count: usize) -> Box<dyn Any> {
    let mut cache = quick_cache::unsync::Cache::new(count);
    ids(count).for_each(|id| cache.insert(id, ()));
    Box::new(cache)
}

fn hash_set(count: usize) -> Box<dyn Any> {
    Box::new(ids(count).fold(HashSet::new(), |mut set, id| {
        set.insert(id);
        set
    }))
}

fn breakers(keys: usize) -> Box<dyn Any> {
    let trip = Trip::call_window::<32>(Percent::new(50));
    let breakers = Breakers::builder(trip, Reset::after(LONG)).capacity(keys).build();
    all_keys(keys).for_each(|key| assert_eq!(breakers.call_blocking(&key, || Ok::<_, ()>(())), Ok(())));
    Box::new(breakers)
}

fn reclosers(keys: usize) -> Box<dyn Any> {
    let map = DashMap::new();
    all_keys(keys).for_each(|key| _ = map.insert(key, Recloser::custom().closed_len(32).build()));
    Box::new(map)
}
