use core::{cell::RefCell, task::Waker, time::Duration};
use std::{string::ToString, sync::Mutex, vec::Vec};

use super::*;
use crate::{
    foundation::{shared::Shared, time::Instant},
    test_util::ManualClock,
};

pub(super) type Calls = Correlator<char, u32, 4>;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const NOW: Instant = Instant::from_secs(1_000);
pub(super) const DUE: Instant = Instant::from_secs(1_001);

pub(super) fn begin<const N: usize>(calls: &mut Correlator<char, u32, N>) -> CallId {
    calls.begin('b', SECOND, NOW).unwrap().id()
}

#[track_caller]
pub(super) fn conserved(stats: CorrelatorStats) {
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
    // A waker is two words. On 32 bits a slot has 32 bytes, and 40 if the peer takes more than 2 (36 where a
    // `u64` is aligned to four); with either, a reply of up to 22 bytes costs nothing. The order of deadlines adds 2 bytes a slot, here rounded to 8 for four slots.
    let [narrow, wide] = match (size_of::<usize>(), align_of::<u64>()) {
        (8, _) => [40, 48],
        (_, 8) => [32, 40],
        _ => [32, 36],
    };
    let slot = size_of::<Correlator<u16, [u8; 16], 12>>() - size_of::<Correlator<u16, [u8; 16], 8>>();
    assert_eq!(slot, 4 * narrow + 8);
    let slot = size_of::<Correlator<u32, [u8; 16], 12>>() - size_of::<Correlator<u32, [u8; 16], 8>>();
    assert_eq!(slot, 4 * wide + 8);
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
    assert_eq!(calls.on_timeout(NOW), None);
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
    calls.reseed(crate::foundation::hash::HashSeed::new(1, 2));
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

#[test]
fn a_correlator_tells_whether_it_is_empty_and_whether_it_is_closed() {
    let mut calls: Calls = Correlator::new(1);
    assert!(calls.is_empty() && !calls.is_closed());
    let id = begin(&mut calls);
    assert!(!calls.is_empty());
    calls.close();
    assert!(calls.is_closed());
    assert!(calls.is_empty() && !calls.cancel(id));
    let mut keyed: KeyedCorrelator<u16, u32, 4> = KeyedCorrelator::new();
    assert!(!keyed.is_closed());
    keyed.close();
    assert!(keyed.is_closed());
}

#[test]
fn a_shared_correlator_can_be_opened_again() {
    let machine = KeyedCorrelator::<u16, u32, 4>::new();
    let calls: Shared<KeyedCorrelator<u16, u32, 4>, _, _> = Shared::new(RefCell::new(machine), ManualClock::new(NOW));
    calls.close();
    assert_eq!(calls.begin(1, SECOND).err(), Some(BeginError::Closed));
    calls.reopen();
    assert!(calls.begin(1, SECOND).is_ok());
}

#[test]
fn a_future_whose_slot_another_call_has_does_not_wait_for_that() {
    use super::phase::Calls as Phases;
    let mut calls: Correlator<char, u32, 1> = Correlator::new(1);
    let lost = begin(&mut calls);
    assert!(calls.cancel(lost));
    let pending = begin(&mut calls);
    let mut left = phase::Left::nothing();
    assert!(Phases::look(&mut calls, lost, Waker::noop(), &mut left).is_some_and(|outcome| outcome.is_ready()));
    assert!(Phases::look(&mut calls, pending, Waker::noop(), &mut left).is_none(), "it wants a waker");
    left.waker = Some(Waker::noop().clone());
    assert!(Phases::look(&mut calls, pending, Waker::noop(), &mut left).is_some_and(|outcome| outcome.is_pending()));
    assert!(left.waker.is_none());
}

#[test]
fn found_a11_a_late_reading_shortens_no_call() {
    let minutes = Duration::from_secs(600);
    for late in [1, 150, 300, 600, 900] {
        let late = NOW.saturating_sub(Duration::from_secs(late));
        let mut calls: Calls = Correlator::new(0);
        let mut keyed: KeyedCorrelator<u8, u32, 4> = KeyedCorrelator::new();
        let id = calls.begin('b', minutes, NOW).unwrap().id();
        keyed.begin(1, minutes, NOW).unwrap();
        for _ in 0..3 {
            assert_eq!(calls.resolve(CallId::from_u64(9), 'b', 0, late), Resolution::Unknown(0));
            assert_eq!(keyed.resolve(&2, 0, late), Resolution::Unknown(0));
            assert_eq!((calls.on_timeout(late), keyed.on_timeout(late)), (None, None));
        }
        let end = NOW.saturating_add(minutes);
        let just_before = end.saturating_sub(Duration::from_nanos(1));
        assert_eq!((calls.on_timeout(just_before), keyed.on_timeout(just_before)), (None, None));
        assert_eq!((calls.next_deadline(), keyed.next_deadline()), (Some(end), Some(end)));
        assert!(calls.resolve(id, 'b', 7, just_before).is_matched() && keyed.resolve(&1, 7, just_before).is_matched());
    }
}

#[test]
fn found_e1_a_time_out_alone_notices_a_step_back() {
    let back = Instant::from_secs(10);
    let mut calls: Correlator<char, u32, 64> = Correlator::new(0);
    let mut keyed: KeyedCorrelator<u8, u32, 64> = KeyedCorrelator::new();
    for secs in [1, 2, 60, 900] {
        let _ = calls.begin('b', SECOND * secs, NOW).unwrap();
        keyed.begin(secs as u8, SECOND * secs, NOW).unwrap();
    }
    assert_eq!((calls.on_timeout(back), keyed.on_timeout(back)), (None, None));
    for secs in [1, 2, 60, 900] {
        let at = back.saturating_add(SECOND * secs);
        assert_eq!((calls.next_deadline(), keyed.next_deadline()), (Some(at), Some(at)));
        assert!(calls.on_timeout(at).is_some(), "{secs}");
        assert!(keyed.on_timeout(at).is_some(), "{secs}");
    }
    assert_eq!((calls.next_deadline(), keyed.next_deadline()), (None, None));
    // What begins after the step is not taken to lie ahead.
    let later = back.saturating_add(SECOND * 9_000);
    let _ = calls.begin('b', SECOND, later).unwrap();
    assert_eq!(calls.next_deadline(), Some(later.saturating_add(SECOND)));
}

#[test]
fn found_a14_calls_that_have_timed_out_make_room_for_new_ones() {
    fn serves_all<const N: usize>() {
        let mut calls: Correlator<char, u32, N> = Correlator::new(0);
        let mut keyed: KeyedCorrelator<u32, u32, N> = KeyedCorrelator::new();
        for round in 0..5_u32 {
            let now = NOW.saturating_add(SECOND * round);
            for number in 0..N as u32 {
                let _ = calls.begin('b', SECOND, now).unwrap();
                keyed.begin(round * 1_000 + number, SECOND, now).unwrap();
            }
            assert_eq!(calls.begin('b', SECOND, now), Err(BeginError::Full));
            assert_eq!(keyed.begin(9_999, SECOND, now), Err(BeginError::Full));
        }
        assert_eq!((calls.stats().timed_out, keyed.stats().timed_out), (4 * N as u64, 4 * N as u64));
        conserved(calls.stats());
        conserved(keyed.stats());
    }
    serves_all::<1>();
    serves_all::<4>();
    serves_all::<100>();
}

#[test]
fn found_a1_a_call_that_nobody_polls_keeps_its_slot_for_its_time_out_only() {
    use core::{
        future::{Future, ready},
        pin::pin,
        task::{Context, Poll},
    };
    let calls =
        Shared::new(RefCell::new(Correlator::<char, u32, 1>::new(1)), crate::test_util::VirtualTimer::default());
    let keyed =
        Shared::new(RefCell::new(KeyedCorrelator::<u8, u32, 1>::new()), crate::test_util::VirtualTimer::default());
    let mut cx = Context::from_waker(Waker::noop());
    let mut held = pin!(calls.call('b', SECOND, |_| ready(Ok::<(), ()>(()))));
    let mut keyed_held = pin!(keyed.call(1, SECOND, || ready(Ok::<(), ()>(()))));
    assert!(held.as_mut().poll(&mut cx).is_pending() && keyed_held.as_mut().poll(&mut cx).is_pending());
    assert_eq!(calls.begin('c', SECOND), Err(BeginError::Full));
    calls.timer().advance(SECOND);
    keyed.timer().advance(SECOND);
    let next = calls.begin('c', SECOND).unwrap();
    keyed.begin(2, SECOND).unwrap();
    // The former call has timed out, and is not taken for the next one.
    assert_eq!(held.poll(&mut cx), Poll::Ready(Err(CallError::TimedOut)));
    assert_eq!(keyed_held.poll(&mut cx), Poll::Ready(Err(CallError::TimedOut)));
    assert!(calls.resolve(next.id(), 'c', 7).is_matched() && keyed.resolve(&2, 7).is_matched());
    assert_eq!((calls.take(next.id()), keyed.take(&2)), (Some(7), Some(7)));
}
