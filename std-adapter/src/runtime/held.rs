//! What stands still in a tokio runtime while a `block_on` in it holds its thread.

use core::{cell::Cell, time::Duration};
use std::time::Instant;

use tokio::runtime::Handle;

thread_local! {
    /// What the `block_on` that polls its future now holds up.
    static HELD: Cell<Held> = const { Cell::new(Held::NOTHING) };
}

/// What stands still while a `block_on` waits.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// The runtime that it was called in, and so perhaps that runtime's timer.
    is_runtime: bool,
    /// Since when a paused clock of that runtime's has been kept from moving on.
    clock: Option<Instant>,
}

impl Held {
    const NOTHING: Self = Self { is_runtime: false, clock: None };

    pub(super) fn here() -> Self {
        if Handle::try_current().is_err() {
            return Self::NOTHING;
        }
        let clock = HELD.get().clock.or_else(|| (!runs()).then(Instant::now));
        Self { is_runtime: true, clock }
    }
}

/// True unless tokio's clock was paused.
pub(super) fn runs() -> bool {
    let before = Instant::now();
    let now = tokio::time::Instant::now().into_std();
    before <= now && now <= Instant::now()
}

/// True if the timer of the runtime around may stand still because a `block_on` of this thread holds it up.
pub(super) fn holds_runtime() -> bool {
    HELD.get().is_runtime
}

/// For how long a paused clock has been held up.
#[inline]
pub(super) fn held_for() -> Option<Duration> {
    HELD.get().clock.map(|since| since.elapsed())
}

/// One poll of one `block_on`; undone by a panic of the future too.
pub(super) struct Level {
    outer: Held,
}

impl Level {
    pub(super) fn enter(held: Held) -> Self {
        Self { outer: HELD.replace(held) }
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        HELD.set(self.outer);
    }
}
