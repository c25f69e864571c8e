//! An operation that failed for good.

use core::{error::Error, fmt};

#[cfg(doc)]
use super::Failure;
use super::Reason;

/// A retry gave up: the last error, the number of attempts and the [`Reason`]. It says what the last error says, so its
/// [`source`](Error::source) is that error's.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryError<E> {
    /// The last error that the operation returned; `None` if every attempt was cut off, or none was made. It is of an
    /// earlier attempt if the last one was cut off.
    pub last: Option<E>,
    /// How many attempts were made, 0 if the deadline was over before the first; [refused](Failure::RefusedUntil) ones that
    /// count as none are not among them.
    pub attempts: u32,
    /// Why there was no other attempt.
    pub reason: Reason,
}

impl<E> RetryError<E> {
    /// The same with another error of the last attempt.
    pub fn map_inner<F>(self, map: impl FnOnce(E) -> F) -> RetryError<F> {
        RetryError { last: self.last.map(map), attempts: self.attempts, reason: self.reason }
    }
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (attempts, reason) = (self.attempts, self.reason);
        write!(f, "gave up after {attempts} attempt{}, {reason}: ", if attempts == 1 { "" } else { "s" })?;
        match &self.last {
            Some(error) => error.fmt(f),
            None if attempts == 0 => f.write_str("none was made"),
            None => f.write_str("timed out"),
        }
    }
}

impl<E: Error + 'static> Error for RetryError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // What the error itself says is said above.
        self.last.as_ref().and_then(Error::source)
    }
}
