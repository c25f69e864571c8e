//! What the seed answers, and its defects.

use core::{cell::Cell, time::Duration};
use std::{format, string::ToString, vec::Vec};

use super::{
    tests::{Calls, DUE, NOW, SECOND, begin, conserved},
    *,
};

// What the seed answers, or the better answer where one test of it contradicts another.

#[test]
fn seed_1_1_and_2_a_call_is_resolved_once() {
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    assert_eq!(calls.resolve(id, 'b', 7, NOW), Resolution::Matched);
    assert_eq!(calls.resolve(id, 'b', 8, NOW), Resolution::Duplicate(8));
    assert_eq!(calls.take(id), Some(7));
    assert_eq!(calls.take(id), None);
    assert_eq!(calls.resolve(id, 'b', 9, NOW), Resolution::Duplicate(9));
    let stats = calls.stats();
    assert_eq!((stats.resolved, stats.duplicates, calls.len()), (1, 2, 0));
    conserved(stats);
}

#[test]
fn seed_1_3_and_5_unknown_ids_change_nothing() {
    let mut calls: Calls = Correlator::new(0);
    let nobody = CallId::from_u64(12);
    assert_eq!(calls.resolve(nobody, 'b', 7, NOW), Resolution::Unknown(7));
    assert!(!calls.cancel(nobody));
    assert_eq!(calls.take(nobody), None);
    assert_eq!((calls.stats().unknown, calls.stats().begun), (1, 0));
}

#[test]
fn seed_1_4_a_reply_after_cancel_is_late() {
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    assert!(calls.cancel(id));
    assert!(!calls.cancel(id));
    assert_eq!(calls.resolve(id, 'b', 7, NOW), Resolution::Late(7));
    assert_eq!((calls.stats().cancelled, calls.len(), calls.next_deadline()), (1, 0, None));
    conserved(calls.stats());
}

#[test]
fn seed_1_6_second_register_is_refused() {
    let mut calls: KeyedCorrelator<&str, u32, 4> = KeyedCorrelator::new();
    calls.begin("d", SECOND, NOW).unwrap();
    let later = NOW.saturating_add(SECOND / 2);
    assert_eq!(calls.begin("d", SECOND, later), Err(BeginError::Duplicate));
    assert_eq!(calls.next_deadline(), Some(DUE), "the first call is untouched");
    assert_eq!(calls.resolve("d", 7, later), Resolution::Matched);
    assert_eq!(calls.begin("d", SECOND, later), Err(BeginError::Duplicate), "its reply is still to be taken");
    assert_eq!(calls.take("d"), Some(7));
    calls.begin("d", SECOND, later).unwrap();
    let stats = calls.stats();
    assert_eq!((stats.begun, stats.refused, stats.pending), (2, 2, 1));
    conserved(stats);
}

#[test]
fn seed_1_7_a_time_out_comes_at_the_deadline_and_not_at_a_tick() {
    let mut calls: Calls = Correlator::new(0);
    let call = calls.begin('b', Duration::from_millis(10), NOW).unwrap();
    let due = NOW.saturating_add(Duration::from_millis(10));
    assert_eq!((call.expires_at(), calls.next_deadline()), (due, Some(due)));
    assert_eq!(calls.on_timeout(due.saturating_sub(Duration::from_nanos(1))), None);
    assert_eq!(calls.on_timeout(due), Some(Expired { id: call.id(), peer: 'b' }));
    assert_eq!(calls.on_timeout(due), None);
    conserved(calls.stats());
}

#[test]
fn seed_1_8_a_reply_at_the_deadline_is_late_though_nothing_polled() {
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    assert_eq!(calls.resolve(id, 'b', 7, DUE), Resolution::Late(7));
    assert_eq!(calls.take(id), None);
    assert_eq!(calls.on_timeout(DUE), Some(Expired { id, peer: 'b' }));
    assert_eq!((calls.stats().timed_out, calls.stats().late), (1, 1));

    let id = begin(&mut calls);
    let just_in_time = DUE.saturating_sub(Duration::from_nanos(1));
    assert_eq!(calls.resolve(id, 'b', 7, just_in_time), Resolution::Matched);
}

#[test]
fn seed_1_9_and_10_no_time_is_over_at_once() {
    let mut calls: Calls = Correlator::new(0);
    let call = calls.begin('b', Duration::ZERO, NOW).unwrap();
    assert_eq!(calls.resolve(call.id(), 'b', 7, NOW), Resolution::Late(7));
    assert_eq!(calls.on_timeout(NOW).map(|expired| expired.id), Some(call.id()));
}

#[test]
fn seed_1_11_no_id_is_special() {
    // An id is a number that the correlator made; all zero is as good as any, and unknown until it is made.
    let mut calls: Calls = Correlator::new(0);
    begin(&mut calls);
    assert_eq!(calls.resolve(CallId::from_u64(0), 'b', 7, NOW), Resolution::Unknown(7));
}

#[test]
fn seed_1_12_a_reply_without_content_is_still_a_reply() {
    let mut calls: Correlator<char, (), 4> = Correlator::new(0);
    let id = calls.begin('b', SECOND, NOW).unwrap().id();
    assert_eq!(calls.take(id), None);
    assert_eq!(calls.resolve(id, 'b', (), NOW), Resolution::Matched);
    assert_eq!(calls.take(id), Some(()));
}

#[test]
fn seed_1_16_a_reply_that_nobody_takes_blocks_nobody() {
    let mut calls: Calls = Correlator::new(0);
    let untaken = begin(&mut calls);
    assert!(calls.resolve(untaken, 'b', 7, NOW).is_matched());
    assert_eq!((calls.next_deadline(), calls.on_timeout(DUE)), (None, None));
    for round in 0..100 {
        let id = begin(&mut calls);
        assert!(calls.resolve(id, 'b', round, NOW).is_matched());
        assert_eq!(calls.take(id), Some(round));
    }
    assert_eq!(calls.take(untaken), Some(7));
}

#[test]
fn seed_1_17_a_third_party_cannot_answer() {
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    assert_eq!(calls.resolve(id, 'm', 666, NOW), Resolution::WrongPeer(666));
    assert_eq!(calls.stats().pending, 1);
    assert_eq!(calls.resolve(id, 'b', 7, NOW), Resolution::Matched);
    assert_eq!(calls.resolve(id, 'm', 666, NOW), Resolution::WrongPeer(666));
    assert_eq!(calls.take(id), Some(7));
    assert_eq!(calls.resolve(id, 'm', 666, NOW), Resolution::WrongPeer(666));
    assert_eq!(calls.stats().wrong_peer, 3);
}

#[test]
fn seed_1_18_a_reply_of_another_kind_leaves_the_call_pending() {
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Kind {
        Ack,
        Response,
    }
    let mut calls: Correlator<(char, Kind), u32, 4> = Correlator::new(0);
    let id = calls.begin(('b', Kind::Ack), SECOND, NOW).unwrap().id();
    assert_eq!(calls.resolve(id, ('b', Kind::Response), 1, NOW), Resolution::WrongPeer(1));
    assert_eq!(calls.resolve(id, ('b', Kind::Ack), 2, NOW), Resolution::Matched);
}

#[test]
fn seed_1_19_a_late_reply_is_given_back_for_the_normal_handler() {
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    assert!(calls.on_timeout(DUE).is_some());
    assert_eq!(calls.resolve(id, 'b', 7, DUE).into_unmatched(), Some(7));
    assert_eq!(calls.stats().late, 1);
}

#[test]
fn no_step_of_closing_looks_at_many_slots() {
    const MOST: usize = 256;

    let mut slab: Correlator<char, u32, 600> = Correlator::new(1);
    let mut keyed: KeyedCorrelator<u16, u32, 600> = KeyedCorrelator::new();
    for id in 0..600 {
        begin(&mut slab);
        keyed.begin(id, SECOND, NOW).unwrap();
    }
    assert_eq!(slab.close_some(0, &mut phase::Closed::new()), Some(MOST));
    assert_eq!(keyed.close_some(0, &mut phase::Closed::new()), Some(MOST));
    assert_eq!((slab.stats().closed, keyed.stats().closed), (256, 256));
    slab.close();
    keyed.close();
    assert_eq!((slab.stats().closed, keyed.stats().closed), (600, 600));
}

#[test]
fn seed_1_20_close_ends_every_call_and_refuses_further_ones() {
    let mut calls: Calls = Correlator::new(0);
    let (first, second) = (begin(&mut calls), begin(&mut calls));
    assert!(calls.resolve(second, 'b', 7, NOW).is_matched());
    calls.close();
    assert!(calls.is_closed());
    assert_eq!(calls.begin('b', SECOND, NOW), Err(BeginError::Closed));
    assert_eq!(calls.resolve(first, 'b', 8, NOW), Resolution::Late(8));
    assert_eq!(calls.take(second), Some(7), "what has come is not lost");
    let stats = calls.stats();
    assert_eq!((stats.closed, stats.pending, stats.refused, calls.len()), (1, 0, 1, 0));
    conserved(stats);
    calls.reopen();
    begin(&mut calls);

    let mut keyed: KeyedCorrelator<u16, u32, 20> = KeyedCorrelator::new();
    (0..20).for_each(|id| assert!(keyed.begin(id, SECOND, NOW).is_ok()));
    keyed.close();
    assert_eq!((keyed.stats().closed, keyed.len(), keyed.is_closed()), (20, 0, true));
    assert_eq!(keyed.begin(1, SECOND, NOW), Err(BeginError::Closed));
    keyed.reopen();
    assert!(keyed.begin(1, SECOND, NOW).is_ok());
}

// The seed's defects that a machine can have; those of waiting are in `shared_tests`.

#[test]
fn seed_defect_a_message_that_is_sent_again_does_not_displace_its_first_call() {
    // A retry brings the same id while the first call is pending, and again after it has ended.
    let mut calls: KeyedCorrelator<u64, u32, 2> = KeyedCorrelator::new();
    calls.begin(7, SECOND, NOW).unwrap();
    assert_eq!(calls.begin(7, SECOND, NOW), Err(BeginError::Duplicate));
    assert_eq!(calls.on_timeout(DUE), Some(7));
    calls.begin(7, SECOND, DUE).unwrap();
    assert_eq!(calls.resolve(&7, 1, DUE), Resolution::Matched);
}

#[test]
fn seed_defect_ids_cannot_be_told_from_earlier_ones() {
    let mut calls: Calls = Correlator::new(3);
    let ids: Vec<u64> = (0..4).map(|_| begin(&mut calls).as_u64()).collect();
    let steps: Vec<u64> = ids.windows(2).map(|pair| (pair[1] >> 32).wrapping_sub(pair[0] >> 32)).collect();
    assert!(steps[0] != steps[1] && steps[1] != steps[2], "{ids:x?} count up");
    let mut restarted: Calls = Correlator::new(4);
    assert!(!ids.contains(&begin(&mut restarted).as_u64()));
}

#[test]
fn seed_defect_pending_calls_are_bounded() {
    let mut calls: Calls = Correlator::new(0);
    let ids: Vec<CallId> = (0..4).map(|_| begin(&mut calls)).collect();
    assert_eq!(calls.begin('b', SECOND, NOW), Err(BeginError::Full));
    assert_eq!((calls.len(), calls.capacity(), calls.stats().refused), (4, 4, 1));
    assert!(calls.cancel(ids[2]));
    begin(&mut calls);
    assert_eq!(calls.begin('b', SECOND, NOW), Err(BeginError::Full));

    let mut keyed: KeyedCorrelator<u16, u32, 2> = KeyedCorrelator::new();
    (0..2).for_each(|id| assert!(keyed.begin(id, SECOND, NOW).is_ok()));
    assert_eq!(keyed.begin(2, SECOND, NOW), Err(BeginError::Full));
    assert_eq!((keyed.len(), keyed.capacity(), keyed.is_empty(), keyed.stats().refused), (2, 2, false, 1));
}

#[test]
fn seed_defect_matching_looks_at_one_call_only() {
    /// Counts how often peers are compared.
    #[derive(Clone, Copy)]
    struct Peer<'a>(u8, &'a Cell<u32>);
    impl Eq for Peer<'_> {}
    impl PartialEq for Peer<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.1.set(self.1.get() + 1);
            self.0 == other.0
        }
    }
    let compared = Cell::new(0);
    let mut calls: Correlator<Peer<'_>, u32, 1_000> = Correlator::new(0);
    let ids: Vec<CallId> = (0..1_000).map(|_| calls.begin(Peer(1, &compared), SECOND, NOW).unwrap().id()).collect();
    assert_eq!(compared.get(), 0);
    assert!(calls.resolve(ids[777], Peer(1, &compared), 7, NOW).is_matched());
    assert_eq!(compared.get(), 1);
}

#[test]
fn seed_defect_debug_shows_no_ids_and_no_replies() {
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    assert!(calls.resolve(id, 'b', 123_456, NOW).is_matched());
    let mut keyed: KeyedCorrelator<u32, u32, 4> = KeyedCorrelator::new();
    keyed.begin(777_777, SECOND, NOW).unwrap();
    let shown = format!("{calls:?} {keyed:?}");
    assert!(!shown.contains("123456") && !shown.contains("777777"), "{shown}");
    assert!(!shown.contains(&id.as_u64().to_string()), "{shown}");
}

#[test]
fn seed_defect_a_call_is_in_one_state_only() {
    // Where the seed kept three maps that could disagree: whatever is tried, one end stands.
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    assert!(calls.on_timeout(DUE).is_some());
    assert!(!calls.cancel(id));
    assert_eq!(calls.resolve(id, 'b', 7, NOW), Resolution::Late(7));
    calls.close();
    let stats = calls.stats();
    assert_eq!((stats.timed_out, stats.cancelled, stats.closed, stats.resolved), (1, 0, 0, 0));
}
