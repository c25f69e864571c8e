//! What one breaker remembers, and what all breakers of a table share.

mod judging;

use core::{mem, num::NonZeroU32};

use super::{BreakerMode, BreakerState, BreakerStats, Open, Outcome, Permit, Reset, TripPolicy};
use crate::foundation::time::{Halves, Instant, Span};

/// Differs between any two states, so that a result finds only the state in which its call was admitted. Never zero, so
/// that a permit or a refusal is no larger than either.
pub(super) type Generation = NonZeroU32;

/// The generation of a permit whose result is not judged.
pub(super) const UNTRACKED: Generation = NonZeroU32::MIN;
/// The generation of every breaker that has never opened. A key without a breaker has it too.
pub(super) const NEW: Generation = NonZeroU32::MIN.saturating_add(1);

/// What one breaker remembers.
#[derive(Clone, Debug)]
pub(super) struct Cell<W> {
    /// Closed: when it was last told of a call. Open: when it becomes half-open. Half-open: when the slots of the
    /// silent probes are given to others.
    at: Halves,
    generation: Generation,
    /// The first generation of this state: a half-open one takes a new generation whenever a lease ends.
    since: Generation,
    window: W,
    /// Places that are taken by probes, or were by those that succeeded.
    admitted: u16,
    succeeded: u16,
    /// Probes that have failed without opening it again.
    failed: u8,
    reopened: u8,
    state: BreakerState,
    /// The open time is the other side's wish.
    hinted: bool,
}

impl<W> Cell<W> {
    pub(super) const fn new(window: W) -> Self {
        Self {
            at: Halves::ZERO,
            generation: NEW,
            since: NEW,
            window,
            admitted: 0,
            succeeded: 0,
            failed: 0,
            reopened: 0,
            state: BreakerState::Closed,
            hinted: false,
        }
    }

    pub(super) const fn state(&self) -> BreakerState {
        self.state
    }

    /// The probes whose places are taken for good.
    const fn reported(&self) -> u16 {
        self.succeeded.saturating_add(self.failed as u16)
    }

    /// The generation for a result that comes without a permit.
    const fn generation_without_permit(&self) -> Generation {
        match self.state {
            BreakerState::HalfOpen if self.admitted <= self.reported() => UNTRACKED,
            BreakerState::Closed | BreakerState::HalfOpen => self.generation,
            BreakerState::Open => UNTRACKED,
        }
    }

    /// No step of the clock, and no change of the settings, puts `at` further away than `span`.
    const fn bring_nearer(&mut self, span: Span, now: Instant) {
        self.at = Halves::new(self.at.get().earlier(now.after(span)));
    }

    /// Refuses until `at`, at most for `span`.
    fn wait(&mut self, span: Span, now: Instant) -> Result<(), Open> {
        self.bring_nearer(span, now);
        let at = self.at.get();
        if now < at { Err(Open { retry_at: at }) } else { Ok(()) }
    }

    /// True if a result of this permit belongs to this state. To a breaker that has never opened every result does: its
    /// key may have had another before, which was forgotten while the call was under way.
    fn is_current(&self, permit: Generation) -> bool {
        let since = self.since.get();
        self.generation == NEW || permit.get().wrapping_sub(since) <= self.generation.get().wrapping_sub(since)
    }
}

/// What all breakers of one kind share.
#[derive(Clone, Debug)]
pub(super) struct Control<P> {
    trip: P,
    last_generation: Generation,
    reset: Reset,
    pub(super) mode: BreakerMode,
    /// The last change of state, of any breaker: apart, they fit into gaps.
    left: BreakerState,
    entered: BreakerState,
    transitions: u32,
    pub(super) stats: BreakerStats,
}

/// The usual way, through a closed breaker, is short; everything else is kept out of it.
impl<P: TripPolicy> Control<P> {
    pub(super) const fn new(trip: P, reset: Reset) -> Self {
        Self {
            trip,
            last_generation: NEW,
            reset,
            mode: BreakerMode::Automatic,
            left: BreakerState::Closed,
            entered: BreakerState::Closed,
            transitions: 0,
            stats: BreakerStats::NONE,
        }
    }

    pub(super) const fn reseed(&mut self, seed: u64) {
        self.reset.reseed(seed);
    }

    /// Decides by other settings from now on, and gives the former policy, of which every breaker
    /// [takes over](Self::take_over). The random numbers go on.
    pub(super) const fn replace(&mut self, trip: P, reset: Reset) -> P {
        let random = self.reset.random;
        self.reset = reset;
        self.reset.random = random;
        mem::replace(&mut self.trip, trip)
    }

    /// Puts a breaker of the former policy under the settings that hold since `now`.
    pub(super) fn take_over(&mut self, former: &P, cell: &mut Cell<P::Window>, now: Instant) {
        match cell.state {
            BreakerState::Closed => {
                if self.trip.take_over(former, &mut cell.window, now) {
                    self.open(cell, Outcome::Failure, now);
                }
            }
            BreakerState::HalfOpen if cell.succeeded >= self.reset.probe_count() => self.close(cell),
            BreakerState::HalfOpen => cell.bring_nearer(self.reset.lease_span(), now),
            BreakerState::Open => cell.bring_nearer(self.longest_wait(cell), now),
        }
    }

    /// How long an open breaker waits at most.
    fn longest_wait(&self, cell: &Cell<P::Window>) -> Span {
        if cell.hinted { self.reset.longest_open() } else { self.reset.open_for(cell.reopened) }
    }

    /// Decides about one call; a breaker that is not there is a new one.
    #[inline]
    pub(super) fn acquire(&mut self, cell: Option<&mut Cell<P::Window>>, now: Instant) -> Result<Permit, Open> {
        let decision = match (self.mode, cell) {
            (BreakerMode::Automatic, None) => Ok(NEW),
            (BreakerMode::Automatic, Some(cell)) if cell.state == BreakerState::Closed => Ok(cell.generation),
            (mode, cell) => self.decide(mode, cell, now),
        };
        match decision {
            Ok(generation) => {
                bump(&mut self.stats.permitted);
                Ok(Permit { generation, started_at: now })
            }
            Err(open) => {
                bump(&mut self.stats.rejected);
                Err(open)
            }
        }
    }

    #[cold]
    fn decide(
        &mut self,
        mode: BreakerMode,
        cell: Option<&mut Cell<P::Window>>,
        now: Instant,
    ) -> Result<Generation, Open> {
        match mode {
            BreakerMode::Automatic => self.ask(cell, now),
            BreakerMode::ForcedClosed => Ok(UNTRACKED),
            BreakerMode::ForcedOpen => Err(Open { retry_at: Instant::MAX }),
            BreakerMode::ObserveOnly => self.ask(cell, now).or_else(|_open| {
                bump(&mut self.stats.overridden);
                Ok(UNTRACKED)
            }),
        }
    }

    fn ask(&mut self, cell: Option<&mut Cell<P::Window>>, now: Instant) -> Result<Generation, Open> {
        let Some(cell) = cell else { return Ok(NEW) };
        if self.has_silent_probes(cell) && self.reset.silence_fails() {
            if let Err(open) = cell.wait(self.reset.lease_span(), now) {
                let then_open_for = self.reset.open_for(cell.reopened.saturating_add(1));
                return Err(Open { retry_at: open.retry_at.after(then_open_for) });
            }
            // They failed when their lease ended, whenever somebody notices.
            let ended_at = cell.at.get();
            self.reopen(cell, Outcome::Failure, ended_at);
        }
        match cell.state {
            BreakerState::Closed => return Ok(cell.generation),
            BreakerState::Open => {
                cell.wait(self.longest_wait(cell), now)?;
                self.enter(cell, BreakerState::HalfOpen);
            }
            BreakerState::HalfOpen if self.has_silent_probes(cell) => {
                cell.wait(self.reset.lease_span(), now)?;
                // The verdict of a silent probe may still come, so the state remains; only its place is taken.
                cell.generation = self.next_generation();
                cell.admitted = cell.reported();
            }
            BreakerState::HalfOpen => {}
        }
        cell.admitted = cell.admitted.saturating_add(1);
        cell.at = Halves::new(now.after(self.reset.lease_span()));
        Ok(cell.generation)
    }

    /// All probes have been admitted, and some have neither ended nor given their slots back.
    fn has_silent_probes(&self, cell: &Cell<P::Window>) -> bool {
        cell.state == BreakerState::HalfOpen && cell.admitted >= self.reset.probe_count()
    }

    /// When a call that begins at `now` has failed; `None` for never.
    pub(super) fn call_deadline(&self, now: Instant) -> Option<Instant> {
        self.reset.call_deadline(now)
    }

    /// Counts the result of a call that was admitted by `permit`.
    #[inline]
    pub(super) fn record(&mut self, cell: &mut Cell<P::Window>, permit: &Permit, outcome: Outcome, now: Instant) {
        let (outcome, slow) = self.verdict(permit, outcome, now);
        if cell.state == BreakerState::Closed && permit.generation == cell.generation && !self.is_forced() {
            self.judge(cell, outcome, slow, now);
        } else {
            self.record_elsewhere(cell, permit.generation, outcome, slow, now);
        }
    }

    /// What an outcome means after so long a call, and whether that was slow. It is [`Outcome::Dropped`] only for a
    /// call that counts for nothing but its slowness, and never [`Outcome::Panicked`].
    #[inline]
    fn verdict(&self, permit: &Permit, outcome: Outcome, now: Instant) -> (Outcome, bool) {
        let slow = self.trip.is_slow(permit.started_at, now);
        if now.since(permit.started_at) >= self.reset.call_timeout {
            let wish = matches!(outcome, Outcome::RetryAfter(_));
            return (if wish { outcome } else { Outcome::Failure }, slow);
        }
        let outcome = match outcome {
            Outcome::Dropped if slow && self.reset.dropped() == Outcome::Ignored => Outcome::Dropped,
            Outcome::Dropped => self.reset.dropped(),
            Outcome::Panicked => self.reset.panicked(),
            Outcome::Failure | Outcome::Ignored | Outcome::RetryAfter(_) | Outcome::Success => outcome,
        };
        (outcome, slow)
    }

    /// A result that is not simply one more of a closed breaker.
    #[cold]
    fn record_elsewhere(
        &mut self,
        cell: &mut Cell<P::Window>,
        generation: Generation,
        outcome: Outcome,
        slow: bool,
        now: Instant,
    ) {
        if generation == UNTRACKED {
            return self.count(outcome);
        }
        if !cell.is_current(generation) {
            return bump(&mut self.stats.stale);
        }
        match cell.state {
            BreakerState::Closed if self.is_forced() => self.count(outcome),
            BreakerState::Closed => self.judge(cell, outcome, slow, now),
            BreakerState::HalfOpen | BreakerState::Open => {
                self.count(outcome);
                // What an operator keeps from being judged still gives its place back.
                let judged = if self.is_forced() { Outcome::Ignored } else { outcome };
                self.judge_probe(cell, generation, judged, slow, now);
            }
        }
    }

    /// Counts a result whose breaker is not there, if a breaker that is not there would not differ from a new one after
    /// it.
    pub(super) fn pass_over(&mut self, permit: &Permit, outcome: Outcome, now: Instant) -> bool {
        let (outcome, _slow) = self.verdict(permit, outcome, now);
        let says_nothing = permit.generation == UNTRACKED
            || self.is_forced()
            || outcome == Outcome::Ignored
            || outcome == Outcome::Success && self.trip.forgets_success();
        if says_nothing {
            self.count(outcome);
        }
        says_nothing
    }

    /// Counts a result that no breaker is told.
    pub(super) fn count_unjudged(&mut self, permit: &Permit, outcome: Outcome, now: Instant) {
        let (outcome, _slow) = self.verdict(permit, outcome, now);
        self.count(outcome);
    }

    /// Counts a result that comes without a permit.
    pub(super) fn record_bare(&mut self, cell: &mut Cell<P::Window>, outcome: Outcome, now: Instant) {
        match cell.generation_without_permit() {
            UNTRACKED => bump(&mut self.stats.stale),
            _ if self.is_forced() => self.count(outcome),
            generation => self.record(cell, &Permit { generation, started_at: now }, outcome, now),
        }
    }

    const fn is_forced(&self) -> bool {
        matches!(self.mode, BreakerMode::ForcedClosed | BreakerMode::ForcedOpen)
    }

    /// The generation of a breaker that needs to be told of successes only when something else happens.
    pub(super) fn calm_generation(&self, cell: &Cell<P::Window>) -> Option<Generation> {
        let is_calm = self.mode == BreakerMode::Automatic
            && cell.state == BreakerState::Closed
            && self.trip.is_calm(&cell.window);
        is_calm.then_some(cell.generation)
    }

    /// Counts what has passed a breaker that is calm.
    pub(super) fn merge(&mut self, cell: &mut Cell<P::Window>, permitted: u64, successes: u64) {
        self.stats.permitted = self.stats.permitted.wrapping_add(permitted);
        self.stats.successes = self.stats.successes.wrapping_add(successes);
        self.trip.succeed(&mut cell.window, successes);
    }

    /// The permit of a caller that keeps none, for a breaker that is not there.
    pub(super) const fn bare_permit(&self, now: Instant) -> Permit {
        Permit { generation: if self.is_forced() { UNTRACKED } else { NEW }, started_at: now }
    }

    /// True if no decision would be another without this breaker: it has never opened and counts no call, or nobody has
    /// told it anything for so long that the calls of its past are over and what they came to is too old to matter.
    pub(super) fn is_as_new(&self, cell: &mut Cell<P::Window>, now: Instant) -> bool {
        let is_untouched =
            cell.generation == NEW && cell.state == BreakerState::Closed && self.trip.is_empty(&cell.window, now);
        let since = self.quiet_since(cell, now);
        is_untouched || now >= since.after(self.reset.memory()) && !self.trip.reaches_back_to(since, now)
    }

    /// True if a full table may give the place of this breaker to another key: nothing speaks against its key, or that
    /// is so long ago that another needs the room more.
    pub(super) fn is_idle(&self, cell: &mut Cell<P::Window>, now: Instant) -> bool {
        let since = self.quiet_since(cell, now);
        match cell.state {
            BreakerState::Closed => {
                let is_old = now >= since.after(self.reset.memory_when_full());
                is_old && !self.trip.reaches_back_to(since, now) || self.trip.is_clean(&cell.window, now)
            }
            BreakerState::HalfOpen | BreakerState::Open => now >= since.after(self.reset.longest_open()),
        }
    }

    /// Since when a breaker only waits to be asked or told.
    fn quiet_since(&self, cell: &mut Cell<P::Window>, now: Instant) -> Instant {
        // An instant that lies further ahead than it can is of a clock that has stepped back since.
        let furthest = match cell.state {
            BreakerState::Closed => now,
            BreakerState::HalfOpen => now.after(self.reset.lease_span()),
            BreakerState::Open => now.after(self.reset.longest_open()),
        };
        let at = cell.at.get().earlier(furthest);
        cell.at = Halves::new(at);
        at
    }
}

/// Wraps after 2^64, in centuries, so that sums stay right.
const fn bump(count: &mut u64) {
    *count = count.wrapping_add(1);
}
