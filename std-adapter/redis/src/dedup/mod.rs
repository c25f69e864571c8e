//! Ids and claims that many processes share.

mod claim;
mod outcome;
mod stats;

use core::{
    fmt,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{hash::RandomState, sync::Arc};

use redis::Value;
use steadfast::{
    DedupCache, Instant,
    dedup_cache::{Claim, ClaimGuard, OnFull, Seen},
};

pub use claim::{CommitError, SharedClaimGuard};
pub use outcome::{DedupWhenDown, SharedClaim, SharedSeen};
pub use stats::SharedDedupStats;

use self::stats::Counts;
use crate::{
    engine::{Call, DEDUP, Engine, EngineDown},
    key::Prefix,
};

/// A note of an id, in this process.
type Note = Option<Arc<[u8]>>;
/// A claim within this process.
type Local = ClaimGuard<Vec<u8>, Note>;

/// Deduplication that all servers share through an [`Engine`]: of messages, and of work by idempotency key, with a lease
/// and a fencing token.
///
/// ```no_run
/// use core::time::Duration;
/// use steadfast_redis::{DedupWhenDown, Engine, EngineDown, SharedDedup, SharedSeen};
///
/// # async fn heard(engine: Engine, message: &[u8]) -> Result<(), EngineDown> {
/// let messages = SharedDedup::builder(&engine, "messages", Duration::from_secs(600))
///     .when_down(DedupWhenDown::Process) // or Refuse; it does not build without
///     .build();
///
/// match messages.check(message).await? {
///     SharedSeen::Fresh => { /* handle it */ }
///     SharedSeen::Duplicate => { /* drop it */ }
/// }
/// # Ok(())
/// # }
/// ```
///
/// For work that may fail, or must not run twice, [`claim`](Self::claim) an id, do the work, then
/// [`commit`](SharedClaimGuard::commit): see the front page. Do not check and claim ids of one name: what is claimed, a check
/// calls a duplicate.
///
/// # Contract
///
/// Each step is one script on the engine, by the engine's clock. At most one claim of an id holds there at a time, and a
/// committed id is known for its TTL. Both are gone if the engine loses its state (`FLUSHALL`, eviction, restart without
/// persistence, a failover that lost the tail) or its clock steps ahead: then two may work on one id.
///
/// The [fence](SharedClaimGuard::fence) tells them apart: a later claim of an id has a larger one, also after a loss, but
/// if the clock steps back over the loss. Work runs exactly once only where what it changes remembers the largest fence
/// and refuses a smaller one. (Martin Kleppmann, "How to do distributed locking", 2016.)
///
/// A process that dies blocks an id until its lease ends. One that is stopped for longer than the lease, and goes on, may
/// commit if nobody else has claimed the id meanwhile; else it is told [`ClaimLost`](CommitError::ClaimLost).
///
/// # Replies that are lost
///
/// Each claim has a random token, by which the engine knows it again. So what may have run is asked once more, and a claim
/// of which the answer was lost is still fresh. It takes up to twice the engine's time limit.
///
/// # Within this process
///
/// Ids that this process has committed, and claims that it holds, are answered without a round trip. Memory: `max_ids` ids
/// with their notes.
///
/// # Cancellation
///
/// Dropping the future of a claim may leave the id claimed until the lease ends.
///
/// # Keys
///
/// On the engine an id is `sf:id:{name/id}`, as it is: take no secrets for ids.
#[doc(alias("SETNX", "idempotency key", "distributed lock", "fencing token"))]
#[derive(Clone)]
pub struct SharedDedup(Arc<Inner>);

struct Inner {
    engine: Engine,
    prefix: Prefix,
    lease: Duration,
    ttl: Duration,
    when_down: DedupWhenDown,
    local: DedupCache<Vec<u8>, Note>,
    counts: Counts,
    /// Tokens are hashes of a count under a secret that no other process has.
    tokens: (RandomState, AtomicU64),
}

/// Builds a [`SharedDedup`]. `W` is [`DedupWhenDown`] as soon as that is chosen, and only then it builds.
///
/// ```compile_fail,E0599
/// # fn without(engine: &steadfast_redis::Engine) {
/// use core::time::Duration;
/// use steadfast_redis::SharedDedup;
///
/// let orders = SharedDedup::builder(engine, "orders", Duration::from_secs(60)).build(); // what if it is down?
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct SharedDedupBuilder<W = ()> {
    engine: Engine,
    name: String,
    lease: Duration,
    ttl: Duration,
    when_down: W,
    max_ids: usize,
}

/// What the engine says of an id.
enum Told {
    Done {
        fence: u64,
    },
    /// Another has it, or nobody: the claim is not the caller's.
    Other {
        left: Duration,
    },
    Duplicate {
        note: Arc<[u8]>,
    },
}

impl SharedDedup {
    /// The settings of a name: all that have it on one engine share the ids, each known for `ttl` once it is done. A claim
    /// holds for 30 s; 10,000 ids are kept here.
    pub fn builder(engine: &Engine, name: &str, ttl: Duration) -> SharedDedupBuilder {
        SharedDedupBuilder {
            engine: engine.clone(),
            name: name.to_owned(),
            lease: Duration::from_secs(30),
            ttl,
            when_down: (),
            max_ids: 10_000,
        }
    }

    /// Whether an id is fresh, which marks it: in one step, for work that cannot fail or need not be done.
    ///
    /// # Errors
    ///
    /// [`EngineDown`] with [`DedupWhenDown::Refuse`]; the id may be marked all the same.
    pub async fn check(&self, id: impl AsRef<[u8]>) -> Result<SharedSeen, EngineDown> {
        let (id, local) = (id.as_ref(), &self.0.local);
        if matches!(local.claim(id), Claim::Duplicate { .. }) {
            return Ok(self.seen(SharedSeen::Duplicate));
        }
        let seen = match self.ask("check", id, &self.token(), &[]).await {
            Ok(Told::Done { .. }) => {
                let _ = local.mark(id); // what it was here, the engine has overruled
                SharedSeen::Fresh
            }
            Ok(_) => SharedSeen::Duplicate,
            Err(down) => {
                self.without_engine(down)?;
                match local.check(id) {
                    Seen::Duplicate { .. } => SharedSeen::Duplicate,
                    Seen::Fresh | Seen::Full => SharedSeen::Fresh,
                }
            }
        };
        Ok(self.seen(seen))
    }

    /// Claims an id to work on it: one caller of all servers gets it, until it commits, aborts, or the lease ends.
    ///
    /// # Errors
    ///
    /// [`EngineDown`] with [`DedupWhenDown::Refuse`]; the id may be claimed all the same, until the lease ends.
    pub async fn claim(&self, id: impl AsRef<[u8]>) -> Result<SharedClaim, EngineDown> {
        let (id, now) = (id.as_ref(), self.now());
        let local = match self.0.local.claim(id) {
            Claim::Fresh(local) => Some(local),
            Claim::Full => None,
            Claim::Duplicate { value, .. } => {
                self.0.counts.duplicate();
                return Ok(SharedClaim::Duplicate { note: value.unwrap_or_default() });
            }
            Claim::InFlight => {
                self.0.counts.in_flight();
                let ends_at = self.0.local.in_flight_until(id).unwrap_or(now);
                return Ok(SharedClaim::InFlight { retry_at: ends_at });
            }
        };
        let token = self.token();
        let fence = match self.ask("claim", id, &token, &[]).await {
            Ok(Told::Done { fence }) => Some(fence),
            Ok(Told::Duplicate { note }) => {
                self.0.counts.duplicate();
                return Ok(SharedClaim::Duplicate { note });
            }
            Ok(Told::Other { left }) => {
                self.0.counts.in_flight();
                return Ok(SharedClaim::InFlight { retry_at: self.now().saturating_add(left) });
            }
            Err(down) => {
                self.without_engine(down)?;
                None
            }
        };
        self.0.counts.fresh();
        let expires_at = now.saturating_add(self.0.lease);
        let (dedup, id) = (self.clone(), id.to_vec());
        Ok(SharedClaim::Fresh(SharedClaimGuard { dedup, id, token, fence, expires_at, local }))
    }

    /// What was counted since it was made, in this process.
    #[must_use]
    pub fn stats(&self) -> SharedDedupStats {
        self.0.counts.stats()
    }

    fn now(&self) -> Instant {
        self.0.engine.now()
    }

    /// As new, without the engine, or the error.
    fn without_engine(&self, down: EngineDown) -> Result<(), EngineDown> {
        match self.0.when_down {
            DedupWhenDown::Process => Ok(()),
            DedupWhenDown::Refuse => {
                self.0.counts.refused();
                Err(down)
            }
        }
    }

    fn seen(&self, seen: SharedSeen) -> SharedSeen {
        match seen {
            SharedSeen::Fresh => self.0.counts.fresh(),
            SharedSeen::Duplicate => self.0.counts.duplicate(),
        }
        seen
    }

    fn token(&self) -> String {
        let (secret, count) = &self.0.tokens;
        let number = count.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}{:016x}", secret.hash_one((number, 0)), secret.hash_one((number, 1)))
    }

    /// Asks the engine, and once more if nobody knows whether it ran: by its token it is answered the same.
    async fn ask(&self, what: &str, id: &[u8], token: &str, note: &[u8]) -> Result<Told, EngineDown> {
        let call = Call::new(&DEDUP, &[self.0.prefix.of(id)])
            .arg(what)
            .arg(token)
            .arg(micros(self.0.lease))
            .arg(micros(self.0.ttl))
            .arg(note);
        match self.0.engine.run(&call, told).await {
            Err(down) if down.is_unknown => self.0.engine.run(&call, told).await,
            answer => answer,
        }
    }
}

/// At least a millisecond, and at most what the engine's numbers hold with the time beside it.
fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX).clamp(1_000, 1 << 51)
}

fn told((code, number, note): (u8, u64, Value)) -> Option<Told> {
    Some(match (code, note) {
        (0, _) => Told::Done { fence: number },
        (1, _) => Told::Other { left: Duration::from_micros(number) },
        (2, Value::BulkString(note)) => Told::Duplicate { note: note.into() },
        _ => return None,
    })
}

impl<W> SharedDedupBuilder<W> {
    /// What it says while the engine does not answer.
    pub fn when_down(self, when_down: DedupWhenDown) -> SharedDedupBuilder<DedupWhenDown> {
        let Self { engine, name, lease, ttl, max_ids, .. } = self;
        SharedDedupBuilder { engine, name, lease, ttl, when_down, max_ids }
    }

    /// For how long a claim holds that is neither renewed nor ended: longer than the work takes.
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// For how many ids there is room in this process; the oldest is forgotten here first. With
    /// [`DedupWhenDown::Process`] that is all that is known in an outage.
    pub const fn max_ids(mut self, max_ids: usize) -> Self {
        self.max_ids = max_ids;
        self
    }
}

impl SharedDedupBuilder<DedupWhenDown> {
    /// The deduplication. Nothing is sent until somebody asks.
    #[must_use]
    pub fn build(self) -> SharedDedup {
        let Self { engine, name, lease, ttl, when_down, max_ids } = self;
        let local = DedupCache::builder(ttl, OnFull::ForgetOldest).lease(lease).capacity(max_ids).keeping().build();
        SharedDedup(Arc::new(Inner {
            prefix: Prefix::of_ids(&name),
            counts: Counts::default(),
            tokens: (RandomState::new(), AtomicU64::new(0)),
            engine,
            lease,
            ttl,
            when_down,
            local,
        }))
    }
}

/// Shows what it was built with, and no id.
impl fmt::Debug for SharedDedup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedDedup")
            .field("lease", &self.0.lease)
            .field("ttl", &self.0.ttl)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
