//! What one breaker remembers, and what all breakers of a table share.

use super::{BreakerMode, BreakerState, BreakerStats, Open, Outcome, Permit, Reset, TripPolicy, reset::fold};
use crate::{Instant, time::Span};

/// The generation of a permit whose result is not judged.
const UNTRACKED: u32 = 0;
/// The generation of every breaker that has never opened. A key without a breaker has it too.
pub(super) const NEW: u32 = 1;

/// What one breaker remembers.
#[derive(Clone, Debug)]
pub(super) struct Cell<W> {
    /// Closed: when it was last told of a call. Open: when it becomes half-open. Half-open: when the places of the silent
    /// probes are given to others.
    at: Instant,
    /// Differs between any two states, so that a result finds only the state in which its call was admitted.
    generation: u32,
    /// The first generation of this state: a half-open one takes a new generation whenever a lease ends.
    since: u32,
    window: W,
    /// Places that are taken by probes, or were by those that succeeded.
    admitted: u16,
    succeeded: u16,
    reopened: u8,
    state: BreakerState,
    /// The open time is the other side's wish.
    hinted: bool,
}

impl<W> Cell<W> {
    pub(super) const fn new(window: W) -> Self {
        Self {
            at: Instant::ZERO,
            generation: NEW,
            since: NEW,
            window,
            admitted: 0,
            succeeded: 0,
            reopened: 0,
            state: BreakerState::Closed,
            hinted: false,
        }
    }

    pub(super) const fn state(&self) -> BreakerState {
        self.state
    }

    /// The generation for a result that comes without a permit.
    const fn generation_without_permit(&self) -> u32 {
        match self.state {
            BreakerState::HalfOpen if self.admitted <= self.succeeded => UNTRACKED,
            BreakerState::Closed | BreakerState::HalfOpen => self.generation,
            BreakerState::Open => UNTRACKED,
        }
    }

    const fn is_current(&self, permit: u32) -> bool {
        permit != UNTRACKED && permit.wrapping_sub(self.since) <= self.generation.wrapping_sub(self.since)
    }
}

/// What all breakers of one kind share.
#[derive(Clone, Debug)]
pub(super) struct Control<P> {
    trip: P,
    reset: Reset,
    last_generation: u32,
    random: u32,
    pub(super) mode: BreakerMode,
    pub(super) stats: BreakerStats,
}

impl<P: TripPolicy> Control<P> {
    pub(super) const fn new(trip: P, reset: Reset) -> Self {
        let (random, stats) = (reset.seed, BreakerStats::NONE);
        Self { trip, reset, last_generation: NEW, random, mode: BreakerMode::Automatic, stats }
    }

    pub(super) const fn reseed(&mut self, seed: u64) {
        self.random = fold(seed);
    }

    /// Decides about one call; a breaker that is not there is a new one.
    pub(super) fn acquire(&mut self, cell: Option<&mut Cell<P::Window>>, now: Instant) -> Result<Permit, Open> {
        let decision = match self.mode {
            BreakerMode::Automatic => self.ask(cell, now),
            BreakerMode::ForcedClosed => Ok(UNTRACKED),
            BreakerMode::ForcedOpen => Err(Open { retry_at: Instant::MAX }),
            BreakerMode::ObserveOnly => self.ask(cell, now).or_else(|_open| {
                bump(&mut self.stats.overridden);
                Ok(UNTRACKED)
            }),
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

    fn ask(&mut self, cell: Option<&mut Cell<P::Window>>, now: Instant) -> Result<u32, Open> {
        let Some(cell) = cell else { return Ok(NEW) };
        match cell.state {
            BreakerState::Closed => return Ok(cell.generation),
            BreakerState::Open => {
                let longest = if cell.hinted { self.reset.longest_open() } else { self.reset.open_for(cell.reopened) };
                Self::wait(cell, longest, now)?;
                self.enter(cell, BreakerState::HalfOpen);
            }
            BreakerState::HalfOpen if cell.admitted >= self.reset.probe_count() => {
                Self::wait(cell, self.reset.lease_span(), now)?;
                // The verdict of a silent probe may still come, so the state remains; only its place is taken.
                cell.generation = self.next_generation();
                cell.admitted = cell.succeeded;
            }
            BreakerState::HalfOpen => {}
        }
        cell.admitted = cell.admitted.saturating_add(1);
        cell.at = now.after(self.reset.lease_span());
        Ok(cell.generation)
    }

    /// Refuses until `cell.at`, which no step of the clock puts further away than `span`.
    fn wait(cell: &mut Cell<P::Window>, span: Span, now: Instant) -> Result<(), Open> {
        cell.at = cell.at.earlier(now.after(span));
        if now < cell.at { Err(Open { retry_at: cell.at }) } else { Ok(()) }
    }

    /// Counts the result of a call that was admitted by `permit`.
    pub(super) fn record(&mut self, cell: &mut Cell<P::Window>, permit: &Permit, outcome: Outcome, now: Instant) {
        if cell.is_current(permit.generation) {
            self.count(outcome);
            let slow = self.trip.is_slow(permit.started_at, now);
            self.judge(cell, permit.generation, outcome, slow, now);
        } else if permit.generation == UNTRACKED {
            self.count(outcome);
        } else {
            bump(&mut self.stats.stale);
        }
    }

    /// Counts a result whose breaker is not there.
    pub(super) const fn pass_over(&mut self, permit: &Permit, outcome: Outcome) {
        match permit.generation {
            UNTRACKED | NEW => self.count(outcome),
            _ => bump(&mut self.stats.stale),
        }
    }

    /// True if a breaker that is not there would not differ from a new one after this result.
    pub(super) fn leaves_new(&self, permit: &Permit, outcome: Outcome) -> bool {
        permit.generation != NEW || outcome == Outcome::Ignored || outcome == Outcome::Success && P::FORGETS_SUCCESS
    }

    /// Counts a result that comes without a permit.
    pub(super) fn record_bare(&mut self, cell: &mut Cell<P::Window>, outcome: Outcome, now: Instant) {
        match cell.generation_without_permit() {
            UNTRACKED => bump(&mut self.stats.stale),
            _ if self.is_forced() => self.count(outcome),
            generation => {
                self.count(outcome);
                self.judge(cell, generation, outcome, false, now);
            }
        }
    }

    const fn is_forced(&self) -> bool {
        matches!(self.mode, BreakerMode::ForcedClosed | BreakerMode::ForcedOpen)
    }

    /// The permit of a caller that keeps none, for a breaker that is not there.
    pub(super) const fn bare_permit(&self, now: Instant) -> Permit {
        Permit { generation: if self.is_forced() { UNTRACKED } else { NEW }, started_at: now }
    }

    /// True if a table may give the place of this breaker to another: there is nothing against its key, or nobody has
    /// asked for it for a whole open time after they might have.
    pub(super) fn is_idle(&self, cell: &mut Cell<P::Window>, now: Instant) -> bool {
        let longest = self.reset.longest_open();
        // An instant that lies further ahead than it can is of a clock that has stepped back since.
        cell.at = cell.at.earlier(now.after(longest.max(self.reset.lease_span())));
        (cell.state == BreakerState::Closed && P::is_clean(&cell.window)) || now >= cell.at.after(longest)
    }

    fn judge(&mut self, cell: &mut Cell<P::Window>, generation: u32, outcome: Outcome, slow: bool, now: Instant) {
        let (failed, hint) = match outcome {
            Outcome::Failure => (true, Span::ZERO),
            Outcome::RetryAfter(hint) => (true, Span::new(hint)),
            Outcome::Success => (false, Span::ZERO),
            Outcome::Ignored => {
                // A place that has gone to another probe is not given back twice.
                if cell.state == BreakerState::HalfOpen && generation == cell.generation {
                    cell.admitted = cell.admitted.saturating_sub(1).max(cell.succeeded);
                }
                return;
            }
        };
        match cell.state {
            BreakerState::Closed => {
                cell.at = now;
                if self.trip.record(&mut cell.window, failed, slow, now) {
                    self.open(cell, hint, now);
                }
            }
            BreakerState::HalfOpen if failed || slow => {
                cell.reopened = cell.reopened.saturating_add(1);
                self.open(cell, hint, now);
            }
            BreakerState::HalfOpen => {
                if generation != cell.generation {
                    cell.admitted = cell.admitted.saturating_add(1); // its own place has gone to another
                }
                cell.succeeded = cell.succeeded.saturating_add(1);
                cell.admitted = cell.admitted.max(cell.succeeded);
                if cell.succeeded >= self.reset.probe_count() {
                    cell.reopened = 0;
                    self.enter(cell, BreakerState::Closed);
                }
            }
            BreakerState::Open => {} // never: an open breaker has given no permit
        }
    }

    fn open(&mut self, cell: &mut Cell<P::Window>, hint: Span, now: Instant) {
        let own = self.reset.jittered(self.reset.open_for(cell.reopened), &mut self.random);
        let hint = hint.min(self.reset.longest_open());
        cell.hinted = hint > own;
        cell.at = now.after(own.max(hint));
        self.enter(cell, BreakerState::Open);
        bump(&mut self.stats.opened);
    }

    /// Closes a breaker and forgets its past.
    pub(super) fn close(&mut self, cell: &mut Cell<P::Window>) {
        cell.reopened = 0;
        self.enter(cell, BreakerState::Closed);
    }

    fn enter(&mut self, cell: &mut Cell<P::Window>, state: BreakerState) {
        cell.generation = self.next_generation();
        cell.since = cell.generation;
        cell.state = state;
        cell.window = P::EMPTY;
        cell.admitted = 0;
        cell.succeeded = 0;
    }

    /// One that no breaker has had before, until they have all been used.
    const fn next_generation(&mut self) -> u32 {
        self.last_generation = self.last_generation.wrapping_add(1);
        if self.last_generation <= NEW {
            self.last_generation = NEW.wrapping_add(1);
        }
        self.last_generation
    }

    const fn count(&mut self, outcome: Outcome) {
        bump(match outcome {
            Outcome::Failure | Outcome::RetryAfter(_) => &mut self.stats.failures,
            Outcome::Ignored => &mut self.stats.ignored,
            Outcome::Success => &mut self.stats.successes,
        });
    }
}

const fn bump(count: &mut u64) {
    *count = count.saturating_add(1);
}
