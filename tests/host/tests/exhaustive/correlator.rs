//! A correlator whose slots are used again and again, while replies come late, twice, forged and from the wrong peer.

use std::{collections::VecDeque, time::Duration};

use steadfast_core::{
    Correlator, Instant,
    correlator::{BeginError, CallId, Resolution},
};

use super::explore::{START, Scenario, TICK, View, explore};

const PEERS: [u8; 2] = [1, 2];

#[derive(Clone)]
struct Network<const N: usize> {
    /// Time-outs of up to so many ticks.
    longest: u32,
}

struct Run<const N: usize> {
    calls: Correlator<u8, u32, N>,
    now: Instant,
    /// What each slot was last used for.
    slots: [Option<Call>; N],
    /// Those that are free, in the order in which they became free.
    free: VecDeque<usize>,
    /// A call whose slot was used again since.
    forgotten: Option<CallId>,
    is_closed: bool,
    replies: u32,
    /// What was done last: what the correlator keeps beside its slots may depend on it.
    last: [&'static str; 2],
}

#[derive(Clone)]
struct Call {
    id: CallId,
    peer: u8,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Pending(Instant),
    Replied(u32),
    /// Over; true if it had its reply.
    Over(bool),
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Begin(u8, u32),
    Cancel(usize),
    Close,
    Reopen,
    /// A reply to the last call of a slot, right or not.
    Reply(usize, u8),
    Take(usize),
    Tick,
    TimeOut,
}

impl<const N: usize> Scenario for Network<N> {
    type Run = Run<N>;
    type Action = Action;

    fn start(&self) -> Run<N> {
        Run {
            calls: Correlator::new(7),
            now: START,
            slots: [const { None }; N],
            free: (0..N).collect(),
            forgotten: None,
            is_closed: false,
            replies: 0,
            last: [""; 2],
        }
    }

    fn actions(&self, run: &Run<N>) -> Vec<Action> {
        let mut actions =
            vec![Action::Tick, Action::TimeOut, if run.is_closed { Action::Reopen } else { Action::Close }];
        for peer in PEERS {
            actions.extend((1..=self.longest).map(|ticks| Action::Begin(peer, ticks)));
        }
        for slot in (0..N).filter(|slot| run.slots[*slot].is_some()) {
            actions.extend([Action::Cancel(slot), Action::Take(slot)]);
            actions.extend(PEERS.map(|peer| Action::Reply(slot, peer)));
        }
        actions
    }

    fn step(&self, run: &mut Run<N>, action: &Action) -> Result<&'static str, String> {
        let seen = match action {
            Action::Begin(peer, ticks) => run.begin(*peer, *ticks * TICK)?,
            Action::Cancel(slot) => run.cancel(*slot)?,
            Action::Close => run.close(),
            Action::Reopen => {
                run.calls.reopen();
                run.is_closed = false;
                "reopened"
            }
            Action::Reply(slot, from) => run.reply(*slot, *from)?,
            Action::Take(slot) => run.take(*slot)?,
            Action::Tick => {
                run.now = run.now.saturating_add(TICK);
                "a tick"
            }
            Action::TimeOut => run.time_out()?,
        };
        run.last = [run.last[1], seen];
        run.check()?;
        Ok(seen)
    }

    fn fingerprint(&self, run: &Run<N>) -> String {
        let view = View { now: run.now, far: self.longest.into() };
        let slots = run.slots.each_ref().map(|call| {
            call.as_ref().map(|call| {
                let phase = match call.phase {
                    Phase::Pending(expires_at) => 10 + view.ticks(expires_at),
                    Phase::Replied(_) => 3,
                    Phase::Over(answered) => i64::from(answered),
                };
                (call.peer, phase)
            })
        });
        let last = if cfg!(debug_assertions) { &run.last[2..] } else { &run.last[..] };
        format!("{slots:?} {:?} {} {} {last:?}", run.free, run.is_closed, run.forgotten.is_some())
    }

    /// Once all calls have timed out and what came was taken, every slot serves again.
    fn recovers(&self, mut run: Run<N>) -> Result<(), String> {
        run.calls.reopen();
        run.is_closed = false;
        run.now = run.now.saturating_add(self.longest * TICK);
        while run.time_out()? != "nothing was due" {}
        for slot in (0..N).filter(|slot| run.slots[*slot].is_some()).collect::<Vec<_>>() {
            run.take(slot)?;
        }
        for _ in 0..N {
            if run.begin(PEERS[0], TICK)? != "begun" {
                return Err("a slot leaked".to_owned());
            }
        }
        for slot in 0..N {
            run.reply(slot, PEERS[0])?;
            if run.take(slot)? != "taken" {
                return Err("a reply was lost".to_owned());
            }
        }
        run.check()
    }
}

impl<const N: usize> Run<N> {
    fn begin(&mut self, peer: u8, timeout: Duration) -> Result<&'static str, String> {
        // A full one has room once a call has timed out.
        if !self.is_closed
            && self.free.is_empty()
            && let Some(slot) = self.due()
        {
            self.over(slot);
        }
        match (self.calls.begin(peer, timeout, self.now), self.is_closed, self.free.front().copied()) {
            (Err(BeginError::Closed), true, _) => Ok("refused, closed"),
            (Err(BeginError::Full), false, None) => Ok("refused, full"),
            (Ok(call), false, Some(slot)) => {
                let (id, expires_at) = (call.id(), self.now.saturating_add(timeout));
                let is_new = self.slots.iter().flatten().all(|other| other.id != id) && self.forgotten != Some(id);
                if id.as_u64() as u32 as usize != slot || !is_new || call.expires_at() != expires_at {
                    return Err(format!("{call:?} in slot {slot} until {expires_at:?}"));
                }
                self.free.pop_front();
                let before = self.slots[slot].replace(Call { id, peer, phase: Phase::Pending(expires_at) });
                self.forgotten = before.map(|call| call.id).or(self.forgotten);
                Ok("begun")
            }
            other => Err(format!("{other:?}")),
        }
    }

    fn reply(&mut self, slot: usize, from: u8) -> Result<&'static str, String> {
        let Some(call) = &mut self.slots[slot] else { return Ok("no call") };
        self.replies += 1;
        let reply = self.replies;
        let resolution = self.calls.resolve(call.id, from, reply, self.now);
        let expected = match call.phase {
            _ if call.peer != from => (Resolution::WrongPeer(reply), "from the wrong peer"),
            Phase::Pending(expires_at) if self.now < expires_at => (Resolution::Matched, "matched"),
            Phase::Pending(_) => (Resolution::Late(reply), "late, and not timed out yet"),
            Phase::Replied(_) | Phase::Over(true) => (Resolution::Duplicate(reply), "a duplicate"),
            Phase::Over(false) => (Resolution::Late(reply), "late"),
        };
        if resolution != expected.0 {
            return Err(format!("{resolution:?} instead of {expected:?}"));
        }
        if resolution.is_matched() {
            call.phase = Phase::Replied(reply);
        }
        Ok(expected.1)
    }

    fn take(&mut self, slot: usize) -> Result<&'static str, String> {
        let Some(call) = &mut self.slots[slot] else { return Ok("no call") };
        match (self.calls.take(call.id), &call.phase) {
            (Some(reply), Phase::Replied(expected)) if reply == *expected => {
                call.phase = Phase::Over(true);
                self.free.push_back(slot);
                Ok("taken")
            }
            (None, Phase::Pending(_) | Phase::Over(_)) => Ok("nothing to take"),
            other => Err(format!("took {other:?}")),
        }
    }

    fn cancel(&mut self, slot: usize) -> Result<&'static str, String> {
        let Some(call) = &mut self.slots[slot] else { return Ok("no call") };
        let is_pending = matches!(call.phase, Phase::Pending(_));
        if self.calls.cancel(call.id) != is_pending {
            return Err(format!("cancelled {:?}", call.phase));
        }
        if !is_pending {
            return Ok("nothing to cancel");
        }
        self.over(slot);
        Ok("cancelled")
    }

    fn close(&mut self) -> &'static str {
        self.calls.close();
        self.is_closed = true;
        for slot in 0..N {
            if self.expires_at(slot).is_some() {
                self.over(slot);
            }
        }
        "closed"
    }

    fn time_out(&mut self) -> Result<&'static str, String> {
        let due = self.due();
        let expected = due.and_then(|slot| self.slots[slot].as_ref()).map(|call| (call.id, call.peer));
        let expired = self.calls.on_timeout(self.now).map(|expired| (expired.id, expired.peer));
        if expired != expected {
            return Err(format!("{expired:?} timed out instead of {expected:?}"));
        }
        let Some(slot) = due else { return Ok("nothing was due") };
        self.over(slot);
        Ok("timed out")
    }

    /// The slot of the call that is due first, if one is.
    fn due(&self) -> Option<usize> {
        let first = (0..N).filter_map(|slot| self.expires_at(slot).map(|at| (at, slot))).min();
        first.filter(|(expires_at, _)| *expires_at <= self.now).map(|(_, slot)| slot)
    }

    fn over(&mut self, slot: usize) {
        if let Some(call) = &mut self.slots[slot] {
            call.phase = Phase::Over(false);
            self.free.push_back(slot);
        }
    }

    fn expires_at(&self, slot: usize) -> Option<Instant> {
        match self.slots[slot].as_ref()?.phase {
            Phase::Pending(expires_at) => Some(expires_at),
            Phase::Replied(_) | Phase::Over(_) => None,
        }
    }

    /// What holds at every instant; ids that were never given, or are forgotten, name nothing.
    fn check(&mut self) -> Result<(), String> {
        let guessed = self.slots.iter().flatten().map(|call| CallId::from_u64(call.id.as_u64() ^ 1 << 40));
        let forged = [CallId::from_u64(u64::MAX), CallId::from_u64(0x1234_5678_0000_0000)];
        for id in guessed.chain(forged).chain(self.forgotten).collect::<Vec<_>>() {
            if self.calls.resolve(id, PEERS[0], 0, self.now) != Resolution::Unknown(0) {
                return Err(format!("{id:?} names a call"));
            }
        }
        let next_deadline = (0..N).filter_map(|slot| self.expires_at(slot)).min();
        if self.calls.next_deadline() != next_deadline || self.calls.len() != N - self.free.len() {
            return Err(format!("{:?} instead of {next_deadline:?}", self.calls.next_deadline()));
        }
        let stats = self.calls.stats();
        let ended = stats.resolved + stats.timed_out + stats.cancelled + stats.closed;
        let pending = (0..N).filter(|slot| self.expires_at(*slot).is_some()).count() as u64;
        if stats.begun != ended + stats.pending || stats.pending != pending {
            return Err(format!("{stats:?}"));
        }
        Ok(())
    }
}

const SEEN: [&str; 13] = [
    "a duplicate",
    "begun",
    "cancelled",
    "closed",
    "from the wrong peer",
    "late",
    "late, and not timed out yet",
    "matched",
    "nothing was due",
    "refused, closed",
    "refused, full",
    "taken",
    "timed out",
];

#[test]
fn every_reply_reaches_its_call_or_none() {
    #[cfg(debug_assertions)]
    let explored = explore(Network::<2> { longest: 1 }, 20_000);
    #[cfg(not(debug_assertions))]
    let explored = explore(Network::<2> { longest: 2 }, 1_000_000);
    explored.assert_safe_and_live(&SEEN);
}
