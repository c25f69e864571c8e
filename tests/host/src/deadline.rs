//! The contract between a machine that waits and the loop that drives it.

use core::time::Duration;

use steadfast_core::Instant;

/// A machine that waits, as the contract sees it.
pub trait Timed: Clone {
    /// The machine's own `next_deadline`.
    fn next_deadline(&self) -> Option<Instant>;

    /// The machine's own `on_timeout`; true if it returned an event, so that it must be called again.
    fn on_timeout(&mut self, now: Instant) -> bool;

    /// A number that differs whenever a caller could tell two machines apart.
    fn digest(&self) -> u64;
}

/// The most events that one drain may hand out before the contract calls it endless.
const MOST_EVENTS: u32 = 100_000;

/// Checks the six rules of a deadline on a machine in any state.
///
/// 1. Pure: asking changes nothing. 2. Early ends nothing, and puts nothing off. 3. Progress: after a drain the next deadline is later than
///    `now`. 4. Late is enough: one late drain leaves what drains on time leave. 5. Bounded: a drain ends. 6. A deadline
///    in the past is legal.
///
/// # Panics
///
/// If a rule is broken.
pub fn deadline_contract<T: Timed>(machine: &T) {
    let Some(at) = machine.next_deadline() else {
        let mut idle = machine.clone();
        let before = idle.digest();
        assert!(!idle.on_timeout(Instant::MAX), "an event without a deadline");
        assert_eq!(idle.digest(), before, "a time-out without a deadline changed the machine");
        return;
    };
    assert_eq!(machine.next_deadline(), Some(at), "asking twice gave two answers");

    let just_before = at.saturating_sub(Duration::from_nanos(1));
    for early in [Instant::ZERO, Instant::from_nanos(at.as_nanos() / 2), just_before] {
        if early < at {
            let mut copy = machine.clone();
            assert!(!copy.on_timeout(early), "an event before the deadline");
            assert_eq!(copy.digest(), machine.digest(), "an early time-out changed the machine");
            // A clock that has stepped back may end a wait sooner.
            let next = copy.next_deadline();
            assert!(next.is_some_and(|next| next <= at), "an early time-out put the deadline off");
        }
    }

    for late in [0, 1, 1_000_000_000, 86_400_000_000_000] {
        let end = at.saturating_add(Duration::from_nanos(late));
        let mut at_once = machine.clone();
        drain(&mut at_once, end);
        let mut on_time = machine.clone();
        while let Some(next) = on_time.next_deadline().filter(|next| *next <= end) {
            drain(&mut on_time, next);
        }
        assert_eq!(on_time.next_deadline(), at_once.next_deadline(), "one late drain left another deadline");
        assert_eq!(on_time.digest(), at_once.digest(), "one late drain left another state");
    }
}

fn drain<T: Timed>(machine: &mut T, now: Instant) {
    let mut events = 0;
    while machine.on_timeout(now) {
        events += 1;
        assert!(events < MOST_EVENTS, "a drain does not end");
    }
    assert!(machine.next_deadline().is_none_or(|next| next > now), "no progress: the deadline is still due");
}
