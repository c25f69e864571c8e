//! The life of one call.

use core::{
    mem,
    task::{Poll, Waker},
};

use super::{
    BeginError, Resolution,
    ending::Ending,
    ledger::{Behind, Ledger},
};
use crate::foundation::{
    shared::{Lock, Shared},
    time::{Instant, Span},
};

/// Where a call that holds a slot stands.
///
/// `number` and `peer` are what the call is known by. They lie in here, because beside an enum of 64-bit times each of
/// them would cost eight bytes.
pub(super) enum Phase<R, N, P> {
    /// `held` tells that a future waits for the call, which has a `waiter` once it was polled in vain, `listed` that
    /// the call is in the order of deadlines.
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
    /// Over, but the future that waits for it has yet to be told. (One that timed out is told so by its absence.)
    Unanswered { number: N, peer: P, ending: Ending },
}

/// How the calls of a correlator are named, and what they bring.
pub trait Correlates {
    /// What a call begins with: its peer, or an id of the caller's.
    type Key;
    /// What its request has to carry.
    type Arg;
    /// Names a call to whoever waits for it.
    type Name: Copy;
    /// What comes back.
    type Reply;
}

/// What a future does with its call.
pub(super) trait Calls: Correlates {
    /// What names the call beside the slot, if the caller brought it.
    type Id;

    /// Begins a call that a future holds; what is left of one that made room for it is put into `over`.
    fn begin_held(
        &mut self,
        key: &mut Option<Self::Key>,
        timeout: Span,
        now: Instant,
        over: &mut Left<Self::Id>,
    ) -> Result<(Self::Name, Self::Arg, Instant), BeginError>;

    /// Looks after a call: if it is over, this frees its slot. If it is pending, it will wake `waker`, of which a clone
    /// has to be in `left`: `None`, and nothing changed, if that is missing.
    fn look(
        &mut self,
        call: Self::Name,
        waker: &Waker,
        left: &mut Left<Self::Id>,
    ) -> Option<Poll<Result<Self::Reply, Ending>>>;

    /// Times out a call that is due and that a future holds, which is to be woken.
    fn expire_held(&mut self, now: Instant) -> Option<Left<Self::Id>>;

    /// No call that a future holds is due before this; `None` if there is none.
    fn next_due(&mut self) -> Option<Instant>;

    /// Ends a call and frees its slot; if it is pending, it ends as `ending`.
    fn finish(&mut self, call: Self::Name, ending: Ending, left: &mut Left<Self::Id>) -> Result<Self::Reply, Ending>;
}

/// What is left of a call: a waker and an id that nobody needs any more, or a waker that is to be woken.
///
/// Wakers, ids and replies are cloned, woken and dropped outside the lock: that runs code of the user's, which may come
/// back for the same lock.
pub(super) struct Left<I> {
    pub(super) waker: Option<Waker>,
    pub(super) id: Option<I>,
}

impl<I> Left<I> {
    pub(super) const fn nothing() -> Self {
        Self { waker: None, id: None }
    }

    pub(super) fn wake(self) {
        self.waker.into_iter().for_each(Waker::wake);
    }
}

/// Whether a call will wake a waker.
pub(super) enum Watch {
    Over,
    Wanted,
    Watched,
}

/// Looks after a call, as [`Calls::look`].
#[inline]
pub(super) fn look_after<M: Calls, L: Lock<Target = M>, T>(
    shared: &Shared<M, L, T>,
    call: M::Name,
    waker: &Waker,
) -> Poll<Result<M::Reply, Ending>> {
    let mut left = Left::nothing();
    loop {
        if let Some(outcome) = shared.with_lock(|calls| calls.look(call, waker, &mut left)) {
            return outcome;
        }
        left.waker = Some(waker.clone());
    }
}

/// The slots that one step of closing looks at, at most.
pub(super) const CLOSED_AT_ONCE: usize = 256;

/// As many calls as leave the lock at once: it bounds how long the lock is held and how much stack that takes.
pub(super) type Closed<I> = heapless::Vec<Left<I>, 8>;

/// How a call ended that is gone: only one that timed out does not wait until its future has been told.
pub(super) const GONE: Ending = Ending::TimedOut;

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

    /// A pending call is now in the order of deadlines, or no longer; true if it is pending.
    pub(super) const fn list(&mut self, is_listed: bool) -> bool {
        let Self::Pending { listed, .. } = self else { return false };
        *listed = is_listed;
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

    /// Sees to it that a pending call wakes `waker`, of which `clone` is one; the waker that it would have woken is in
    /// `clone` then.
    pub(super) fn watch(&mut self, waker: &Waker, clone: &mut Option<Waker>) -> Watch {
        let Self::Pending { waiter, .. } = self else { return Watch::Over };
        if !waiter.as_ref().is_some_and(|waiter| waiter.will_wake(waker)) {
            if clone.is_none() {
                return Watch::Wanted;
            }
            mem::swap(waiter, clone);
        }
        Watch::Watched
    }

    /// The outcome of a call that is about to leave its slot; if it is still pending, it ends as `ending`.
    pub(super) fn finish(
        &mut self,
        ending: Ending,
        ledger: &mut Ledger,
        stale: &mut Option<Waker>,
    ) -> Result<R, Ending> {
        match self {
            Self::Pending { waiter, .. } => {
                ledger.ended(ending);
                *stale = waiter.take();
                Err(ending)
            }
            Self::Replied { reply, .. } => reply.take().ok_or(ending),
            Self::Unanswered { ending, .. } => Err(*ending),
        }
    }

    /// When a pending call times out; one that lies ahead of readings that are behind, as if it began with the first of
    /// them.
    pub(super) fn due_at(&self, behind: Option<Behind>) -> Option<Instant> {
        let Self::Pending { begun_at, expires_at, .. } = self else { return None };
        Some(match behind {
            Some(behind) if *begun_at > behind.to => behind.from.after(expires_at.since(*begun_at)),
            _ => *expires_at,
        })
    }

    /// A pending call that lies ahead of readings that are behind begins with the first of them, if they have been so
    /// for half its time-out. Tells the time-out of one that lies ahead still.
    pub(super) fn step_back(&mut self, behind: Behind) -> Option<Span> {
        let Self::Pending { begun_at, expires_at, .. } = self else { return None };
        let timeout = expires_at.since(*begun_at);
        if *begun_at <= behind.to {
            return None;
        }
        if timeout.half() > behind.to.since(behind.from) {
            return Some(timeout);
        }
        (*begun_at, *expires_at) = (behind.from, behind.from.after(timeout));
        None
    }
}

/// Runs `close_some` until all is closed, and has all woken that it hands out.
pub(super) fn wake_all<I>(mut close_some: impl FnMut(usize, &mut Closed<I>) -> Option<usize>, wake: impl Fn(Left<I>)) {
    let mut from = Some(0);
    while let Some(first) = from {
        let mut closed = Closed::new();
        from = close_some(first, &mut closed);
        closed.iter_mut().for_each(|left| wake(mem::replace(left, Left::nothing())));
    }
}
