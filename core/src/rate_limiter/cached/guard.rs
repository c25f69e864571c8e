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

/// Brings the end of an attempt back to its limiter: what a [`FlightGuard`] tells it to.
pub trait EndFlight<V> {
    /// Tells how the attempt ended.
    ///
    /// # Errors
    ///
    /// [`FlightLost`] with the value if it came too late; nothing is changed.
    fn end_flight(self, end: FlightEnd<V>) -> Result<(), FlightLost<V>>;
}

impl<V, E: FnOnce(FlightEnd<V>) -> Result<(), FlightLost<V>>> EndFlight<V> for E {
    fn end_flight(self, end: FlightEnd<V>) -> Result<(), FlightLost<V>> {
        self(end)
    }
}

/// The permit to make one attempt (single flight). Dropping it ends the attempt without a value.
///
/// Its type can be written down, so that it can be kept in a struct: see `allow_or_cached` of each limiter.
#[must_use = "dropping it ends the attempt without a value"]
pub struct FlightGuard<V, E: EndFlight<V>> {
    end: Option<E>,
    value: PhantomData<fn(V)>,
}

impl<V, E: EndFlight<V>> FlightGuard<V, E> {
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
            Some(end) => end.end_flight(FlightEnd::Complete(value)),
            None => Err(FlightLost(value)),
        }
    }

    /// Ends an attempt that was not made after all: it is no longer counted.
    pub fn refund(mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.end_flight(FlightEnd::Refund);
        }
    }
}

impl<V, E: EndFlight<V>> Drop for FlightGuard<V, E> {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.end_flight(FlightEnd::Release);
        }
    }
}

impl<V, E: EndFlight<V>> fmt::Debug for FlightGuard<V, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FlightGuard").finish_non_exhaustive()
    }
}
