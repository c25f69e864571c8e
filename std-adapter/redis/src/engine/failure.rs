//! Why the engine did not decide.

use core::fmt;

use redis::{ErrorKind, RedisError, ServerErrorKind};
use steadfast::{Instant, circuit_breaker::BreakerError};

/// Why the engine did not decide. What the caller gets then, [`WhenDown`](crate::WhenDown) says; this goes to
/// [`on_failure`](crate::EngineBuilder::on_failure) and into the counts.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// Nothing ran, so nothing was charged: the engine refused it, or is loading, full, read-only or without its cluster.
    NotRun(RedisError),
    /// It may have run and been charged: the connection was lost, or the engine did not answer in
    /// [`timeout`](crate::EngineBuilder::timeout) (`None`). It is never sent again.
    Unknown(Option<RedisError>),
    /// A mistake of the program or of its settings, which time does not mend: rights, a foreign value under the key, keys
    /// in two slots.
    Misuse(RedisError),
}

impl Failure {
    pub(super) fn of(error: RedisError) -> Self {
        use ServerErrorKind::*;
        match error.kind() {
            ErrorKind::Server(
                BusyLoading | NoScript | Moved | Ask | TryAgain | ClusterDown | MasterDown | ReadOnly,
            )
            | ErrorKind::ClusterConnectionNotFound => Self::NotRun(error),
            ErrorKind::Server(_)
            | ErrorKind::AuthenticationFailed
            | ErrorKind::UnexpectedReturnType
            | ErrorKind::InvalidClientConfig => Self::Misuse(error),
            ErrorKind::Extension => match error.code() {
                Some("OOM" | "BUSY" | "NOREPLICAS" | "MISCONF") => Self::NotRun(error),
                _ => Self::Misuse(error),
            },
            _ if error.is_connection_refusal() => Self::NotRun(error),
            _ => Self::Unknown(Some(error)),
        }
    }

    pub(super) fn is_without_script(&self) -> bool {
        matches!(self, Self::NotRun(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRun(error) => write!(f, "the engine did not run it: {error}"),
            Self::Unknown(None) => f.write_str("the engine did not answer in time"),
            Self::Unknown(Some(error)) => write!(f, "the engine may have run it: {error}"),
            Self::Misuse(error) => write!(f, "the engine is misused: {error}"),
        }
    }
}

impl core::error::Error for Failure {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::NotRun(error) | Self::Unknown(Some(error)) | Self::Misuse(error) => Some(error),
            Self::Unknown(None) => None,
        }
    }
}

/// An error: the engine did not decide. Why, [`on_failure`](crate::EngineBuilder::on_failure) was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct EngineDown {
    /// When it is worth asking again, if its breaker knows. By [`Engine::now`](crate::Engine::now).
    pub retry_at: Option<Instant>,
    /// It may have run.
    pub(crate) is_unknown: bool,
}

impl EngineDown {
    pub(super) const fn of(error: &BreakerError<Failure>) -> Self {
        match error {
            BreakerError::Open { retry_at } => Self { retry_at: Some(*retry_at), is_unknown: false },
            BreakerError::Inner(Failure::NotRun(_) | Failure::Misuse(_)) => Self { retry_at: None, is_unknown: false },
            _ => Self { retry_at: None, is_unknown: true },
        }
    }
}

impl fmt::Display for EngineDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the engine did not decide")
    }
}

impl core::error::Error for EngineDown {}
