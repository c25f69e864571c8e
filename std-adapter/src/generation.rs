//! Which settings are in force.

use core::sync::atomic::{AtomicUsize, Ordering};

/// How often other settings were taken. It is counted once they are in force everywhere, and no call looks at it.
#[derive(Debug, Default)]
pub(crate) struct Generation(AtomicUsize);

impl Generation {
    pub(crate) fn next(&self) {
        self.0.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire) as u64
    }
}
