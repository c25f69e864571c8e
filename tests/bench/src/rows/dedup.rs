//! One check of a full dedup cache: half of the ids are new, and each of them pushes out the oldest.

use std::{
    collections::{HashSet, VecDeque},
    hint::black_box,
    num::NonZeroUsize,
    sync::Mutex,
};

use ahash::RandomState;
use dashmap::{DashMap, Entry};
use lru::LruCache;
use moka::policy::EvictionPolicy;
use steadfast::{
    DedupCache, Instant,
    dedup_cache::{OnFull, Seen},
    runtime::{Clock, SystemTimer},
};
use ttl_cache::TtlCache;

use super::{Plan, count, limiter::AHASH};
use crate::{
    options::Options,
    run::{
        Goal::{Faster, Within},
        Row,
    },
    slice::{Work, timed},
    work::{Given, LONG, mix},
};

/// What lru and `quick_cache` bring.
const FOLDHASH: &str = "foldhash";

/// Tells whether an id is new, and remembers it.
type Check = Box<dyn Fn(u128) -> bool>;

pub(super) fn rows(options: &Options) -> Vec<Plan> {
    let n = options.keys(1_000_000);
    let name = format!("dedup check, 128-bit ids, {}", count(n));
    vec![
        Plan::new(format!("{name}, own clocks"), move || {
            Row::new(checks(n, ours(n)))
                .peer("moka", Faster(6.0), checks(n, moka(n, EvictionPolicy::tiny_lfu())))
                .peer("moka, LRU", Faster(5.0), checks(n, moka(n, EvictionPolicy::lru())))
                .peer("mini-moka", None, checks(n, mini_moka(n)))
                .peer("ttl_cache", None, checks(n, ttl_cache(n)))
                .hashing(AHASH)
        }),
        Plan::new(format!("{name}, one clock"), move || {
            Row::new(checks(n, ours(n)))
                .peer("lru, with times", Faster(1.5), checks(n, lru_with_times(n)))
                .hashing(FOLDHASH)
                .peer("dashmap, with times", None, growing(n, move || dash_map(n)))
                .hashing(AHASH)
        }),
        Plan::new(format!("{name}, `now` given"), move || {
            Row::new(checks(n, ours_given(n)))
                .peer("lru", Faster(1.65), checks(n, lru(n)))
                .peer("quick_cache", Faster(1.1), checks(n, quick_cache(n)))
                .hashing(FOLDHASH)
                .floor("hash set, one lock", Within(1.5), growing(n, move || hash_set(n)))
                .floor("hash set and ring, one lock", None, checks(n, hash_set_and_ring(n)))
                .hashing(AHASH)
        }),
    ]
}

/// How many of the duplicates each cache takes for new, in percent, ours first.
///
/// The capacity is 65,536, and every duplicate repeats one of the last 60,000 ids.
///
/// # Panics
///
/// If ours misses one.
#[must_use]
pub fn missed(options: &Options) -> Vec<(&'static str, f64)> {
    const CAPACITY: usize = 65_536;
    let caches: [(_, Check); 7] = [
        ("ours", Box::new(ours(CAPACITY))),
        ("moka", Box::new(moka(CAPACITY, EvictionPolicy::tiny_lfu()))),
        ("moka, LRU", Box::new(moka(CAPACITY, EvictionPolicy::lru()))),
        ("mini-moka", Box::new(mini_moka(CAPACITY))),
        ("quick_cache", Box::new(quick_cache(CAPACITY))),
        ("lru", Box::new(lru(CAPACITY))),
        ("ttl_cache", Box::new(ttl_cache(CAPACITY))),
    ];
    let missed = caches.map(|(name, check)| {
        let mut ids = Ids::new(60_000, 0);
        let (mut duplicates, mut missed) = (0_u32, 0_u32);
        for _ in 0..options.keys(1_000_000) / 2 {
            assert!(check(ids.fresh()), "{name} takes a new id for a duplicate");
            duplicates += 1;
            missed += u32::from(check(ids.repeated()));
        }
        (name, f64::from(missed) / f64::from(duplicates) * 100.0)
    });
    assert_eq!(missed[0].1, 0.0, "ours missed duplicates");
    missed.into()
}

/// Ids without end; a repeated one is among the last `window` fresh ones.
pub(crate) struct Ids {
    first: u64,
    fresh: u64,
    window: u64,
    random: u64,
}

impl Ids {
    /// Each `stream` has other ids.
    pub(crate) fn new(window: usize, stream: u64) -> Self {
        Self { first: stream << 40, fresh: 0, window: window as u64, random: 0 }
    }

    pub(crate) fn fresh(&mut self) -> u128 {
        self.fresh += 1;
        id(self.first + self.fresh)
    }

    pub(crate) fn repeated(&mut self) -> u128 {
        self.random += 1;
        id(self.first + self.fresh - mix(self.random) % self.window.min(self.fresh))
    }
}

fn id(index: u64) -> u128 {
    u128::from(mix(index)) << 64 | u128::from(mix(!index))
}

/// Checks of a cache that is full of the last `n` ids; a tenth of them are not asked for, as they are about to go.
pub(crate) fn checks(n: usize, check: impl Fn(u128) -> bool + 'static) -> Work {
    let mut ids = Ids::new(n - n / 10, 0);
    (0..n).for_each(|_| assert!(check(ids.fresh())));
    let mut input = Vec::new();
    Box::new(move |n| {
        input.clear();
        input.extend((0..n).map(|i| if i % 2 == 0 { ids.fresh() } else { ids.repeated() }));
        timed(|| input.iter().for_each(|id| _ = black_box(check(black_box(*id)))))
    })
}

/// Checks of something that never forgets: from `n` ids to twice as many, then begun anew.
fn growing<C: Fn(u128) -> bool + 'static>(n: usize, make: impl Fn() -> C + 'static) -> Work {
    let mut work = checks(n, make());
    let mut done = 0;
    Box::new(move |ops| {
        if done > n as u64 * 2 {
            (work, done) = (checks(n, make()), 0);
        }
        done += ops;
        work(ops)
    })
}

pub(crate) fn ours(n: usize) -> impl Fn(u128) -> bool + Send + Sync {
    let cache = DedupCache::<u128>::builder(LONG, OnFull::ForgetOldest).capacity(n).build();
    move |id| cache.check(&id) == Seen::Fresh
}

fn ours_given(n: usize) -> impl Fn(u128) -> bool {
    let cache = DedupCache::<u128>::builder(LONG, OnFull::ForgetOldest).capacity(n).clock(Given).build();
    move |id| cache.check_at(&id, Given::NOW) == Seen::Fresh
}

/// The one call that is atomic; a look and an insert would let two threads take one id for new. For any thread, as ours.
pub(crate) fn moka(n: usize, policy: EvictionPolicy) -> impl Fn(u128) -> bool + Send + Sync {
    let cache = moka::sync::Cache::builder()
        .max_capacity(n as u64)
        .time_to_live(LONG)
        .eviction_policy(policy)
        .build_with_hasher(RandomState::new());
    move |id| cache.entry(id).or_insert(()).is_fresh()
}

/// For one thread, so behind a lock.
fn mini_moka(n: usize) -> impl Fn(u128) -> bool {
    let cache = Mutex::new(
        mini_moka::unsync::Cache::builder()
            .max_capacity(n as u64)
            .time_to_live(LONG)
            .build_with_hasher(RandomState::new()),
    );
    move |id| {
        let mut cache = cache.lock().unwrap();
        let is_fresh = !cache.contains_key(&id);
        if is_fresh {
            cache.insert(id, ());
        }
        is_fresh
    }
}

/// For one thread, so behind a lock. A duplicate lives on from now, which saves a look.
fn ttl_cache(n: usize) -> impl Fn(u128) -> bool {
    let cache = Mutex::new(TtlCache::with_hasher(n, RandomState::new()));
    move |id| cache.lock().unwrap().insert(id, (), LONG).is_none()
}

/// For one thread, so behind a lock. Knows no time; a duplicate becomes the newest, which saves a look.
pub(crate) fn lru(n: usize) -> impl Fn(u128) -> bool + Send + Sync {
    let cache = Mutex::new(LruCache::new(NonZeroUsize::new(n).unwrap()));
    move |id| cache.lock().unwrap().put(id, ()).is_none()
}

/// The same with lives of its ids.
fn lru_with_times(n: usize) -> impl Fn(u128) -> bool {
    let cache = Mutex::new(LruCache::<u128, Instant>::new(NonZeroUsize::new(n).unwrap()));
    move |id| {
        let now = SystemTimer.now();
        let mut cache = cache.lock().unwrap();
        let seen_at = cache.get_or_insert_mut(id, || Instant::MAX);
        let is_fresh = *seen_at == Instant::MAX || now.saturating_duration_since(*seen_at) >= LONG;
        if is_fresh {
            *seen_at = now;
        }
        is_fresh
    }
}

/// The form for one thread, behind a lock: faster than its own locks. Knows no time.
fn quick_cache(n: usize) -> impl Fn(u128) -> bool {
    let cache = Mutex::new(quick_cache::unsync::Cache::new(n));
    move |id| {
        let mut cache = cache.lock().unwrap();
        let is_fresh = cache.get(&id).is_none();
        if is_fresh {
            cache.insert(id, ());
        }
        is_fresh
    }
}

/// Never forgets anything: what a service has that sweeps by hand, now and then.
fn dash_map(n: usize) -> impl Fn(u128) -> bool + use<> {
    let map = DashMap::<u128, Instant, _>::with_capacity_and_hasher(n * 2, RandomState::new());
    move |id| {
        let now = SystemTimer.now();
        match map.entry(id) {
            Entry::Occupied(mut entry) => {
                let is_over = now.saturating_duration_since(*entry.get()) >= LONG;
                if is_over {
                    entry.insert(now);
                }
                is_over
            }
            Entry::Vacant(entry) => {
                entry.insert(now);
                true
            }
        }
    }
}

/// The least, if nothing had to be forgotten.
fn hash_set(n: usize) -> impl Fn(u128) -> bool + use<> {
    let set = Mutex::new(HashSet::with_capacity_and_hasher(n * 2, RandomState::new()));
    move |id| set.lock().unwrap().insert(id)
}

/// The least that holds no more than it may.
pub(crate) fn hash_set_and_ring(n: usize) -> impl Fn(u128) -> bool + Send + Sync {
    let both = Mutex::new((HashSet::with_capacity_and_hasher(n * 2, RandomState::new()), VecDeque::with_capacity(n)));
    move |id| {
        let (set, ring) = &mut *both.lock().unwrap();
        let is_fresh = set.insert(id);
        if is_fresh {
            if ring.len() == n
                && let Some(oldest) = ring.pop_front()
            {
                set.remove(&oldest);
            }
            ring.push_back(id);
        }
        is_fresh
    }
}
