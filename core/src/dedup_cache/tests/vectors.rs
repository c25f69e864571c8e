//! The vectors of the seed.

use super::*;

#[test]
fn vector_01_the_second_is_a_duplicate() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert_eq!(cache.check(&"a", at(0)), Seen::Fresh);
    assert_eq!(cache.check(&"a", at(0)), dup(0, 1));
}

#[test]
fn vector_02_it_lives_until_its_end_and_not_at_it() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert!(cache.check(&"a", at(0)).is_fresh());
    assert_eq!(cache.check(&"a", at(9_999)), dup(0, 1));
    assert!(cache.check(&"a", at(10_000)).is_fresh());
    conserves(&cache);
}

#[test]
fn vector_03_expiry_holds_on_a_read() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert!(cache.check(&"a", at(0)).is_fresh());
    assert!(cache.seen("a", at(5_000)));
    assert!(!cache.seen("a", at(10_000)));
}

#[test]
fn vector_04_seen_does_not_mark() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert!(!cache.seen("a", at(0)));
    assert!(cache.check(&"a", at(0)).is_fresh());
}

#[test]
fn vector_05_a_marked_id_is_known() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert_eq!(cache.mark(&"a", at(0)), Seen::Fresh);
    assert_eq!(cache.check(&"a", at(1_000)), dup(0, 1));
}

#[test]
fn vector_06_a_duplicate_does_not_extend() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert!(cache.check(&"a", at(0)).is_fresh());
    assert_eq!(cache.check(&"a", at(8_000)), dup(0, 1));
    assert!(cache.check(&"a", at(11_000)).is_fresh());
}

#[test]
fn vector_07_a_mark_refreshes() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert_eq!(cache.mark(&"a", at(0)), Seen::Fresh);
    assert_eq!(cache.mark(&"a", at(8_000)), dup(0, 1));
    assert!(cache.seen("a", at(11_000)));
    assert_eq!(cache.check(&"a", at(11_000)), dup(8_000, 1));
    conserves(&cache);
}

#[test]
fn vector_08_the_oldest_is_forgotten() {
    let mut cache = cache::<2>(OnFull::ForgetOldest);
    for (key, millis) in [("a", 0), ("b", 1), ("c", 2)] {
        assert!(cache.check(&key, at(millis)).is_fresh());
    }
    assert!(!cache.seen("a", at(3)));
    assert!(cache.seen("b", at(3)) && cache.seen("c", at(3)));
    conserves(&cache);
}

#[test]
fn vector_09_cleanup_removes_what_is_over() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert!(cache.check(&"a", at(0)).is_fresh());
    assert!(cache.check(&"b", at(5_000)).is_fresh());
    assert_eq!(cache.next_deadline(), Some(at(10_000)));
    assert_eq!(cache.cleanup(at(9_999)), 0);
    assert_eq!(cache.cleanup(at(10_000)), 1);
    assert!(!cache.seen("a", at(10_000)) && cache.seen("b", at(10_000)));
    assert_eq!(cache.next_deadline(), Some(at(15_000)));
    conserves(&cache);
}

#[test]
fn vector_11_the_empty_key_is_a_key() {
    let mut cache = cache::<4>(OnFull::Refuse);
    assert!(cache.check(&"", at(0)).is_fresh());
    assert_eq!(cache.check(&"", at(1)), dup(0, 1));
}

#[test]
fn vector_12_without_a_life_every_id_is_new() {
    let mut cache: Cache<1> = DedupCache::new(Duration::ZERO, OnFull::Refuse);
    for key in ["a", "a", "b"] {
        assert!(cache.check(&key, at(1)).is_fresh());
    }
    assert_eq!(cache.horizon(at(1)), Duration::ZERO);
    conserves(&cache);
}

#[test]
fn vector_13_what_failed_may_come_again() {
    let mut cache = cache::<4>(OnFull::Refuse);
    let ticket = claim(&mut cache, "a", at(0));
    assert_eq!(cache.claim(&"a", at(1)), Claim::InFlight);
    cache.abort(ticket, at(2));
    assert!(!cache.seen("a", at(2)));
    let ticket = claim(&mut cache, "a", at(3));
    assert_eq!(cache.commit(ticket, at(4)), Ok(()));
    assert_eq!(cache.claim(&"a", at(5)), Claim::Duplicate { first_seen_at: at(4), count: 1, value: () });
    assert!(cache.seen("a", at(10_003)) && !cache.seen("a", at(10_004)));
    conserves(&cache);
}
