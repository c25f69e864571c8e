use core::{
    cell::{Cell, RefCell},
    time::Duration,
};
use std::{format, string::ToString, sync::Mutex, vec::Vec};

use super::*;
use crate::{Instant, Shared, test_util::ManualClock};

type Calls = Correlator<char, u32, 4>;

const SECOND: Duration = Duration::from_secs(1);
const NOW: Instant = Instant::from_secs(1_000);
const DUE: Instant = Instant::from_secs(1_001);

fn begin<const N: usize>(calls: &mut Correlator<char, u32, N>) -> CallId {
    calls.begin('b', SECOND, NOW).unwrap().id()
}

#[track_caller]
fn conserved(stats: CorrelatorStats) {
    let ended = stats.resolved + stats.timed_out + stats.cancelled + stats.closed;
    assert_eq!(stats.begun, ended + stats.pending, "{stats:?}");
}

static SLAB: Mutex<Calls> = Mutex::new(Correlator::new(1));
static KEYED: Mutex<KeyedCorrelator<u16, u32, 4>> = Mutex::new(KeyedCorrelator::new());

#[test]
fn every_correlator_can_be_a_static() {
    let mut slab = SLAB.lock().unwrap();
    assert!(slab.reseed(99));
    let id = begin(&mut slab);
    assert!(!slab.reseed(1), "ids of pending calls must stay valid");
    assert_eq!(slab.resolve(id, 'b', 7, NOW), Resolution::Matched);
    let mut keyed = KEYED.lock().unwrap();
    keyed.begin(1, SECOND, NOW).unwrap();
    assert_eq!(keyed.resolve(&1, 7, NOW), Resolution::Matched);
}

#[test]
fn the_sizes_are_as_documented() {
    // A waker is two words. On 32 bits a slot has 32 bytes, and 40 if the peer takes more than 2; with either, a reply of
    // up to 22 bytes costs nothing. The order of deadlines adds 2 bytes a slot, here rounded to 8 for four slots.
    let slot = size_of::<Correlator<u16, [u8; 16], 12>>() - size_of::<Correlator<u16, [u8; 16], 8>>();
    assert_eq!(slot, 4 * if cfg!(target_pointer_width = "64") { 40 } else { 32 } + 8);
    let slot = size_of::<Correlator<u32, [u8; 16], 12>>() - size_of::<Correlator<u32, [u8; 16], 8>>();
    assert_eq!(slot, 4 * if cfg!(target_pointer_width = "64") { 48 } else { 40 } + 8);
    assert_eq!(size_of::<CallId>(), 8);
    assert_eq!(size_of::<Option<Resolution<()>>>(), 1);
}

#[test]
fn nothing_but_ids_of_pending_calls_matches() {
    let mut calls: Calls = Correlator::new(5);
    for bits in (0..64).map(|bit| 1 << bit).chain([0, 1, u64::MAX]) {
        assert_eq!(calls.resolve(CallId::from_u64(bits), 'b', 1, NOW), Resolution::Unknown(1));
    }
    assert_eq!(calls.stats().unknown, 67);
}

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
    let mut waiters = phase::Waiters::new();
    assert_eq!(slab.close_some(0, &mut waiters), Some(MOST));
    assert_eq!(keyed.close_some(0, &mut waiters), Some(MOST));
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

// Beyond the seed.

#[test]
fn a_late_reply_never_reaches_the_call_that_took_the_slot() {
    // flux-core#212, ocaml-lsp#1915: the same slot used again and again, every earlier id tried each time.
    let mut calls: Correlator<char, u32, 1> = Correlator::new(11);
    let mut earlier = Vec::new();
    for round in 0..200 {
        let id = begin(&mut calls);
        assert!(!earlier.contains(&id));
        for old in &earlier {
            assert!(!calls.resolve(*old, 'b', 0, NOW).is_matched());
        }
        if round % 2 == 0 {
            assert!(calls.cancel(id));
        } else {
            assert!(calls.resolve(id, 'b', round, NOW).is_matched());
            assert_eq!(calls.take(id), Some(round));
        }
        earlier.push(id);
    }
}

#[test]
fn the_end_of_a_call_is_remembered_while_slots_are_free() {
    let mut calls: Calls = Correlator::new(0);
    let first = begin(&mut calls);
    assert!(calls.cancel(first));
    // Three slots were never used, then comes the first one again.
    for _ in 0..3 {
        begin(&mut calls);
        assert_eq!(calls.resolve(first, 'b', 1, NOW), Resolution::Late(1));
    }
    begin(&mut calls);
    assert_eq!(calls.resolve(first, 'b', 1, NOW), Resolution::Unknown(1));
}

#[test]
fn slots_are_used_in_the_order_in_which_they_became_free() {
    let mut calls: Calls = Correlator::new(0);
    let ids: Vec<CallId> = (0..4).map(|_| begin(&mut calls)).collect();
    for index in [2, 0, 3, 1] {
        assert!(calls.cancel(ids[index]));
    }
    for index in [2, 0, 3, 1] {
        assert_eq!(calls.resolve(ids[index], 'b', 1, NOW), Resolution::Late(1));
        begin(&mut calls);
        assert_eq!(calls.resolve(ids[index], 'b', 1, NOW), Resolution::Unknown(1));
    }
}

#[test]
fn the_earliest_deadline_comes_first() {
    let mut calls: Calls = Correlator::new(0);
    let ids: Vec<CallId> =
        [3, 1, 2].map(|secs| calls.begin('b', SECOND * secs, NOW).unwrap().id()).into_iter().collect();
    let late = Instant::from_secs(2_000);
    let order: Vec<CallId> = core::iter::from_fn(|| calls.on_timeout(late)).map(|expired| expired.id).collect();
    assert_eq!(order, [ids[1], ids[2], ids[0]]);
    conserved(calls.stats());
}

#[test]
fn round_trips_count_matched_replies_only() {
    let mut calls: Calls = Correlator::new(0);
    assert_eq!(calls.round_trips(), None);
    for millis in [100, 300] {
        let id = begin(&mut calls);
        let _ = calls.resolve(id, 'm', 0, NOW);
        assert!(calls.resolve(id, 'b', 0, NOW.saturating_add(Duration::from_millis(millis))).is_matched());
        let _ = calls.resolve(id, 'b', 0, DUE);
    }
    let trips = calls.round_trips().unwrap();
    assert_eq!(trips.count, 2);
    let figures = [(trips.min, 100_000), (trips.max, 300_000), (trips.smoothed, 125_000), (trips.variation, 87_500)];
    for (measured, micros) in figures {
        assert!(measured.abs_diff(Duration::from_micros(micros)) < Duration::from_micros(2), "{trips:?}");
    }
}

#[test]
fn a_clock_that_steps_back_stalls_no_call_for_longer_than_its_time_out() {
    let hour_ago = NOW.saturating_sub(Duration::from_secs(900));
    let mut calls: Calls = Correlator::new(0);
    let id = begin(&mut calls);
    let other = calls.begin('c', SECOND * 9, hour_ago).unwrap();
    assert_eq!(calls.next_deadline(), Some(hour_ago.saturating_add(SECOND)));
    assert_eq!(calls.on_timeout(hour_ago), None);
    assert_eq!(calls.on_timeout(hour_ago.saturating_add(SECOND)).map(|expired| expired.id), Some(id));
    assert_eq!(calls.next_deadline(), Some(other.expires_at()));

    let mut keyed: KeyedCorrelator<u8, u32, 4> = KeyedCorrelator::new();
    keyed.begin(1, SECOND, Instant::from_secs(u64::MAX / 4_000_000_000)).unwrap();
    assert_eq!(keyed.resolve(&2, 0, NOW), Resolution::Unknown(0), "the leap is over");
    assert_eq!(keyed.next_deadline(), Some(DUE));
    assert_eq!((keyed.on_timeout(DUE), keyed.on_timeout(DUE)), (Some(1), None));
}

#[test]
fn clock_readings_a_little_out_of_order_are_no_step() {
    let mut calls: Calls = Correlator::new(0);
    begin(&mut calls);
    for millis in [1, 100] {
        let earlier = NOW.saturating_sub(Duration::from_millis(millis));
        let call = calls.begin('c', SECOND, earlier).unwrap();
        assert_eq!(call.expires_at(), earlier.saturating_add(SECOND));
        assert!(calls.resolve(call.id(), 'c', 7, earlier).is_matched());
        let other = begin(&mut calls);
        assert!(calls.cancel(other));
    }
    let id = begin(&mut calls);
    assert!(calls.resolve(id, 'b', 7, NOW.saturating_sub(SECOND / 10)).is_matched());
    assert_eq!(calls.next_deadline(), Some(DUE), "the first call keeps its deadline");
}

#[test]
fn a_keyed_call_is_told_late_and_duplicate_while_it_is_known() {
    let mut calls: KeyedCorrelator<u8, u32, 4> = KeyedCorrelator::new();
    calls.begin(1, SECOND, NOW).unwrap();
    assert_eq!(calls.resolve(&1, 7, DUE), Resolution::Late(7));
    assert!(calls.cancel(&1));
    assert!(!calls.cancel(&1));
    assert_eq!(calls.resolve(&1, 7, NOW), Resolution::Unknown(7));
    calls.begin(1, SECOND, NOW).unwrap();
    assert_eq!(calls.resolve(&1, 7, NOW), Resolution::Matched);
    assert_eq!(calls.resolve(&1, 8, NOW), Resolution::Duplicate(8));
    calls.reseed(crate::HashSeed::new(1, 2));
    assert_eq!((calls.take(&1), calls.take(&1)), (Some(7), None));
    assert_eq!(calls.round_trips().unwrap().count, 1);
    conserved(calls.stats());
}

#[test]
fn errors_say_what_happened() {
    use core::error::Error;

    assert_eq!(BeginError::Full.to_string(), "too many calls are pending");
    let failed = CallError::Send(BeginError::Closed);
    assert_eq!(failed.to_string(), "the request could not be sent");
    assert_eq!(failed.source().unwrap().to_string(), "the correlator is closed");
    assert!(CallError::<BeginError>::TimedOut.source().is_none());
    for (error, same) in [
        (BeginError::Closed, CallError::<()>::Closed),
        (BeginError::Duplicate, CallError::Duplicate),
        (BeginError::Full, CallError::Full),
    ] {
        assert_eq!(CallError::from(error), same);
        assert_eq!(error.to_string(), same.to_string());
    }
}

#[test]
fn a_super_loop_shares_it_without_a_timer() {
    let shared = Shared::new(RefCell::new(Calls::new(0)), ManualClock::new(NOW));
    let call = shared.begin('b', SECOND).unwrap();
    assert_eq!(shared.next_deadline(), Some(DUE));
    assert!(shared.resolve(call.id(), 'b', 7).is_matched());
    assert_eq!(shared.take(call.id()), Some(7));
    let (gone, silent) = (shared.begin('c', SECOND).unwrap(), shared.begin('d', SECOND).unwrap());
    assert!(shared.cancel(gone.id()));
    shared.timer().advance(SECOND);
    assert_eq!(shared.on_timeout().map(|expired| expired.id), Some(silent.id()));
    assert_eq!(shared.on_timeout(), None);
    shared.close();
    assert_eq!(shared.begin('b', SECOND), Err(BeginError::Closed));
    shared.reopen();
    assert!(shared.begin('b', SECOND).is_ok());
    assert_eq!((shared.stats().begun, shared.round_trips().unwrap().count), (4, 1));

    let shared = Shared::new(RefCell::new(KeyedCorrelator::<u8, u32, 4>::new()), ManualClock::new(NOW));
    (1..=3).for_each(|id| assert_eq!(shared.begin(id, SECOND), Ok(DUE)));
    assert!(shared.resolve(&1, 7).is_matched());
    assert_eq!((shared.take(&1), shared.cancel(&2)), (Some(7), true));
    shared.timer().advance(SECOND);
    assert_eq!((shared.next_deadline(), shared.on_timeout(), shared.on_timeout()), (Some(DUE), Some(3), None));
    shared.close();
    shared.reopen();
    conserved(shared.stats());
    assert_eq!(shared.round_trips().unwrap().count, 1);
}
