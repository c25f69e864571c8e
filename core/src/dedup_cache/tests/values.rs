//! What is kept with an id.

use std::{panic, rc::Weak, vec::Vec};

use super::*;

type Answers<const N: usize> = DedupCache<u32, N, HashSeed, Option<Rc<u32>>>;

fn answers<const N: usize>(on_full: OnFull) -> Answers<N> {
    DedupCache::with_hasher(TTL, on_full, HashSeed::FIXED)
}

/// Works on `id`, and keeps an answer; where that lives.
fn answer<const N: usize>(cache: &mut Answers<N>, id: u32, now: Instant) -> Weak<u32> {
    let Claim::Fresh(ticket) = cache.claim(&id, now) else { panic!("{id} is new") };
    let answer = Rc::new(id * 10);
    let weak = Rc::downgrade(&answer);
    cache.commit_with(ticket, &mut Some(answer), now).unwrap();
    weak
}

fn told<const N: usize>(cache: &mut Answers<N>, id: u32, now: Instant) -> Option<u32> {
    match cache.claim(&id, now) {
        Claim::Duplicate { value, .. } => value.map(|answer| *answer),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whoever_comes_again_is_given_the_same_answer_until_the_ttl_ends() {
    let mut cache = answers::<4>(OnFull::Refuse);
    let kept = answer(&mut cache, 7, at(1_000));
    assert_eq!(
        cache.claim(&7, at(2_000)),
        Claim::Duplicate { first_seen_at: at(1_000), count: 1, value: Some(Rc::new(70)) }
    );
    assert!(!cache.check(&7, at(3_000)).is_fresh());
    assert_eq!(told(&mut cache, 7, at(10_999)), Some(70));
    assert!(!cache.seen(&7, at(11_000)));
    assert_eq!(cache.cleanup(at(11_000)), 1);
    assert_eq!(kept.upgrade(), None, "an answer lives as long as its id");
}

#[test]
fn who_comes_while_it_is_in_flight_sees_no_answer() {
    let mut cache = answers::<4>(OnFull::Refuse);
    let Claim::Fresh(ticket) = cache.claim(&7, at(0)) else { panic!("it is new") };
    assert_eq!(cache.claim(&7, at(1)), Claim::InFlight);
    cache.commit(ticket, at(2)).unwrap();
    assert_eq!(told(&mut cache, 7, at(3)), None, "nothing was kept");
}

#[test]
fn a_new_life_shows_no_answer_of_the_former_one() {
    // An id whose TTL has ended, but whose entry is still there, by each way into the cache.
    let mut cache = answers::<4>(OnFull::Refuse);
    let kept = [1, 2, 3].map(|id| answer(&mut cache, id, at(0)));
    assert!(cache.check(&1, at(10_000)).is_fresh() && cache.mark(&2, at(10_000)).is_fresh());
    let Claim::Fresh(ticket) = cache.claim(&3, at(10_000)) else { panic!("its TTL has ended") };
    cache.commit(ticket, at(10_000)).unwrap();
    for id in [1, 2, 3] {
        assert_eq!(told(&mut cache, id, at(10_000)), None, "{id}");
    }
    assert!(kept.iter().all(|answer| answer.upgrade().is_none()));
}

#[test]
fn a_mark_keeps_the_answer_and_begins_its_life_anew() {
    let mut cache = answers::<4>(OnFull::Refuse);
    let _kept = answer(&mut cache, 7, at(0));
    assert_eq!(cache.mark(&7, at(9_000)), dup(0, 1));
    assert_eq!(told(&mut cache, 7, at(18_999)), Some(70));
}

#[test]
fn what_is_not_kept_any_more_comes_back_to_who_holds_the_lock() {
    let mut cache = answers::<1>(OnFull::ForgetOldest);
    let kept = answer(&mut cache, 1, at(0));
    let gone = cache.forget(&1, at(1)).unwrap();
    assert_eq!((gone.0, gone.1.as_deref()), (1, Some(&10)));
    drop(gone);
    assert_eq!(kept.upgrade(), None);

    let _kept = answer(&mut cache, 2, at(2));
    let (hash, mut spare) = (cache.hash(&3), Some((3, None)));
    assert_eq!(cache.check_with(hash, &3, &mut spare, || at(3)), Some(Seen::Fresh));
    assert_eq!(spare.and_then(|(id, answer)| Some((id, *answer?))), Some((2, 20)), "it was forgotten for want of room");

    let _kept = answer(&mut cache, 4, at(4));
    let mut gone = Vec::new();
    assert_eq!(cache.cleanup_some(1, |id| gone.push(id), at(10_004)), 1);
    assert_eq!(gone, [(4, Some(Rc::new(40)))]);
}

#[test]
fn a_lost_claim_keeps_nothing_and_leaves_the_answer_with_its_caller() {
    let mut cache = answers::<1>(OnFull::Refuse).with_lease(Duration::from_secs(1));
    let Claim::Fresh(slow) = cache.claim(&7, at(0)) else { panic!("it is new") };
    let mut late = Some(Rc::new(1));
    let Claim::Fresh(next) = cache.claim(&7, at(1_000)) else { panic!("its lease has ended") };
    assert_eq!(cache.commit_with(slow, &mut late, at(1_001)), Err(ClaimLost));
    assert_eq!(late.as_deref(), Some(&1));
    cache.commit_with(next, &mut Some(Rc::new(2)), at(1_002)).unwrap();
    assert_eq!(told(&mut cache, 7, at(1_003)), Some(2));
}

/// A value whose `Default` or `Drop` panics when it is told to.
#[derive(Debug)]
struct Fragile;

std::thread_local! {
    static BREAKS: Cell<bool> = const { Cell::new(false) };
}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(!BREAKS.get(), "as it was told");
    }
}

#[test]
fn an_answer_whose_drop_panics_ends_its_own_call_and_no_more() {
    let mut cache: DedupCache<u32, 1, HashSeed, Option<Fragile>> =
        DedupCache::with_hasher(TTL, OnFull::ForgetOldest, HashSeed::FIXED);
    let hash = cache.hash(&1);
    let claim = cache.claim_with(hash, &1, &mut Some((1, None)), at(0));
    let Some(Claim::Fresh(ticket)) = claim else { panic!("it is new") };
    cache.commit_with(ticket, &mut Some(Fragile), at(0)).unwrap();
    BREAKS.set(true);
    let checked = panic::catch_unwind(panic::AssertUnwindSafe(|| cache.check(&2, at(1))));
    BREAKS.set(false);
    assert!(checked.is_err());
    assert!(cache.seen(&2, at(1)) && !cache.seen(&1, at(1)), "the check was done");
    assert_eq!((cache.len(), cache.stats().forgotten), (1, 1));
    conserves(&cache);
}

#[test]
fn small_answers_are_copied_out_of_the_lock() {
    let cache: DedupCache<u32, 4, HashSeed, Option<u8>> = DedupCache::with_hasher(TTL, OnFull::Refuse, HashSeed::FIXED);
    let cache = Shared::new(RefCell::new(cache), ManualClock::new(at(5)));
    let Claim::Fresh(claim) = cache.claim(&7) else { panic!("it is new") };
    claim.commit_with(Some(42)).unwrap();
    assert!(matches!(cache.claim(&7), Claim::Duplicate { value: Some(42), .. }));
    let Claim::Fresh(late) = cache.claim(&8) else { panic!("it is new") };
    assert!(cache.forget(&8));
    assert_eq!(late.commit_with(Some(1)), Err(ClaimLost));
}
