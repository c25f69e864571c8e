//! A rate limiter that many processes share.

mod all;
mod ask;
mod denials;
mod fallback;
mod stats;
mod verdict;

use core::{fmt, num::NonZeroU32, time::Duration};
use std::sync::Arc;

use steadfast::{
    Gcra, Instant,
    rate_limiter::{CostExceedsBurst, Decision, GcraState, Quota, Verdict},
};

pub use all::AllowAllError;
pub use fallback::WhenDown;
pub use stats::{Decisions, SharedRateLimiterStats};
pub use verdict::{By, SharedVerdict};

use self::{
    ask::Ask,
    denials::Denials,
    fallback::{Fallback, refused},
    stats::Counts,
};
use crate::{
    engine::{Engine, EngineDown},
    key::Prefix,
};

/// A keyed rate limiter (GCRA, a token bucket) that all servers share through an [`Engine`]: one quota for N processes.
///
/// ```no_run
/// use steadfast::{Gcra, circuit_breaker::Percent};
/// use steadfast_redis::{Engine, SharedRateLimiter, WhenDown};
///
/// # async fn serve(connection: redis::aio::MultiplexedConnection) {
/// let engine = Engine::new(connection);
/// let api = SharedRateLimiter::builder(&engine, "api", Gcra::per_second(1_000).burst(100))
///     .when_down(WhenDown::Local(Percent::new(25))) // or Allow, or Deny; it does not build without
///     .build();
///
/// let verdict = api.allow("tenant-7").await;
/// if !verdict.is_allowed() { /* 429 */ }
/// # }
/// ```
///
/// # Contract
///
/// Each decision is one script on the engine, by the engine's clock. In any span of `t` of that clock at most
/// `burst + t / interval` requests of a key are allowed by it, plus one burst for each time that the engine loses its state
/// (`FLUSHALL`, eviction, restart without persistence, a failover that lost the tail) or that its clock steps ahead. A
/// step back costs nothing.
///
/// A request of which no answer came may have been charged: that errs to less, never to more. While the engine does not
/// answer, [`WhenDown`] decides, and what it allows comes on top.
///
/// # Another quota
///
/// The quota travels with each request, and what was counted stays counted, in requests: so a rolling deploy of another
/// quota needs no migration, and hands out at most what the larger one does. To change it, build another limiter of the
/// same name.
///
/// # Denials
///
/// A denial is kept for up to a second, and answers the same or a larger request of its key without a round trip.
///
/// # Keys
///
/// On the engine a key is `sf:{name/key}`, and is gone as soon as its quota is whole. Keys are stored as they are, so do
/// not take secrets for keys.
///
/// # Cost
///
/// One round trip, none for a denial that is kept. Memory in this process is fixed: about 50 bytes for each denial, and with
/// [`WhenDown::Local`] a [`RateLimiter`](steadfast::RateLimiter).
#[derive(Clone)]
pub struct SharedRateLimiter(Arc<Inner>);

struct Inner {
    engine: Engine,
    quota: Gcra,
    /// The quota decides alone: there is nothing to count.
    is_fixed: bool,
    prefix: Prefix,
    fallback: Fallback,
    denials: Denials,
    counts: Counts,
}

/// Builds a [`SharedRateLimiter`]. `W` is [`WhenDown`] as soon as that is chosen, and only then it builds.
///
/// ```compile_fail,E0599
/// # fn without(engine: &steadfast_redis::Engine) {
/// use steadfast::Gcra;
/// use steadfast_redis::SharedRateLimiter;
///
/// let api = SharedRateLimiter::builder(engine, "api", Gcra::per_second(10)).build(); // who decides when it is down?
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct SharedRateLimiterBuilder<W = ()> {
    engine: Engine,
    name: String,
    quota: Gcra,
    when_down: W,
    is_tagged_by_key: bool,
    max_keys: usize,
    max_denial: Duration,
}

impl SharedRateLimiter {
    /// The settings of a limiter of this name: all that have it on one engine share the keys. 65,536 keys are kept here,
    /// denials for a second.
    pub fn builder(engine: &Engine, name: &str, quota: Gcra) -> SharedRateLimiterBuilder {
        SharedRateLimiterBuilder {
            engine: engine.clone(),
            name: name.to_owned(),
            quota,
            when_down: (),
            is_tagged_by_key: false,
            max_keys: 65_536,
            max_denial: Duration::from_secs(1),
        }
    }

    /// Decides a request of `key`, and counts it if it is allowed.
    pub async fn allow(&self, key: impl AsRef<[u8]>) -> SharedVerdict {
        let verdict = self.allow_n(key, NonZeroU32::MIN).await;
        // One is above no burst: a quota of none denies it.
        verdict.unwrap_or_else(|_| self.told(refused(&self.0.quota, Instant::MAX, self.0.engine.now()), By::Quota))
    }

    /// Decides a request that counts `cost` times, all or nothing.
    ///
    /// # Errors
    ///
    /// [`CostExceedsBurst`] if `cost` is above the burst of the quota; nothing was counted.
    pub async fn allow_n(&self, key: impl AsRef<[u8]>, cost: NonZeroU32) -> Result<SharedVerdict, CostExceedsBurst> {
        let (key, now) = (key.as_ref(), self.0.engine.now());
        if let Some(verdict) = self.known(key, cost, now)? {
            return Ok(self.told(verdict.verdict, verdict.by));
        }
        Ok(match self.0.engine.ask(&[self.ask(key, cost)]).await {
            Ok((is_allowed, owed)) => {
                let owed = owed.first().copied().unwrap_or(0);
                let mut verdict = self.decided(key, cost, is_allowed, owed);
                if !is_allowed && verdict.is_allowed() {
                    // Beyond 104 days of debt the engine's numbers are rounded.
                    verdict.decision = Decision::Deny { retry_at: verdict.more_at };
                }
                self.told(verdict, By::Engine)
            }
            Err(down) => self.told(self.without_engine(key, cost, down), By::Fallback),
        })
    }

    /// Decides without waiting; `None` if that takes a round trip, and nothing is counted.
    #[must_use]
    pub fn try_allow(&self, key: impl AsRef<[u8]>) -> Option<SharedVerdict> {
        let (key, now, cost) = (key.as_ref(), self.0.engine.now(), NonZeroU32::MIN);
        if let Ok(Some(verdict)) = self.known(key, cost, now) {
            return Some(self.told(verdict.verdict, verdict.by));
        }
        let down = self.0.engine.is_down(now)?;
        Some(self.told(self.without_engine(key, cost, down), By::Fallback))
    }

    /// Decides a request of each key, for itself and in this order, in about one round trip: all are sent before the
    /// first answer comes, if the connection is multiplexed.
    pub async fn allow_many<Q: AsRef<[u8]>>(&self, keys: &[Q]) -> Vec<SharedVerdict> {
        futures_util::future::join_all(keys.iter().map(|key| self.allow(key))).await
    }

    /// The quota of each key.
    #[must_use]
    pub fn quota(&self) -> Gcra {
        self.0.quota
    }

    /// The engine that decides.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// What was counted since it was made, in this process.
    #[must_use]
    pub fn stats(&self) -> SharedRateLimiterStats {
        self.0.counts.stats()
    }

    /// What is known without asking the engine.
    fn known(&self, key: &[u8], cost: NonZeroU32, now: Instant) -> Result<Option<SharedVerdict>, CostExceedsBurst> {
        if self.0.is_fixed || cost.get() > self.0.quota.limit() {
            let verdict = GcraState::default().check(&self.0.quota, cost, now)?;
            return Ok(Some(SharedVerdict { verdict, by: By::Quota }));
        }
        let denial = self.0.denials.find(&self.0.quota, key, cost, now);
        Ok(denial.map(|verdict| SharedVerdict { verdict, by: By::Denial }))
    }

    fn ask(&self, key: &[u8], cost: NonZeroU32) -> Ask {
        let interval = u64::try_from(self.0.quota.interval().as_nanos()).unwrap_or(u64::MAX);
        Ask { key: self.0.prefix.of(key), interval, burst: self.0.quota.limit(), cost: cost.get() }
    }

    /// What the engine's answer says of this quota, which with several may allow what another denies. It is charged if
    /// all allow.
    fn decided(&self, key: &[u8], cost: NonZeroU32, is_allowed: bool, owed: u64) -> Verdict {
        let (now, quota) = (self.0.engine.now(), &self.0.quota);
        // Of this process's clock from here on; the engine's has gone on meanwhile, so nobody comes back too early.
        let mut state = GcraState::new(Duration::from_nanos(owed), now, quota.interval());
        let before = state;
        let verdict = if is_allowed { state.allow(quota, cost, now) } else { state.check(quota, cost, now) };
        let mut verdict = verdict.unwrap_or_else(|_| refused(quota, Instant::MAX, now)); // above the burst: was not asked
        if is_allowed {
            verdict.decision = Decision::Allow;
        }
        match verdict.decision {
            Decision::Allow if is_allowed => self.0.fallback.charge(key, cost),
            Decision::Allow => {}
            Decision::Deny { retry_at } => self.0.denials.note(key, before, cost, retry_at, now),
        }
        verdict
    }

    fn without_engine(&self, key: &[u8], cost: NonZeroU32, down: EngineDown) -> Verdict {
        self.0.fallback.decide(&self.0.quota, key, cost, self.0.engine.now(), down)
    }

    fn told(&self, verdict: Verdict, by: By) -> SharedVerdict {
        let verdict = SharedVerdict { verdict, by };
        self.0.counts.add(&verdict);
        verdict
    }
}

impl<W> SharedRateLimiterBuilder<W> {
    /// What it says while the engine does not answer.
    pub fn when_down(self, when_down: WhenDown) -> SharedRateLimiterBuilder<WhenDown> {
        let Self { engine, name, quota, is_tagged_by_key, max_keys, max_denial, .. } = self;
        SharedRateLimiterBuilder { engine, name, quota, when_down, is_tagged_by_key, max_keys, max_denial }
    }

    /// The key alone says in which slot of a cluster it lies, whatever the limiter's name: so that several limiters can
    /// decide about one key [as one](Engine::allow_all). On the engine a key is `sf:{/key}name` then.
    pub const fn tag_by_key(mut self) -> Self {
        self.is_tagged_by_key = true;
        self
    }

    /// For how many keys there is room in this process: for denials, and for [`WhenDown::Local`].
    pub const fn max_keys(mut self, max_keys: usize) -> Self {
        self.max_keys = max_keys;
        self
    }

    /// For how long a denial is kept at most: a second, or less; nothing keeps none. A larger quota and a loss of the
    /// engine's state are seen after it.
    pub fn max_denial(mut self, max_denial: Duration) -> Self {
        self.max_denial = max_denial.min(Duration::from_secs(1));
        self
    }
}

impl SharedRateLimiterBuilder<WhenDown> {
    /// The limiter. Nothing is sent until somebody asks.
    #[must_use]
    pub fn build(self) -> SharedRateLimiter {
        let Self { engine, name, quota, when_down, is_tagged_by_key, max_keys, max_denial } = self;
        let is_fixed =
            quota.interval().is_zero() || quota.limit() == 0 || quota.interval().as_nanos() >= u64::MAX.into();
        SharedRateLimiter(Arc::new(Inner {
            fallback: Fallback::new(when_down, &quota, max_keys),
            denials: Denials::new(if max_denial.is_zero() { 0 } else { max_keys }, max_denial),
            prefix: Prefix::new(&name, is_tagged_by_key),
            counts: Counts::default(),
            engine,
            quota,
            is_fixed,
        }))
    }
}

/// Shows what it was built with, and no key.
impl fmt::Debug for SharedRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRateLimiter")
            .field("quota", &self.0.quota)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
