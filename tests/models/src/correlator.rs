//! The correlator against notes of everything, under hostile clocks, hostile replies and full slabs.

use core::time::Duration;
use std::collections::VecDeque;

use steadfast_core::{
    Correlator, Instant,
    correlator::{BeginError, CallId, CorrelatorStats, Expired, Resolution},
};
use steadfast_tests::{Timed, deadline_contract};

use crate::Script;

pub const N: usize = 3;
pub const SECOND: u64 = 1_000_000_000;
/// A clock that goes back by no more is not taken to have stepped.
pub const OUT_OF_ORDER: u64 = SECOND / 10;

/// One step: how the clock moves, and what is done then. Calls are named by how many began before them.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Begin { peer: u8, timeout: u64 },
    Cancel { call: usize },
    Close,
    OnTimeout,
    Reopen,
    Resolve { call: usize, from: u8 },
    Take { call: usize },
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    if script.below(4) == 0 {
        keep_deadlines(ops(script, 20));
    } else {
        let seed = script.any();
        beside_notes(ops(script, 60), seed);
    }
}

pub(crate) fn ops(script: &mut Script<'_>, most: usize) -> Vec<(i64, Op)> {
    script.list(most, |script| {
        let step = match script.weighted(&[(6, 0), (2, 1), (2, 2), (1, 3), (1, 4), (1, 5), (1, 6)]) {
            0 => script.below(2 * SECOND) as i64,
            1 => SECOND as i64,
            2 => 0,
            3 => -(script.below(20 * SECOND) as i64),
            4 => -(script.below(2 * OUT_OF_ORDER) as i64),
            5 => -(OUT_OF_ORDER as i64),
            _ => script.any() as i64,
        };
        let op = match script.weighted(&[(8, 0), (6, 1), (4, 2), (2, 3), (3, 4), (1, 5), (1, 6)]) {
            0 => Op::Begin { peer: script.below(3) as u8, timeout: timeout(script) },
            1 => Op::Resolve { call: script.below(12) as usize, from: script.below(3) as u8 },
            2 => Op::Take { call: script.below(12) as usize },
            3 => Op::Cancel { call: script.below(12) as usize },
            4 => Op::OnTimeout,
            5 => Op::Reopen,
            _ => Op::Close,
        };
        (step, op)
    })
}

fn timeout(script: &mut Script<'_>) -> u64 {
    if script.flag() { script.below(4) * SECOND } else { script.nanos() }
}

pub(crate) fn conserved(stats: &CorrelatorStats) -> bool {
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
    /// The earliest and the latest reading since readings are behind.
    behind: Option<(u64, u64)>,
    look_at: u64,
}

impl Notes {
    fn live(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call.state, State::Pending | State::Replied(_))).count()
    }

    fn next_deadline(&self) -> Option<u64> {
        let pending = self.calls.iter().filter(|call| call.state == State::Pending);
        pending.map(|call| self.due_at(call)).min()
    }

    fn see(&mut self, now: u64, patience: u64) {
        let pending = self.calls.iter_mut().filter(|call| call.state == State::Pending);
        let times = pending.map(|call| (&mut call.begun_at, &mut call.expires_at));
        see(&mut self.seen_at, &mut self.behind, &mut self.look_at, times, now, patience);
    }

    fn due_at(&self, call: &Noted) -> u64 {
        due_at(self.behind, call.begun_at, call.expires_at)
    }

    /// The call that is due, if one is.
    fn expire(&mut self, now: u64) -> Option<usize> {
        self.see(now, 0);
        let pending = self.calls.iter().enumerate().filter(|(_, call)| call.state == State::Pending);
        let (index, _) =
            pending.min_by_key(|(_, call)| (call.expires_at, call.slot)).filter(|(_, call)| now >= call.expires_at)?;
        self.end(index, State::Unanswered);
        Some(index)
    }

    fn begin(&mut self, peer: u8, timeout: u64, now: u64) -> Result<(), BeginError> {
        self.see(now, OUT_OF_ORDER);
        if self.closed {
            return Err(BeginError::Closed);
        }
        if self.live() == N && self.expire(now).is_none() {
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
        self.see(now, OUT_OF_ORDER);
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
        copy.now = self.now;
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
        // As many as there is room for: whose slot a call more would get is not said.
        let room = probe.correlator.len()..N;
        let begin = |_| probe.correlator.begin(0, Duration::MAX, now).map(|call| call.id());
        let coming: Vec<_> = room.map(begin).collect();
        let mut hash = 0_u64;
        for byte in format!("{stats}{known:?}{taken:?}{coming:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        hash
    }
}

pub fn beside_notes(ops: Vec<(i64, Op)>, seed: u64) {
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
                assert_eq!(begun.map(drop), notes.begin(peer, timeout, now));
                if let Ok(call) = begun {
                    assert_eq!(call.expires_at(), Instant::from_nanos(now.saturating_add(timeout)));
                    assert!(!ids.contains(&call.id()), "two calls share an id");
                    ids.push(call.id());
                }
            }
            Op::Cancel { call } => assert_eq!(slab.cancel(id(call)), notes.cancel(call)),
            Op::Close => {
                slab.close();
                notes.close();
            }
            Op::OnTimeout => {
                let due = notes.expire(now);
                let expected = due.map(|call| Expired { id: id(call), peer: notes.calls[call].peer });
                assert_eq!(slab.on_timeout(at), expected);
            }
            Op::Reopen => {
                slab.reopen();
                notes.closed = false;
            }
            Op::Resolve { call, from } => {
                replies += 1;
                assert_eq!(slab.resolve(id(call), from, number, at), notes.resolve(call, from, number, now));
            }
            Op::Take { call } => assert_eq!(slab.take(id(call)), notes.take(call)),
        }
        let stats = slab.stats();
        assert!(conserved(&stats), "{:?}", stats);
        let told = stats.resolved + stats.late + stats.duplicates + stats.unknown + stats.wrong_peer;
        assert_eq!(told, replies);
        assert_eq!(stats.begun, ids.len() as u64);
        let pending = notes.calls.iter().filter(|call| call.state == State::Pending).count();
        assert_eq!(stats.pending, pending as u64);
        assert_eq!(slab.len(), notes.live());
        assert_eq!(slab.next_deadline(), notes.next_deadline().map(Instant::from_nanos));
    }
}

pub fn keep_deadlines(ops: Vec<(i64, Op)>) {
    let mut slab = Slab::new();
    let mut latest = 0;
    for (step, op) in ops {
        slab.now = slab.now.saturating_add_signed(step);
        latest = latest.max(slab.now);
        slab.apply(slab.now, op);
    }
    // Whether the clock has stepped back is for later readings to tell; so here it goes on from where it was, and does not go
    // back to deadlines that have passed.
    slab.now = latest;
    while slab.on_timeout(Instant::from_nanos(latest)) {}
    deadline_contract(&slab);
}

/// What readings that are behind do to pending calls, which are given as when they began and when they time out.
pub(crate) fn see<'a>(
    seen_at: &mut u64,
    behind: &mut Option<(u64, u64)>,
    look_at: &mut u64,
    pending: impl Iterator<Item = (&'a mut u64, &'a mut u64)>,
    now: u64,
    patience: u64,
) {
    if now >= *seen_at {
        (*seen_at, *behind, *look_at) = (now, None, 0);
        return;
    }
    let (from, to) = behind.map_or((now, now), |(from, to)| (from.min(now), to.max(now)));
    if behind.is_some_and(|(before, _)| from < before) {
        *look_at = from;
    }
    *behind = Some((from, to));
    if now < (*look_at).max(from.saturating_add(patience)) {
        return;
    }
    let mut shortest = None::<u64>;
    for (begun_at, expires_at) in pending.filter(|(begun_at, _)| **begun_at > to) {
        let timeout = *expires_at - *begun_at;
        if timeout / 2 > to - from {
            shortest = Some(shortest.map_or(timeout, |shortest| shortest.min(timeout)));
        } else {
            (*begun_at, *expires_at) = (from, from.saturating_add(timeout));
        }
    }
    match shortest {
        Some(timeout) => *look_at = from.saturating_add(timeout / 2),
        None => (*seen_at, *behind, *look_at) = (to, None, 0),
    }
}

pub(crate) fn due_at(behind: Option<(u64, u64)>, begun_at: u64, expires_at: u64) -> u64 {
    match behind {
        Some((from, to)) if begun_at > to => from.saturating_add(expires_at - begun_at),
        _ => expires_at,
    }
}
