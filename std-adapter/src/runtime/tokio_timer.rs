//! Whether the runtime around has a timer.

use core::cell::Cell;
use std::{
    panic::catch_unwind,
    sync::{Mutex, PoisonError},
};

use tokio::{runtime::Handle, time};

use super::held;

pub(crate) type RuntimeId = tokio::runtime::Id;

thread_local! {
    /// The runtime that this thread was in last, and whether it has a timer.
    static LAST: Cell<Option<(RuntimeId, bool)>> = const { Cell::new(None) };
}

/// The runtimes that were found to have none, so that not each of their threads has to find out.
static WITHOUT: Mutex<Vec<RuntimeId>> = Mutex::new(Vec::new());

/// How many of those are kept; beyond them each thread finds out by itself.
const MOST: usize = 1_024;

/// The tokio runtime that this is called in, if its timer can wake a sleep.
pub(crate) fn here() -> Option<RuntimeId> {
    if held::holds_runtime() {
        return None;
    }
    let runtime = Handle::try_current().ok()?.id();
    let known = LAST.get().filter(|(last, _)| *last == runtime).map(|(_, has_timer)| has_timer);
    let has_timer = known.unwrap_or_else(|| {
        let has_timer = find_out(runtime);
        LAST.set(Some((runtime, has_timer)));
        has_timer
    });
    has_timer.then_some(runtime)
}

#[cold]
fn find_out(runtime: RuntimeId) -> bool {
    // Where a panic cannot be caught tokio cannot be asked; its timer is needed only for a clock that does not run by itself.
    if cfg!(panic = "abort") {
        return !held::runs();
    }
    if without(|ids| ids.contains(&runtime)) {
        return false;
    }
    let has_timer = catch_unwind(|| drop(time::sleep_until(time::Instant::now()))).is_ok();
    if !has_timer {
        without(|ids| {
            if ids.len() < MOST {
                ids.push(runtime);
            }
        });
    }
    has_timer
}

fn without<R>(f: impl FnOnce(&mut Vec<RuntimeId>) -> R) -> R {
    f(&mut WITHOUT.lock().unwrap_or_else(PoisonError::into_inner))
}
