//! What a shared deduplication answers.

use std::sync::Arc;

use steadfast::Instant;

use super::SharedClaimGuard;

/// Whether an id is fresh or a duplicate, among all servers. A fresh id is marked.
#[must_use = "an answer that is not acted on keeps no duplicate out"]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SharedSeen {
    /// It was seen before, or somebody works on it.
    Duplicate,
    /// It was not seen; now it is marked.
    Fresh,
}

/// Whether an id (an idempotency key) may be worked on, among all servers.
#[must_use = "a claim ends by commit or abort"]
#[derive(Debug)]
pub enum SharedClaim {
    /// The work on it is done; its TTL is not prolonged.
    Duplicate {
        /// What its commit kept: the answer to give again.
        note: Arc<[u8]>,
    },
    /// It is the caller's: to be committed once the work is done, or aborted if it surely did not happen.
    Fresh(SharedClaimGuard),
    /// Another has claimed it.
    InFlight {
        /// When that claim ends, unless it is renewed or ended before. By [`Engine::now`](crate::Engine::now).
        retry_at: Instant,
    },
}

/// What a shared deduplication says of a new id while the engine does not answer. There is no default: the wrong choice is a
/// silent error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DedupWhenDown {
    /// Fail closed: an error, for work that must not run twice.
    Refuse,
    /// Fail open: this process alone decides, by the ids that it has seen itself. Other servers may do the same work: at
    /// least once. Such a claim has no fence, and only this process knows of its commit.
    Process,
}
