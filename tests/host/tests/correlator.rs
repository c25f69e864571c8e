//! The correlators against naive references, under hostile clocks, hostile replies and full slabs.

mod support;

use core::{hash::BuildHasher, time::Duration};
use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::RandomState,
};

use proptest::prelude::*;
use steadfast_core::{BeginError, CallId, Correlator, CorrelatorStats, Expired, Instant, KeyedCorrelator, Resolution};
use steadfast_tests::{Timed, deadline_contract};

const N: usize = 3;
const SECOND: u64 = 1_000_000_000;
/// A clock that goes back by no more is not taken to have stepped.
const OUT_OF_ORDER: u64 = SECOND / 10;

/// One step: how the clock moves, and what is done then. Calls are named by how many began before them.
#[derive(Clone, Copy, Debug)]
enum Op {
    Begin { peer: u8, timeout: u64 },
    Cancel { call: usize },
    Close,
    OnTimeout,
    Reopen,
    Resolve { call: usize, from: u8 },
    Take { call: usize },
}

fn ops() -> impl Strategy<Value = Vec<(i64, Op)>> {
    let step = prop_oneof![
        6 => 0..2 * SECOND as i64,
        2 => Just(SECOND as i64),
        2 => Just(0),
        1 => -20 * SECOND as i64..0,
        1 => -2 * OUT_OF_ORDER as i64..0,
        1 => Just(-(OUT_OF_ORDER as i64)),
        1 => prop_oneof![Just(i64::MIN), Just(i64::MAX)],
    ];
    let timeout = prop_oneof![4 => (0..4_u64).prop_map(|secs| secs * SECOND), 2 => 0..5 * SECOND, 1 => Just(u64::MAX)];
    // Small numbers: the calls of a sequence are few.
    let call = 0..12_usize;
    let op = prop_oneof![
        8 => (0..3_u8, timeout).prop_map(|(peer, timeout)| Op::Begin { peer, timeout }),
        6 => (call.clone(), 0..3_u8).prop_map(|(call, from)| Op::Resolve { call, from }),
        4 => call.clone().prop_map(|call| Op::Take { call }),
        2 => call.prop_map(|call| Op::Cancel { call }),
        3 => Just(Op::OnTimeout),
        1 => prop_oneof![3 => Just(Op::Reopen), 1 => Just(Op::Close)],
    ];
    prop::collection::vec((step, op), 1..20)
}

fn conserved(stats: &CorrelatorStats) -> bool {
    stats.begun == stats.resolved + stats.timed_out + stats.cancelled + stats.closed + stats.pending
}

/// A call as anybody would note it down.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Pending,
    Replied(usize),
    Answered,
    Unanswered,
    Forgotten,
}

struct Noted {
    slot: usize,
    peer: u8,
    begun_at: u64,
    expires_at: u64,
    state: State,
}

/// Everything about every call, and the order in which those that are over are to be forgotten.
#[derive(Default)]
struct Notes {
    calls: Vec<Noted>,
    over: VecDeque<usize>,
    closed: bool,
    seen_at: u64,
}

impl Notes {
    fn live(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call.state, State::Pending | State::Replied(_))).count()
    }

    fn due(&self) -> Option<(u64, usize)> {
        let pending = self.calls.iter().enumerate().filter(|(_, call)| call.state == State::Pending);
        pending.min_by_key(|(_, call)| (call.expires_at, call.slot)).map(|(index, call)| (call.expires_at, index))
    }

    fn see(&mut self, now: u64) {
        if now.saturating_add(OUT_OF_ORDER) < self.seen_at {
            for call in self.calls.iter_mut().filter(|call| call.state == State::Pending && call.begun_at > now) {
                call.expires_at = now.saturating_add(call.expires_at - call.begun_at);
                call.begun_at = now;
            }
            self.seen_at = now;
        }
        self.seen_at = self.seen_at.max(now);
    }

    fn begin(&mut self, peer: u8, timeout: u64, now: u64) -> Result<(), BeginError> {
        self.see(now);
        if self.closed {
            return Err(BeginError::Closed);
        }
        if self.live() == N {
            return Err(BeginError::Full);
        }
        let used = self.live() + self.over.len();
        let slot = if used < N {
            used
        } else {
            let forgotten = self.over.pop_front().expect("a slot is free");
            self.calls[forgotten].state = State::Forgotten;
            self.calls[forgotten].slot
        };
        let expires_at = now.saturating_add(timeout);
        self.calls.push(Noted { slot, peer, begun_at: now, expires_at, state: State::Pending });
        Ok(())
    }

    fn resolve(&mut self, index: usize, from: u8, reply: usize, now: u64) -> Resolution<usize> {
        self.see(now);
        match self.calls.get_mut(index) {
            None | Some(Noted { state: State::Forgotten, .. }) => Resolution::Unknown(reply),
            Some(call) if call.peer != from => Resolution::WrongPeer(reply),
            Some(call) => match call.state {
                State::Pending if now < call.expires_at => {
                    call.state = State::Replied(reply);
                    Resolution::Matched
                }
                State::Answered | State::Replied(_) => Resolution::Duplicate(reply),
                _ => Resolution::Late(reply),
            },
        }
    }

    fn take(&mut self, index: usize) -> Option<usize> {
        let State::Replied(reply) = self.calls.get(index)?.state else { return None };
        self.end(index, State::Answered);
        Some(reply)
    }

    fn cancel(&mut self, index: usize) -> bool {
        let pending = self.calls.get(index).is_some_and(|call| call.state == State::Pending);
        if pending {
            self.end(index, State::Unanswered);
        }
        pending
    }

    fn close(&mut self) {
        let mut pending: Vec<usize> = (0..self.calls.len()).collect();
        pending.retain(|index| self.calls[*index].state == State::Pending);
        pending.sort_by_key(|index| self.calls[*index].slot);
        pending.into_iter().for_each(|index| self.end(index, State::Unanswered));
        self.closed = true;
    }

    fn end(&mut self, index: usize, state: State) {
        self.calls[index].state = state;
        self.over.push_back(index);
    }
}

/// A slab with the ids that it gave out; it is copied by doing everything again.
struct Slab {
    correlator: Correlator<u8, usize, N>,
    ids: Vec<CallId>,
    now: u64,
    done: Vec<(u64, Op)>,
}

impl Slab {
    fn new() -> Self {
        Self { correlator: Correlator::new(0x5eed), ids: Vec::new(), now: 1_000 * SECOND, done: Vec::new() }
    }

    fn id(&self, call: usize) -> CallId {
        // A call that has not begun yet: an id that nobody gave out.
        self.ids.get(call).copied().unwrap_or(CallId::from_u64(call as u64))
    }

    fn apply(&mut self, now: u64, op: Op) {
        self.done.push((now, op));
        let now = Instant::from_nanos(now);
        match op {
            Op::Begin { peer, timeout } => {
                let call = self.correlator.begin(peer, Duration::from_nanos(timeout), now);
                self.ids.extend(call.map(|call| call.id()));
            }
            Op::Cancel { call } => {
                self.correlator.cancel(self.id(call));
            }
            Op::Close => self.correlator.close(),
            Op::OnTimeout => {
                let _ = self.correlator.on_timeout(now);
            }
            Op::Reopen => self.correlator.reopen(),
            Op::Resolve { call, from } => {
                let _ = self.correlator.resolve(self.id(call), from, 0, now);
            }
            Op::Take { call } => {
                self.correlator.take(self.id(call));
            }
        }
    }
}

impl Clone for Slab {
    fn clone(&self) -> Self {
        let mut copy = Self::new();
        self.done.iter().for_each(|(now, op)| copy.apply(*now, *op));
        copy
    }
}

impl Timed for Slab {
    fn next_deadline(&self) -> Option<Instant> {
        self.correlator.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.done.push((now.as_nanos(), Op::OnTimeout));
        self.correlator.on_timeout(now).is_some()
    }

    fn digest(&self) -> u64 {
        // What was counted, what each call is taken for, and the ids to come.
        let mut probe = self.clone();
        let stats = format!("{:?} {:?}", probe.correlator.stats(), probe.correlator.round_trips());
        let now = Instant::from_nanos(probe.now);
        let known: Vec<_> =
            (0..probe.ids.len()).map(|call| probe.correlator.resolve(probe.id(call), 9, 0, now)).collect();
        let taken: Vec<_> = (0..probe.ids.len()).map(|call| probe.correlator.take(probe.id(call))).collect();
        probe.correlator.reopen();
        let coming: Vec<_> = (0..N).map(|_| probe.correlator.begin(0, Duration::ZERO, now)).collect();
        let mut hash = 0_u64;
        for byte in format!("{stats}{known:?}{taken:?}{coming:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        hash
    }
}

proptest! {
    #![proptest_config(support::cases(10_000))]

    #[test]
    fn a_slab_does_what_notes_of_everything_do(ops in ops(), seed: u64) {
        let mut slab = Correlator::<u8, usize, N>::new(seed);
        let mut notes = Notes::default();
        let mut ids: Vec<CallId> = Vec::new();
        let mut now = 1_000 * SECOND;
        let mut replies = 0;
        for (number, (step, op)) in ops.into_iter().enumerate() {
            now = now.saturating_add_signed(step);
            let at = Instant::from_nanos(now);
            let id = |call: usize| ids.get(call).copied().unwrap_or(CallId::from_u64(call as u64));
            match op {
                Op::Begin { peer, timeout } => {
                    let begun = slab.begin(peer, Duration::from_nanos(timeout), at);
                    prop_assert_eq!(begun.map(drop), notes.begin(peer, timeout, now));
                    if let Ok(call) = begun {
                        prop_assert_eq!(call.expires_at(), Instant::from_nanos(now.saturating_add(timeout)));
                        prop_assert!(!ids.contains(&call.id()), "two calls share an id");
                        ids.push(call.id());
                    }
                }
                Op::Cancel { call } => prop_assert_eq!(slab.cancel(id(call)), notes.cancel(call)),
                Op::Close => {
                    slab.close();
                    notes.close();
                }
                Op::OnTimeout => {
                    let due = notes.due().filter(|(expires_at, _)| now >= *expires_at).map(|(_, call)| call);
                    let expected = due.map(|call| Expired { id: id(call), peer: notes.calls[call].peer });
                    prop_assert_eq!(slab.on_timeout(at), expected);
                    due.into_iter().for_each(|call| notes.end(call, State::Unanswered));
                }
                Op::Reopen => {
                    slab.reopen();
                    notes.closed = false;
                }
                Op::Resolve { call, from } => {
                    replies += 1;
                    prop_assert_eq!(slab.resolve(id(call), from, number, at), notes.resolve(call, from, number, now));
                }
                Op::Take { call } => prop_assert_eq!(slab.take(id(call)), notes.take(call)),
            }
            let stats = slab.stats();
            prop_assert!(conserved(&stats), "{:?}", stats);
            let told = stats.resolved + stats.late + stats.duplicates + stats.unknown + stats.wrong_peer;
            prop_assert_eq!(told, replies);
            prop_assert_eq!(stats.begun, ids.len() as u64);
            let pending = notes.calls.iter().filter(|call| call.state == State::Pending).count();
            prop_assert_eq!(stats.pending, pending as u64);
            prop_assert_eq!(slab.len(), notes.live());
            prop_assert_eq!(slab.next_deadline(), notes.due().map(|(at, _)| Instant::from_nanos(at)));
        }
    }

    #[test]
    fn a_keyed_correlator_does_what_a_hash_map_does(ops in ops()) {
        let mut keyed = KeyedCorrelator::<usize, usize, N>::new();
        let mut model: HashMap<usize, (u64, u64, Option<usize>)> = HashMap::new();
        let (mut closed, mut seen, mut now) = (false, 0, 1_000 * SECOND);
        let due = |model: &HashMap<usize, (u64, u64, Option<usize>)>| {
            model.values().filter(|call| call.2.is_none()).map(|call| call.1).min()
        };
        for (number, (step, op)) in ops.into_iter().enumerate() {
            now = now.saturating_add_signed(step);
            let at = Instant::from_nanos(now);
            if matches!(op, Op::Begin { .. } | Op::Resolve { .. }) {
                if now.saturating_add(OUT_OF_ORDER) < seen {
                    for (begun_at, expires_at, _) in model.values_mut().filter(|call| call.0 > now && call.2.is_none()) {
                        *expires_at = now.saturating_add(*expires_at - *begun_at);
                        *begun_at = now;
                    }
                    seen = now;
                }
                seen = seen.max(now);
            }
            match op {
                Op::Begin { peer, timeout } => {
                    let id = usize::from(peer) * 3;
                    let expires_at = now.saturating_add(timeout);
                    let expected = if closed {
                        Err(BeginError::Closed)
                    } else if model.contains_key(&id) {
                        Err(BeginError::Duplicate)
                    } else if model.len() == N {
                        Err(BeginError::Full)
                    } else {
                        model.insert(id, (now, expires_at, None));
                        Ok(Instant::from_nanos(expires_at))
                    };
                    prop_assert_eq!(keyed.begin(id, Duration::from_nanos(timeout), at), expected);
                }
                Op::Cancel { call } => {
                    let pending = model.get(&call).is_some_and(|call| call.2.is_none());
                    prop_assert_eq!(keyed.cancel(&call), pending);
                    model.retain(|id, _| !(pending && *id == call));
                }
                Op::Close => {
                    keyed.close();
                    model.retain(|_, call| call.2.is_some());
                    closed = true;
                }
                Op::OnTimeout => {
                    let due = due(&model).filter(|at| now >= *at);
                    let expired = keyed.on_timeout(at);
                    prop_assert_eq!(expired.and_then(|id| model.remove(&id)).map(|call| call.1), due);
                    prop_assert_eq!(expired.is_some(), due.is_some());
                }
                Op::Reopen => {
                    keyed.reopen();
                    closed = false;
                }
                Op::Resolve { call, .. } => {
                    let expected = match model.get_mut(&call) {
                        None => Resolution::Unknown(number),
                        Some((_, _, Some(_))) => Resolution::Duplicate(number),
                        Some((_, expires_at, reply)) if now < *expires_at => {
                            *reply = Some(number);
                            Resolution::Matched
                        }
                        Some(_) => Resolution::Late(number),
                    };
                    prop_assert_eq!(keyed.resolve(&call, number, at), expected);
                }
                Op::Take { call } => {
                    let reply = model.get(&call).and_then(|call| call.2);
                    prop_assert_eq!(keyed.take(&call), reply);
                    model.retain(|id, _| !(reply.is_some() && *id == call));
                }
            }
            prop_assert!(conserved(&keyed.stats()), "{:?}", keyed.stats());
            let pending = model.values().filter(|call| call.2.is_none()).count();
            prop_assert_eq!(keyed.stats().pending, pending as u64);
            prop_assert_eq!(keyed.len(), model.len());
            prop_assert_eq!(keyed.next_deadline(), due(&model).map(Instant::from_nanos));
        }
    }
}

proptest! {
    #![proptest_config(support::cases(1_000))]

    #[test]
    fn the_deadline_contract_holds(ops in ops()) {
        let mut slab = Slab::new();
        for (step, op) in ops {
            slab.now = slab.now.saturating_add_signed(step);
            slab.apply(slab.now, op);
        }
        deadline_contract(&slab);
    }

    #[test]
    fn ids_differ_between_uses_of_a_slot_and_between_seeds(seed: u64) {
        let mut ids = HashSet::new();
        for seed in [seed, seed.wrapping_add(1), !seed] {
            let mut slab = Correlator::<(), (), 2>::new(seed);
            for _ in 0..50 {
                let id = slab.begin((), Duration::ZERO, Instant::ZERO).expect("a slot is free").id();
                prop_assert!(ids.insert(id));
                prop_assert_eq!(slab.on_timeout(Instant::ZERO).map(|expired| expired.id), Some(id));
            }
        }
    }
}

#[test]
fn guesses_hit_nothing() {
    let mut slab = Correlator::<u8, u64, 64>::new(RandomState::new().hash_one(0));
    for _ in 0..64 {
        let _ = slab.begin(1, Duration::MAX, Instant::ZERO);
    }
    // 64 of 2^64 ids are right; 200,000 guesses would meet one in one of 2^40 runs.
    let guesses = RandomState::new();
    for guess in 0..200_000_u64 {
        let id = CallId::from_u64(guesses.hash_one(guess));
        assert!(!slab.resolve(id, 1, guess, Instant::ZERO).is_matched());
    }
    assert_eq!(slab.stats().unknown, 200_000);
}
