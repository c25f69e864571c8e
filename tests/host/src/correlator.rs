//! A reply reaches its own call, once, in time and from the right peer.

use core::time::Duration;

use heapless::Vec;
use steadfast_core::{
    Correlator, Instant, KeyedCorrelator, Lock,
    correlator::{BeginError, CallId, Resolution},
};

use crate::{
    deadline::{Timed, deadline_contract},
    locks::{Locks, at, before},
};

const TIMEOUT: Duration = Duration::from_secs(2);

/// [`Correlator`]: slots, generations, time-outs.
pub fn correlator_contract<L: Locks>() {
    let calls = L::lock(Correlator::<u8, u32, 2>::new(0x5eed));
    let begin = |peer: u8, now: Instant| calls.with(|calls| calls.begin(peer, TIMEOUT, now));
    let resolve = |id: CallId, from: u8, reply: u32, now: Instant| calls.with(|c| c.resolve(id, from, reply, now));
    let take = |id: CallId| calls.with(|calls| calls.take(id));

    let first = begin(1, at(10)).expect("an empty correlator").id();
    let second = begin(2, at(11)).expect("room for two").id();
    assert_eq!(begin(3, at(11)), Err(BeginError::Full));
    assert_eq!(resolve(first, 2, 7, at(11)), Resolution::WrongPeer(7));
    assert_eq!(resolve(first, 1, 42, before(12)), Resolution::Matched);
    assert_eq!(resolve(first, 1, 43, before(12)), Resolution::Duplicate(43));
    assert_eq!((take(first), take(first)), (Some(42), None));

    // The slot is used again, under another id: what was for the first call does not reach the third.
    let third = begin(1, at(12)).expect("the first slot is free").id();
    assert_ne!(third, first);
    assert!(!matches!(resolve(first, 1, 9, at(12)), Resolution::Matched));
    assert_eq!(resolve(CallId::from_u64(!third.as_u64()), 1, 9, at(12)), Resolution::Unknown(9));

    // Late is late, whether somebody asked for the time-outs or not.
    assert_eq!(calls.with(|calls| calls.next_deadline()), Some(at(13)));
    assert_eq!(resolve(second, 2, 8, at(13)), Resolution::Late(8));
    let expired = calls.with(|calls| calls.on_timeout(at(13))).expect("one is due");
    assert_eq!((expired.id, expired.peer), (second, 2));
    assert_eq!(calls.with(|calls| calls.on_timeout(at(13))), None);
    assert_eq!(resolve(third, 1, 44, at(13)), Resolution::Matched);
    assert_eq!(take(third), Some(44));
    let stats = calls.with(|calls| calls.stats());
    assert_eq!((stats.begun, stats.resolved, stats.timed_out, stats.pending, stats.refused), (3, 2, 1, 0, 1));
}

/// [`KeyedCorrelator`]: the same under names that the caller has.
pub fn keyed_correlator_contract<L: Locks>() {
    let calls = L::lock(KeyedCorrelator::<u64, u32, 2>::new());
    let begin = |id: u64, now: Instant| calls.with(|calls| calls.begin(id, TIMEOUT, now));
    assert_eq!(begin(7, at(10)), Ok(at(12)));
    assert_eq!(begin(7, at(10)), Err(BeginError::Duplicate), "a second call under one name");
    assert_eq!(begin(8, at(10)), Ok(at(12)));
    assert_eq!(begin(9, at(10)), Err(BeginError::Full));
    assert_eq!(calls.with(|calls| calls.resolve(&7, 42, at(11))), Resolution::Matched);
    assert_eq!(calls.with(|calls| (calls.take(&7), calls.take(&7))), (Some(42), None));
    assert!(calls.with(|calls| calls.cancel(&8)));
    assert_eq!(calls.with(|calls| calls.next_deadline()), None);
}

/// A correlator has no copies; this one is made again by what was done to it.
struct Pending {
    calls: Correlator<u8, u32, 4>,
    drained: Vec<Instant, 32>,
}

impl Pending {
    fn new(drained: &[Instant]) -> Self {
        let mut calls = Correlator::new(1);
        for peer in 0..3 {
            let begun = calls.begin(peer, TIMEOUT, at(10 + u64::from(peer)));
            assert!(begun.is_ok());
        }
        let mut pending = Self { calls, drained: Vec::new() };
        drained.iter().for_each(|now| _ = pending.on_timeout(*now));
        pending
    }
}

impl Clone for Pending {
    fn clone(&self) -> Self {
        Self::new(&self.drained)
    }
}

impl Timed for Pending {
    fn next_deadline(&self) -> Option<Instant> {
        self.calls.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.drained.push(now).expect("room for every time-out of the contract");
        self.calls.on_timeout(now).is_some()
    }

    fn digest(&self) -> u64 {
        self.calls.stats().timed_out << 32 | self.calls.stats().pending
    }
}

/// [`deadline_contract`] of a correlator with three calls under way.
pub fn correlator_deadline_contract() {
    deadline_contract(&Pending::new(&[]));
    deadline_contract(&Pending::new(&[at(12)]));
    deadline_contract(&Pending::new(&[at(14); 3]));
}
