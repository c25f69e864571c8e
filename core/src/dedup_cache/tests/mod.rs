mod claims;
mod list;
mod values;
mod vectors;

use core::{
    cell::{Cell, RefCell},
    hash::BuildHasherDefault,
};
use std::{collections::hash_map::DefaultHasher, format, rc::Rc, string::String};

use super::*;
use crate::{foundation::shared::Shared, test_util::ManualClock};

type Cache<const N: usize> = DedupCache<&'static str, N>;

const TTL: Duration = Duration::from_secs(10);

static HEARD: std::sync::Mutex<DedupCache<[u8; 16], 64>> =
    std::sync::Mutex::new(DedupCache::new(TTL, OnFull::Refuse).with_lease(Duration::from_secs(1)));

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn cache<const N: usize>(on_full: OnFull) -> Cache<N> {
    DedupCache::new(TTL, on_full)
}

fn dup(millis: u64, count: u32) -> Seen {
    Seen::Duplicate { first_seen_at: at(millis), count }
}

fn claim<const N: usize>(cache: &mut Cache<N>, key: &'static str, now: Instant) -> ClaimTicket {
    match cache.claim(&key, now) {
        Claim::Fresh(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

fn conserves<K, S: Storage, H, V>(cache: &DedupCacheIn<K, S, H, V>) {
    let stats = cache.stats();
    assert_eq!(
        stats.fresh,
        stats.held + stats.expired + stats.forgotten + stats.removed + stats.aborted + stats.given_up
    );
    assert_eq!(stats.claimed, stats.pending + stats.committed + stats.aborted + stats.given_up);
    assert_eq!(stats.held, cache.len() as u64);
}

#[test]
fn a_cleanup_may_be_done_in_parts() {
    let mut cache: DedupCache<u32, 10> = DedupCache::new(TTL, OnFull::Refuse);
    assert!((0..10).all(|id| cache.check(&id, at(u64::from(id))).is_fresh()));
    assert_eq!(cache.cleanup_some(3, drop, at(10_005)), 3);
    assert_eq!(cache.next_deadline(), Some(at(10_003)));
    assert_eq!(cache.cleanup_some(100, drop, at(10_005)), 3);
    assert_eq!(cache.cleanup_some(100, drop, at(10_005)), 0);
    conserves(&cache);
}

#[test]
fn seed_9_4_the_set_is_bounded_and_never_forgets_in_silence() {
    let mut cache = cache::<2>(OnFull::Refuse);
    assert!(cache.check(&"a", at(0)).is_fresh());
    assert!(cache.check(&"b", at(1)).is_fresh());
    assert_eq!(cache.check(&"c", at(2)), Seen::Full);
    assert_eq!(cache.check(&"a", at(3)), dup(0, 1));
    assert_eq!(cache.horizon(at(3)), TTL);
    assert_eq!(cache.stats().refused, 1);
    // A life later there is room again.
    assert!(cache.check(&"c", at(10_000)).is_fresh());
    conserves(&cache);
}

#[test]
fn seed_9_4_a_duplicate_or_refused_id_evicts_nothing() {
    for on_full in [OnFull::ForgetOldest, OnFull::Refuse] {
        let mut cache = cache::<2>(on_full);
        assert!(cache.check(&"a", at(0)).is_fresh());
        assert!(cache.check(&"b", at(1)).is_fresh());
        for millis in 2..100 {
            assert_eq!(cache.check(&"b", at(millis)), dup(1, millis as u32 - 1));
            assert!(cache.seen("a", at(millis)));
        }
    }
}

#[test]
fn seed_9_4_check_and_mark_are_one_step() {
    let mut cache = cache::<2>(OnFull::Refuse);
    let fresh = (0..100).filter(|_| cache.check(&"a", at(0)).is_fresh()).count();
    assert_eq!(fresh, 1);
}

#[test]
fn seed_9_4_a_flood_shortens_the_horizon_and_says_so() {
    let mut cache: DedupCache<u32, 8> = DedupCache::new(TTL, OnFull::ForgetOldest);
    assert_eq!(cache.horizon(at(0)), TTL);
    for id in 0..1_000 {
        assert!(cache.check(&id, at(u64::from(id))).is_fresh());
    }
    // The last eight are held: those younger than 8 ms, counted from the last reading.
    assert_eq!(cache.horizon(at(999)), Duration::from_millis(8));
    for id in 0..1_000 {
        assert_eq!(cache.seen(&id, at(999)), id > 991);
    }
    // A life after the last loss the window is whole again.
    assert_eq!(cache.horizon(at(10_990)), Duration::from_millis(9_999));
    assert_eq!(cache.horizon(at(10_991)), TTL);
    conserves(&cache);
}

#[test]
fn d9_the_newest_id_is_always_kept() {
    let mut cache: DedupCache<u32, 100> = DedupCache::new(TTL, OnFull::ForgetOldest);
    for _ in 0..50 {
        for hot in 0..100 {
            let _ = cache.check(&hot, at(0));
        }
    }
    for id in 1_000..1_100 {
        assert!(cache.check(&id, at(1)).is_fresh());
        assert!(!cache.check(&id, at(1)).is_fresh());
    }
    assert!((1_000..1_100).all(|id| cache.seen(&id, at(1))));
}

#[test]
fn d10_the_cap_holds_at_every_instant() {
    let mut cache: DedupCache<u32, 100> = DedupCache::new(TTL, OnFull::ForgetOldest);
    for id in 0..10_000 {
        assert!(cache.check(&id, at(u64::from(id) / 50)).is_fresh());
        assert!(cache.len() <= 100);
        let live = (id.saturating_sub(300)..=id).filter(|id| cache.seen(id, at(u64::from(*id) / 50))).count();
        assert!(live <= 100);
    }
}

#[test]
fn after_a_step_back_no_id_outlives_one_life() {
    let mut cache = cache::<4>(OnFull::ForgetOldest);
    let year = 365 * 86_400_000;
    assert!(cache.check(&"a", at(year)).is_fresh());
    let lost = claim(&mut cache, "b", at(year));
    assert_eq!(cache.check(&"a", at(1_000)), dup(year, 1));
    assert!(cache.seen("a", at(10_999)) && cache.seen("b", at(10_999)));
    assert_eq!(cache.next_deadline(), Some(at(11_000)));
    assert!(!cache.seen("a", at(11_000)) && !cache.seen("b", at(11_000)));
    assert_eq!(cache.cleanup(at(11_000)), 2);
    assert_eq!(cache.commit(lost, at(11_000)), Err(ClaimLost));
    conserves(&cache);
}

#[test]
fn what_comes_while_readings_are_behind_lives_for_its_life_at_least_and_another_at_most() {
    let mut cache = cache::<4>(OnFull::ForgetOldest);
    let year = 365 * 86_400_000;
    assert!(cache.check(&"a", at(year)).is_fresh());
    assert!(cache.check(&"b", at(1_000)).is_fresh());
    assert!(cache.check(&"c", at(10_999)).is_fresh());
    assert!(!cache.seen("a", at(11_000)));
    assert!(cache.seen("b", at(11_000)) && cache.seen("c", at(20_999)));
    assert!(!cache.seen("b", at(21_000)) && !cache.seen("c", at(21_000)));
    conserves(&cache);
}

#[test]
fn found_a11_a_late_reading_ages_nobody() {
    for late in [299, 1, 300_000, 600_000, 700_000] {
        let mut cache: Cache<4> = DedupCache::new(Duration::from_secs(600), OnFull::Refuse);
        let marked = 1_000_000;
        assert!(cache.check(&"a", at(marked)).is_fresh());
        for _ in 0..3 {
            let _ = cache.check(&"b", at(marked - late));
            let _ = cache.claim(&"c", at(marked - late));
        }
        assert!(cache.seen("a", at(marked + 301_000)) && cache.seen("b", at(marked + 301_000)), "{late}");
        assert!(cache.seen("a", at(marked + 599_999)), "{late}");
        assert_eq!(cache.horizon(at(marked + 599_999)), Duration::from_secs(600));
        assert!(!cache.seen("a", at(marked + 600_000)), "{late}");
    }
}

#[test]
fn found_e1_a_time_out_alone_notices_a_step_back() {
    let mut cache = cache::<4>(OnFull::Refuse).with_lease(Duration::from_secs(3));
    let _lost = claim(&mut cache, "a", at(86_400_000));
    assert!(cache.check(&"b", at(86_400_000)).is_fresh());
    cache.on_timeout(at(1_000));
    assert_eq!(cache.next_deadline(), Some(at(4_000)));
    cache.on_timeout(at(4_000));
    assert_eq!((cache.len(), cache.next_deadline()), (1, Some(at(11_000))));
    cache.on_timeout(at(11_000));
    assert_eq!((cache.len(), cache.next_deadline()), (0, None));
    conserves(&cache);
}

#[test]
fn found_a14_a_cache_full_of_ids_whose_life_has_ended_serves_every_new_one() {
    let mut cache: DedupCache<u32, 100> = DedupCache::new(TTL, OnFull::Refuse).with_lease(Duration::from_secs(1));
    for round in 0..20_u32 {
        // Every other one is claimed, and never committed.
        for id in 0..100 {
            let now = at(u64::from(round) * 10_000);
            let id = round * 100 + id;
            let is_new = if id % 2 == 0 {
                cache.check(&id, now).is_fresh()
            } else {
                matches!(cache.claim(&id, now), Claim::Fresh(_))
            };
            assert!(is_new, "{id} in round {round}");
        }
        assert_eq!(cache.len(), 100);
    }
    assert_eq!(cache.stats().refused, 0);
    conserves(&cache);
}

#[test]
fn the_order_of_age_survives_a_step_back() {
    let mut cache = cache::<3>(OnFull::ForgetOldest);
    let day = 86_400_000;
    for (key, millis) in [("a", day + 5_000), ("b", day + 9_000), ("c", day + 7_000), ("d", 1_000)] {
        assert!(cache.check(&key, at(millis)).is_fresh());
    }
    assert!(!cache.seen("a", at(1_000)));
    assert!(cache.check(&"e", at(11_000)).is_fresh());
    assert!(!cache.seen("b", at(11_000)));
    assert!(cache.seen("c", at(20_999)) && cache.seen("d", at(20_999)));
}

#[test]
fn the_ends_of_time_are_borne() {
    let mut cache: Cache<2> = DedupCache::new(Duration::MAX, OnFull::ForgetOldest);
    for now in [Instant::MAX, Instant::ZERO, Instant::MAX, at(5)] {
        let _ = cache.check(&"a", now);
        let _ = cache.claim(&"b", now);
        cache.cleanup(now);
        conserves(&cache);
    }
    assert!(cache.seen("a", at(6)));
}

#[test]
fn a_text_is_looked_up_without_owning_it() {
    let mut cache: DedupCache<String, 2, BuildHasherDefault<DefaultHasher>> =
        DedupCache::with_hasher(TTL, OnFull::Refuse, BuildHasherDefault::default());
    let hash = cache.hash("a");
    let mut spare = None;
    assert_eq!(cache.check_with(hash, "a", &mut spare, || at(0)), None, "a new one needs a key");
    assert!(cache.is_empty());
    spare = Some(("a".into(), ()));
    assert_eq!(cache.check_with(hash, "a", &mut spare, || at(0)), Some(Seen::Fresh));
    assert_eq!(spare, None);
    assert_eq!(cache.check_with(hash, "a", &mut spare, || at(0)), Some(dup(0, 1)));
    assert!(cache.seen("a", at(0)));
}

#[test]
fn a_refused_id_is_not_owned_and_a_forgotten_one_is_given_back() {
    let mut cache: DedupCache<String, 1> = DedupCache::new(TTL, OnFull::Refuse);
    assert!(cache.check(&"a".into(), at(0)).is_fresh());
    let hash = cache.hash("b");
    assert_eq!(cache.check_with(hash, "b", &mut None, || at(0)), Some(Seen::Full));
    let mut spare = Some(("b".into(), ()));
    assert_eq!(cache.check_with(hash, "b", &mut spare, || at(10_000)), Some(Seen::Fresh));
    assert_eq!(spare, Some(("a".into(), ())));
}

#[test]
fn a_new_seed_keeps_every_id() {
    let mut cache: DedupCache<u32, 50> = DedupCache::new(TTL, OnFull::Refuse);
    assert!((0..50).all(|id| cache.check(&id, at(0)).is_fresh()));
    cache.reseed(HashSeed::new(1, 2));
    assert!((0..50).all(|id| !cache.check(&id, at(1)).is_fresh()));
    assert_eq!(cache.cleanup(at(10_000)), 50);
    assert!(cache.is_empty());
}

#[test]
fn a_static_cache_works() {
    let mut heard = HEARD.lock().unwrap();
    assert!(heard.check(&[7; 16], at(0)).is_fresh());
    assert!(heard.seen(&[7; 16], at(0)));
}

#[test]
fn an_id_costs_its_key_its_instant_its_state_a_tag_two_links_and_two_cells() {
    fn of_one_id<V>() -> usize {
        type Cache<const N: usize, V> = DedupCache<[u8; 16], N, HashSeed, V>;
        (size_of::<Cache<65, V>>() - size_of::<Cache<1, V>>()) / 64
    }
    assert_eq!(of_one_id::<()>(), 16 + 8 + 4 + 2 + 2 + 2 * 2 + 2 * 2, "with two bytes of padding");
    assert_eq!(of_one_id::<u16>(), of_one_id::<()>(), "a value of two bytes lies in the padding");
    // On a server: two cells of eight bytes and two links of four beside what is held.
    assert_eq!(size_of::<Option<Held<u64, (), u32>>>() + 2 * 8 + 2 * 4, 48);
    assert_eq!(size_of::<Option<Held<u128, (), u32>>>() + 2 * 8 + 2 * 4, 56);
}

#[test]
fn a_count_stays_at_its_end() {
    let state = (0..5).fold(State::MARKED, |state, _| state.repeated());
    assert_eq!(state.repeats(), 5);
    assert!(!state.is_claimed());
    let claimed = State::claimed(3);
    assert_eq!(claimed.repeated(), claimed);
    assert_eq!(claimed.repeats(), 0);
}

#[test]
fn what_is_shown_holds_no_id() {
    let mut cache = cache::<2>(OnFull::Refuse);
    let _ = cache.check(&"secret", at(0));
    let shown = format!("{cache:?} {ClaimLost}");
    assert!(shown.contains("held: 1") && !shown.contains("secret"), "{shown}");
}

#[test]
fn a_cache_tells_how_much_it_holds_and_what_it_has_seen() {
    let mut machine = cache::<4>(OnFull::Refuse);
    assert!(machine.is_empty());
    assert_eq!(machine.capacity(), 4);
    assert_eq!(machine.check(&"a", Instant::ZERO), Seen::Fresh);
    assert!(!machine.is_empty());
    let shared: Shared<Cache<4>, _, _> = Shared::new(RefCell::new(machine), ManualClock::default());
    assert!(shared.seen(&"a") && !shared.seen(&"b"));
    assert_eq!(format!("{ClaimLost}"), "the claim was over before it was committed");
}

#[test]
fn another_ttl_holds_for_every_id_from_when_it_was_marked() {
    let mut cache: Cache<4> = cache(OnFull::Refuse);
    assert!(cache.check(&"a", at(0)).is_fresh());
    assert!(cache.check(&"b", at(6_000)).is_fresh());
    cache.set_settings(TTL / 2, TTL / 2, OnFull::Refuse, at(7_000));
    assert_eq!([cache.seen(&"a", at(7_000)), cache.seen(&"b", at(7_000))], [false, true]);
    assert_eq!(cache.check(&"b", at(10_999)), dup(6_000, 1));
    cache.set_settings(TTL, TTL, OnFull::ForgetOldest, at(11_000));
    assert_eq!(cache.check(&"b", at(15_999)), dup(6_000, 2), "its entry was not needed yet");
    assert_eq!(cache.check(&"b", at(16_000)), Seen::Fresh);
    for key in ["c", "d", "e", "f"] {
        assert_eq!(cache.check(&key, at(16_001)), Seen::Fresh, "what is done when it is full changes too");
    }
    conserves(&cache);
}

#[test]
fn the_horizon_says_from_when_on_all_are_known_after_a_longer_ttl() {
    let mut cache: Cache<4> = cache(OnFull::Refuse);
    assert!(cache.check(&"a", at(5_000)).is_fresh());
    assert_eq!(cache.cleanup(at(20_000)), 1);
    cache.set_settings(TTL * 3, TTL, OnFull::Refuse, at(20_000));
    assert_eq!(cache.horizon(at(20_000)), TTL);
    assert_eq!(cache.horizon(at(30_000)), TTL * 2);
    assert_eq!(cache.horizon(at(60_000)), TTL * 3);
}

proptest::proptest! {
    /// Safety: an id within `horizon` is never taken for new. Liveness: after its TTL it is.
    #[test]
    fn whatever_the_settings_were_an_id_is_known_for_the_horizon_and_no_longer_than_the_ttl(
        steps in proptest::collection::vec((0..4_000_u64, 0..6_usize, proptest::option::of(1..12_u64)), 1..120),
    ) {
        let keys = ["a", "b", "c", "d", "e", "f"];
        let (mut cache, mut ttl, mut now) = (cache::<8>(OnFull::Refuse), TTL, 0);
        let mut marked_at = [None; 6];
        for (pause, key, new) in steps {
            now += pause;
            if let Some(secs) = new {
                ttl = Duration::from_secs(secs);
                cache.set_settings(ttl, ttl, OnFull::Refuse, at(now));
            }
            let horizon = cache.horizon(at(now));
            let age = marked_at[key].map(|marked| Duration::from_millis(now - marked));
            let seen = cache.check(&keys[key], at(now));
            if age.is_some_and(|age| age < horizon) {
                proptest::prop_assert!(!seen.is_fresh(), "{:?} within {:?}", age, horizon);
            }
            if age.is_none_or(|age| age >= ttl) {
                proptest::prop_assert!(seen.is_fresh(), "{:?} after {:?}", age, ttl);
            }
            if seen.is_fresh() {
                marked_at[key] = Some(now);
            }
            conserves(&cache);
        }
    }
}

#[test]
fn settings_change_behind_the_lock_too() {
    let clock = ManualClock::new(at(0));
    let cache = Shared::new(RefCell::new(cache::<2>(OnFull::Refuse)), clock.clone());
    assert!(cache.check(&"a").is_fresh());
    cache.set_settings(TTL / 10, TTL / 10, OnFull::ForgetOldest);
    clock.advance(TTL / 10);
    assert!(cache.check(&"a").is_fresh());
}
