//! A timer whose time moves only when nothing else can.

use alloc::{rc::Rc, vec::Vec};
use core::{
    cell::RefCell,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use crate::foundation::{
    shared::{Clock, Timer},
    time::Instant,
};

/// A [`Timer`] on virtual time, driven by its [`Simulator`](super::Simulator).
#[derive(Clone, Default)]
pub struct VirtualTimer(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    now: Instant,
    next_sleeper: u64,
    sleepers: Vec<(Instant, u64, Waker)>,
}

impl VirtualTimer {
    /// Moves on by `duration` at once, waking whoever is due: what a suspended machine or a stepping clock does.
    pub fn advance(&self, duration: Duration) {
        let now = self.now().saturating_add(duration);
        self.set(now);
    }

    /// Shows `now` from here on, which may be in the past, and wakes whoever is due.
    ///
    /// After a step back a sleep takes as long as it would have without it, as [`Timer::sleep_until`] asks for.
    pub fn set(&self, now: Instant) {
        let mut state = self.0.borrow_mut();
        let back = state.now.since(now);
        for (at, ..) in &mut state.sleepers {
            *at = at.before(back);
        }
        state.now = now;
        drop(state);
        self.wake_due();
    }

    /// Moves to the next sleeper's instant and wakes it; false if nobody sleeps.
    pub(super) fn advance_to_next(&self) -> bool {
        let Some(at) = self.0.borrow().sleepers.iter().map(|(at, ..)| *at).min() else { return false };
        let now = self.now().max(at);
        self.set(now);
        true
    }

    fn wake_due(&self) {
        let mut state = self.0.borrow_mut();
        let now = state.now;
        let due: Vec<Waker> = state.sleepers.extract_if(.., |(at, ..)| *at <= now).map(|(_, _, waker)| waker).collect();
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }
}

impl Clock for VirtualTimer {
    fn now(&self) -> Instant {
        self.0.borrow().now
    }
}

impl Timer for VirtualTimer {
    type Sleep = VirtualSleep;

    fn sleep_until(&self, at: Instant) -> VirtualSleep {
        VirtualSleep { timer: self.clone(), at, place: None }
    }
}

impl fmt::Debug for VirtualTimer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.borrow();
        f.debug_struct("VirtualTimer").field("now", &state.now).field("sleepers", &state.sleepers.len()).finish()
    }
}

/// Ready once its timer shows its instant, or has slept so long; leaves nothing behind when dropped.
#[derive(Debug)]
pub struct VirtualSleep {
    timer: VirtualTimer,
    at: Instant,
    place: Option<u64>,
}

impl VirtualSleep {
    fn leave(&mut self) -> Option<Waker> {
        let place = self.place.take()?;
        let mut state = self.timer.0.borrow_mut();
        let index = state.sleepers.iter().position(|(_, other, _)| *other == place)?;
        Some(state.sleepers.swap_remove(index).2)
    }
}

impl Future for VirtualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.now() >= self.at {
            drop(self.leave());
            return Poll::Ready(());
        }
        let mut waker = cx.waker().clone();
        let timer = self.timer.clone();
        let mut state = timer.0.borrow_mut();
        if let Some(place) = self.place {
            let known = state.sleepers.iter_mut().find(|(_, other, _)| *other == place);
            let is_known = known.map(|(_, _, known)| core::mem::swap(known, &mut waker)).is_some();
            drop(state);
            return if is_known { Poll::Pending } else { Poll::Ready(()) };
        }
        let place = state.next_sleeper;
        state.next_sleeper = place.wrapping_add(1);
        state.sleepers.push((self.at, place, waker));
        self.place = Some(place);
        Poll::Pending
    }
}

impl Drop for VirtualSleep {
    fn drop(&mut self) {
        drop(self.leave());
    }
}
