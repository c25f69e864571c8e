//! Keys that were chosen to collide: what they cost, counted in comparisons of keys and in hashes made, never in time.

use std::{
    cell::Cell,
    hash::{BuildHasher, Hash, Hasher},
    sync::OnceLock,
    time::Duration,
};

use steadfast_core::{
    Breakers, CachedRateLimiter, DedupCache, Gcra, HashSeed, Instant, KeyedCorrelator, RateLimiter, Reset, Trip,
    circuit_breaker::Outcome, dedup_cache::OnFull, rate_limiter::Keys,
};

/// The entries of each table; as many keys are put in, and as many again are looked for in vain.
const ENTRIES: usize = 1_024;

const NOW: Instant = Instant::from_secs(1_000);
const HOUR: Duration = Duration::from_secs(3_600);

thread_local! {
    static COMPARED: Cell<u64> = const { Cell::new(0) };
    static HASHED: Cell<u64> = const { Cell::new(0) };
}

/// A key that counts what is done with it.
#[derive(Clone, Copy, Debug, Eq)]
struct Key(u64);

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        COMPARED.set(COMPARED.get() + 1);
        self.0 == other.0
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        HASHED.set(HASHED.get() + 1);
        self.0.hash(state);
    }
}

/// One that keeps its keys; without them there is nothing to compare.
type Limiter = RateLimiter<Key, Gcra, ENTRIES, HashSeed, Keys>;

/// What a caller pays for one key.
#[derive(Clone, Copy, Debug)]
struct Cost {
    comparisons: f64,
    hashes: f64,
}

/// A machine of `ENTRIES` keys, and its hash's secret.
trait Keyed {
    fn with(seed: HashSeed) -> Box<Self>;
    fn reseed(&mut self, seed: HashSeed);
    /// Whatever makes or finds the entry of a key.
    fn ask(&mut self, key: &Key);
}

macro_rules! keyed {
    ($machine:ty, $new:expr, $ask:expr) => {
        impl Keyed for $machine {
            fn with(seed: HashSeed) -> Box<Self> {
                let mut machine: Box<Self> = Box::new($new);
                machine.reseed(seed);
                machine
            }

            fn reseed(&mut self, seed: HashSeed) {
                <$machine>::reseed(self, seed);
            }

            fn ask(&mut self, key: &Key) {
                let ask: fn(&mut Self, &Key) = $ask;
                ask(self, key);
            }
        }
    };
}

keyed!(Limiter, Self::with_hasher(Gcra::per_hour(1), HashSeed::FIXED), |limiter, key| _ = limiter.allow(key, NOW));
keyed!(
    CachedRateLimiter<Key, u8, Gcra, ENTRIES>,
    Self::new(Gcra::per_hour(1), HOUR),
    |limiter, key| _ = limiter.allow_or_cached(key, NOW)
);
keyed!(
    Breakers<Key, ENTRIES>,
    Self::new(Trip::consecutive(9), Reset::after(HOUR)),
    |breakers, key| {
        let permit = breakers.try_acquire(key, NOW).expect("nine failures are needed");
        breakers.record(key, permit, Outcome::Failure, NOW);
    }
);
keyed!(
    DedupCache<Key, ENTRIES>,
    Self::new(HOUR, OnFull::Refuse),
    |cache, key| _ = cache.check(key, NOW)
);
keyed!(
    KeyedCorrelator<Key, u8, ENTRIES>,
    Self::new(),
    |calls, key| _ = calls.begin(*key, HOUR, NOW)
);

/// The mean cost of putting in the first half of `keys`, finding each of them, and looking for the other half in vain.
fn cost<M: Keyed>(machine: &mut M, keys: &[u64]) -> Cost {
    let (present, absent) = keys.split_at(keys.len() / 2);
    COMPARED.set(0);
    HASHED.set(0);
    for key in present.iter().chain(present).chain(absent) {
        machine.ask(&Key(*key));
    }
    let asked = (2 * present.len() + absent.len()) as f64;
    Cost { comparisons: COMPARED.get() as f64 / asked, hashes: HASHED.get() as f64 / asked }
}

/// As many keys as a table has, and as many again, of those that `is_chosen`.
fn chosen(candidates: impl Iterator<Item = u64>, is_chosen: impl Fn(u64) -> bool) -> Vec<u64> {
    let keys: Vec<u64> = candidates.filter(|key| is_chosen(*key)).take(2 * ENTRIES).collect();
    assert_eq!(keys.len(), 2 * ENTRIES);
    keys
}

fn random_keys() -> Vec<u64> {
    let secret = HashSeed::new(11, 12);
    chosen((0..).map(|index: u64| secret.hash_one(index)), |_| true)
}

fn fnv(key: u64) -> u64 {
    key.to_le_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Keys that land on one another in the tables that are usual: those that index by the low or by the high bits of the key
/// itself, or of FNV-1a.
fn colliding_keys() -> [(&'static str, Vec<u64>); 5] {
    [
        ("one after the other", (0..2 * ENTRIES as u64).collect()),
        ("equal low half", (0..2 * ENTRIES as u64).map(|key| key << 32).collect()),
        ("equal high half", (0..2 * ENTRIES as u64).map(|key| 0x1234_5678 << 32 | key).collect()),
        ("equal low bits of FNV", chosen(0.., |key| fnv(key) & 0x1ff == 7)),
        ("equal high bits of FNV", chosen(0.., |key| fnv(key) >> 55 == 7)),
    ]
}

fn colliding_keys_cost_no_more_than_random_ones<M: Keyed>() {
    for secret in [HashSeed::new(1, 2), HashSeed::new(u64::MAX, 0), HashSeed::FIXED] {
        let fair = cost(&mut *M::with(secret.clone()), &random_keys());
        for (how, keys) in colliding_keys() {
            let cost = cost(&mut *M::with(secret.clone()), &keys);
            assert!(cost.comparisons <= 2.0 * fair.comparisons, "{how}: {cost:?}, at random {fair:?}");
            assert!((cost.hashes - fair.hashes).abs() < f64::EPSILON, "{how}: {cost:?}, at random {fair:?}");
        }
    }
}

#[test]
fn keys_that_collide_elsewhere_cost_no_more_than_others() {
    colliding_keys_cost_no_more_than_random_ones::<Limiter>();
    colliding_keys_cost_no_more_than_random_ones::<CachedRateLimiter<Key, u8, Gcra, ENTRIES>>();
    colliding_keys_cost_no_more_than_random_ones::<Breakers<Key, ENTRIES>>();
    colliding_keys_cost_no_more_than_random_ones::<DedupCache<Key, ENTRIES>>();
    colliding_keys_cost_no_more_than_random_ones::<KeyedCorrelator<Key, u8, ENTRIES>>();
}

const AIMED: usize = 64;

/// Keys that share all that a slot keeps of a hash: its upper 16 bits.
fn aimed_keys() -> &'static [u64] {
    static KEYS: OnceLock<Vec<u64>> = OnceLock::new();
    let print = |key: u64| HashSeed::FIXED.hash_one(Key(key)) >> 48;
    KEYS.get_or_init(|| (0..).filter(|key| print(*key) == 7).take(2 * AIMED).collect())
}

/// Whoever knows the secret can make every key collide: each costs a comparison with all that are there, which is the
/// capacity at most. Another secret ends that, and loses no entry.
fn a_known_secret_costs_the_capacity_until_there_is_another<M: Keyed>() {
    let known = HashSeed::FIXED;
    let keys = aimed_keys();
    let fair = cost(&mut *M::with(known.clone()), &random_keys()[..2 * AIMED]);

    let mut machine = M::with(known.clone());
    let aimed = cost(&mut *machine, keys);
    assert!(aimed.comparisons > 30.0 * fair.comparisons, "{aimed:?}, at random {fair:?}");
    assert!(aimed.comparisons <= 2.0 * ENTRIES as f64, "{aimed:?}");

    machine.reseed(HashSeed::new(3, 4));
    let (present, _) = keys.split_at(AIMED);
    COMPARED.set(0);
    present.iter().for_each(|key| machine.ask(&Key(*key)));
    let after = COMPARED.get() as f64 / AIMED as f64;
    // All are found, so each is compared with itself at least.
    assert!((1.0..=2.0 * fair.comparisons + 1.0).contains(&after), "{after}, at random {fair:?}");
}

/// A limiter compares keys of the same fingerprint only: what shares all that other tables keep costs nothing more.
#[test]
fn a_limiter_compares_no_keys_that_share_a_part_of_their_hash() {
    let aimed = cost(&mut *Limiter::with(HashSeed::FIXED), aimed_keys());
    assert!(aimed.comparisons <= 1.0, "{aimed:?}");
}

#[test]
fn a_known_secret_is_a_way_in_and_another_closes_it() {
    a_known_secret_costs_the_capacity_until_there_is_another::<Breakers<Key, ENTRIES>>();
    a_known_secret_costs_the_capacity_until_there_is_another::<DedupCache<Key, ENTRIES>>();
    a_known_secret_costs_the_capacity_until_there_is_another::<KeyedCorrelator<Key, u8, ENTRIES>>();
}
