//! A permit that ends itself.

use core::{fmt, marker::PhantomData};

use super::FlightLost;

/// How an attempt ended.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FlightEnd<V> {
    /// It brought a value.
    Complete(V),
    /// It was not made after all.
    Refund,
    /// It brought no value.
    Release,
}

/// The permit to make one attempt (single flight). Dropping it ends the attempt without a value.
#[must_use = "dropping it ends the attempt without a value"]
pub struct FlightGuard<V, E: FnOnce(FlightEnd<V>) -> Result<(), FlightLost<V>>> {
    end: Option<E>,
    value: PhantomData<fn(V)>,
}

impl<V, E: FnOnce(FlightEnd<V>) -> Result<(), FlightLost<V>>> FlightGuard<V, E> {
    /// Guards an attempt; `end` tells its limiter how it ended.
    pub const fn new(end: E) -> Self {
        Self { end: Some(end), value: PhantomData }
    }

    /// Ends the attempt with its value, which is the answer for this key from now on.
    ///
    /// # Errors
    ///
    /// [`FlightLost`] with the value if it came too late; nothing is changed.
    pub fn complete(mut self, value: V) -> Result<(), FlightLost<V>> {
        match self.end.take() {
            Some(end) => end(FlightEnd::Complete(value)),
            None => Err(FlightLost(value)),
        }
    }

    /// Ends an attempt that was not made after all: it is no longer counted.
    pub fn refund(mut self) {
        if let Some(end) = self.end.take() {
            let _ = end(FlightEnd::Refund);
        }
    }
}

impl<V, E: FnOnce(FlightEnd<V>) -> Result<(), FlightLost<V>>> Drop for FlightGuard<V, E> {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end(FlightEnd::Release);
        }
    }
}

impl<V, E: FnOnce(FlightEnd<V>) -> Result<(), FlightLost<V>>> fmt::Debug for FlightGuard<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightGuard").finish_non_exhaustive()
    }
}
