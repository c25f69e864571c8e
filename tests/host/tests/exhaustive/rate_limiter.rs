//! A limiter with fewer entries than keys: a flood takes every entry and every interleaving of the keys is tried.

use std::{collections::VecDeque, fmt::Debug, marker::PhantomData};

use steadfast_core::{
    Gcra, Instant, RateLimiter, SlidingLog,
    rate_limiter::{Decision, Quota},
};

use super::explore::{START, Scenario, TICK, View, explore};

/// What a key may do at once; its quota is whole again after so many ticks.
const BURST: u32 = 2;
const WHOLE: u32 = 2;
const LOG: usize = if cfg!(debug_assertions) { 1 } else { 2 };
const ENTRIES: usize = 2;

/// A limiter under test, and whatever else there is to compare.
trait Limits: Clone + Send + Sync + 'static {
    type Machine: Debug;

    fn start(&self) -> Self::Machine;
    fn ask(machine: &mut Self::Machine, key: u8, now: Instant) -> Decision;
}

#[derive(Clone)]
struct Real<A>(A);

impl<A: Quota<Beside: Debug, Count: Debug> + Clone + Debug + Send + Sync + 'static> Limits for Real<A> {
    type Machine = RateLimiter<u8, A, ENTRIES>;

    fn start(&self) -> Self::Machine {
        RateLimiter::new(self.0.clone())
    }

    fn ask(machine: &mut Self::Machine, key: u8, now: Instant) -> Decision {
        machine.allow(&key, now)
    }
}

/// What others do when their table is full: the oldest entry makes room.
#[derive(Clone)]
struct EvictsTheOldest;

impl Limits for EvictsTheOldest {
    type Machine = VecDeque<(u8, Vec<Instant>)>;

    fn start(&self) -> Self::Machine {
        VecDeque::new()
    }

    fn ask(machine: &mut Self::Machine, key: u8, now: Instant) -> Decision {
        if !machine.iter().any(|(other, _)| *other == key) {
            if machine.len() == ENTRIES {
                machine.pop_front();
            }
            machine.push_back((key, Vec::new()));
        }
        let Some((_, log)) = machine.iter_mut().find(|(other, _)| *other == key) else { unreachable!() };
        log.retain(|at| now.saturating_duration_since(*at) < WHOLE * TICK);
        if log.len() < BURST as usize {
            log.push(now);
            return Decision::Allow;
        }
        Decision::Deny { retry_at: log[0].saturating_add(WHOLE * TICK) }
    }
}

/// What one key may do, kept for each key for ever.
trait Ideal: Clone + Debug + Send + Sync + 'static {
    const NEW: Self;

    fn would_allow(&self, now: Instant) -> bool;
    fn count(&mut self, now: Instant);
    fn is_whole(&self, now: Instant) -> bool;
}

/// At most `MAX` in any two ticks: when they were.
#[derive(Clone, Debug)]
struct Log<const MAX: usize>([Option<Instant>; MAX]);

impl<const MAX: usize> Ideal for Log<MAX> {
    const NEW: Self = Self([None; MAX]);

    fn would_allow(&self, now: Instant) -> bool {
        self.0.iter().any(|at| !counts(at, now))
    }

    fn count(&mut self, now: Instant) {
        self.0.iter_mut().filter(|at| !counts(at, now)).for_each(|at| *at = None);
        if let Some(free) = self.0.iter_mut().find(|at| at.is_none()) {
            *free = Some(now);
        }
        self.0.sort_unstable();
    }

    fn is_whole(&self, now: Instant) -> bool {
        !self.0.iter().any(|at| counts(at, now))
    }
}

fn counts(at: &Option<Instant>, now: Instant) -> bool {
    at.is_some_and(|at| now < at.saturating_add(WHOLE * TICK))
}

/// One a tick, two at once: the instant at which all is given back.
#[derive(Clone, Debug)]
struct Bucket(Instant);

impl Ideal for Bucket {
    const NEW: Self = Self(Instant::ZERO);

    fn would_allow(&self, now: Instant) -> bool {
        self.0.max(now).saturating_add(TICK) <= now.saturating_add(BURST * TICK)
    }

    fn count(&mut self, now: Instant) {
        self.0 = self.0.max(now).saturating_add(TICK);
    }

    fn is_whole(&self, now: Instant) -> bool {
        self.0 <= now
    }
}

#[derive(Clone)]
struct Flood<L, I> {
    limiter: L,
    keys: u8,
    ideal: PhantomData<fn() -> I>,
}

struct Run<M, I> {
    machine: M,
    now: Instant,
    /// What each key did.
    own: Vec<I>,
    /// Until then decisions are exact: no more keys were in use than there are entries since all was whole.
    was_exact: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Action {
    Ask(u8),
    Tick,
}

impl<L: Limits, I: Ideal> Scenario for Flood<L, I> {
    type Run = Run<L::Machine, I>;
    type Action = Action;

    fn start(&self) -> Self::Run {
        let own = vec![I::NEW; usize::from(self.keys)];
        Run { machine: self.limiter.start(), now: START, own, was_exact: true }
    }

    fn actions(&self, _: &Self::Run) -> Vec<Action> {
        (0..self.keys).map(Action::Ask).chain([Action::Tick]).collect()
    }

    fn step(&self, run: &mut Self::Run, action: &Action) -> Result<&'static str, String> {
        let now = run.now;
        let Action::Ask(key) = *action else {
            run.now = now.saturating_add(TICK);
            return Ok("a tick");
        };
        let may = run.own[usize::from(key)].would_allow(now);
        run.was_exact |= run.own.iter().all(|own| own.is_whole(now));
        match (L::ask(&mut run.machine, key, now), may) {
            (Decision::Allow, true) => {
                run.own[usize::from(key)].count(now);
                let busy = run.own.iter().filter(|own| !own.is_whole(now)).count();
                run.was_exact &= busy <= ENTRIES;
                Ok(if run.was_exact { "allowed" } else { "allowed though it was full" })
            }
            (Decision::Deny { retry_at }, false) if retry_at > now => Ok("denied"),
            (Decision::Deny { retry_at }, true) if retry_at > now && !run.was_exact => Ok("denied by the ledger"),
            (decision, _) => Err(format!("{key} at {now:?}: {decision:?}")),
        }
    }

    fn fingerprint(&self, run: &Self::Run) -> String {
        let view = View { now: run.now, far: WHOLE.into() };
        let text = |ideal: &I| view.text_of(ideal, |_, number| number);
        let own: Vec<_> = run.own.iter().map(text).collect();
        format!("{} {own:?} {}", view.text_of(&run.machine, |_, number| number), run.was_exact)
    }

    /// After a pause each key has its whole quota, even the last of them while the others use theirs.
    fn recovers(&self, mut run: Self::Run) -> Result<(), String> {
        run.now = run.now.saturating_add(WHOLE * TICK);
        for key in (0..self.keys).take(ENTRIES) {
            let mut own = I::NEW;
            while own.would_allow(run.now) {
                own.count(run.now);
                if !L::ask(&mut run.machine, key, run.now).is_allowed() {
                    return Err(format!("{key} is denied"));
                }
            }
        }
        Ok(())
    }
}

const KEYS: u8 = if cfg!(debug_assertions) { 3 } else { 6 };

fn flood<L, I>(limiter: L, keys: u8) -> Flood<L, I> {
    Flood { limiter, keys, ideal: PhantomData }
}

const MOST: usize = if cfg!(debug_assertions) { 20_000 } else { 1_000_000 };

#[test]
fn no_key_gets_more_than_its_bucket_whatever_is_evicted() {
    let scenario: Flood<_, Bucket> = flood(Real(Gcra::per_second(1).burst(BURST)), KEYS);
    explore(scenario, MOST).assert_safe_and_live(&["allowed", "denied", "allowed though it was full"]);
}

#[test]
fn no_key_gets_more_than_its_log_whatever_is_evicted() {
    let scenario: Flood<_, Log<LOG>> = flood(Real(SlidingLog::<LOG>::new(WHOLE * TICK)), 3);
    explore(scenario, MOST).assert_safe_and_live(&["allowed", "denied", "allowed though it was full"]);
}

/// The checker can fail: a key whose entry was evicted has a fresh quota.
#[test]
fn to_evict_the_oldest_is_refuted_in_five_steps() {
    let scenario: Flood<_, Log<2>> = flood(EvictsTheOldest, 3);
    let explored = explore(scenario, MOST);
    let (steps, _) = explored.unsafe_after.expect("a fresh quota for an exhausted key");
    assert_eq!(steps.len(), 5, "{steps:?}");
}
