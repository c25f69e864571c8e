//! The life of one call.

use core::{
    mem,
    task::{Poll, Waker},
};

use super::{Resolution, ledger::Ledger};
use crate::{Instant, Lock, Shared};

/// How a call was over without a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Ending {
    Cancelled,
    Closed,
    TimedOut,
}

/// Where a call that holds a slot stands.
///
/// `number` and `peer` are what the call is known by. They lie in here, because beside an enum of 64-bit times each of
/// them would cost eight bytes.
pub(super) enum Phase<R, N, P> {
    /// `held` tells that a future waits for the call, which has a `waiter` once it was polled in vain, `listed` that the
    /// call is in the order of deadlines.
    Pending {
        number: N,
        peer: P,
        held: bool,
        listed: bool,
        begun_at: Instant,
        expires_at: Instant,
        waiter: Option<Waker>,
    },
    /// The reply is there to be taken; by the future that waits for it, if it is `held`. (An option, so that it can be
    /// moved out without moving the slot.)
    Replied { number: N, peer: P, held: bool, reply: Option<R> },
    /// Over, but the future that waits for it has yet to be told.
    Unanswered { number: N, peer: P, ending: Ending },
}

/// What a future does with its call.
pub(super) trait Calls {
    /// Names a call that a future holds.
    type Name: Copy;
    type Reply;

    /// Looks after a call: if it is over, this frees its slot. If it is pending, it will wake `waker`; the one that it would
    /// have woken is put into `stale`.
    fn look(&mut self, call: Self::Name, waker: &Waker, stale: &mut Option<Waker>)
    -> Poll<Result<Self::Reply, Ending>>;

    /// Ends a call and frees its slot; if it is pending, it ends as `ending`.
    fn finish(&mut self, call: Self::Name, ending: Ending) -> Finished<Self::Reply>;
}

/// A call that was ended, and a waker that nobody needs any more.
///
/// Wakers and replies are woken and dropped outside the lock: that runs code of the user's, which may come back for the
/// same lock. Only to clone a waker adds one to a count, and is done inside, for a call that is over needs no clone.
pub(super) struct Finished<R> {
    pub(super) outcome: Result<R, Ending>,
    pub(super) stale: Option<Waker>,
}

/// Looks after a call, as [`Calls::look`].
#[inline]
pub(super) fn look_after<M: Calls, L: Lock<Target = M>, T>(
    shared: &Shared<M, L, T>,
    call: M::Name,
    waker: &Waker,
) -> Poll<Result<M::Reply, Ending>> {
    let mut stale = None;
    shared.with_lock(|calls| calls.look(call, waker, &mut stale))
}

/// The slots that one step of closing looks at, at most.
pub(super) const CLOSED_AT_ONCE: usize = 256;

/// As many wakers as leave the lock at once: it bounds how long the lock is held and how much stack that takes.
pub(super) type Waiters = heapless::Vec<Waker, 8>;

impl<R> Finished<R> {
    /// The call is gone: somebody else has ended it and taken it out.
    pub(super) const LOST: Self = Self { outcome: Err(Ending::Cancelled), stale: None };
}

impl<R, N: Copy, P: Copy> Phase<R, N, P> {
    pub(super) const fn begun(number: N, peer: P, begun_at: Instant, expires_at: Instant, held: bool) -> Self {
        Self::Pending { number, peer, held, listed: false, begun_at, expires_at, waiter: None }
    }

    pub(super) const fn number(&self) -> N {
        match self {
            Self::Pending { number, .. } | Self::Replied { number, .. } | Self::Unanswered { number, .. } => *number,
        }
    }

    pub(super) const fn peer(&self) -> P {
        match self {
            Self::Pending { peer, .. } | Self::Replied { peer, .. } | Self::Unanswered { peer, .. } => *peer,
        }
    }

    pub(super) const fn is_pending(&self) -> bool {
        matches!(self, Self::Pending { .. })
    }

    /// True if the call keeps its slot until the future that waits for it has been told.
    pub(super) const fn is_held(&self) -> bool {
        match self {
            Self::Pending { held, .. } | Self::Replied { held, .. } => *held,
            Self::Unanswered { .. } => true,
        }
    }

    /// When a pending call times out.
    pub(super) const fn expires_at(&self) -> Option<Instant> {
        match self {
            Self::Pending { expires_at, .. } => Some(*expires_at),
            Self::Replied { .. } | Self::Unanswered { .. } => None,
        }
    }

    /// When a pending call that is in the order of deadlines times out.
    pub(super) const fn listed_until(&self) -> Option<Instant> {
        match self {
            Self::Pending { listed: true, expires_at, .. } => Some(*expires_at),
            _ => None,
        }
    }

    /// A pending call is now in the order of deadlines; true if it is pending.
    pub(super) const fn list(&mut self) -> bool {
        let Self::Pending { listed, .. } = self else { return false };
        *listed = true;
        true
    }

    /// When the call began, if it is still waiting for a reply.
    pub(super) fn open_since(&self, now: Instant) -> Option<Instant> {
        match self {
            Self::Pending { begun_at, expires_at, .. } if now < *expires_at => Some(*begun_at),
            _ => None,
        }
    }

    /// Takes the reply; also the waker of the future to be told.
    pub(super) fn answer(&mut self, reply: R) -> Option<Waker> {
        let waiter = if let Self::Pending { waiter, .. } = self { waiter.take() } else { None };
        let (number, peer, held) = (self.number(), self.peer(), self.is_held());
        *self = Self::Replied { number, peer, held, reply: Some(reply) };
        waiter
    }

    /// Why a call that is not open takes no reply.
    pub(super) const fn refusal(&self) -> Resolution<()> {
        match self {
            Self::Pending { .. } | Self::Unanswered { .. } => Resolution::Late(()),
            Self::Replied { .. } => Resolution::Duplicate(()),
        }
    }

    /// The reply, if nobody waits for it.
    pub(super) const fn take(&mut self) -> Option<R> {
        match self {
            Self::Replied { reply, held: false, .. } => reply.take(),
            _ => None,
        }
    }

    /// Ends a pending call; also the waker of the future to be told.
    pub(super) fn end(&mut self, ending: Ending, ledger: &mut Ledger) -> Option<Waker> {
        let Self::Pending { number, peer, waiter, .. } = self else { return None };
        ledger.ended(ending);
        let (number, peer, waiter) = (*number, *peer, waiter.take());
        *self = Self::Unanswered { number, peer, ending };
        waiter
    }

    /// Sees to it that a pending call wakes `waker`, as [`Calls::look`]; false if it is over.
    pub(super) fn watch(&mut self, waker: &Waker, stale: &mut Option<Waker>) -> bool {
        let Self::Pending { waiter, .. } = self else { return false };
        if !waiter.as_ref().is_some_and(|waiter| waiter.will_wake(waker)) {
            *stale = waiter.replace(waker.clone());
        }
        true
    }

    /// The outcome of a call that is about to leave its slot; if it is still pending, it ends as `ending`.
    pub(super) fn finish(&mut self, ending: Ending, ledger: &mut Ledger) -> Finished<R> {
        match self {
            Self::Pending { waiter, .. } => {
                ledger.ended(ending);
                Finished { outcome: Err(ending), stale: waiter.take() }
            }
            Self::Replied { reply, .. } => Finished { outcome: reply.take().ok_or(ending), stale: None },
            Self::Unanswered { ending, .. } => Finished { outcome: Err(*ending), stale: None },
        }
    }

    /// After the clock has stepped back to `now`: a call must not wait for longer than its own time-out.
    pub(super) fn rebase(&mut self, now: Instant) {
        if let Self::Pending { begun_at, expires_at, .. } = self
            && *begun_at > now
        {
            let timeout = expires_at.since(mem::replace(begun_at, now));
            *expires_at = now.after(timeout);
        }
    }
}

/// Runs `close_some` until all is closed, and wakes whom it hands out.
pub(super) fn wake_all(mut close_some: impl FnMut(usize, &mut Waiters) -> Option<usize>) {
    let mut from = Some(0);
    while let Some(first) = from {
        let mut waiters = Waiters::new();
        from = close_some(first, &mut waiters);
        waiters.into_iter().for_each(Waker::wake);
    }
}
