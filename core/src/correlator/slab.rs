//! Calls whose ids the correlator makes: a slab.

use core::{
    fmt,
    task::{Poll, Waker},
    time::Duration,
};

use super::{
    BeginError, Call, CallId, CorrelatorStats, Expired, Resolution, RoundTrips,
    due::{Due, Slots},
    ending::Ending,
    id::Numbers,
    ledger::{Ledger, OUT_OF_ORDER},
    phase::{CLOSED_AT_ONCE, Calls, Closed, Correlates, GONE, Left, Phase, Watch, wake_all},
};
use crate::foundation::{
    storage::{Allocate, Inline, Link, Storage},
    time::{Instant, Span},
};

/// A correlator for request and response (RPC): it matches each reply to its pending call by a correlation id, with
/// room for `N` calls. Each call has a deadline, and gets its reply or an end, once.
///
/// The id on the wire names a slot and one use of it: to find the call is an array index and a compare, and a reply to
/// a call that is over can never reach the call that took its slot. A reply counts only if it comes from the peer that
/// was asked, before the deadline.
///
/// `P` is whatever a reply must repeat besides the id: the peer, or `(peer, kind of reply)` where a reply of another
/// kind must leave the call pending.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Correlator, Instant, correlator::Resolution};
///
/// let mut correlator: Correlator<&str, u32, 8> = Correlator::new(0x5eed);
/// let now = Instant::from_secs(100);
/// let call = correlator.begin("bob", Duration::from_secs(2), now)?;
/// // ... send the request with call.id() ...
/// assert_eq!(correlator.resolve(call.id(), "mallory", 7, now), Resolution::WrongPeer(7));
/// assert_eq!(correlator.resolve(call.id(), "bob", 42, now), Resolution::Matched);
/// assert_eq!(correlator.take(call.id()), Some(42));
/// assert_eq!(correlator.resolve(call.id(), "bob", 42, now), Resolution::Duplicate(42));
///
/// let call = correlator.begin("carol", Duration::from_secs(2), now)?;
/// let late = now.saturating_add(Duration::from_secs(2));
/// assert_eq!(correlator.resolve(call.id(), "carol", 1, late), Resolution::Late(1));
/// let expired = correlator.on_timeout(late).expect("it is due");
/// assert_eq!((expired.id, expired.peer), (call.id(), "carol"));
/// # Ok::<(), steadfast_core::correlator::BeginError>(())
/// ```
///
/// Behind a lock and a timer ([`Shared`](crate::foundation::shared::Shared)) it also waits: see `call` and `gather`
/// there.
///
/// # When it is full
///
/// A call does not begin ([`BeginError::Full`](crate::correlator::BeginError::Full)). A slot whose call has timed out
/// is used again when there is no other, even if nobody was told: a future that waits for it still gets `TimedOut`, but
/// `on_timeout` does not name it any more.
///
/// How a call ended is remembered until its slot is used again. Slots are used in the order in which they became free,
/// so with `f` slots free, that is for `f` more calls. Replies to calls before that are `Unknown`.
///
/// # Clock
///
/// A `now` that is earlier than another before it is taken for a late reading, and changes nothing. Once all readings
/// have been behind for half a call's timeout (and 100 ms, but in `on_timeout`), the clock has stepped back, and a call
/// that lies ahead of it begins with the first of them. So it waits for one timeout more at most.
///
/// # Cost
///
/// [`begin`](CorrelatorIn::begin), [`resolve`](CorrelatorIn::resolve), [`take`](CorrelatorIn::take) and
/// [`cancel`](CorrelatorIn::cancel) are O(1).
#[doc(alias("CallRegistry", "oneshot", "pending requests"))]
pub type Correlator<P, R, const N: usize> = CorrelatorIn<P, R, Inline<N>>;

/// A [`Correlator`] in any [`Storage`].
pub struct CorrelatorIn<P, R, S: Storage> {
    slots: S::Of<Slot<P, R, S::Link>>,
    numbers: Numbers,
    /// The slots from here on were never used; so a new correlator needs no list of them.
    unused: usize,
    /// The slots that were used and are free, in the order in which they became free.
    oldest: S::Link,
    newest: S::Link,
    held: usize,
    due: Due<S>,
    ledger: Ledger,
}

enum Slot<P, R, L> {
    Vacant,
    Live(Phase<R, u32, P>),
    Over { number: u32, peer: P, answered: bool, next: L },
}

impl<P, R, const N: usize> Correlator<P, R, N> {
    /// A correlator without calls, for 1 to 65,534 at once.
    ///
    /// The same seed gives the same ids: take 64 random bits, so that neither a restart nor a stranger repeats an id.
    /// A `static` takes any and is [reseeded](CorrelatorIn::reseed) at boot.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        const { assert!(N > 0 && N < u16::MAX as usize, "a correlator has 1 to 65,534 slots") };
        Self {
            slots: [const { Slot::Vacant }; N],
            numbers: Numbers::new(seed),
            unused: 0,
            oldest: <u16 as Link>::NONE,
            newest: <u16 as Link>::NONE,
            held: 0,
            due: Due::new(),
            ledger: Ledger::new(),
        }
    }
}

impl<P, R, S: Allocate> CorrelatorIn<P, R, S> {
    /// A correlator without calls, for `capacity` (1 to 2^32 - 1) at once, in storage of run-time size.
    ///
    /// The seed is as for [`new`](Correlator::new).
    #[must_use]
    pub fn allocate(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(1, u32::MAX as usize);
        Self {
            slots: S::allocate(capacity, || Slot::Vacant),
            numbers: Numbers::new(seed),
            unused: 0,
            oldest: S::Link::NONE,
            newest: S::Link::NONE,
            held: 0,
            due: Due::allocate(capacity),
            ledger: Ledger::new(),
        }
    }
}

impl<P: Copy + Eq, R, S: Storage> CorrelatorIn<P, R, S> {
    /// Begins a call to `peer` that times out `timeout` from now: send the request after this, with the call's id.
    ///
    /// A zero `timeout` is over at once. O(1).
    ///
    /// # Errors
    ///
    /// [`BeginError::Full`] if every slot holds a call that is not over, [`BeginError::Closed`] after
    /// [`close`](Self::close). Nothing changed.
    #[doc(alias = "register")]
    #[inline]
    pub fn begin(&mut self, peer: P, timeout: Duration, now: Instant) -> Result<Call, BeginError> {
        let mut over = Left::nothing();
        let call = self.begin_for(peer, Span::new(timeout), false, now, &mut over);
        over.wake();
        call
    }

    /// Takes a reply that came from `from`, if it is the one to a pending call; else gives it back with the reason.
    ///
    /// A matched reply is kept until it is [taken](Self::take). At the deadline or after it a reply is late, even if
    /// [`on_timeout`](Self::on_timeout) has not been called yet. O(1).
    #[doc(alias = "Receive")]
    #[inline]
    pub fn resolve(&mut self, id: CallId, from: P, reply: R, now: Instant) -> Resolution<R> {
        let (resolution, waiter) = self.resolve_for(id, from, reply, now);
        waiter.into_iter().for_each(Waker::wake);
        resolution
    }

    /// The reply to a call, once; this frees the call's slot.
    ///
    /// `None` if there is no reply, or if a future waits for it. O(1).
    #[inline]
    pub fn take(&mut self, id: CallId) -> Option<R> {
        let index = self.find(id)?;
        let reply = self.slots.as_mut().phase(index)?.take()?;
        self.free(index, true);
        Some(reply)
    }

    /// Ends a pending call; a reply that still comes is late. False if it was not pending: a reply that is there
    /// already keeps the slot until it is [taken](Self::take), wanted or not. O(1).
    pub fn cancel(&mut self, id: CallId) -> bool {
        let (cancelled, waiter) = self.cancel_for(id);
        waiter.into_iter().for_each(Waker::wake);
        cancelled
    }

    /// Ends every pending call, and refuses further ones. Replies that wait to be taken stay. O(`N`).
    #[doc(alias = "shutdown")]
    pub fn close(&mut self) {
        wake_all(|from, waiters| self.close_some(from, waiters), Left::wake);
    }

    /// Lets calls begin again after [`close`](Self::close): the link is back.
    pub const fn reopen(&mut self) {
        self.ledger.set_closed(false);
    }

    /// The earliest deadline of a pending call: when [`on_timeout`](Self::on_timeout) has something to do.
    ///
    /// It tells also when a call is due for a clock that has stepped back. `begin`, `resolve`, `cancel`, `close` and
    /// `on_timeout` may change it. O(`N`).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let used = self.slots.as_ref().iter().take(self.unused);
        let behind = self.ledger.behind();
        let pending = used.filter_map(|slot| match slot {
            Slot::Live(phase) => phase.due_at(behind),
            Slot::Over { .. } | Slot::Vacant => None,
        });
        pending.min()
    }

    /// Times out the call that is due, earliest deadline first, and names it, so that its peer can be told.
    ///
    /// Call it until it returns `None`. O(1) if nothing is due; else O(`N`) for `N` up to 32, and O(log `N`) above,
    /// where at most once in the shortest time-out it is O(`N`).
    #[must_use = "call it again until it returns `None`"]
    pub fn on_timeout(&mut self, now: Instant) -> Option<Expired<P>> {
        let (expired, waiter) = self.expire_for(false, now)?;
        waiter.into_iter().for_each(Waker::wake);
        Some(expired)
    }

    /// Starts another sequence of ids; false, and nothing changed, if a slot holds a call.
    pub const fn reseed(&mut self, seed: u64) -> bool {
        if self.held != 0 {
            return false;
        }
        self.numbers = Numbers::new(seed);
        true
    }

    /// How many slots hold a call: one that is pending, or one whose reply or end is still to be taken.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.held
    }

    /// True if no slot holds a call.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// The most calls at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.as_ref().len()
    }

    /// True between [`close`](Self::close) and [`reopen`](Self::reopen).
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.ledger.is_closed()
    }

    /// What was seen so far.
    #[must_use]
    pub const fn stats(&self) -> CorrelatorStats {
        self.ledger.stats()
    }

    /// How long the matched replies took; `None` before the first.
    #[must_use]
    pub fn round_trips(&self) -> Option<RoundTrips> {
        self.ledger.round_trips()
    }

    /// [`begin`](Self::begin), for a future if it is `held`.
    #[inline]
    pub(super) fn begin_for(
        &mut self,
        peer: P,
        timeout: Span,
        held: bool,
        now: Instant,
        over: &mut Left<()>,
    ) -> Result<Call, BeginError> {
        self.observe(now, OUT_OF_ORDER);
        if self.ledger.is_closed() {
            return Err(self.ledger.refused(BeginError::Closed));
        }
        if self.held == self.capacity() {
            self.make_room(now, over);
        }
        let fresh = self.unused < self.capacity();
        let link = if fresh { S::Link::to(self.unused) } else { self.oldest };
        let index = link.index();
        let next = match self.slots.as_ref().get(index) {
            Some(Slot::Vacant) => S::Link::NONE,
            Some(Slot::Over { next, .. }) => *next,
            Some(Slot::Live(_)) | None => return Err(self.ledger.refused(BeginError::Full)),
        };
        let number = self.numbers.next();
        let expires_at = now.after(timeout);
        if let Some(slot) = self.slots.as_mut().get_mut(index) {
            *slot = Slot::Live(Phase::begun(number, peer, now, expires_at, held));
        }
        if fresh {
            self.unused = self.unused.wrapping_add(1);
        } else {
            self.oldest = next;
            if next == S::Link::NONE {
                self.newest = next;
            }
        }
        self.held = self.held.wrapping_add(1);
        self.due.add(expires_at);
        self.ledger.begun();
        Ok(Call { id: CallId::new(index, number), expires_at })
    }

    /// [`resolve`](Self::resolve), with the waker of the future to be told.
    #[inline]
    pub(super) fn resolve_for(
        &mut self,
        id: CallId,
        from: P,
        reply: R,
        now: Instant,
    ) -> (Resolution<R>, Option<Waker>) {
        self.observe(now, OUT_OF_ORDER);
        let (index, named) = id.parts();
        let why = match self.slots.as_mut().get_mut(index) {
            Some(Slot::Live(phase)) if phase.number() == named => {
                if phase.peer() != from {
                    Resolution::WrongPeer(())
                } else if let Some(begun_at) = phase.open_since(now) {
                    self.ledger.resolved(begun_at, now);
                    return (Resolution::Matched, phase.answer(reply));
                } else {
                    phase.refusal()
                }
            }
            Some(Slot::Over { number, peer, answered, .. }) if *number == named => match (*peer == from, *answered) {
                (true, true) => Resolution::Duplicate(()),
                (true, false) => Resolution::Late(()),
                (false, _) => Resolution::WrongPeer(()),
            },
            _ => Resolution::Unknown(()),
        };
        (self.ledger.refuse(reply, why), None)
    }

    /// [`cancel`](Self::cancel), with the waker of the future to be told.
    pub(super) fn cancel_for(&mut self, id: CallId) -> (bool, Option<Waker>) {
        match self.find(id) {
            Some(index) if self.is_pending(index) => (true, self.end(index, Ending::Cancelled)),
            _ => (false, None),
        }
    }

    /// [`on_timeout`](Self::on_timeout), with the waker of the future to be told; only of those that are `held`, or of all.
    pub(super) fn expire_for(&mut self, held: bool, now: Instant) -> Option<(Expired<P>, Option<Waker>)> {
        self.observe(now, Span::ZERO);
        let slots = self.slots.as_mut();
        let index = self.due.pop(slots, self.unused, held, now)?;
        let phase = slots.phase(index)?;
        let expired = Expired { id: CallId::new(index, phase.number()), peer: phase.peer() };
        Some((expired, self.end(index, Ending::TimedOut)))
    }

    /// Closes, ends the calls in the slots from `from` on until there are enough for one step, and tells where to go
    /// on.
    pub(super) fn close_some(&mut self, from: usize, closed: &mut Closed<()>) -> Option<usize> {
        self.ledger.set_closed(true);
        for index in from..self.unused {
            if closed.is_full() || index.saturating_sub(from) >= CLOSED_AT_ONCE {
                return Some(index);
            }
            if let Some(waker) = self.end(index, Ending::Closed) {
                let _ = closed.push(Left { waker: Some(waker), id: None }); // as many as there are places
            }
        }
        None
    }

    /// Ends a call that has timed out, so that a full slab has room for another.
    #[cold]
    fn make_room(&mut self, now: Instant, over: &mut Left<()>) {
        over.waker = self.expire_for(false, now).and_then(|(_, waker)| waker);
    }

    /// The slot that holds the call.
    #[inline]
    fn find(&self, id: CallId) -> Option<usize> {
        let (index, named) = id.parts();
        match self.slots.as_ref().get(index)? {
            Slot::Live(phase) if phase.number() == named => Some(index),
            _ => None,
        }
    }

    /// The call and its slot.
    #[inline]
    fn held_mut(&mut self, id: CallId) -> Option<(usize, &mut Phase<R, u32, P>)> {
        let (index, named) = id.parts();
        match self.slots.as_mut().get_mut(index)? {
            Slot::Live(phase) if phase.number() == named => Some((index, phase)),
            _ => None,
        }
    }

    fn is_pending(&self, index: usize) -> bool {
        matches!(self.slots.as_ref().get(index), Some(Slot::Live(phase)) if phase.is_pending())
    }

    /// Ends the call in a slot if it is pending, and frees the slot unless a future has to be told how.
    fn end(&mut self, index: usize, ending: Ending) -> Option<Waker> {
        let phase = self.slots.as_mut().phase(index)?;
        if !phase.is_pending() {
            return None;
        }
        let (held, waiter) = (phase.is_held(), phase.end(ending, &mut self.ledger));
        if !held || ending == GONE {
            self.free(index, false);
        }
        waiter
    }

    /// Ends the call in a slot for the future that waits for it, and frees the slot.
    #[inline]
    fn finish_in(&mut self, index: usize, ending: Ending, left: &mut Left<()>) -> Result<R, Ending> {
        let phase = self.slots.as_mut().phase(index).ok_or(GONE)?;
        let outcome = phase.finish(ending, &mut self.ledger, &mut left.waker);
        self.free(index, outcome.is_ok());
        outcome
    }

    /// Makes the slot of a call that is over the last of the free ones.
    #[inline]
    fn free(&mut self, index: usize, answered: bool) {
        let Some(slot) = self.slots.as_mut().get_mut(index) else { return };
        let Slot::Live(phase) = slot else { return };
        *slot = Slot::Over { number: phase.number(), peer: phase.peer(), answered, next: S::Link::NONE };
        let link = S::Link::to(index);
        match self.slots.as_mut().get_mut(self.newest.index()) {
            Some(Slot::Over { next, .. }) => *next = link,
            _ => self.oldest = link,
        }
        self.newest = link;
        self.held = self.held.wrapping_sub(1);
    }

    /// Takes note of the time; readings that are behind for less than `patience` cost nothing.
    #[inline]
    fn observe(&mut self, now: Instant, patience: Span) {
        if !self.ledger.go_on(now) {
            self.fall_behind(now, patience);
        }
    }

    #[cold]
    fn fall_behind(&mut self, now: Instant, patience: Span) {
        let Some(behind) = self.ledger.fall_behind(now, patience) else { return };
        let used = self.slots.as_mut().iter_mut().take(self.unused);
        let ahead = used.filter_map(|slot| match slot {
            Slot::Live(phase) => phase.step_back(behind),
            Slot::Over { .. } | Slot::Vacant => None,
        });
        let shortest = ahead.min();
        self.ledger.look_again(behind, shortest);
        self.due.reorder();
    }
}

impl<P: Copy, R, L> Slots for [Slot<P, R, L>] {
    type Reply = R;
    type Number = u32;
    type Peer = P;

    fn phase(&mut self, slot: usize) -> Option<&mut Phase<R, u32, P>> {
        match self.get_mut(slot)? {
            Slot::Live(phase) => Some(phase),
            Slot::Over { .. } | Slot::Vacant => None,
        }
    }
}

impl<P: Copy + Eq, R, S: Storage> Correlates for CorrelatorIn<P, R, S> {
    type Key = P;
    type Arg = CallId;
    type Name = CallId;
    type Reply = R;
}

impl<P: Copy + Eq, R, S: Storage> Calls for CorrelatorIn<P, R, S> {
    type Id = ();

    #[inline]
    fn begin_held(
        &mut self,
        peer: &mut Option<P>,
        timeout: Span,
        now: Instant,
        over: &mut Left<()>,
    ) -> Result<(CallId, CallId, Instant), BeginError> {
        let Some(peer) = *peer else { return Err(BeginError::Full) };
        let call = self.begin_for(peer, timeout, true, now, over)?;
        Ok((call.id, call.id, call.expires_at))
    }

    #[inline]
    fn look(&mut self, id: CallId, waker: &Waker, left: &mut Left<()>) -> Option<Poll<Result<R, Ending>>> {
        let Some((index, phase)) = self.held_mut(id) else { return Some(Poll::Ready(Err(GONE))) };
        match phase.watch(waker, &mut left.waker) {
            Watch::Over => Some(Poll::Ready(self.finish_in(index, Ending::Cancelled, left))),
            Watch::Wanted => None,
            Watch::Watched => Some(Poll::Pending),
        }
    }

    fn expire_held(&mut self, now: Instant) -> Option<Left<()>> {
        self.expire_for(true, now).map(|(_, waker)| Left { waker, id: None })
    }

    fn next_due(&mut self) -> Option<Instant> {
        self.due.next_at(self.slots.as_mut())
    }

    fn finish(&mut self, id: CallId, ending: Ending, left: &mut Left<()>) -> Result<R, Ending> {
        self.find(id).map_or(Err(GONE), |index| self.finish_in(index, ending, left))
    }
}

/// Shows no id and no reply.
impl<P, R, S: Storage> fmt::Debug for CorrelatorIn<P, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Correlator").field("stats", &self.ledger.stats()).finish_non_exhaustive()
    }
}
