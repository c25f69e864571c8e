//! What the correlators answer.

use core::{error::Error, fmt};

use super::{CallId, ending::Ending};
use crate::foundation::time::Instant;

/// A call that has begun.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[must_use = "the request has to carry the id"]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Call {
    pub(super) id: CallId,
    pub(super) expires_at: Instant,
}

impl Call {
    /// What the request has to carry, and the reply to repeat.
    #[must_use]
    pub const fn id(&self) -> CallId {
        self.id
    }

    /// A reply at or after this instant is late.
    #[must_use]
    pub const fn expires_at(&self) -> Instant {
        self.expires_at
    }
}

/// What became of a reply: matched, late, duplicate, unknown, or from the wrong peer. It is given back unless it
/// matched.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[must_use = "only a matched reply was taken"]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resolution<R> {
    /// The call has had its reply.
    Duplicate(R),
    /// The call was over without a reply: timed out, cancelled or closed.
    Late(R),
    /// It is the reply to a pending call, and kept for the caller.
    Matched,
    /// The id names no call, or one that is forgotten.
    Unknown(R),
    /// The call was made to another peer; nothing changed, it may still be answered.
    WrongPeer(R),
}

impl<R> Resolution<R> {
    /// True if the reply was taken.
    #[must_use]
    pub const fn is_matched(&self) -> bool {
        matches!(self, Self::Matched)
    }

    /// The reply that was not taken: treat it as a message that nobody asked for, or drop it.
    #[must_use]
    pub fn into_unmatched(self) -> Option<R> {
        match self {
            Self::Matched => None,
            Self::Duplicate(reply) | Self::Late(reply) | Self::Unknown(reply) | Self::WrongPeer(reply) => Some(reply),
        }
    }
}

impl Resolution<()> {
    /// The same about `reply`, which is lost if this is a match.
    pub(super) fn about<R>(self, reply: R) -> Resolution<R> {
        match self {
            Self::Duplicate(()) => Resolution::Duplicate(reply),
            Self::Late(()) => Resolution::Late(reply),
            Self::Matched => Resolution::Matched,
            Self::Unknown(()) => Resolution::Unknown(reply),
            Self::WrongPeer(()) => Resolution::WrongPeer(reply),
        }
    }
}

/// A call that timed out, so that the peer can be told.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Expired<P> {
    /// The call.
    pub id: CallId,
    /// Who was asked.
    pub peer: P,
}

/// Why a call did not begin; nothing changed, and nothing may be sent.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BeginError {
    /// The correlator is closed.
    Closed,
    /// A call with this id has not ended yet; it stays as it was. Only where callers bring their own ids.
    Duplicate,
    /// Every slot holds a call.
    Full,
}

impl fmt::Display for BeginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the correlator is closed",
            Self::Duplicate => "a call with this id is pending",
            Self::Full => "too many calls are pending",
        })
    }
}

impl Error for BeginError {}

/// Why a call failed: not sent, timed out, cancelled, full. Its slot is free again.
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CallError<E> {
    /// Somebody cancelled it by its id.
    Cancelled,
    /// The correlator is closed, or was closed meanwhile.
    Closed,
    /// A call with this id has not ended yet; nothing was sent. Only where callers bring their own ids.
    Duplicate,
    /// Every slot holds a call; nothing was sent.
    Full,
    /// Sending failed.
    Send(E),
    /// No reply came before the deadline.
    TimedOut,
}

impl<E> CallError<E> {
    /// The same with another error of sending.
    pub fn map_inner<F>(self, map: impl FnOnce(E) -> F) -> CallError<F> {
        match self {
            Self::Cancelled => CallError::Cancelled,
            Self::Closed => CallError::Closed,
            Self::Duplicate => CallError::Duplicate,
            Self::Full => CallError::Full,
            Self::Send(error) => CallError::Send(map(error)),
            Self::TimedOut => CallError::TimedOut,
        }
    }
}

impl<E> From<BeginError> for CallError<E> {
    fn from(error: BeginError) -> Self {
        match error {
            BeginError::Closed => Self::Closed,
            BeginError::Duplicate => Self::Duplicate,
            BeginError::Full => Self::Full,
        }
    }
}

impl<E> From<Ending> for CallError<E> {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Cancelled => Self::Cancelled,
            Ending::Closed => Self::Closed,
            Ending::TimedOut => Self::TimedOut,
        }
    }
}

impl<E> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "the call was cancelled",
            Self::Closed => "the correlator is closed",
            Self::Duplicate => "a call with this id is pending",
            Self::Full => "too many calls are pending",
            Self::Send(_) => "the request could not be sent",
            Self::TimedOut => "no reply came in time",
        })
    }
}

impl<E: Error + 'static> Error for CallError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Send(error) => Some(error),
            Self::Cancelled | Self::Closed | Self::Duplicate | Self::Full | Self::TimedOut => None,
        }
    }
}
