//! What one may say about a retry, and what holds if nothing is said.
//!
//! The defaults are types, not function pointers: a retry that says nothing stores nothing and calls nothing.

use core::time::Duration;

use super::RetryBudget;
use crate::foundation::shared::Lock;

/// Which errors are worth another attempt: a closure, or [`Plain`] for all.
pub trait RetryIf<E> {
    /// True if it is worth another attempt.
    fn is_worth_another(&mut self, error: &E) -> bool;
}

/// How long an error asks to wait: a closure, or [`Plain`] for none.
pub trait Hint<E> {
    /// The time that it asks for, if it does.
    fn hint(&mut self, error: &E) -> Option<Duration>;
}

/// Who is told of an attempt that is followed by another: a closure, or [`Plain`] for nobody.
pub trait Notify<E> {
    /// Tells the error, `None` if the attempt was cut off, and the delay until the next.
    fn notify(&mut self, error: Option<&E>, delay: Duration);
}

/// Nothing is said: every error is worth another attempt, none asks to wait, nobody is told.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct Plain;

/// The budget of a [`Retrying`](super::Retrying) that has none.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Debug)]
pub enum NoBudget {}

impl<E, P: FnMut(&E) -> bool> RetryIf<E> for P {
    fn is_worth_another(&mut self, error: &E) -> bool {
        self(error)
    }
}

impl<E> RetryIf<E> for Plain {
    fn is_worth_another(&mut self, _: &E) -> bool {
        true
    }
}

impl<E, H: FnMut(&E) -> Option<Duration>> Hint<E> for H {
    fn hint(&mut self, error: &E) -> Option<Duration> {
        self(error)
    }
}

impl<E> Hint<E> for Plain {
    fn hint(&mut self, _: &E) -> Option<Duration> {
        None
    }
}

impl<E, N: FnMut(Option<&E>, Duration)> Notify<E> for N {
    fn notify(&mut self, error: Option<&E>, delay: Duration) {
        self(error, delay);
    }
}

impl<E> Notify<E> for Plain {
    fn notify(&mut self, _: Option<&E>, _: Duration) {}
}

impl Lock for NoBudget {
    type Target = RetryBudget;

    fn with<R>(&self, _: impl FnOnce(&mut RetryBudget) -> R) -> R {
        match *self {}
    }
}
