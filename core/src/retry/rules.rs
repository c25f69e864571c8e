//! What one may say about a retry, and what holds if nothing is said.
//!
//! The defaults are types, not function pointers: a retry that says nothing stores nothing and calls nothing.

use core::time::Duration;

use super::{Failure, RetryBudget};
use crate::foundation::shared::Lock;

/// Which errors are worth another attempt: a closure, or [`Plain`] for all.
pub trait RetryIf<E> {
    /// True if it is worth another attempt.
    fn is_worth_another(&mut self, error: &E) -> bool;
}

/// What a failed attempt means: a closure, a [`Hint`], or [`Plain`] for [`Failure::Transient`] always.
pub trait Classify<E> {
    /// What this failure means; `None` is an attempt that was cut off, and attempts count from 1.
    fn classify(&mut self, error: Option<&E>, attempt: u32) -> Failure;
}

/// How long an error asks to wait: a closure, made into a [`Classify`].
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[derive(Clone, Copy, Debug)]
pub struct Hint<I>(pub(super) I);

/// Who is told of an attempt that is followed by another: a closure, or [`Plain`] for nobody.
pub trait Notify<E> {
    /// Tells the error, `None` if the attempt was cut off, the number of the attempt from 1 on, and the delay until the
    /// next.
    fn notify(&mut self, error: Option<&E>, attempt: u32, delay: Duration);
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

impl<E, C: FnMut(Option<&E>, u32) -> Failure> Classify<E> for C {
    fn classify(&mut self, error: Option<&E>, attempt: u32) -> Failure {
        self(error, attempt)
    }
}

impl<E, I: FnMut(&E) -> Option<Duration>> Classify<E> for Hint<I> {
    fn classify(&mut self, error: Option<&E>, _: u32) -> Failure {
        error.and_then(&mut self.0).map_or(Failure::Transient, Failure::RetryAfter)
    }
}

impl<E> Classify<E> for Plain {
    fn classify(&mut self, _: Option<&E>, _: u32) -> Failure {
        Failure::Transient
    }
}

impl<E, N: FnMut(Option<&E>, u32, Duration)> Notify<E> for N {
    fn notify(&mut self, error: Option<&E>, attempt: u32, delay: Duration) {
        self(error, attempt, delay);
    }
}

impl<E> Notify<E> for Plain {
    fn notify(&mut self, _: Option<&E>, _: u32, _: Duration) {}
}

impl Lock for NoBudget {
    type Target = RetryBudget;

    fn with<R>(&self, _: impl FnOnce(&mut RetryBudget) -> R) -> R {
        match *self {}
    }
}
