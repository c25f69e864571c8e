//! The lock of a server.

use std::sync::PoisonError;

use steadfast_core::Lock;

/// A [`std::sync::Mutex`] as a [`Lock`].
///
/// It is held for the length of one operation of a machine and never across an `.await`, where a std mutex is the
/// fastest. Poisoning is ignored: machines do not panic.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Locks up `value`.
    pub const fn new(value: T) -> Self {
        Self(std::sync::Mutex::new(value))
    }
}

impl<T> Lock for Mutex<T> {
    type Target = T;

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
