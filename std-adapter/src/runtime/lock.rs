//! The lock of a server.

use std::{
    ptr,
    sync::{MutexGuard, PoisonError, TryLockError},
};

use steadfast_core::Lock;

use super::panics::unless_it_panics;

thread_local! {
    /// Its address tells one thread from another.
    static HERE: u8 = const { 0 };
}

/// A [`std::sync::Mutex`] as a [`Lock`].
///
/// It is held for one operation of a state machine and never across an `.await`, where a std mutex is the fastest.
/// Poisoning is ignored, because state machines do not panic. Nor does a waker that panics, when another's call wakes
/// it, reach that caller.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Locks up `value`.
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }

    /// What is locked up, if nobody has it now.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Lock for Mutex<T> {
    type Target = T;

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The thread.
    fn context(&self) -> Option<usize> {
        HERE.try_with(|here| ptr::from_ref(here).addr()).ok()
    }

    /// Panics are caught.
    fn outside(&self, f: impl FnOnce()) {
        let _ = unless_it_panics(f);
    }
}
