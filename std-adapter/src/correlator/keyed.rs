//! Calls whose ids the protocol brings, for servers.

use core::{borrow::Borrow, fmt, future::Future, hash::Hash, marker::PhantomData, time::Duration};
use std::sync::Arc;

use steadfast_core::{
    Clock, Instant, Shared, Timer,
    correlator::{BeginError, CallError, CorrelatorStats, KeyedCorrelatorIn, Resolution, RoundTrips},
};

use crate::{
    runtime::{Mutex, SystemTimer},
    storage::{Heap, KeyHasher, key_hasher},
};

/// A correlator for protocols that bring their own message ids: it matches each reply to its pending call, in fixed memory.
///
/// Where you may choose the ids, use a [`Correlator`](crate::correlator::Correlator): its ids cannot be mixed up. Here
/// `Id` has to hold all that a reply must repeat: put the peer into it, as `(peer, number)`, or any peer can answer. A
/// second call with an id that is pending is refused, and the first stays as it was. Ids are hashed with a random seed;
/// a `&str` looks up a `String`. Clones share everything.
///
/// ```
/// use std::{future::ready, io, time::Duration};
/// use steadfast::{KeyedCorrelator, block_on};
///
/// let calls: KeyedCorrelator<String, u32> = KeyedCorrelator::new(1_024);
/// let reply = block_on(calls.call("A4dCc1zmYeMWBSo5".into(), Duration::from_secs(30), || {
///     // Send the request here. In place of a network, the reply comes at once:
///     assert!(calls.resolve("A4dCc1zmYeMWBSo5", 42).is_matched());
///     ready(io::Result::Ok(()))
/// }));
/// assert_eq!(reply.unwrap(), 42);
/// ```
#[doc(alias = "message id")]
pub struct KeyedCorrelator<Id, R, T = SystemTimer>(Arc<Calls<Id, R, T>>);

type Machine<Id, R> = KeyedCorrelatorIn<Id, R, Heap, KeyHasher>;
type Calls<Id, R, T> = Shared<Machine<Id, R>, Mutex<Machine<Id, R>>, T>;

impl<Id: Eq + Hash, R> KeyedCorrelator<Id, R> {
    /// A correlator for at most `capacity` (at least 1) calls at once.
    ///
    /// Allocates all its memory; nothing else does later, but the ids themselves.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self::builder(capacity).build()
    }

    /// The settings of such a correlator.
    pub const fn builder(capacity: usize) -> KeyedCorrelatorBuilder<Id, R> {
        KeyedCorrelatorBuilder { capacity, timer: SystemTimer, calls: PhantomData }
    }
}

/// The settings of a [`KeyedCorrelator`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct KeyedCorrelatorBuilder<Id, R, T = SystemTimer> {
    capacity: usize,
    timer: T,
    calls: PhantomData<fn() -> (Id, R)>,
}

impl<Id: Eq + Hash, R, T: Clock> KeyedCorrelatorBuilder<Id, R, T> {
    /// Another timer than the system's. A [`Clock`](crate::runtime::Clock) suffices for calls that nobody waits for.
    pub fn timer<U: Clock>(self, timer: U) -> KeyedCorrelatorBuilder<Id, R, U> {
        KeyedCorrelatorBuilder { capacity: self.capacity, timer, calls: PhantomData }
    }

    /// The correlator. Allocates all its memory; nothing else does later, but the ids themselves.
    pub fn build(self) -> KeyedCorrelator<Id, R, T> {
        let machine = KeyedCorrelatorIn::allocate(self.capacity, key_hasher());
        KeyedCorrelator(Arc::new(Shared::new(Mutex::new(machine), self.timer)))
    }
}

impl<Id: Eq + Hash, R, T: Clock> KeyedCorrelator<Id, R, T> {
    /// Takes a reply, if it is the one to a pending call, and wakes whoever waits for it; else gives it back with the
    /// reason. O(1) expected.
    pub fn resolve<Q>(&self, id: &Q, reply: R) -> Resolution<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.resolve(id, reply)
    }

    /// [`resolve`](Self::resolve) at a time that was read from [`now`](Self::now): one reading for many replies.
    pub fn resolve_at<Q>(&self, id: &Q, reply: R, now: Instant) -> Resolution<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.resolve_at(id, reply, now)
    }

    /// Begins a call that nobody waits for, and tells when it times out: its reply is to be [taken](Self::take), its
    /// time-out told by [`on_timeout`](Self::on_timeout). O(1) expected.
    ///
    /// # Errors
    ///
    /// [`BeginError::Duplicate`], [`BeginError::Full`] or [`BeginError::Closed`]; nothing changed.
    pub fn begin(&self, id: Id, timeout: Duration) -> Result<Instant, BeginError> {
        self.0.begin(id, timeout)
    }

    /// The reply to a call that nobody waits for, once; the id may be used again.
    #[must_use]
    pub fn take<Q>(&self, id: &Q) -> Option<R>
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.take(id)
    }

    /// Ends a pending call: whoever waits for it gets [`CallError::Cancelled`]. False if it was not pending.
    pub fn cancel<Q>(&self, id: &Q) -> bool
    where
        Id: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.cancel(id)
    }

    /// Ends every pending call with [`CallError::Closed`], and refuses further ones. O(capacity), in short steps.
    pub fn close(&self) {
        self.0.close();
    }

    /// Lets calls begin again: the link is back.
    pub fn reopen(&self) {
        self.0.reopen();
    }

    /// The earliest deadline of a pending call; only calls that nobody waits for need somebody to watch it. O(capacity).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.next_deadline()
    }

    /// Times out the call that is due, and names it; call it until it returns `None`. O(log capacity), and at most
    /// once in the shortest time-out O(capacity).
    #[must_use = "call it again until it returns `None`"]
    pub fn on_timeout(&self) -> Option<Id> {
        self.0.on_timeout()
    }

    /// The time on the correlator's clock.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.0.timer().now()
    }

    /// True between [`close`](Self::close) and [`reopen`](Self::reopen).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.with_lock(|calls| calls.is_closed())
    }

    /// How many calls hold a slot: pending, or with a reply or an end that is still to be taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.with_lock(|calls| calls.len())
    }

    /// True if no call holds a slot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most calls at once.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.with_lock(|calls| calls.capacity())
    }

    /// What was seen so far.
    #[must_use]
    pub fn stats(&self) -> CorrelatorStats {
        self.0.stats()
    }

    /// How long the matched replies took; `None` before the first.
    #[must_use]
    pub fn round_trips(&self) -> Option<RoundTrips> {
        self.0.round_trips()
    }
}

impl<Id: Eq + Hash, R, T: Timer> KeyedCorrelator<Id, R, T> {
    /// Sends a request with an id of its own and waits for the reply, for at most `timeout` from now, the sending
    /// included.
    ///
    /// `send` is asked only once the call is pending. All else is as for the `call` of a
    /// [`Correlator`](crate::correlator::Correlator).
    ///
    /// # Errors
    ///
    /// [`CallError::Duplicate`], [`CallError::Full`] or [`CallError::Closed`] before anything was sent, else how the call
    /// ended.
    pub fn call<F, D, E>(&self, id: Id, timeout: Duration, send: F) -> impl Future<Output = Result<R, CallError<E>>>
    where
        F: FnOnce() -> D,
        D: Future<Output = Result<(), E>>,
    {
        self.0.call(id, timeout, send)
    }
}

impl<Id, R, T> Clone for KeyedCorrelator<Id, R, T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Shows no id and no reply.
impl<Id, R, T> fmt::Debug for KeyedCorrelator<Id, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedCorrelator").finish_non_exhaustive()
    }
}
