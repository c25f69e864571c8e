//! Calls whose ids the protocol brings: a map.

use core::{
    borrow::Borrow,
    fmt,
    hash::{BuildHasher, Hash},
    mem::needs_drop,
    task::{Poll, Waker},
    time::Duration,
};

use super::{
    BeginError, CorrelatorStats, Resolution, RoundTrips,
    due::{Due, Slots},
    ending::Ending,
    ledger::{Ledger, OUT_OF_ORDER},
    phase::{CLOSED_AT_ONCE, Calls, Closed, Correlates, GONE, Left, Phase, Watch, wake_all},
};
use crate::foundation::{
    hash::HashSeed,
    storage::{Allocate, Inline, Storage},
    table::Table,
    time::{Instant, Span},
};

/// A correlator for protocols that bring their own message ids: it matches each reply to its pending call, with room
/// for `N` calls.
///
/// Where you may choose the ids, use a [`Correlator`](crate::correlator::Correlator): its ids cannot be mixed up. Here
/// `Id` has to hold all that a reply must repeat: put the peer into it, as `(peer, number)`, or any peer can answer.
///
/// A second call with an id that is pending is refused, and the first stays as it was. Nothing is remembered of a call
/// that is over: a reply to it is `Unknown`, unless its id is in use again. When it is full, and when the clock steps
/// back, it does what the `Correlator` does. All but what goes by deadlines is O(1) expected.
///
/// ```
/// use core::time::Duration;
/// use steadfast_core::{Instant, KeyedCorrelator, correlator::{BeginError, Resolution}};
///
/// let mut correlator: KeyedCorrelator<(&str, u16), u32, 8> = KeyedCorrelator::new();
/// let (now, timeout) = (Instant::from_secs(100), Duration::from_secs(2));
/// correlator.begin(("bob", 1), timeout, now)?;
/// assert_eq!(correlator.begin(("bob", 1), timeout, now), Err(BeginError::Duplicate));
/// assert_eq!(correlator.resolve(&("bob", 1), 42, now), Resolution::Matched);
/// assert_eq!(correlator.take(&("bob", 1)), Some(42));
/// # Ok::<(), BeginError>(())
/// ```
#[doc(alias = "message id")]
pub type KeyedCorrelator<Id, R, const N: usize, H = HashSeed> = KeyedCorrelatorIn<Id, R, Inline<N>, H>;

/// A [`KeyedCorrelator`] in any [`Storage`].
pub struct KeyedCorrelatorIn<Id, R, S: Storage, H = HashSeed> {
    calls: Table<Id, Unnamed<R>, S, H>,
    due: Due<S>,
    ledger: Ledger,
    /// Tells apart the calls that have the same slot one after the other.
    next_number: u32,
}

/// The id is the table's.
type Unnamed<R> = Phase<R, u32, ()>;

/// A slot, and the number of its call.
type Name = (usize, u32);

impl<Id, R, const N: usize> KeyedCorrelator<Id, R, N> {
    /// A correlator without calls, for 1 to 65,534 at once, hashing with [`HashSeed::FIXED`]:
    /// [`reseed`](KeyedCorrelatorIn::reseed) it if peers have a say in the ids.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_hasher(HashSeed::FIXED)
    }
}

impl<Id, R, const N: usize> Default for KeyedCorrelator<Id, R, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Id, R, H, const N: usize> KeyedCorrelator<Id, R, N, H> {
    /// A correlator without calls, with a hasher of the caller's choice.
    #[must_use]
    pub const fn with_hasher(hasher: H) -> Self {
        Self { calls: Table::new(hasher), due: Due::new(), ledger: Ledger::new(), next_number: 0 }
    }
}

impl<Id, R, S: Allocate, H> KeyedCorrelatorIn<Id, R, S, H> {
    /// A correlator without calls, for `capacity` (1 to 2^32 - 2) at once, in storage of run-time size.
    #[must_use]
    pub fn allocate(capacity: usize, hasher: H) -> Self {
        let calls = Table::allocate(capacity, hasher);
        let due = Due::allocate(calls.slots());
        Self { calls, due, ledger: Ledger::new(), next_number: 0 }
    }
}

impl<Id, R, S: Storage, H> KeyedCorrelatorIn<Id, R, S, H> {
    /// The earliest deadline of a pending call: when [`on_timeout`](Self::on_timeout) has something to do.
    ///
    /// `begin`, `resolve`, `cancel`, `close` and `on_timeout` may change it. O(`N`).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let behind = self.ledger.behind();
        self.calls.iter().filter_map(|(_, _, phase)| phase.due_at(behind)).min()
    }

    /// Lets calls begin again after [`close`](Self::close): the link is back.
    pub const fn reopen(&mut self) {
        self.ledger.set_closed(false);
    }

    /// How many ids are in use: of calls that are pending, or whose reply or end is still to be taken.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.calls.len()
    }

    /// True if no id is in use.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.calls.len() == 0
    }

    /// The most calls at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.calls.capacity()
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
        let slots = 0..self.calls.slots();
        let ahead = slots.filter_map(|slot| self.calls.get_mut(slot).and_then(|phase| phase.step_back(behind)));
        let shortest = ahead.min();
        self.ledger.look_again(behind, shortest);
        self.due.reorder();
    }
}

impl<Id: Eq + Hash, R, S: Storage, H: BuildHasher> KeyedCorrelatorIn<Id, R, S, H> {
    /// Begins the call `id`, and tells when it times out, `timeout` from now: send the request after this.
    ///
    /// A zero `timeout` is over at once.
    ///
    /// # Errors
    ///
    /// [`BeginError::Duplicate`] if `id` is in use, [`BeginError::Full`] if `N` ids are, by calls that are not over,
    /// [`BeginError::Closed`] after [`close`](Self::close). Nothing changed.
    pub fn begin(&mut self, id: Id, timeout: Duration, now: Instant) -> Result<Instant, BeginError> {
        let (mut id, mut over) = (Some(id), Left::nothing());
        let begun = self.begin_for(&mut id, Span::new(timeout), false, now, &mut over);
        over.wake();
        begun.map(|(_, expires_at)| expires_at)
    }

    /// Takes a reply, if it is the one to a pending call; else gives it back with the reason.
    ///
    /// A matched reply is kept until it is [taken](Self::take). At the deadline or after it a reply is late, even if
    /// [`on_timeout`](Self::on_timeout) has not been called yet.
    pub fn resolve<Q>(&mut self, id: &Q, reply: R, now: Instant) -> Resolution<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (resolution, waiter) = self.resolve_for(id, reply, now);
        waiter.into_iter().for_each(Waker::wake);
        resolution
    }

    /// The reply to a call, once; the id may be used again.
    ///
    /// `None` if there is no reply, or if a future waits for it.
    pub fn take<Q>(&mut self, id: &Q) -> Option<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.take_for(id).map(|(reply, _id)| reply)
    }

    /// Ends a pending call; false if it was not pending.
    pub fn cancel<Q>(&mut self, id: &Q) -> bool
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.cancel_for(id).map(Left::wake).is_some()
    }

    /// Ends every pending call, and refuses further ones. Replies that wait to be taken stay. O(`N`).
    pub fn close(&mut self) {
        wake_all(|from, waiters| self.close_some(from, waiters), Left::wake);
    }

    /// Times out the call that is due, earliest deadline first, and names it, so that its peer can be told: as
    /// [`CorrelatorIn::on_timeout`](super::CorrelatorIn::on_timeout), in the same time.
    #[must_use = "call it again until it returns `None`"]
    pub fn on_timeout(&mut self, now: Instant) -> Option<Id> {
        let (id, waiter) = self.expire_for(false, now)?;
        waiter.into_iter().for_each(Waker::wake);
        Some(id)
    }

    /// Replaces the hash's secret and keeps every call. O(`N`).
    pub fn reseed(&mut self, hasher: H) {
        self.calls.rehash(hasher);
    }

    /// [`begin`](Self::begin), for a future if it is `held`; also the name of the call. The id is left if it is not
    /// begun; what is left of a call that made room for it is put into `over`.
    #[inline]
    pub(super) fn begin_for(
        &mut self,
        id: &mut Option<Id>,
        timeout: Span,
        held: bool,
        now: Instant,
        over: &mut Left<Id>,
    ) -> Result<(Name, Instant), BeginError> {
        self.observe(now, OUT_OF_ORDER);
        if self.ledger.is_closed() {
            return Err(self.ledger.refused(BeginError::Closed));
        }
        let Some(own) = id.take() else { return Err(self.ledger.refused(BeginError::Full)) };
        let hash = self.calls.hash(&own);
        if self.calls.find(hash, &own).is_some() {
            *id = Some(own);
            return Err(self.ledger.refused(BeginError::Duplicate));
        }
        if self.calls.is_full() {
            self.make_room(now, over);
        }
        let (number, expires_at) = (self.next_number, now.after(timeout));
        match self.calls.insert(hash, own, Phase::begun(number, (), now, expires_at, held)) {
            Ok(slot) => {
                self.next_number = number.wrapping_add(1);
                self.due.add(expires_at);
                self.ledger.begun();
                Ok(((slot, number), expires_at))
            }
            Err((own, _)) => {
                *id = Some(own);
                Err(self.ledger.refused(BeginError::Full))
            }
        }
    }

    /// Ends a call that has timed out, so that a full correlator has room for another.
    #[cold]
    fn make_room(&mut self, now: Instant, over: &mut Left<Id>) {
        if let Some((id, waker)) = self.expire_for(false, now) {
            *over = Left { waker, id: Some(id) };
        }
    }

    /// [`resolve`](Self::resolve), with the waker of the future to be told.
    #[inline]
    pub(super) fn resolve_for<Q>(&mut self, id: &Q, reply: R, now: Instant) -> (Resolution<R>, Option<Waker>)
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.observe(now, OUT_OF_ORDER);
        let slot = self.find(id);
        let why = match slot.and_then(|slot| self.calls.get_mut(slot)) {
            Some(phase) => {
                if let Some(begun_at) = phase.open_since(now) {
                    self.ledger.resolved(begun_at, now);
                    return (Resolution::Matched, phase.answer(reply));
                }
                phase.refusal()
            }
            None => Resolution::Unknown(()),
        };
        (self.ledger.refuse(reply, why), None)
    }

    /// [`take`](Self::take), with the id to be dropped.
    pub(super) fn take_for<Q>(&mut self, id: &Q) -> Option<(R, Id)>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let slot = self.find(id)?;
        let reply = self.calls.get_mut(slot)?.take()?;
        self.calls.remove(slot).map(|(id, _)| (reply, id))
    }

    /// [`cancel`](Self::cancel), with what is left of the call, if it was pending.
    pub(super) fn cancel_for<Q>(&mut self, id: &Q) -> Option<Left<Id>>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.end(self.find(id)?, Ending::Cancelled)
    }

    /// [`on_timeout`](Self::on_timeout), with the waker of the future to be told; only of those that are `held`, or of all.
    pub(super) fn expire_for(&mut self, held: bool, now: Instant) -> Option<(Id, Option<Waker>)> {
        self.observe(now, Span::ZERO);
        let slots = self.calls.slots();
        let slot = self.due.pop(&mut self.calls, slots, held, now)?;
        let left = self.end(slot, Ending::TimedOut)?;
        left.id.map(|id| (id, left.waker))
    }

    /// Closes, ends the calls in the slots from `from` on until there are enough for one step, and tells where to go
    /// on.
    pub(super) fn close_some(&mut self, from: usize, closed: &mut Closed<Id>) -> Option<usize> {
        self.ledger.set_closed(true);
        for slot in from..self.calls.slots() {
            if closed.is_full() || slot.saturating_sub(from) >= CLOSED_AT_ONCE {
                return Some(slot);
            }
            if let Some(left) = self.end(slot, Ending::Closed)
                && (left.waker.is_some() || needs_drop::<Id>())
            {
                let _ = closed.push(left); // as many as there are places
            }
        }
        None
    }

    fn find<Q>(&self, id: &Q) -> Option<usize>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.calls.find(self.calls.hash(id), id)
    }

    /// Ends the call in a slot if it is pending, and frees the slot unless a future has to be told how.
    fn end(&mut self, slot: usize, ending: Ending) -> Option<Left<Id>> {
        let phase = self.calls.get_mut(slot)?;
        if !phase.is_pending() {
            return None;
        }
        let (held, waker) = (phase.is_held(), phase.end(ending, &mut self.ledger));
        let over = if held && ending != GONE { None } else { self.calls.remove(slot) };
        Some(Left { waker, id: over.map(|(id, _)| id) })
    }
}

impl<Id, R, S: Storage, H> Slots for Table<Id, Unnamed<R>, S, H> {
    type Reply = R;
    type Number = u32;
    type Peer = ();

    fn phase(&mut self, slot: usize) -> Option<&mut Unnamed<R>> {
        self.get_mut(slot)
    }
}

impl<Id: Eq + Hash, R, S: Storage, H: BuildHasher> Correlates for KeyedCorrelatorIn<Id, R, S, H> {
    type Key = Id;
    type Arg = ();
    type Name = Name;
    type Reply = R;
}

impl<Id: Eq + Hash, R, S: Storage, H: BuildHasher> Calls for KeyedCorrelatorIn<Id, R, S, H> {
    type Id = Id;

    #[inline]
    fn begin_held(
        &mut self,
        id: &mut Option<Id>,
        timeout: Span,
        now: Instant,
        over: &mut Left<Id>,
    ) -> Result<(Name, (), Instant), BeginError> {
        let (call, expires_at) = self.begin_for(id, timeout, true, now, over)?;
        Ok((call, (), expires_at))
    }

    #[inline]
    fn look(&mut self, call: Name, waker: &Waker, left: &mut Left<Id>) -> Option<Poll<Result<R, Ending>>> {
        let (slot, number) = call;
        let phase = self.calls.get_mut(slot).filter(|phase| phase.number() == number);
        let Some(phase) = phase else { return Some(Poll::Ready(Err(GONE))) };
        match phase.watch(waker, &mut left.waker) {
            Watch::Over => Some(Poll::Ready(self.finish(call, Ending::Cancelled, left))),
            Watch::Wanted => None,
            Watch::Watched => Some(Poll::Pending),
        }
    }

    fn expire_held(&mut self, now: Instant) -> Option<Left<Id>> {
        self.expire_for(true, now).map(|(id, waker)| Left { waker, id: Some(id) })
    }

    fn next_due(&mut self) -> Option<Instant> {
        self.due.next_at(&mut self.calls)
    }

    #[inline]
    fn finish(&mut self, (slot, number): Name, ending: Ending, left: &mut Left<Id>) -> Result<R, Ending> {
        let phase = self.calls.get_mut(slot).filter(|phase| phase.number() == number).ok_or(GONE)?;
        let outcome = phase.finish(ending, &mut self.ledger, &mut left.waker);
        left.id = self.calls.remove(slot).map(|(id, _)| id);
        outcome
    }
}

/// Shows no id and no reply.
impl<Id, R, S: Storage, H> fmt::Debug for KeyedCorrelatorIn<Id, R, S, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCorrelator").field("stats", &self.ledger.stats()).finish_non_exhaustive()
    }
}
