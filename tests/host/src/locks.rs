//! The lock around a machine, as the contracts see it.

use core::cell::RefCell;

use steadfast_core::Lock;

/// Makes locks of one kind.
pub trait Locks {
    /// The lock around a `T`.
    type Of<T>: Lock<Target = T>;

    /// Locks up `content`.
    fn lock<T>(content: T) -> Self::Of<T>;
}

/// The lock of one thread.
#[derive(Debug)]
pub struct RefCells;

impl Locks for RefCells {
    type Of<T> = RefCell<T>;

    fn lock<T>(content: T) -> RefCell<T> {
        RefCell::new(content)
    }
}

/// `seconds` after the epoch.
pub(crate) const fn at(seconds: u64) -> steadfast_core::Instant {
    steadfast_core::Instant::from_secs(seconds)
}

/// The last instant before `seconds` after the epoch.
pub(crate) const fn before(seconds: u64) -> steadfast_core::Instant {
    at(seconds).saturating_sub(core::time::Duration::from_nanos(1))
}
