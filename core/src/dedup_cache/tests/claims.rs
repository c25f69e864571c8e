//! Claims: leases, tickets and guards.

use super::*;

#[test]
fn a_claim_that_was_lost_is_given_up_at_the_end_of_its_lease() {
    let mut cache = cache::<1>(OnFull::Refuse).with_lease(Duration::from_secs(2));
    let lost = claim(&mut cache, "a", at(0));
    assert_eq!(cache.next_deadline(), Some(at(2_000)));
    assert_eq!(cache.claim(&"a", at(1_999)), Claim::InFlight);
    assert!(cache.seen("a", at(1_999)) && !cache.seen("a", at(2_000)));
    let second = claim(&mut cache, "a", at(2_000));
    assert_eq!(cache.commit(lost, at(2_001)), Err(ClaimLost));
    assert_eq!(cache.commit(second, at(2_002)), Ok(()));
    assert_eq!(cache.stats().given_up, 1);
    conserves(&cache);
}

#[test]
fn a_lost_claim_makes_room_for_another_id() {
    let mut cache = cache::<1>(OnFull::Refuse).with_lease(Duration::from_secs(2));
    let lost = claim(&mut cache, "a", at(0));
    assert_eq!(cache.check(&"b", at(1_999)), Seen::Full);
    assert!(cache.check(&"b", at(2_000)).is_fresh());
    cache.abort(lost, at(2_001));
    assert!(cache.seen("b", at(2_001)));
    conserves(&cache);
}

#[test]
fn the_lease_is_one_life_if_nothing_else_was_said() {
    let mut cache = cache::<1>(OnFull::Refuse);
    let lost = claim(&mut cache, "a", at(0));
    assert_eq!(cache.claim(&"a", at(9_999)), Claim::InFlight);
    assert_eq!(cache.commit(lost, at(10_000)), Err(ClaimLost));
    assert!(cache.check(&"a", at(10_000)).is_fresh());
}

#[test]
fn claims_in_flight_are_never_forgotten() {
    let mut cache = cache::<2>(OnFull::ForgetOldest);
    let first = claim(&mut cache, "a", at(0));
    assert!(cache.check(&"b", at(1)).is_fresh());
    assert!(cache.check(&"c", at(2)).is_fresh());
    assert!(!cache.seen("b", at(2)));
    assert!(cache.seen("a", at(2)));
    cache.commit(first, at(3)).unwrap();
    let (second, third) = (claim(&mut cache, "d", at(4)), claim(&mut cache, "e", at(4)));
    assert_eq!(cache.check(&"f", at(5)), Seen::Full);
    assert_eq!(cache.claim(&"f", at(5)), Claim::Full);
    cache.abort(second, at(6));
    assert!(cache.check(&"f", at(6)).is_fresh());
    cache.commit(third, at(7)).unwrap();
    conserves(&cache);
}

#[test]
fn check_and_mark_know_of_a_claim() {
    let mut cache = cache::<2>(OnFull::Refuse);
    let ticket = claim(&mut cache, "a", at(0));
    assert_eq!(cache.check(&"a", at(1)), dup(0, 0));
    assert_eq!(cache.mark(&"a", at(2)), dup(0, 0));
    assert_eq!(cache.check(&"a", at(3)), dup(2, 1));
    assert_eq!(cache.commit(ticket, at(4)), Err(ClaimLost));
    assert_eq!(cache.stats().committed, 1);
    conserves(&cache);
}

#[test]
fn a_ticket_is_good_for_its_own_claim_only() {
    let mut cache = cache::<1>(OnFull::Refuse);
    let old = claim(&mut cache, "a", at(0));
    assert!(cache.mark(&"a", at(0)) != Seen::Fresh);
    assert_eq!(cache.cleanup(at(10_000)), 1);
    let new = claim(&mut cache, "b", at(10_000));
    cache.abort(old, at(10_000));
    assert_eq!(cache.claim(&"b", at(10_000)), Claim::InFlight);
    assert_eq!(cache.commit(new, at(10_001)), Ok(()));
}

#[test]
fn the_claim_number_may_wrap() {
    let mut cache = cache::<1>(OnFull::Refuse);
    cache.next_claim = u32::MAX;
    for _ in 0..3 {
        let ticket = claim(&mut cache, "a", at(0));
        assert_eq!(cache.claim(&"a", at(0)), Claim::InFlight);
        assert_eq!(cache.abort(ticket, at(0)), Some(("a", ())));
    }
    conserves(&cache);
}

#[test]
fn a_guard_that_is_dropped_aborts() {
    let shared = Shared::new(RefCell::new(cache::<4>(OnFull::Refuse)), ManualClock::default());
    let Claim::Fresh(claim) = shared.claim(&"a") else { panic!() };
    assert!(matches!(shared.claim(&"a"), Claim::InFlight));
    assert!(format!("{claim:?}").contains("ClaimGuard"));
    drop(claim);
    let Claim::Fresh(claim) = shared.claim(&"a") else { panic!() };
    claim.commit().unwrap();
    assert!(matches!(shared.claim(&"a"), Claim::Duplicate { count: 1, .. }));
    assert_eq!(shared.check(&"a"), dup(0, 2));
    assert_eq!(shared.mark(&"b"), Seen::Fresh);
    shared.timer().advance(TTL);
    assert!(!shared.seen("a"));
    assert_eq!((shared.cleanup(), shared.horizon()), (2, TTL));

    let Claim::Fresh(late) = shared.claim(&"c") else { panic!() };
    shared.timer().advance(TTL);
    assert_eq!(late.commit(), Err(ClaimLost));
    let stats = shared.stats();
    assert_eq!((stats.claimed, stats.committed, stats.aborted, stats.pending), (3, 1, 1, 1));
    shared.with_lock(|cache| conserves(cache));
}

#[test]
fn a_failed_handler_may_try_again_wherever_its_future_is_dropped() {
    use crate::{
        foundation::shared::{Clock, Timer},
        test_util::{Simulator, seeds},
    };

    for seed in seeds(1_000) {
        let mut simulator = Simulator::new(seed);
        let shared = Rc::new(Shared::new(RefCell::new(cache::<4>(OnFull::Refuse)), simulator.timer()));
        let handled = Rc::new(Cell::new(0));
        let handler = || {
            let (shared, handled) = (shared.clone(), handled.clone());
            async move {
                if let Claim::Fresh(claim) = shared.claim(&"a") {
                    let timer = shared.timer();
                    timer.sleep_until(timer.now().saturating_add(Duration::from_secs(1))).await;
                    claim.commit().unwrap();
                    handled.set(handled.get() + 1);
                }
            }
        };
        let first = simulator.spawn(handler());
        simulator.spawn(handler());
        for _ in 0..simulator.next_random() % 4 {
            simulator.step();
        }
        simulator.abort(first);
        simulator.run();
        // Whoever was told that it is in flight comes again.
        simulator.spawn(handler());
        simulator.run();
        assert_eq!(handled.get(), 1, "seed {seed}");
        let stats = shared.stats();
        assert_eq!((stats.committed, stats.pending), (1, 0));
        shared.with_lock(|cache| conserves(cache));
    }
}

#[test]
fn a_claim_lasts_for_the_new_lease() {
    let mut cache: Cache<4> = cache(OnFull::Refuse);
    let ticket = claim(&mut cache, "a", at(0));
    cache.set_settings(TTL, TTL / 10, OnFull::Refuse, at(500));
    assert_eq!(cache.next_deadline(), Some(at(1_000)));
    assert!(matches!(cache.claim(&"a", at(1_000)), Claim::Fresh(_)));
    assert_eq!(cache.commit(ticket, at(1_000)), Err(ClaimLost));
    conserves(&cache);
}

#[test]
fn found_b10_an_id_can_be_forgotten_and_a_claim_of_it_with_it() {
    let mut cache: Cache<4> = DedupCache::new(Duration::from_secs(60), OnFull::Refuse);
    let now = Instant::from_secs(1);
    assert_eq!(cache.forget("a", now), None);
    assert!(cache.check(&"a", now).is_fresh());
    assert_eq!(cache.forget("a", now), Some(("a", ())));
    assert!(cache.check(&"a", now).is_fresh(), "it may come again");

    let ticket = claim(&mut cache, "b", now);
    assert_eq!(cache.in_flight_until("b", now), Some(Instant::from_secs(61)));
    assert_eq!(cache.forget("b", now), Some(("b", ())));
    assert_eq!((cache.commit(ticket, now), cache.in_flight_until("b", now)), (Err(ClaimLost), None));
    assert_eq!((cache.stats().removed, cache.stats().aborted), (1, 1));
    conserves(&cache);

    let over = Instant::from_secs(61);
    assert_eq!(cache.forget("a", over), None, "its TTL has ended");
    conserves(&cache);
}

#[test]
fn found_b10_a_claim_that_is_kept_blocks_its_id_until_the_lease_ends() {
    let timer = crate::test_util::VirtualTimer::default();
    let cache = DedupCache::<u8, 4>::new(Duration::from_secs(60), OnFull::Refuse).with_lease(Duration::from_secs(5));
    let cache = Shared::new(RefCell::new(cache), timer.clone());
    let Claim::Fresh(guard) = cache.claim(&7) else { panic!("it is new") };
    guard.keep();
    assert!(matches!(cache.claim(&7), Claim::InFlight));
    assert_eq!(cache.in_flight_until(&7), Some(Instant::from_secs(5)));
    timer.advance(Duration::from_secs(5));
    assert!(matches!(cache.claim(&7), Claim::Fresh(_)));
    assert_eq!(cache.stats().given_up, 1);
    assert!(!cache.forget(&7), "the guard was dropped");
}
