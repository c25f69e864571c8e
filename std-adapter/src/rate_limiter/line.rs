//! Where those wait who wait for a limiter.

use core::sync::atomic::{AtomicU32, Ordering};

use steadfast_core::{Lock, WaitList};

use crate::runtime::Mutex;

/// For how many waiters a line keeps the order of arrival.
const PLACES: usize = 64;

pub(super) type Waiting = WaitList<PLACES>;

/// A list behind a lock, that can be seen to be empty without it: whoever need not wait takes the limiter's lock only.
#[derive(Debug)]
pub(super) struct Line {
    list: Mutex<Waiting>,
    len: AtomicU32,
}

impl Line {
    pub(super) const fn new() -> Self {
        Self { list: Mutex::new(WaitList::new()), len: AtomicU32::new(0) }
    }

    /// Nothing but the order depends on it: who joins at this moment may find that another went first.
    pub(super) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Relaxed) == 0
    }
}

impl Lock for Line {
    type Target = Waiting;

    fn with<R>(&self, f: impl FnOnce(&mut Waiting) -> R) -> R {
        self.list.with(|list| {
            let result = f(list);
            self.len.store(list.len(), Ordering::Relaxed);
            result
        })
    }
}
