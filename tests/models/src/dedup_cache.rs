//! The dedup cache beside a naive one, under clocks that step and leap.

use core::time::Duration;
use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
};

use steadfast_core::{
    DedupCache, HashSeed, Instant,
    dedup_cache::{Claim, ClaimLost, ClaimTicket, OnFull, Seen},
};
use steadfast_tests::{Timed, deadline_contract};

use crate::Script;

const CAPACITY: usize = 5;
pub const TTL: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(3);

pub type Cache = DedupCache<u8, CAPACITY>;
/// One that keeps a value with each id that is committed so.
type Keeping = DedupCache<u8, CAPACITY, HashSeed, u16>;

#[derive(Clone, Debug)]
pub enum Op {
    Check(u8),
    Mark(u8),
    Claim(u8),
    /// One of the tickets that are out, the newest first; some are lost for good by never being chosen.
    Commit(usize),
    CommitWith(usize, u16),
    Abort(usize),
    Forget(u8),
    Cleanup,
    Reseed(u64),
}

pub fn fuzz(bytes: &[u8]) {
    let script = &mut Script::new(bytes);
    let on_full = if script.flag() { OnFull::Refuse } else { OnFull::ForgetOldest };
    if script.below(4) == 0 {
        keep_deadlines(on_full, ops(script, 20));
    } else {
        beside_the_naive_one(on_full, ops(script, 60));
    }
}

fn ops(script: &mut Script<'_>, most: usize) -> Vec<(Op, Instant)> {
    let mut now = Instant::from_secs(1_000);
    script.list(most, |script| {
        let op = match script.weighted(&[(5, 0), (2, 1), (3, 2), (2, 3), (2, 4), (1, 5), (1, 6), (1, 7), (2, 8)]) {
            0 => Op::Check(script.below(9) as u8),
            1 => Op::Mark(script.below(9) as u8),
            2 => Op::Claim(script.below(9) as u8),
            3 => Op::Commit(script.below(3) as usize),
            4 => Op::Abort(script.below(3) as usize),
            5 => Op::Cleanup,
            7 => Op::Forget(script.below(9) as u8),
            8 => Op::CommitWith(script.below(3) as usize, script.any() as u16),
            _ => Op::Reseed(script.any()),
        };
        now = match script.weighted(&[(8, 0), (4, 1), (1, 2), (2, 3), (1, 4)]) {
            0 => now.saturating_add(Duration::from_millis([0, 1, 1_000, 3_000, 10_000][script.below(5) as usize])),
            1 => now.saturating_add(Duration::from_millis(script.below(4_000))),
            2 => now.saturating_sub(Duration::from_millis(script.below(20_000))),
            3 => now.saturating_sub(Duration::from_nanos(script.nanos())),
            _ => Instant::from_nanos(script.nanos()),
        };
        (op, now)
    })
}

/// What the cache does, said plainly: ids in the order in which their lives began, those that ended among them until
/// their room is needed.
struct Model {
    on_full: OnFull,
    marked: Vec<(u8, Instant, u32)>,
    /// The last that was committed with each of those; 0 where there is none.
    kept: [u16; 256],
    claimed: Vec<(u8, Instant, usize)>,
    claims: usize,
    asked: u64,
    lost: Vec<Instant>,
    /// When it begins what begins now, and the earliest reading since readings are behind.
    latest: Instant,
    behind: Option<Instant>,
}

const fn lives(at: Instant, now: Instant, length: Duration) -> bool {
    now.as_nanos() < at.saturating_add(length).as_nanos()
}

impl Model {
    const fn new(on_full: OnFull) -> Self {
        let (latest, behind) = (Instant::ZERO, None);
        Self {
            on_full,
            marked: vec![],
            kept: [0; 256],
            claimed: vec![],
            claims: 0,
            asked: 0,
            lost: vec![],
            latest,
            behind,
        }
    }

    /// Tells late readings from a clock that has stepped back, and by what time to go.
    fn observe(&mut self, now: Instant) -> Instant {
        let a_little = Duration::from_nanos(1);
        match self.behind {
            _ if now >= self.latest => (self.latest, self.behind) = (now, None),
            _ if self.latest.saturating_add(LEASE) == Instant::MAX => self.step_back(Instant::MAX, now, now, now),
            None => (self.latest, self.behind) = (self.latest.saturating_add(a_little), Some(now)),
            Some(_) if now.saturating_add(a_little) >= self.latest => self.behind = Some(now),
            Some(behind) if now >= behind.saturating_add(LEASE) => {
                self.step_back(self.latest, behind, behind.saturating_add(LEASE), now);
            }
            Some(behind) => self.behind = Some(behind.min(now)),
        }
        if self.behind.is_some() { self.latest.saturating_sub(a_little) } else { self.latest }
    }

    /// What was there before readings were behind begins with the first of these; what came meanwhile, when that is noticed.
    fn step_back(&mut self, from: Instant, to: Instant, noticed: Instant, now: Instant) {
        let is_ahead = |at: Instant| at < from && at > noticed;
        let step = |at: &mut Instant, any_ahead: bool| match *at {
            one if one >= from => *at = noticed,
            one if any_ahead || is_ahead(one) => *at = to.min(one),
            _ => {}
        };
        let any_ahead = self.marked.iter().any(|(_, at, _)| is_ahead(*at));
        self.marked.iter_mut().for_each(|(_, at, _)| step(at, any_ahead));
        let any_ahead = self.claimed.iter().any(|(_, at, _)| is_ahead(*at));
        self.claimed.iter_mut().for_each(|(_, at, _)| step(at, any_ahead));
        self.lost.iter_mut().for_each(|at| *at = noticed.min(*at));
        (self.latest, self.behind) = (now, None);
    }

    /// When it begins what lasts for `span`, if the newest of its kind began `last`.
    fn begins(&self, now: Instant, span: Duration, last: Option<Instant>) -> Instant {
        let latest = self.latest.saturating_sub(Duration::from_nanos(u64::from(self.behind.is_some())));
        let in_order = last.is_none_or(|last| last <= now) && now.saturating_add(span) > latest;
        if in_order || now >= self.latest { now } else { self.latest }
    }

    /// What is kept with `key`, if it is marked.
    fn kept(&self, key: u8) -> u16 {
        self.kept[usize::from(key)]
    }

    fn mark_new(&mut self, key: u8, now: Instant) {
        let at = self.begins(now, TTL, self.marked.last().map(|(_, at, _)| *at));
        self.marked.push((key, at, 0));
    }

    fn next_deadline(&self) -> Option<Instant> {
        let marked = self.marked.iter().map(|(_, at, _)| at.saturating_add(TTL));
        let first = marked.chain(self.claimed.iter().map(|(_, at, _)| at.saturating_add(LEASE))).min()?;
        Some(self.behind.map_or(first, |behind| behind.saturating_add(LEASE).min(first)))
    }

    fn cleanup(&mut self, now: Instant) {
        let now = self.observe(now).min(now);
        self.marked.retain(|(_, at, _)| lives(*at, now, TTL));
        self.claimed.retain(|(_, at, _)| lives(*at, now, LEASE));
    }

    fn remove(&mut self, key: u8) {
        self.marked.retain(|(other, ..)| *other != key);
        self.claimed.retain(|(other, ..)| *other != key);
    }

    /// Room for one more.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.marked.len() + self.claimed.len() < CAPACITY {
            return true;
        }
        if let Some(place) = self.marked.iter().position(|(_, at, _)| !lives(*at, now, TTL)) {
            self.marked.remove(place);
        } else if let Some(place) = self.claimed.iter().position(|(_, at, _)| !lives(*at, now, LEASE)) {
            self.claimed.remove(place);
        } else if self.on_full == OnFull::Refuse || self.marked.is_empty() {
            return false;
        } else {
            self.lost.push(self.marked.remove(0).1);
        }
        true
    }

    fn check(&mut self, key: u8, read: Instant) -> Seen {
        self.asked += 1;
        let now = self.observe(read);
        if let Some((_, at, count)) =
            self.marked.iter_mut().find(|(other, at, _)| *other == key && lives(*at, now, TTL))
        {
            *count += 1;
            return Seen::Duplicate { first_seen_at: *at, count: *count };
        }
        if let Some((_, at, _)) = self.claimed.iter().find(|(other, at, _)| *other == key && lives(*at, now, LEASE)) {
            return Seen::Duplicate { first_seen_at: *at, count: 0 };
        }
        self.remove(key);
        if !self.has_room(now) {
            return Seen::Full;
        }
        self.kept[usize::from(key)] = 0;
        self.mark_new(key, read);
        Seen::Fresh
    }

    fn mark(&mut self, key: u8, now: Instant) -> Seen {
        let seen = self.check(key, now);
        if matches!(seen, Seen::Duplicate { .. }) {
            if self.claimed.iter().any(|(other, ..)| *other == key) {
                self.kept[usize::from(key)] = 0;
            }
            self.remove(key);
            self.mark_new(key, now);
        }
        seen
    }

    fn claim(&mut self, key: u8, read: Instant) -> Claim<usize, u16> {
        let now = self.observe(read);
        if self.claimed.iter().any(|(other, at, _)| *other == key && lives(*at, now, LEASE)) {
            self.asked += 1;
            return Claim::InFlight;
        }
        match self.check(key, read) {
            Seen::Duplicate { first_seen_at, count } => {
                Claim::Duplicate { first_seen_at, count, value: self.kept(key) }
            }
            Seen::Full => Claim::Full,
            Seen::Fresh => {
                self.marked.pop();
                self.claims += 1;
                let at = self.begins(read, LEASE, self.claimed.last().map(|(_, at, _)| *at));
                self.claimed.push((key, at, self.claims));
                Claim::Fresh(self.claims)
            }
        }
    }

    fn end(&mut self, claim: usize, now: Instant) -> Option<u8> {
        let now = self.observe(now);
        let alive = |(_, at, other): &(u8, Instant, usize)| *other == claim && lives(*at, now, LEASE);
        let place = self.claimed.iter().position(alive)?;
        Some(self.claimed.remove(place).0)
    }

    fn commit(&mut self, claim: usize, value: u16, now: Instant) -> Result<(), ClaimLost> {
        let key = self.end(claim, now).ok_or(ClaimLost)?;
        self.kept[usize::from(key)] = value;
        self.mark_new(key, now);
        Ok(())
    }

    fn seen(&mut self, key: u8, now: Instant) -> bool {
        let now = self.observe(now);
        self.marked.iter().any(|(other, at, _)| *other == key && lives(*at, now, TTL))
            || self.claimed.iter().any(|(other, at, _)| *other == key && lives(*at, now, LEASE))
    }

    fn in_flight_until(&mut self, key: u8, now: Instant) -> Option<Instant> {
        let now = self.observe(now);
        let alive = self.claimed.iter().find(|(other, at, _)| *other == key && lives(*at, now, LEASE));
        alive.map(|(_, at, _)| at.saturating_add(LEASE))
    }

    fn horizon(&mut self, now: Instant) -> Duration {
        let now = self.observe(now);
        let lost = self.lost.iter().map(|at| now.saturating_duration_since(*at));
        lost.min().unwrap_or(TTL).min(TTL)
    }
}

pub fn beside_the_naive_one(on_full: OnFull, ops: Vec<(Op, Instant)>) {
    let mut cache: Keeping = DedupCache::with_hasher(TTL, on_full, HashSeed::FIXED).with_lease(LEASE);
    let mut model = Model::new(on_full);
    let mut tickets: Vec<(ClaimTicket, usize)> = vec![];
    for (step, (op, now)) in ops.into_iter().enumerate() {
        match op {
            Op::Check(key) => assert_eq!(cache.check(&key, now), model.check(key, now)),
            Op::Mark(key) => assert_eq!(cache.mark(&key, now), model.mark(key, now)),
            Op::Claim(key) => match (cache.claim(&key, now), model.claim(key, now)) {
                (Claim::Fresh(ticket), Claim::Fresh(number)) => tickets.insert(0, (ticket, number)),
                (Claim::InFlight, Claim::InFlight) | (Claim::Full, Claim::Full) => {}
                (
                    Claim::Duplicate { first_seen_at, count, value },
                    Claim::Duplicate { first_seen_at: expected_at, count: expected, value: kept },
                ) => {
                    assert_eq!((first_seen_at, count, value), (expected_at, expected, kept));
                }
                (got, expected) => panic!("{got:?} instead of {expected:?}"),
            },
            Op::Commit(index) if index < tickets.len() => {
                let (ticket, number) = tickets.remove(index);
                assert_eq!(cache.commit(ticket, now), model.commit(number, 0, now));
            }
            Op::CommitWith(index, value) if index < tickets.len() => {
                let (ticket, number) = tickets.remove(index);
                let mut given = value;
                let committed = cache.commit_with(ticket, &mut given, now);
                assert_eq!(committed, model.commit(number, value, now));
                assert_eq!(given, if committed.is_ok() { 0 } else { value }, "what is not kept comes back");
            }
            Op::Abort(index) if index < tickets.len() => {
                let (ticket, number) = tickets.remove(index);
                assert_eq!(cache.abort(ticket, now), model.end(number, now).map(|key| (key, 0)));
            }
            Op::Commit(_) | Op::CommitWith(..) | Op::Abort(_) => {}
            Op::Cleanup => {
                cache.cleanup(now);
                model.cleanup(now);
            }
            Op::Forget(key) => {
                let is_marked = |model: &Model| model.marked.iter().any(|(other, ..)| *other == key);
                let kept = |model: &Model| if is_marked(model) { model.kept(key) } else { 0 };
                let expected = model.seen(key, now).then(|| (key, kept(&model)));
                assert_eq!(cache.forget(&key, now), expected);
                if expected.is_some() {
                    model.remove(key);
                }
            }
            Op::Reseed(seed) => cache.reseed(HashSeed::new(seed, !seed)),
        }
        // Not after each step: asking tells the time too.
        let key = (step % 9) as u8;
        match step % 3 {
            0 => assert_eq!(cache.seen(&key, now), model.seen(key, now), "id {key}"),
            1 => assert_eq!(cache.horizon(now), model.horizon(now)),
            _ if step % 2 == 0 => assert_eq!(cache.in_flight_until(&key, now), model.in_flight_until(key, now)),
            _ => {}
        }
        assert_eq!(cache.next_deadline(), model.next_deadline());
        assert_eq!(cache.len(), model.marked.len() + model.claimed.len());
        assert!(cache.len() <= CAPACITY);
        let stats = cache.stats();
        assert_eq!(stats.fresh + stats.duplicates + stats.in_flight + stats.refused, model.asked);
        assert_eq!(
            stats.fresh,
            stats.held + stats.expired + stats.forgotten + stats.removed + stats.aborted + stats.given_up
        );
        assert_eq!(stats.claimed, stats.pending + stats.committed + stats.aborted + stats.given_up);
        assert_eq!(stats.forgotten, model.lost.len() as u64);
    }
}

#[derive(Clone)]
struct Watched(Cache);

impl Timed for Watched {
    fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    fn on_timeout(&mut self, now: Instant) -> bool {
        self.0.on_timeout(now);
        false
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut copy = self.0.clone();
        format!("{:?}", copy.stats()).hash(&mut hasher);
        // What is told of each id at the latest possible moment tells when its life began.
        for key in 0..9 {
            format!("{:?}", copy.check(&key, Instant::MAX.saturating_sub(Duration::from_nanos(1)))).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The contract of deadlines, in every state on the way.
pub fn keep_deadlines(on_full: OnFull, ops: Vec<(Op, Instant)>) {
    let mut cache: Cache = DedupCache::new(TTL, on_full).with_lease(LEASE);
    let (mut latest, mut is_behind) = (Instant::ZERO, false);
    for (op, now) in ops {
        match op {
            Op::Check(key) => drop(cache.check(&key, now)),
            Op::Mark(key) => drop(cache.mark(&key, now)),
            Op::Claim(key) => drop(cache.claim(&key, now)),
            Op::Forget(key) => assert!(cache.forget(&key, now).is_none_or(|(gone, ())| gone == key)),
            Op::Commit(_) | Op::CommitWith(..) | Op::Abort(_) | Op::Cleanup => drop(cache.cleanup(now)),
            Op::Reseed(seed) => cache.reseed(HashSeed::new(seed, seed)),
        }
        // Whether the clock has stepped back is for later readings to tell: one late drain cannot leave what drains on time
        // leave, if it tells what those do not.
        (is_behind, latest) = (if now == latest { is_behind } else { now < latest }, latest.max(now));
        if !is_behind && now.saturating_add(LEASE) != Instant::MAX {
            // Nor does the clock go back to a deadline that has passed.
            let mut drained = cache.clone();
            drained.cleanup(now);
            deadline_contract(&Watched(drained));
        }
    }
}
