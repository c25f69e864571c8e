//! What adders and worker have in common: their queue, and a sleep until something is due.

use core::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use super::BatchQueueIn;
use crate::foundation::{
    shared::{Shared, Timer},
    time::Instant,
};

/// A queue behind a lock.
pub(super) type Queue<B, W, L, T> = Shared<BatchQueueIn<B, W>, L, T>;

/// Sleeps until then, if at all: ready when that is over. What was set before is used again as long as it is the same.
pub(super) fn poll_sleep<T: Timer>(
    timer: &T,
    mut sleep: Pin<&mut Option<T::Sleep>>,
    sleeps_until: &mut Option<Instant>,
    until: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if mem::replace(sleeps_until, until) != until {
        sleep.set(until.map(|at| timer.sleep_until(at)));
    }
    match sleep.as_mut().as_pin_mut().map(|sleep| sleep.poll(cx)) {
        None | Some(Poll::Pending) => return Poll::Pending,
        Some(Poll::Ready(())) => {}
    }
    *sleeps_until = None;
    sleep.set(None);
    Poll::Ready(())
}
