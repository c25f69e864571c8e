//! One check of a limiter by key: every key is known, and everything is allowed.

mod crowds;

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    hint::black_box,
    num::NonZeroU32,
    sync::Mutex,
    time::Duration,
};

use ahash::RandomState;
use governor::{
    RateLimiter as Governor,
    clock::{Clock as GovernorClock, DefaultClock},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::keyed::DashMapStateStore,
};
use steadfast::{
    Gcra, RateLimiter, SlidingLog,
    runtime::{Clock, SystemTimer, TickClock},
};

use super::{Plan, count};
use crate::{
    options::Options,
    run::{
        Goal::{Faster, Within},
        Row,
    },
    work::{Given, all_keys, over, over_one, over_two, requests, text},
};

/// More than any key uses up while it is measured.
const RATE: u32 = 1_000_000;

/// What ours hashes with; governor takes it as its parameter.
pub(super) const AHASH: &str = "aHash";

const SLOT: &str = "a lock and a slot";
const SLOT_AND_CLOCK: &str = "a lock, a clock and a slot";

pub(super) fn rows(options: &Options) -> Vec<Plan> {
    let mut rows = Vec::new();
    for (keys, own, given, threaded) in
        [(1_000, 1.3, Some(1.7), Some(1.35)), (100_000, 1.2, None, None), (1_000_000, 1.5, Some(1.6), Some(1.6))]
    {
        let n = options.keys(keys);
        let name = format!("keyed check, u64, {}", count(n));
        rows.push(Plan::new(format!("{name}, own clocks"), move || {
            let asked = requests(n, |key| key);
            Row::new(over(&asked, ours(n)))
                .peer("governor", Faster(own), over(&asked, governor(n, DefaultClock::default())))
                .floor(SLOT_AND_CLOCK, None, over(&asked, slots(all_keys(n), SystemTimer)))
                .hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, one clock"), move || {
            let asked = requests(n, |key| key);
            Row::new(over(&asked, ours(n))).peer("governor", None, over(&asked, governor(n, OurClock))).hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, `now` given"), move || {
            let asked = requests(n, |key| key);
            Row::new(over(&asked, ours_given(n)))
                .peer("governor", given.map(Faster), over(&asked, governor(n, GivenClock)))
                .floor("hash map, one lock", Within(1.5), over(&asked, map(n)))
                .floor(SLOT, None, over(&asked, slots(all_keys(n), Given)))
                .hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, 2 threads"), move || {
            let asked = requests(n, |key| key);
            Row::new(over_two(&asked, ours(n)))
                .peer("governor", threaded.map(Faster), over_two(&asked, governor(n, DefaultClock::default())))
                .peer("ours from one thread", Faster(1.0), over_one(&asked, ours(n)))
                .floor("hash map, one lock", None, over_two(&asked, map(n)))
                .floor(
                    "a lock and a clock in each slot",
                    None,
                    over_two(&asked, locked_slots(all_keys(n), SystemTimer)),
                )
                .hashing(AHASH)
        }));
    }
    let n = options.keys(1_000);
    // Not like for like: governor has no such clock.
    rows.push(Plan::new(format!("keyed check, u64, {}, ours by ticks", count(n)), move || {
        let asked = requests(n, |key| key);
        let limiter = filled(|key| key, n, TickClock);
        Row::new(over(&asked, move |key| limiter.allow(key).is_allowed()))
            .peer("governor", Faster(1.8), over(&asked, governor(n, DefaultClock::default())))
            .hashing(AHASH)
    }));
    for (keys, faster) in [(1_000, 1.4), (1_000_000, 4.5)] {
        let (n, goal) = (options.keys(keys), Faster(faster));
        let name = format!("keyed check, text, {}", count(n));
        rows.push(Plan::new(format!("{name}, own clocks"), move || {
            let asked = requests(n, text);
            Row::new(over(&asked, ours_text(n)))
                .peer("governor", goal, over(&asked, governor_text(n, DefaultClock::default())))
                .floor(SLOT_AND_CLOCK, None, over(&asked, slots(all_keys(n).map(text), SystemTimer)))
                .hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, `now` given"), move || {
            let asked = requests(n, text);
            let limiter = filled(text, n, Given);
            let ours = move |key: &String| limiter.allow_at(key.as_str(), Given::NOW).is_allowed();
            Row::new(over(&asked, ours))
                .peer("governor", goal, over(&asked, governor_text(n, GivenClock)))
                .floor("hash map, one lock", None, over(&asked, map_text(n)))
                .floor(SLOT, None, over(&asked, slots(all_keys(n).map(text), Given)))
                .hashing(AHASH)
        }));
        rows.push(Plan::new(format!("{name}, 5 an hour, one clock"), move || {
            let asked = requests(n, text);
            Row::new(over(&asked, ours_log(n))).peer("the seed's way", None, over(&asked, seed(n))).hashing(AHASH)
        }));
    }
    rows.extend(crowds::rows(options));
    rows
}

fn filled<K: Hash, T: Clock + Clone>(make: impl Fn(u64) -> K, keys: usize, clock: T) -> RateLimiter<K, Gcra, T> {
    let limiter = RateLimiter::builder(Gcra::per_second(RATE).burst(RATE)).capacity(keys).timer(clock).build();
    all_keys(keys).for_each(|key| assert!(limiter.allow(&make(key)).is_allowed()));
    assert_eq!(limiter.len(), keys, "all find room");
    limiter
}

pub(crate) fn ours(keys: usize) -> impl Fn(&u64) -> bool + Sync {
    let limiter = filled(|key| key, keys, SystemTimer);
    move |key| limiter.allow(key).is_allowed()
}

fn ours_given(keys: usize) -> impl Fn(&u64) -> bool + Sync {
    let limiter = filled(|key| key, keys, Given);
    move |key| limiter.allow_at(key, Given::NOW).is_allowed()
}

fn ours_text(keys: usize) -> impl Fn(&String) -> bool + Sync {
    let limiter = filled(text, keys, SystemTimer);
    move |key| limiter.allow(key.as_str()).is_allowed()
}

type Store<K> = DashMapStateStore<K, RandomState>;
pub(super) type Keyed<K, C> = Governor<K, Store<K>, C, NoOpMiddleware<<C as GovernorClock>::Instant>>;

fn governed<K: Eq + Hash + Clone, C: GovernorClock>(make: impl Fn(u64) -> K, keys: usize, clock: C) -> Keyed<K, C> {
    let rate = NonZeroU32::new(RATE).unwrap();
    let quota = governor::Quota::per_second(rate).allow_burst(rate);
    let limiter = Governor::dashmap_with_clock_and_hasher(quota, clock, RandomState::new());
    all_keys(keys).for_each(|key| assert!(limiter.check_key(&make(key)).is_ok()));
    limiter
}

/// Governor's fastest keyed limiter; it does not bound its keys, and takes locks of shards as ours does.
pub(crate) fn governor<C: GovernorClock + Sync + 'static>(keys: usize, clock: C) -> impl Fn(&u64) -> bool + Sync
where
    C::Instant: Sync,
{
    let limiter = governed(|key| key, keys, clock);
    move |key| limiter.check_key(key).is_ok()
}

fn governor_text<C: GovernorClock + 'static>(keys: usize, clock: C) -> impl Fn(&String) -> bool {
    let limiter = governed(text, keys, clock);
    move |key| limiter.check_key(key).is_ok()
}

/// Our clock, for governor.
#[derive(Clone, Copy, Debug)]
struct OurClock;

impl GovernorClock for OurClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(SystemTimer.now().as_nanos())
    }
}

/// The given time, for governor.
#[derive(Clone, Copy, Debug)]
struct GivenClock;

impl GovernorClock for GivenClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(Given.now().as_nanos())
    }
}

/// The least for a check: find the key's number under a lock, and count.
pub(crate) fn map(keys: usize) -> impl Fn(&u64) -> bool + Sync {
    let map = Mutex::new(all_keys(keys).map(|key| (key, 0_u64)).collect::<HashMap<_, _, RandomState>>());
    move |key| {
        let mut map = map.lock().unwrap();
        let state = map.get_mut(key).unwrap();
        *state += 1;
        *state < u64::MAX
    }
}

/// A key, and when it last came.
type Slot<K> = (Option<K>, u64);

/// The least that looks at its key: one slot for a hash. Keys whose hashes meet share it.
struct Slots<K> {
    hasher: RandomState,
    all: Vec<Slot<K>>,
}

impl<K: Eq + Hash> Slots<K> {
    fn new(keys: impl ExactSizeIterator<Item = K>) -> Self {
        let all = (0..keys.len().next_power_of_two()).map(|_| (None, 0)).collect();
        let mut slots = Self { hasher: RandomState::default(), all };
        for key in keys {
            let place = place(&slots.hasher, &key, slots.all.len());
            slots.all[place].0 = Some(key);
        }
        slots
    }
}

/// One of `len` places, a power of two of them.
fn place<K: Hash>(hasher: &RandomState, key: &K, len: usize) -> usize {
    hasher.hash_one(key) as usize & (len - 1)
}

/// No decision and no bound, but what both need: to look at the key, and to keep the time.
fn touch<K: Eq>(slot: &mut Slot<K>, key: &K, clock: &impl Clock) -> bool {
    let is_known = slot.0.as_ref() == Some(key);
    slot.1 = clock.now().as_nanos() + u64::from(is_known);
    slot.1 > 0
}

/// The least from one thread: a lock that stays in its cache.
fn slots<K: Eq + Hash>(keys: impl ExactSizeIterator<Item = K>, clock: impl Clock) -> impl Fn(&K) -> bool {
    let Slots { hasher, all } = Slots::new(keys);
    let (len, all) = (all.len(), Mutex::new(all));
    move |key| {
        let place = place(&hasher, key, len);
        touch(&mut all.lock().unwrap()[place], key, &clock)
    }
}

/// The least from two: nothing but one cache line goes from one to the other.
fn locked_slots<K: Eq + Hash + Send>(
    keys: impl ExactSizeIterator<Item = K>,
    clock: impl Clock + Sync,
) -> impl Fn(&K) -> bool + Sync {
    #[repr(align(64))]
    struct Line<T>(T);

    let Slots { hasher, all } = Slots::new(keys);
    let all: Vec<_> = all.into_iter().map(|slot| Line(Mutex::new(slot))).collect();
    move |key| touch(&mut all[place(&hasher, key, all.len())].0.lock().unwrap(), key, &clock)
}

fn map_text(keys: usize) -> impl Fn(&String) -> bool {
    let map = Mutex::new(all_keys(keys).map(|key| (text(key), 0_u64)).collect::<HashMap<_, _, RandomState>>());
    move |key| {
        let mut map = map.lock().unwrap();
        let state = map.get_mut(key.as_str()).unwrap();
        *state += 1;
        *state < u64::MAX
    }
}

/// Five an hour for each key; the answer is "no" from the sixth on, as it is for most in a flood.
fn ours_log(keys: usize) -> impl Fn(&String) -> bool {
    let limiter = RateLimiter::<String, _>::builder(SlidingLog::<5>::per_hour()).capacity(keys).build();
    for key in all_keys(keys) {
        (0..5).for_each(|_| _ = limiter.allow(text(key).as_str()));
    }
    move |key| !limiter.allow(key.as_str()).is_allowed()
}

/// The Go sketch that this project comes from, in Rust: one lock, a list of times for each key.
fn seed(keys: usize) -> impl Fn(&String) -> bool {
    const WINDOW: Duration = Duration::from_secs(3_600);
    let now = SystemTimer.now();
    let map = all_keys(keys).map(|key| (text(key), VecDeque::from([now; 5])));
    let map = Mutex::new(map.collect::<HashMap<_, _, RandomState>>());
    move |key| {
        let now = SystemTimer.now();
        let mut map = map.lock().unwrap();
        let times = map.get_mut(key.as_str()).unwrap();
        while times.front().is_some_and(|at| now.saturating_duration_since(*at) >= WINDOW) {
            times.pop_front();
        }
        let is_denied = times.len() >= 5;
        if !is_denied {
            times.push_back(now);
        }
        black_box(is_denied)
    }
}
