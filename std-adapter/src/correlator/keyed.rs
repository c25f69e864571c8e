//! Calls whose ids the protocol brings, for servers.

use core::{fmt, hash::Hash, marker::PhantomData, ops::Deref, time::Duration};
use std::sync::Arc;

use steadfast_core::{
    Clock, Shared, Timer,
    correlator::{KeyedCorrelatorIn, PendingCall, SendRequest},
};

#[cfg(feature = "tokio")]
use crate::correlator::SweptTimer;
use crate::{
    runtime::{Mutex, SystemTimer},
    storage::{Heap, KeyHasher, key_hasher},
};

/// A correlator for protocols that bring their own message ids: it matches each reply to its pending call, in fixed
/// memory.
///
/// Where you may choose the ids, use a [`Correlator`](crate::correlator::Correlator): its ids cannot be mixed up. Here
/// `Id` has to hold all that a reply must repeat: put the peer into it, as `(peer, number)`, or any peer can answer. A
/// second call with an id that is pending is refused, and the first stays as it was. Ids are hashed with a random seed;
/// a `&str` looks up a `String`. Clones share everything. It derefs to the core's [`Shared`] face, whose methods are
/// listed below.
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

/// Builds a [`KeyedCorrelator`]: its capacity and timer.
///
/// ```
/// use std::time::Duration;
/// use steadfast::{KeyedCorrelator, correlator::BeginError};
///
/// let calls: KeyedCorrelator<(u8, u32), u64> = KeyedCorrelator::builder(16).build();
/// calls.begin((7, 1), Duration::from_secs(5))?;
/// assert_eq!(calls.begin((7, 1), Duration::from_secs(5)), Err(BeginError::Duplicate));
/// # Ok::<(), BeginError>(())
/// ```
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

#[cfg(feature = "tokio")]
impl<Id: Eq + Hash + Send + 'static, R: Send + 'static> KeyedCorrelatorBuilder<Id, R> {
    /// A correlator whose time-outs have one timer together, as
    /// [`CorrelatorBuilder::build_swept`](crate::correlator::CorrelatorBuilder::build_swept) says.
    pub fn build_swept(self) -> KeyedCorrelator<Id, R, SweptTimer> {
        let calls = self.timer(SweptTimer::new()).build();
        let weak = Arc::downgrade(&calls.0);
        calls.timer().watch_over(weak);
        calls
    }
}

impl<Id: Eq + Hash, R, T: Timer> KeyedCorrelator<Id, R, T> {
    /// As `call`, in a future that borrows nothing: see
    /// [`Correlator::call_owned`](crate::correlator::Correlator::call_owned).
    ///
    /// # Errors
    ///
    /// As for `call`.
    pub fn call_owned<S: SendRequest<()>>(&self, id: Id, timeout: Duration, send: S) -> PendingCall<Self, S> {
        PendingCall::new(self.clone(), id, timeout, send)
    }
}

/// All that the core's face has.
impl<Id, R, T> Deref for KeyedCorrelator<Id, R, T> {
    type Target = Calls<Id, R, T>;

    #[inline]
    fn deref(&self) -> &Self::Target {
        &self.0
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
