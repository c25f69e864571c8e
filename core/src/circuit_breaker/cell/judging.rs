//! What a result does to a breaker, and its changes of state.

use super::{
    super::{BreakerState, Outcome, Transition, TripPolicy, WindowStats},
    Cell, Control, Generation, NEW, bump,
};
use crate::foundation::time::{Halves, Instant, Span};

impl<P: TripPolicy> Control<P> {
    /// The result of a call of a closed breaker.
    #[inline]
    pub(super) fn judge(&mut self, cell: &mut Cell<P::Window>, outcome: Outcome, slow: bool, now: Instant) {
        let failed = match outcome {
            Outcome::Failure | Outcome::RetryAfter(_) => {
                bump(&mut self.stats.failures);
                true
            }
            Outcome::Success => {
                bump(&mut self.stats.successes);
                false
            }
            // Slow, or it would be ignored.
            Outcome::Dropped => {
                bump(&mut self.stats.failures);
                false
            }
            Outcome::Ignored | Outcome::Panicked => return bump(&mut self.stats.ignored),
        };
        cell.at = Halves::new(now);
        if self.trip.record(&mut cell.window, failed, slow, now) {
            self.open(cell, outcome, now);
        }
    }

    pub(super) fn judge_probe(
        &mut self,
        cell: &mut Cell<P::Window>,
        generation: Generation,
        outcome: Outcome,
        slow: bool,
        now: Instant,
    ) {
        // A place that has gone to another probe is neither kept nor given back.
        let holds_place = generation == cell.generation;
        match outcome {
            Outcome::Ignored | Outcome::Panicked => {
                if holds_place {
                    cell.admitted = cell.admitted.saturating_sub(1).max(cell.reported());
                }
            }
            Outcome::Success if !slow => {
                cell.succeeded = cell.succeeded.saturating_add(1);
                keep_place(cell, holds_place);
                if self.reset.closes_after(cell.succeeded) {
                    self.close(cell);
                }
            }
            Outcome::Dropped | Outcome::Failure | Outcome::RetryAfter(_) | Outcome::Success => {
                let failed = cell.failed.saturating_add(1);
                if cell.state == BreakerState::Open || !self.reset.bears(failed) {
                    return self.reopen(cell, outcome, now);
                }
                cell.failed = failed;
                keep_place(cell, holds_place);
            }
        }
        if cell.admitted <= cell.reported() {
            cell.at = Halves::new(now); // no probe is out: nobody waits for a lease
        }
    }

    pub(super) fn reopen(&mut self, cell: &mut Cell<P::Window>, outcome: Outcome, now: Instant) {
        cell.reopened = cell.reopened.saturating_add(1);
        self.open(cell, outcome, now);
    }

    #[cold]
    pub(super) fn open(&mut self, cell: &mut Cell<P::Window>, outcome: Outcome, now: Instant) {
        let own = self.reset.next_open_for(cell.reopened);
        let hint = match outcome {
            Outcome::RetryAfter(hint) => Span::new(hint).min(self.reset.longest_open()),
            _ => Span::ZERO,
        };
        cell.hinted = hint > own;
        cell.at = Halves::new(now.after(own.max(hint)));
        self.enter(cell, BreakerState::Open);
        bump(&mut self.stats.opened);
    }

    /// Closes a breaker and forgets its past.
    pub(in super::super) fn close(&mut self, cell: &mut Cell<P::Window>) {
        cell.reopened = 0;
        self.enter(cell, BreakerState::Closed);
    }

    /// Opens a breaker because an operator says so.
    pub(in super::super) fn open_now(&mut self, cell: &mut Cell<P::Window>, now: Instant) {
        self.open(cell, Outcome::Failure, now);
    }

    /// The last change of state of any breaker, `None` if there was none.
    pub(in super::super) const fn last_transition(&self) -> Option<Transition> {
        match self.transitions {
            0 => None,
            number => Some(Transition { from: self.left, to: self.entered, number }),
        }
    }

    /// The changes of state since the one of this number.
    pub(in super::super) fn transitions_since(&self, number: u32) -> [Option<Transition>; 2] {
        self.last_transition().map_or([None; 2], |last| last.since(number))
    }

    pub(in super::super) const fn transitions(&self) -> u32 {
        self.transitions
    }

    /// What counts in the window now.
    pub(in super::super) fn window(&self, cell: &mut Cell<P::Window>, now: Instant) -> WindowStats {
        self.trip.counts(&mut cell.window, now)
    }

    pub(super) fn enter(&mut self, cell: &mut Cell<P::Window>, state: BreakerState) {
        cell.generation = self.next_generation();
        cell.since = cell.generation;
        if cell.state != state {
            self.transitions = self.transitions.checked_add(1).unwrap_or(1);
            (self.left, self.entered) = (cell.state, state);
        }
        cell.state = state;
        cell.window = P::EMPTY;
        cell.admitted = 0;
        cell.succeeded = 0;
        cell.failed = 0;
    }

    /// One that no breaker has had before, until they have all been used.
    pub(super) const fn next_generation(&mut self) -> Generation {
        self.last_generation = match self.last_generation.checked_add(1) {
            Some(next) => next,
            None => NEW.saturating_add(1),
        };
        self.last_generation
    }

    pub(super) const fn count(&mut self, outcome: Outcome) {
        bump(match outcome {
            Outcome::Dropped | Outcome::Failure | Outcome::RetryAfter(_) => &mut self.stats.failures,
            Outcome::Ignored | Outcome::Panicked => &mut self.stats.ignored,
            Outcome::Success => &mut self.stats.successes,
        });
    }
}

/// The place of a probe that has ended goes to no other, even if it had been given to another.
fn keep_place<W>(cell: &mut Cell<W>, holds_place: bool) {
    let admitted = if holds_place { cell.admitted } else { cell.admitted.saturating_add(1) };
    cell.admitted = admitted.max(cell.reported());
}
