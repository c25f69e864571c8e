//! One bound over all that is done for an answer.

use core::time::Duration;

use super::time::{Instant, Span};

/// A deadline: the instant by which an answer has to be there, whatever is tried and waited for until then.
///
/// A time limit bounds one call, and three retries of such calls last three limits and the delays between them. A
/// deadline is made once, where the request comes in, and handed down: every attempt, wait and call below ends by it.
/// The earlier of two is [`min`](Ord::min). It is over at its instant. [`Instant::MAX`] is never, and never over.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Deadline, Instant};
///
/// let now = Instant::from_secs(100);
/// let asked = Deadline::within(Duration::from_secs(60), now); // what the client asks for
/// let deadline = asked.min(Deadline::within(Duration::from_secs(30), now)); // what it gets
/// assert_eq!(deadline, Deadline::at(Instant::from_secs(130)));
///
/// let later = Instant::from_secs(128);
/// assert_eq!(deadline.remaining(later), Duration::from_secs(2));
/// assert!(!deadline.is_over(later) && deadline.is_over(Instant::from_secs(130)));
/// ```
///
/// # Who takes it
///
/// A retry, by [`Retrying::deadline`](crate::retry::Retrying::deadline) or
/// [`RetryPolicy::until`](crate::RetryPolicy::until). What takes a longest wait or a time-out takes what
/// [`remaining`](Self::remaining) says, such as the rate limiter's `until_allowed_within`. Every other wait ends when its
/// future is dropped.
///
/// # Clock
///
/// It is an instant of one clock: do not hand it to another machine, but the time that remains. If the clock steps
/// back, the instant is as much further away. Whoever waits for it bounds that: a retry and a sleep by the time that
/// remained when they began, after each step back.
#[doc(alias(
    "context.WithTimeout",
    "DEADLINE_EXCEEDED",
    "deadline propagation",
    "grpc-timeout",
    "timeout",
    "TimeLimiter",
    "time budget"
))]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Deadline(Instant);

impl Deadline {
    /// No deadline: later than all others.
    pub const NEVER: Self = Self(Instant::MAX);

    /// By this instant.
    #[must_use]
    pub const fn at(at: Instant) -> Self {
        Self(at)
    }

    /// In `duration` from `now`, to the nanosecond; never if that is beyond [`Instant::MAX`].
    #[must_use]
    pub const fn within(duration: Duration, now: Instant) -> Self {
        Self(now.saturating_add(duration))
    }

    /// The instant at which it is over.
    #[must_use]
    pub const fn instant(self) -> Instant {
        self.0
    }

    /// How long until then: zero once it is over, and 584 years, the longest span there is, if it never is.
    #[must_use]
    pub const fn remaining(self, now: Instant) -> Duration {
        if self.is_never() { Span::MAX.to_duration() } else { self.0.saturating_duration_since(now) }
    }

    /// True from its instant on.
    #[doc(alias("has_elapsed", "is_expired"))]
    #[must_use]
    pub const fn is_over(self, now: Instant) -> bool {
        self.remaining(now).is_zero()
    }

    pub(crate) const fn is_never(self) -> bool {
        self.0.as_nanos() == Instant::MAX.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NANO: Duration = Duration::from_nanos(1);

    #[test]
    fn it_is_over_at_its_instant_and_not_before() {
        let at = Instant::from_secs(7);
        let deadline = Deadline::at(at);
        assert_eq!((deadline.remaining(at), deadline.is_over(at)), (Duration::ZERO, true));
        let before = at.saturating_sub(NANO);
        assert_eq!((deadline.remaining(before), deadline.is_over(before)), (NANO, false));
        assert!(deadline.is_over(at.saturating_add(NANO)) && deadline.is_over(Instant::MAX));
        assert_eq!(deadline.instant(), at);
    }

    #[test]
    fn at_the_ends_of_time_it_saturates() {
        assert_eq!(Deadline::within(Duration::MAX, Instant::from_secs(1)), Deadline::NEVER);
        assert_eq!(Deadline::within(NANO, Instant::MAX), Deadline::NEVER);
        assert!(Deadline::within(Duration::ZERO, Instant::ZERO).is_over(Instant::ZERO));
        for now in [Instant::ZERO, Instant::from_secs(9), Instant::MAX] {
            assert!(!Deadline::NEVER.is_over(now));
            assert_eq!(Deadline::within(Deadline::NEVER.remaining(now), now), Deadline::NEVER);
        }
        assert_eq!(Deadline::at(Instant::ZERO).remaining(Instant::ZERO), Duration::ZERO);
    }

    #[test]
    fn the_earlier_of_two_counts_and_never_is_the_latest() {
        let (one, other) = (Deadline::at(Instant::from_secs(1)), Deadline::at(Instant::from_secs(2)));
        assert_eq!((one.min(other), other.min(Deadline::NEVER)), (one, other));
    }

    /// Told and reckoned anew, as from one layer to the next, it stays what it was, and after a step back of the clock
    /// is as much further away.
    #[test]
    fn what_remains_makes_the_same_deadline_again() {
        let deadline = Deadline::at(Instant::from_secs(1_000));
        for now in [0, 1, 999].map(Instant::from_secs) {
            assert_eq!(Deadline::within(deadline.remaining(now), now), deadline);
        }
        assert_eq!(deadline.remaining(Instant::from_secs(400)), Duration::from_secs(600));
    }
}
