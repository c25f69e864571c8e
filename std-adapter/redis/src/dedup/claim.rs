//! A claim that is held.

use core::fmt;

use steadfast::Instant;

use super::{Local, SharedDedup, Told};
use crate::engine::EngineDown;

/// What a commit keeps at most, in bytes.
const MAX_NOTE: usize = 4_096;

/// A claim of an id among all servers, which is the caller's until `expires_at`.
///
/// If it is dropped, all wait until the lease ends: nobody knows whether the work was done.
/// [`abort`](Self::abort) it if it surely was not.
#[must_use = "a claim that is neither committed nor aborted blocks its id until the lease ends"]
pub struct SharedClaimGuard {
    pub(super) dedup: SharedDedup,
    pub(super) id: Vec<u8>,
    pub(super) token: String,
    pub(super) fence: Option<u64>,
    pub(super) expires_at: Instant,
    pub(super) local: Option<Local>,
}

/// Why a claim was not renewed or committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum CommitError {
    /// Another has claimed the id, or the engine has lost its state: somebody else may do the same work. Nothing was
    /// changed.
    ClaimLost,
    /// The note is longer than 4 KiB. Nothing was changed.
    NoteTooLong,
    /// The engine did not answer: it may be committed, and may be tried again with the same effect.
    Down(EngineDown),
}

impl SharedClaimGuard {
    /// The fencing token: larger than that of every earlier claim of the id. Give it to what the work changes, which is to
    /// refuse a smaller one than it has seen. `None` if the engine was down.
    #[must_use]
    pub const fn fence(&self) -> Option<u64> {
        self.fence
    }

    /// Until when nobody else gets the id: by this process's clock, counted from before the engine was asked. Do not begin
    /// what takes longer. By [`Engine::now`](crate::Engine::now).
    #[must_use]
    pub const fn expires_at(&self) -> Instant {
        self.expires_at
    }

    /// Begins the lease anew; at half of it is a good time.
    ///
    /// # Errors
    ///
    /// [`CommitError`] if the claim is lost or the engine is down.
    pub async fn renew(&mut self) -> Result<(), CommitError> {
        let now = self.dedup.now();
        self.end("renew", &[]).await?;
        self.expires_at = now.saturating_add(self.dedup.0.lease);
        Ok(())
    }

    /// The work is done: the id is known for its TTL, with this note, at most 4 KiB, for whoever comes again. May be called
    /// again after [`CommitError::Down`].
    ///
    /// # Errors
    ///
    /// [`CommitError`], which says what it left unchanged.
    pub async fn commit(&mut self, note: &[u8]) -> Result<(), CommitError> {
        if note.len() > MAX_NOTE {
            return Err(CommitError::NoteTooLong);
        }
        self.end("commit", note).await?;
        if let Some(local) = self.local.take() {
            let _ = local.commit_with(Some(note.into())); // its lease may have ended: the engine knows it
        }
        Ok(())
    }

    /// The work surely did not happen: another may claim the id at once. If the engine does not answer, once the lease has
    /// ended.
    pub async fn abort(mut self) {
        let _ = self.end("abort", &[]).await;
        drop(self.local.take());
    }

    async fn end(&mut self, what: &str, note: &[u8]) -> Result<(), CommitError> {
        if self.fence.is_none() {
            return Ok(()); // of this process alone
        }
        match self.dedup.ask(what, &self.id, &self.token, note).await {
            Ok(Told::Done { .. }) => Ok(()),
            Ok(_) => {
                drop(self.local.take()); // who comes next asks the engine
                Err(CommitError::ClaimLost)
            }
            Err(down) => Err(CommitError::Down(down)),
        }
    }
}

impl Drop for SharedClaimGuard {
    fn drop(&mut self) {
        if let Some(local) = self.local.take() {
            local.keep();
        }
    }
}

/// Shows no id.
impl fmt::Debug for SharedClaimGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedClaimGuard")
            .field("fence", &self.fence)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClaimLost => f.write_str("the claim was over before it was committed"),
            Self::NoteTooLong => f.write_str("the note is longer than 4 KiB"),
            Self::Down(down) => down.fmt(f),
        }
    }
}

impl core::error::Error for CommitError {}
