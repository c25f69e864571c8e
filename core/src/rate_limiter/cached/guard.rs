//! A permit that ends itself.

use core::{fmt, marker::PhantomData};

use super::AttemptLost;

/// How an attempt ended.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AttemptEnd<V> {
    /// It brought a value.
    Complete(V),
    /// It was not made after all.
    Refund,
    /// It brought no value.
    Release,
}

/// The right to make one attempt; dropping it releases the attempt.
#[must_use = "dropping it ends the attempt without a value"]
pub struct AttemptGuard<V, E: FnOnce(AttemptEnd<V>) -> Result<(), AttemptLost<V>>> {
    end: Option<E>,
    value: PhantomData<fn(V)>,
}

impl<V, E: FnOnce(AttemptEnd<V>) -> Result<(), AttemptLost<V>>> AttemptGuard<V, E> {
    /// Guards an attempt; `end` tells its limiter how it ended.
    pub const fn new(end: E) -> Self {
        Self { end: Some(end), value: PhantomData }
    }

    /// Ends the attempt with its value, which is the answer for this key from now on.
    ///
    /// # Errors
    ///
    /// [`AttemptLost`] with the value if it came too late; nothing is changed.
    pub fn complete(mut self, value: V) -> Result<(), AttemptLost<V>> {
        match self.end.take() {
            Some(end) => end(AttemptEnd::Complete(value)),
            None => Err(AttemptLost(value)),
        }
    }

    /// Ends an attempt that was not made after all: it is no longer counted.
    pub fn refund(mut self) {
        if let Some(end) = self.end.take() {
            let _ = end(AttemptEnd::Refund);
        }
    }
}

impl<V, E: FnOnce(AttemptEnd<V>) -> Result<(), AttemptLost<V>>> Drop for AttemptGuard<V, E> {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end(AttemptEnd::Release);
        }
    }
}

impl<V, E: FnOnce(AttemptEnd<V>) -> Result<(), AttemptLost<V>>> fmt::Debug for AttemptGuard<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttemptGuard").finish_non_exhaustive()
    }
}
