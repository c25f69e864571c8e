//! Code of the user's that may panic.

use core::{mem, panic::AssertUnwindSafe};
use std::panic::catch_unwind;

/// What `f` returns; `None` if it panics, in the drop of what it panicked with too.
pub(crate) fn unless_it_panics<R>(f: impl FnOnce() -> R) -> Option<R> {
    let panic = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(value) => return Some(value),
        Err(panic) => panic,
    };
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
        mem::forget(another); // there would be no end of it
    }
    None
}
