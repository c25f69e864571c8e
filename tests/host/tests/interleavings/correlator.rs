//! Waiting for a reply, against the reply, the deadline and the end of all.

use std::{
    cell::Cell,
    future::{Ready, ready},
    sync::Arc,
};

use steadfast_core::{
    Correlator, Instant, KeyedCorrelator,
    correlator::{CallError, CallId, Resolution},
};

use super::support::{SECOND, Threads, Time, block_on, explore, poll_and_drop, spawn, threads};

type Calls<const N: usize> = Correlator<u8, u32, N>;

const SENT: Result<(), ()> = Ok(());

fn sent(_: CallId) -> Ready<Result<(), ()>> {
    ready(SENT)
}

/// Every call ended once, and no slot is taken.
#[track_caller]
fn assert_nothing_left<const N: usize>(calls: &Threads<Calls<N>>) {
    let stats = calls.stats();
    assert_eq!(stats.begun, stats.resolved + stats.timed_out + stats.cancelled + stats.closed, "{stats:?}");
    assert!(calls.with_lock(|calls| calls.is_empty()), "a slot leaked");
    for _ in 0..N {
        assert!(calls.begin(9, SECOND).is_ok(), "a slot leaked");
    }
}

#[test]
fn a_call_ends_by_its_reply_or_at_its_deadline_once() {
    explore(|| {
        let time = Time::new();
        let calls = threads(Calls::<1>::new(7), &time);
        let resolver = Cell::new(None);
        let outcome = block_on(calls.call(1, SECOND, |id| {
            let (resolving, ending) = (calls.clone(), time.clone());
            resolver.set(Some(spawn(move || resolving.resolve(id, 1, 42))));
            spawn(move || ending.set(Instant::from_secs(1)));
            ready(SENT)
        }));
        match (outcome, resolver.take().unwrap().join().unwrap()) {
            (Ok(42), Resolution::Matched) | (Err(CallError::TimedOut), Resolution::Late(42)) => {}
            other => panic!("{other:?}"),
        }
        assert_nothing_left(&calls);
    });
}

#[test]
fn of_two_replies_one_is_delivered() {
    explore(|| {
        let calls = threads(Calls::<1>::new(7), &Time::new());
        let resolvers = Cell::new(None);
        let reply = block_on(calls.call(1, SECOND, |id| {
            let resolve = |reply| {
                let calls = calls.clone();
                spawn(move || calls.resolve(id, 1, reply))
            };
            resolvers.set(Some([resolve(1), resolve(2)]));
            ready(SENT)
        }));
        let resolutions = resolvers.take().unwrap().map(|resolver| resolver.join().unwrap());
        match (reply, resolutions) {
            (Ok(1), [Resolution::Matched, Resolution::Duplicate(2)])
            | (Ok(2), [Resolution::Duplicate(1), Resolution::Matched]) => {}
            other => panic!("{other:?}"),
        }
        assert_nothing_left(&calls);
    });
}

#[test]
fn a_dropped_call_leaves_its_slot_and_its_reply_to_nobody() {
    explore(|| {
        let calls = threads(Calls::<1>::new(7), &Time::new());
        let (resolver, next) = (Cell::new(None), calls.clone());
        let next = spawn(move || {
            let call = next.begin(1, SECOND);
            call.map(|call| (next.take(call.id()), next.cancel(call.id())))
        });
        let _ = poll_and_drop(calls.call(1, SECOND, |id| {
            let calls = calls.clone();
            resolver.set(Some(spawn(move || calls.resolve(id, 1, 42))));
            ready(SENT)
        }));
        if let Some(resolver) = resolver.take() {
            let resolution = resolver.join().unwrap();
            assert!(!matches!(resolution, Resolution::Duplicate(_) | Resolution::WrongPeer(_)), "{resolution:?}");
        }
        if let Ok(next) = next.join().unwrap() {
            assert_eq!(next, (None, true), "the reply to another call");
        }
        assert_nothing_left(&calls);
    });
}

#[test]
fn whoever_cancels_or_times_out_a_call_tells_the_one_who_waits() {
    explore(|| {
        let time = Time::new();
        let calls = threads(Calls::<1>::new(7), &time);
        let ends = Cell::new(None);
        let outcome = block_on(calls.call(1, SECOND, |id| {
            let (cancelling, watching, time) = (calls.clone(), calls.clone(), time.clone());
            let canceller = spawn(move || cancelling.cancel(id));
            let watchman = spawn(move || {
                time.set(Instant::from_secs(1));
                watching.on_timeout().is_some()
            });
            ends.set(Some((canceller, watchman)));
            ready(SENT)
        }));
        let (canceller, watchman) = ends.take().unwrap();
        let (cancelled, timed_out) = (canceller.join().unwrap(), watchman.join().unwrap());
        assert!(!(cancelled && timed_out), "ended twice");
        match outcome {
            Err(CallError::Cancelled) => assert!(cancelled),
            Err(CallError::TimedOut) => assert!(!cancelled),
            other => panic!("{other:?}"),
        }
        assert_nothing_left(&calls);
    });
}

#[test]
fn closing_tells_all_who_wait() {
    explore(|| {
        let calls = threads(Calls::<2>::new(7), &Time::new());
        let (other, closing) = (calls.clone(), calls.clone());
        let other = spawn(move || block_on(other.call(2, SECOND, sent)));
        let closer = spawn(move || closing.close());
        assert_eq!(block_on(calls.call(1, SECOND, sent)), Err(CallError::Closed));
        assert_eq!(other.join().unwrap(), Err(CallError::Closed));
        closer.join().unwrap();
        calls.reopen();
        assert_nothing_left(&calls);
    });
}

#[test]
fn gather_ends_with_what_came_by_the_deadline() {
    explore(|| {
        let time = Time::new();
        let calls = threads(Calls::<2>::new(7), &time);
        let resolver = Cell::new(None);
        let answers = block_on(calls.gather::<2, _, _, _>([1, 2], 2, SECOND, |peer, id| {
            let (calls, time) = (calls.clone(), time.clone());
            if peer == 1 {
                resolver.set(Some(spawn(move || calls.resolve(id, 1, 42))));
            } else {
                spawn(move || time.set(Instant::from_secs(1)));
            }
            ready(SENT)
        }));
        let resolution = resolver.take().unwrap().join().unwrap();
        match (answers.unwrap().as_slice(), resolution) {
            ([(1, 42)], Resolution::Matched) | ([], Resolution::Late(42)) => {}
            other => panic!("{other:?}"),
        }
        assert_nothing_left(&calls);
    });
}

#[test]
fn a_call_by_the_callers_id_ends_once_too() {
    type Keyed = KeyedCorrelator<u8, u32, 1>;
    explore(|| {
        let time = Time::new();
        let calls = threads(Keyed::new(), &time);
        let resolver = Cell::new(None);
        let outcome = block_on(calls.call(5, SECOND, || {
            let (resolving, ending) = (Arc::clone(&calls), time.clone());
            resolver.set(Some(spawn(move || resolving.resolve(&5, 42))));
            spawn(move || ending.set(Instant::from_secs(1)));
            ready(SENT)
        }));
        match (outcome, resolver.take().unwrap().join().unwrap()) {
            (Ok(42), Resolution::Matched) => {}
            (Err(CallError::TimedOut), Resolution::Late(42) | Resolution::Unknown(42)) => {}
            other => panic!("{other:?}"),
        }
        assert!(calls.with_lock(|calls| calls.is_empty()), "a slot leaked");
    });
}
