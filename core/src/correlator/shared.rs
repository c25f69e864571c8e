//! The correlators behind a lock: the same calls without `now`, and calls that wait.

use core::{
    borrow::Borrow,
    future::Future,
    hash::{BuildHasher, Hash},
    task::Waker,
    time::Duration,
};

#[cfg(doc)]
use super::CallError;
use super::{
    BeginError, Call, CallId, CorrelatorIn, CorrelatorStats, Expired, KeyedCorrelatorIn, PendingCall, Resolution,
    RoundTrips,
    phase::{Left, wake_all},
};
use crate::foundation::{
    shared::{Clock, Lock, Shared, Timer},
    storage::Storage,
    time::{Instant, Span},
};

impl<P, R, S, L, T> Shared<CorrelatorIn<P, R, S>, L, T>
where
    P: Copy + Eq,
    S: Storage,
    L: Lock<Target = CorrelatorIn<P, R, S>>,
    T: Clock,
{
    /// Begins a call that nobody waits for, as [`CorrelatorIn::begin`]: its reply is to be [taken](Self::take), its
    /// time-out told by [`on_timeout`](Self::on_timeout).
    ///
    /// # Errors
    ///
    /// [`BeginError::Full`], or [`BeginError::Closed`]; nothing changed.
    pub fn begin(&self, peer: P, timeout: Duration) -> Result<Call, BeginError> {
        let (timeout, mut over) = (Span::new(timeout), Left::nothing());
        let call = self.with(|calls, now| calls.begin_for(peer, timeout, false, now, &mut over));
        self.lock().outside(|| over.wake());
        call
    }

    /// Takes a reply that came from `from`, as [`CorrelatorIn::resolve`], and wakes whoever waits for it.
    #[doc(alias = "Receive")]
    pub fn resolve(&self, id: CallId, from: P, reply: R) -> Resolution<R> {
        self.resolve_at(id, from, reply, self.timer().now())
    }

    /// [`resolve`](Self::resolve) at a time that was read from [`now`](Self::now): one reading for many replies.
    pub fn resolve_at(&self, id: CallId, from: P, reply: R, now: Instant) -> Resolution<R> {
        let (resolution, waiter) = self.with_lock(|calls| calls.resolve_for(id, from, reply, now));
        self.lock().outside(|| waiter.into_iter().for_each(Waker::wake));
        resolution
    }

    /// The reply to a call that nobody waits for, as [`CorrelatorIn::take`].
    #[must_use]
    pub fn take(&self, id: CallId) -> Option<R> {
        self.with_lock(|calls| calls.take(id))
    }

    /// Ends a pending call, as [`CorrelatorIn::cancel`]; whoever waits for it gets [`CallError::Cancelled`].
    pub fn cancel(&self, id: CallId) -> bool {
        let (cancelled, waiter) = self.with_lock(|calls| calls.cancel_for(id));
        self.lock().outside(|| waiter.into_iter().for_each(Waker::wake));
        cancelled
    }

    /// Ends every pending call, and refuses further ones, as [`CorrelatorIn::close`]; whoever waits gets
    /// [`CallError::Closed`]. Leaves the lock after every 8 of them.
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        let close_some = |from, waiters: &mut _| self.with_lock(|calls| calls.close_some(from, waiters));
        wake_all(close_some, |left| self.lock().outside(|| left.wake()));
    }

    /// Lets calls begin again, as [`CorrelatorIn::reopen`].
    pub fn reopen(&self) {
        self.with_lock(CorrelatorIn::reopen);
    }

    /// The earliest deadline, as [`CorrelatorIn::next_deadline`]; only calls that nobody waits for need somebody to
    /// watch it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.with_lock(|calls| calls.next_deadline())
    }

    /// Times out the call that is due, and names it, as [`CorrelatorIn::on_timeout`]; whoever waits for it gets
    /// [`CallError::TimedOut`].
    #[must_use = "call it again until it returns `None`"]
    pub fn on_timeout(&self) -> Option<Expired<P>> {
        let (expired, waiter) = self.with(|calls, now| calls.expire_for(false, now))?;
        self.lock().outside(|| waiter.into_iter().for_each(Waker::wake));
        Some(expired)
    }

    /// True between `close` and `reopen`, as [`CorrelatorIn::is_closed`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.with_lock(|calls| calls.is_closed())
    }

    /// How many calls hold a slot, as [`CorrelatorIn::len`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.with_lock(|calls| calls.len())
    }

    /// True if no call holds a slot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most calls at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.with_lock(|calls| calls.capacity())
    }

    /// What was seen so far.
    #[must_use]
    pub fn stats(&self) -> CorrelatorStats {
        self.with_lock(|calls| calls.stats())
    }

    /// How long the matched replies took; `None` before the first.
    #[must_use]
    pub fn round_trips(&self) -> Option<RoundTrips> {
        self.with_lock(|calls| calls.round_trips())
    }
}

impl<P, R, S, L, T> Shared<CorrelatorIn<P, R, S>, L, T>
where
    P: Copy + Eq,
    S: Storage,
    L: Lock<Target = CorrelatorIn<P, R, S>>,
    T: Timer,
{
    /// Sends a request and waits for the reply, for at most `timeout` from now, the sending included.
    ///
    /// The call is pending before `send` is asked for the request, with the id that it has to carry, and no lock is
    /// held meanwhile; so the reply may come while `send` still runs. A `send` that does not wait returns
    /// [`ready`](core::future::ready). Whatever ends the call drops the future of a `send` that still runs. Dropping
    /// the future of `call` frees the slot at once.
    ///
    /// ```
    /// use core::{future::ready, time::Duration};
    /// use steadfast_core::{Correlator, Shared, Timer, correlator::{CallError, CallId}, foundation::shared::Lock};
    ///
    /// # struct Network;
    /// # #[derive(Debug)]
    /// # struct Unreachable;
    /// # impl Network {
    /// #     async fn store(&self, _: u8, _: CallId, _: &[u8]) -> Result<(), Unreachable> { Ok(()) }
    /// #     fn ping(&self, _: u8, _: CallId) -> Result<(), Unreachable> { Ok(()) }
    /// # }
    /// type Calls = Correlator<u8, u32, 16>;
    ///
    /// async fn store(
    ///     calls: &Shared<Calls, impl Lock<Target = Calls>, impl Timer>,
    ///     network: &Network,
    ///     bob: u8,
    /// ) -> Result<u32, CallError<Unreachable>> {
    ///     let timeout = Duration::from_secs(2);
    ///     calls.call(bob, timeout, |id| ready(network.ping(bob, id))).await?;
    ///     calls.call(bob, timeout, |id| network.store(bob, id, b"sealed")).await
    /// }
    /// // Meanwhile, whoever receives: calls.resolve(message.id, message.from, message.reply)
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Full`] or [`CallError::Closed`] before anything was sent, else how the call ended.
    #[doc(alias = "Send")]
    pub const fn call<F, D, E>(&self, peer: P, timeout: Duration, send: F) -> PendingCall<&Self, F>
    where
        F: FnOnce(CallId) -> D,
        D: Future<Output = Result<(), E>>,
    {
        PendingCall::new(self, peer, timeout, send)
    }
}

impl<Id, R, S, H, L, T> Shared<KeyedCorrelatorIn<Id, R, S, H>, L, T>
where
    Id: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = KeyedCorrelatorIn<Id, R, S, H>>,
    T: Clock,
{
    /// Begins a call that nobody waits for, and tells when it times out, as [`KeyedCorrelatorIn::begin`]: its reply is
    /// to be [taken](Self::take), its time-out told by [`on_timeout`](Self::on_timeout).
    ///
    /// # Errors
    ///
    /// [`BeginError::Duplicate`], [`BeginError::Full`] or [`BeginError::Closed`]; nothing changed.
    pub fn begin(&self, id: Id, timeout: Duration) -> Result<Instant, BeginError> {
        let (mut id, timeout, mut over) = (Some(id), Span::new(timeout), Left::nothing());
        let begun = self.with(|calls, now| calls.begin_for(&mut id, timeout, false, now, &mut over));
        self.lock().outside(|| over.wake());
        begun.map(|(_, expires_at)| expires_at)
    }

    /// Takes a reply, as [`KeyedCorrelatorIn::resolve`], and wakes whoever waits for it.
    pub fn resolve<Q>(&self, id: &Q, reply: R) -> Resolution<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.resolve_at(id, reply, self.timer().now())
    }

    /// [`resolve`](Self::resolve) at a time that was read from [`now`](Self::now): one reading for many replies.
    pub fn resolve_at<Q>(&self, id: &Q, reply: R, now: Instant) -> Resolution<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (resolution, waiter) = self.with_lock(|calls| calls.resolve_for(id, reply, now));
        self.lock().outside(|| waiter.into_iter().for_each(Waker::wake));
        resolution
    }

    /// The reply to a call that nobody waits for, as [`KeyedCorrelatorIn::take`].
    #[must_use]
    pub fn take<Q>(&self, id: &Q) -> Option<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let (reply, _id) = self.with_lock(|calls| calls.take_for(id))?;
        Some(reply)
    }

    /// Ends a pending call, as [`KeyedCorrelatorIn::cancel`]; whoever waits for it gets [`CallError::Cancelled`].
    pub fn cancel<Q>(&self, id: &Q) -> bool
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let left = self.with_lock(|calls| calls.cancel_for(id));
        left.map(|left| self.lock().outside(|| left.wake())).is_some()
    }

    /// Ends every pending call, and refuses further ones, as [`KeyedCorrelatorIn::close`]; whoever waits gets
    /// [`CallError::Closed`]. Leaves the lock after every 8 of them.
    pub fn close(&self) {
        let close_some = |from, waiters: &mut _| self.with_lock(|calls| calls.close_some(from, waiters));
        wake_all(close_some, |left| self.lock().outside(|| left.wake()));
    }

    /// Lets calls begin again, as [`KeyedCorrelatorIn::reopen`].
    pub fn reopen(&self) {
        self.with_lock(KeyedCorrelatorIn::reopen);
    }

    /// The earliest deadline, as [`KeyedCorrelatorIn::next_deadline`]; only calls that nobody waits for need somebody
    /// to watch it.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.with_lock(|calls| calls.next_deadline())
    }

    /// Times out the call that is due, and names it, as [`KeyedCorrelatorIn::on_timeout`]; whoever waits for it gets
    /// [`CallError::TimedOut`].
    #[must_use = "call it again until it returns `None`"]
    pub fn on_timeout(&self) -> Option<Id> {
        let (id, waiter) = self.with(|calls, now| calls.expire_for(false, now))?;
        self.lock().outside(|| waiter.into_iter().for_each(Waker::wake));
        Some(id)
    }

    /// True between `close` and `reopen`, as [`KeyedCorrelatorIn::is_closed`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.with_lock(|calls| calls.is_closed())
    }

    /// How many calls hold a slot, as [`KeyedCorrelatorIn::len`].
    #[must_use]
    pub fn len(&self) -> usize {
        self.with_lock(|calls| calls.len())
    }

    /// True if no call holds a slot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most calls at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.with_lock(|calls| calls.capacity())
    }

    /// What was seen so far.
    #[must_use]
    pub fn stats(&self) -> CorrelatorStats {
        self.with_lock(|calls| calls.stats())
    }

    /// How long the matched replies took; `None` before the first.
    #[must_use]
    pub fn round_trips(&self) -> Option<RoundTrips> {
        self.with_lock(|calls| calls.round_trips())
    }
}

impl<Id, R, S, H, L, T> Shared<KeyedCorrelatorIn<Id, R, S, H>, L, T>
where
    Id: Eq + Hash,
    S: Storage,
    H: BuildHasher,
    L: Lock<Target = KeyedCorrelatorIn<Id, R, S, H>>,
    T: Timer,
{
    /// Sends a request with an id of its own and waits for the reply, for at most `timeout` from now, the sending
    /// included.
    ///
    /// `send` is asked only once the call is pending. All else is as for the `call` of a
    /// [`Correlator`](crate::correlator::Correlator).
    ///
    /// # Errors
    ///
    /// [`CallError::Duplicate`], [`CallError::Full`] or [`CallError::Closed`] before anything was sent, else how the
    /// call ended.
    pub const fn call<F, D, E>(&self, id: Id, timeout: Duration, send: F) -> PendingCall<&Self, F>
    where
        F: FnOnce() -> D,
        D: Future<Output = Result<(), E>>,
    {
        PendingCall::new(self, id, timeout, send)
    }
}
