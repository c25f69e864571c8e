//! The engine: the user's connection, with a time limit and a breaker around each request.

mod failure;
mod script;
mod stats;

use core::{
    fmt,
    future::Future,
    num::NonZeroU32,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::sync::Arc;

use redis::{Cmd, FromRedisValue, RedisError, Value, aio::ConnectionLike};
use steadfast::{
    CircuitBreaker, Instant, Reset,
    circuit_breaker::{AnyTrip, BreakerError, BreakerState},
    runtime::{Clock, SystemTimer},
};

pub use failure::{EngineDown, Failure};
pub(crate) use script::{ALLOW, Call, DEDUP};
pub use stats::EngineStats;
use stats::{Counts, End};

/// Redis or Valkey, as all of a process use it: the user's connection, with a time limit and a circuit breaker
/// around each request.
///
/// The connection is any [`ConnectionLike`] that can be cloned: a `MultiplexedConnection`, with the feature
/// `connection-manager` a `ConnectionManager`, which reconnects, with `cluster` a `ClusterConnection`. TLS, sentinel,
/// authentication and pools are its own business. Clones share all. Use a connection that reconnects: with one that does
/// not, an engine that was down once stays down.
///
/// ```no_run
/// use core::{num::NonZeroU32, time::Duration};
/// use steadfast::{Reset, circuit_breaker::AnyTrip};
/// use steadfast_redis::Engine;
///
/// # async fn connect() -> redis::RedisResult<()> {
/// let client = redis::Client::open("redis://10.0.0.2/")?;
/// let connection = client.get_multiplexed_async_connection().await?;
/// let engine = Engine::builder(connection)
///     .timeout(Duration::from_millis(50))
///     .breaker(AnyTrip::consecutive(NonZeroU32::MIN.saturating_add(2)), Reset::after(Duration::from_millis(250)).doubling().up_to(Duration::from_secs(5)))
///     .on_failure(|failure| eprintln!("{failure}"))
///     .build();
/// # Ok(())
/// # }
/// ```
///
/// # When it is down
///
/// A call that gets no answer lasts as long as the `timeout`; after the first few the breaker opens, and calls are answered
/// at once. Whatever may have run is not sent again, but what the engine knows again by its token; a script that
/// the engine has lost is, once, with its text.
///
/// # Cancellation
///
/// Dropping the future of a call gives nothing back: the engine may have charged it.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    connection: Box<dyn Connection>,
    breaker: CircuitBreaker<AnyTrip>,
    /// In nanoseconds: until then the breaker is open, unless an operator closes it.
    open_until: AtomicU64,
    counts: Counts,
    on_failure: Option<OnFailure>,
}

type OnFailure = Box<dyn Fn(&Failure) + Send + Sync>;
type Reply = Result<Value, RedisError>;
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The user's connection, whatever its type.
trait Connection: Send + Sync {
    fn send(&self, cmd: Cmd) -> Boxed<'_, Reply>;
}

impl<C: ConnectionLike + Clone + Send + Sync> Connection for C {
    fn send(&self, cmd: Cmd) -> Boxed<'_, Reply> {
        let mut connection = self.clone();
        Box::pin(async move { cmd.query_async(&mut connection).await })
    }
}

/// Builds an [`Engine`]: its time limit, its breaker, who hears of failures.
#[must_use = "a builder does nothing until `build`"]
pub struct EngineBuilder {
    connection: Box<dyn Connection>,
    timeout: Duration,
    trip: AnyTrip,
    reset: Reset,
    on_failure: Option<OnFailure>,
}

impl Engine {
    /// An engine with the defaults of [`builder`](Self::builder).
    pub fn new<C: ConnectionLike + Clone + Send + Sync + 'static>(connection: C) -> Self {
        Self::builder(connection).build()
    }

    /// The settings of an engine: 50 ms; a breaker that opens after three failures, for 250 ms at first and up to 5 s.
    pub fn builder<C: ConnectionLike + Clone + Send + Sync + 'static>(connection: C) -> EngineBuilder {
        EngineBuilder {
            connection: Box::new(connection),
            timeout: Duration::from_millis(50),
            trip: AnyTrip::consecutive(NonZeroU32::MIN.saturating_add(2)),
            reset: Reset::after(Duration::from_millis(250)).doubling().up_to(Duration::from_secs(5)),
            on_failure: None,
        }
    }

    /// What was counted since the engine was made.
    #[must_use]
    pub fn stats(&self) -> EngineStats {
        self.0.counts.stats()
    }

    /// Where its breaker stands. `Open` stays until somebody asks.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.0.breaker.state()
    }

    /// The time by the clock that verdicts are told in.
    #[must_use]
    pub fn now(&self) -> Instant {
        SystemTimer.now()
    }

    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Until when nobody is let through to the engine, if that is known without asking.
    pub(crate) fn is_down(&self, now: Instant) -> Option<EngineDown> {
        let until = Instant::from_nanos(self.0.open_until.load(Ordering::Relaxed));
        (now < until && self.state() == BreakerState::Open)
            .then_some(EngineDown { retry_at: Some(until), is_unknown: false })
    }

    /// Runs a script. `read` takes the answer if it fits the question.
    pub(crate) async fn run<R: FromRedisValue, T>(
        &self,
        call: &Call,
        read: impl Fn(R) -> Option<T>,
    ) -> Result<T, EngineDown> {
        let Inner { breaker, counts, on_failure, open_until, .. } = &*self.0;
        let unsure = counts.begin();
        let answer = breaker
            .call(async {
                let reply = R::from_redis_value(self.send(call).await?).ok();
                reply.and_then(&read).ok_or_else(|| {
                    Failure::Misuse((redis::ErrorKind::UnexpectedReturnType, "the answer of another script").into())
                })
            })
            .await;
        unsure.end();
        let error = match answer {
            Ok(answer) => {
                counts.add(End::Answered);
                return Ok(answer);
            }
            Err(error) => error,
        };
        let down = EngineDown::of(&error);
        let failure = match error {
            BreakerError::Open { retry_at } => {
                counts.add(End::Rejected);
                open_until.store(retry_at.as_nanos(), Ordering::Relaxed);
                return Err(down);
            }
            BreakerError::Inner(failure) => failure,
            _ => Failure::Unknown(None),
        };
        counts.add(match failure {
            Failure::NotRun(_) => End::NotRun,
            Failure::Unknown(_) => End::Unknown,
            Failure::Misuse(_) => End::Misuse,
        });
        if let Some(tell) = on_failure {
            tell(&failure);
        }
        Err(down)
    }

    async fn send(&self, call: &Call) -> Result<Value, Failure> {
        let Inner { connection, counts, .. } = &*self.0;
        let failure = match connection.send(call.cmd(false)).await {
            Ok(reply) => return Ok(reply),
            Err(error) => Failure::of(error),
        };
        if !failure.is_without_script() {
            return Err(failure);
        }
        counts.add(End::Reloaded);
        connection.send(call.cmd(true)).await.map_err(Failure::of)
    }
}

impl EngineBuilder {
    /// How long a request may take, connecting included where the connection does that itself.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// When the engine is left alone, and when it is tried again. [`Reset::call_timeout`] is set by
    /// [`timeout`](Self::timeout).
    pub const fn breaker(mut self, trip: AnyTrip, reset: Reset) -> Self {
        (self.trip, self.reset) = (trip, reset);
        self
    }

    /// Hears of each failure, on the task that met it: for the log. A [`Failure::Misuse`] needs somebody's attention.
    pub fn on_failure(mut self, hook: impl Fn(&Failure) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Box::new(hook));
        self
    }

    /// The engine. Nothing is sent until somebody asks.
    #[must_use]
    pub fn build(self) -> Engine {
        let breaker = CircuitBreaker::new(self.trip, self.reset.call_timeout(self.timeout));
        Engine(Arc::new(Inner {
            connection: self.connection,
            breaker,
            open_until: AtomicU64::new(0),
            counts: Counts::default(),
            on_failure: self.on_failure,
        }))
    }
}

impl fmt::Debug for EngineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { timeout, trip, reset, .. } = self;
        f.debug_struct("EngineBuilder")
            .field("timeout", timeout)
            .field("trip", trip)
            .field("reset", reset)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("state", &self.state()).field("stats", &self.stats()).finish_non_exhaustive()
    }
}
